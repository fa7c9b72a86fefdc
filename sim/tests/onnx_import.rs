//! Networks exported by PyTorch: imported, compared with what PyTorch computes, calibrated, compared again.
//!
//! `tests/onnx/make_models.py` makes the files.

use std::path::PathBuf;

use cfm_core::image::ImageView;
use cfm_core::mask::CellWindow;
use cfm_core::model::{Design, Model};
use cfm_model::float_model::FloatModel;
use cfm_model::onnx::import::{HeadOptions, Imported, Options, Pixels, import_float};
use cfm_model::quantize::range::RangeMethod;
use cfm_model::quantize::{WeightScales, blank};
use cfm_model::spec::{Classifier, MaskRule};
use cfm_sim::core_trace;
use cfm_sim::float_network::{FloatNetwork, SegmentMask, Tensor};
use cfm_sim::pipeline::{NetworkInput, Pipeline};
use cfm_sim::post_training::{self, Equalization};
use cfm_sim::scene::Scene;
use safetensors::SafeTensors;

/// The networks, and whether the head lies in a file of its own.
const NETWORKS: [(&str, bool); 11] = [
    ("vgg", false),
    ("residual", false),
    ("separable", false),
    ("dilated", true),
    ("batchnorm", false),
    ("clip", false),
    ("average", false),
    ("grouped", false),
    ("strided", false),
    ("design-a", true),
    ("pyramid", false),
];

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/onnx")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn options() -> Options {
    Options {
        pixels: Pixels::default(),
        size: None,
        output: None,
        exact_border: true,
        head: HeadOptions {
            design: None,
            pyramid: vec![3, 2, 1],
            region_pyramid: None,
            mask_rule: MaskRule::Max,
            classifier: Classifier::Softmax,
        },
        classes: None,
    }
}

fn import(name: &str, separate_head: bool) -> Imported {
    let head = separate_head.then(|| file(&format!("{name}-head.onnx")));
    import_float(&file(&format!("{name}.onnx")), head.as_deref(), &options())
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What PyTorch computes.
struct Expected {
    image: Vec<u8>,
    features: Vec<f32>,
    logits: Vec<f32>,
}

impl Expected {
    fn read(name: &str) -> Self {
        let bytes = file(&format!("{name}.safetensors"));
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let floats = |name: &str| {
            let (chunks, _) = tensors.tensor(name).unwrap().data().as_chunks();
            chunks.iter().copied().map(f32::from_le_bytes).collect()
        };
        Self {
            image: tensors.tensor("image").unwrap().data().to_vec(),
            features: floats("features"),
            logits: floats("logits"),
        }
    }
}

/// The logits of the segment that is the whole image.
fn whole_image(network: &FloatNetwork<'_>, features: &Tensor, finest: usize) -> Vec<f32> {
    let shape = features.shape;
    let mask = SegmentMask {
        area: 1,
        window: CellWindow {
            top: 0,
            left: 0,
            bottom: shape.height,
            right: shape.width,
        },
        cells: vec![1; usize::from(shape.height) * usize::from(shape.width)],
        bins: vec![1; finest * finest],
    };
    network.logits(features, &mask, &mut ())
}

/// Largest difference, as a share of the largest expected magnitude.
fn relative(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max) / largest
}

fn float_logits(float: &FloatModel, expected: &Expected) -> (Tensor, Vec<f32>) {
    let bytes = blank(float).unwrap().to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let network = FloatNetwork::new(&model, float.clone()).unwrap();
    let input = float.input;
    let image = ImageView::new(&expected.image, input.width, input.height, 3).unwrap();
    let mut tensors = network.tensors(&image).unwrap();
    let features = tensors.pop().unwrap();
    let logits = whole_image(
        &network,
        &features,
        model.head().segment_levels.finest().into(),
    );
    (features, logits)
}

/// Both compute in f32 and add in another order; a sum of n terms is off by at most n roundings of 2^-24 of the
/// magnitudes, and there are up to ten layers of up to some 500 terms.
const TOLERANCE: f32 = 1e-4;

#[test]
fn float_networks_compute_what_pytorch_computes() {
    for (name, separate_head) in NETWORKS {
        let imported = import(name, separate_head);
        let expected = Expected::read(name);
        let (features, mut logits) = float_logits(&imported.model, &expected);
        let of_features = relative(&features.data, &expected.features);
        if name == "dilated" {
            // PyTorch's file ends with a softmax; its logarithm is the logits less a constant.
            let shift = logits[0] - expected.logits[0];
            logits.iter_mut().for_each(|logit| *logit -= shift);
        }
        let of_logits = relative(&logits, &expected.logits);
        println!(
            "{name}: features {of_features:.1e}, logits {of_logits:.1e} {:?}",
            imported.notes
        );
        assert!(
            of_features < TOLERANCE,
            "{name}: features are off by {of_features}"
        );
        assert!(
            of_logits < TOLERANCE,
            "{name}: logits are off by {of_logits}"
        );
    }
}
