//! Networks exported by PyTorch: imported, compared with what PyTorch computes, calibrated, compared again.
//!
//! `tests/onnx/make_models.py` makes the files.

use std::path::PathBuf;

use cfm_core::image::ImageView;
use cfm_core::mask::CellWindow;
use cfm_core::model::Model;
use cfm_core::segment::{Run, Segment};
use cfm_model::float_model::{FloatLayer, FloatModel};
use cfm_model::onnx::import::{self, Import, Imported, ImportedIntegers, Options};
use cfm_model::quantize::range::RangeMethod;
use cfm_model::quantize::{WeightScales, blank};
use cfm_sim::core_trace;
use cfm_sim::float_network::{FloatNetwork, SegmentMask, Tensor};
use cfm_sim::pipeline::{NetworkInput, Pipeline};
use cfm_sim::post_training::{self, Equalization};
use cfm_sim::scene::Scene;
use cfm_sim::trace::Inputs;
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

fn import(name: &str, separate_head: bool) -> Imported {
    let head = separate_head.then(|| file(&format!("{name}-head.onnx")));
    match import::import(
        &file(&format!("{name}.onnx")),
        head.as_deref(),
        &Options::default(),
    ) {
        Ok(Import::Float(imported)) => *imported,
        other => panic!("{name}: {other:?}"),
    }
}

fn import_integers(name: &str) -> ImportedIntegers {
    match import::import(&file(&format!("{name}.onnx")), None, &Options::default()) {
        Ok(Import::Integers(imported)) => *imported,
        other => panic!("{name}: {other:?}"),
    }
}

/// What PyTorch computes.
struct Expected {
    image: Vec<u8>,
    /// Empty where only the logits are known.
    features: Vec<f32>,
    logits: Vec<f32>,
}

impl Expected {
    fn read(name: &str) -> Self {
        let bytes = file(&format!("{name}.safetensors"));
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let floats = |name: &str| match tensors.tensor(name) {
            Ok(tensor) => {
                let (chunks, _) = tensor.data().as_chunks();
                chunks.iter().copied().map(f32::from_le_bytes).collect()
            }
            Err(_) => Vec::new(),
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

/// Signal to quantization noise, and how often the same class has the largest logit.
#[derive(Debug, Default)]
struct Agreement {
    signal: f64,
    noise: f64,
    values: usize,
    segments: usize,
    same: usize,
    /// Largest margin of the float network's winner over another one that the integers prefer.
    margin: f64,
}

impl Agreement {
    /// Standard deviation of a logit's error.
    fn deviation(&self) -> f64 {
        (self.noise / self.values as f64).sqrt()
    }

    fn decibels(&self) -> f64 {
        10.0 * (self.signal / self.noise).log10()
    }
}

fn largest<T: PartialOrd>(values: &[T]) -> usize {
    (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

/// The integers that calibration made of `float` against `float` itself, on scenes that calibration did not see.
fn agreement(float: &FloatModel, scales: WeightScales) -> Agreement {
    let bytes = blank(float).unwrap().to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let pipeline = Pipeline::new(&model).unwrap();
    let scenes = |seeds: std::ops::Range<u64>| -> Vec<NetworkInput> {
        let photos = seeds.map(|seed| Scene::render(96, 72, seed).photo);
        photos
            .map(|photo| pipeline.input(&photo).unwrap())
            .collect()
    };
    let options = post_training::Options {
        range: RangeMethod::MeanSquaredError,
        scales,
        equalization: Equalization::Weights,
        bias_correction: true,
    };
    let quantized =
        post_training::quantize(float.clone(), &pipeline, &scenes(0..8), &options, || {}).unwrap();
    let model = Model::parse(&quantized.cfm).unwrap();
    let network = FloatNetwork::new(&model, float.clone()).unwrap();
    let step = f64::from(model.head().logit_exponent).exp2();
    let mut found = Agreement::default();
    for image in scenes(100..106) {
        Inputs::of_input(&pipeline, &image, |inputs| {
            let real = network.label(inputs).unwrap().logits;
            let integers = core_trace::trace(&model, inputs).unwrap().segments;
            assert_eq!(real.len(), integers.len());
            for (real, segment) in real.iter().zip(&integers) {
                // What all classes have in common decides nothing.
                let mean = real.iter().sum::<f32>() / real.len() as f32;
                for (&x, &q) in real.iter().zip(&segment.logits) {
                    found.signal += f64::from(x - mean).powi(2);
                    found.noise += (f64::from(x) - f64::from(q) * step).powi(2);
                }
                found.values += real.len();
                found.segments += 1;
                let (winner, other) = (largest(real), largest(&segment.logits));
                found.same += usize::from(winner == other);
                found.margin = found.margin.max(f64::from(real[winner] - real[other]));
            }
        })
        .unwrap();
    }
    found
}

/// Layers that quantize weights or outputs.
fn quantizing_layers(float: &FloatModel) -> usize {
    let head = &float.head;
    let convolutions = float
        .layers
        .iter()
        .filter(|layer| matches!(layer, FloatLayer::Conv2d(_) | FloatLayer::Add(_)));
    convolutions.count() + head.segment_fcs.len() + head.region_fcs.len() + head.joint_fcs.len()
}

/// What one rounding to 8 bits may cost. Scales are powers of two, so the largest value takes between 64 and 127 steps of
/// a signed range; with a largest value of 8 standard deviations, the standard deviation s is at least 8 steps, and the
/// noise of rounding, 1/12 of a squared step, is `10 log10(12 * 8^2) = 28.9 dB` below. A layer rounds twice, weights and
/// outputs; independent noises add up, and a network of L layers that passes signal and noise on alike loses
/// `10 log10(2 L)` dB of it.
const LEAST_STEP_SQNR: f64 = 28.9;

#[test]
fn quantized_networks_stay_within_the_noise_of_eight_bits() {
    println!("| network | layers that quantize | least | SQNR of the logits | same class |");
    println!("|---|---|---|---|---|");
    for (name, separate_head) in NETWORKS {
        let float = import(name, separate_head).model;
        let layers = quantizing_layers(&float);
        let least = LEAST_STEP_SQNR - 10.0 * (2.0 * layers as f64).log10();
        let found = agreement(&float, WeightScales::PowerOfTwo);
        let decibels = found.decibels();
        println!(
            "| {name} | {layers} | {least:.1} dB | {decibels:.1} dB | {:.1} % of {} |",
            100.0 * found.same as f64 / found.segments as f64,
            found.segments
        );
        assert!(
            decibels >= least,
            "{name}: {decibels} dB are less than {least}"
        );
        // Two errors would have to conspire far out in their tails to turn a clear decision.
        let margin = found.margin / found.deviation();
        assert!(
            margin < 6.0,
            "{name}: a margin of {margin} deviations was turned"
        );
        assert!(found.same * 10 >= found.segments * 9, "{name}: {found:?}");
    }
}

/// The integers of the whole image as a segment.
fn integer_logits(bytes: &[u8], image: &[u8]) -> Vec<f32> {
    let model = Model::parse(bytes).unwrap();
    let shape = model.input();
    let runs: Vec<Run> = (0..shape.height)
        .map(|y| Run {
            y,
            x0: 0,
            x1: shape.width,
        })
        .collect();
    let inputs = Inputs {
        image: ImageView::new(image, shape.width, shape.height, shape.channels).unwrap(),
        maps: &[],
        segments: &[Segment::Runs(&runs)],
        rule: model.labelling(),
    };
    let trace = core_trace::trace(&model, &inputs).unwrap();
    let step = f32::from(model.head().logit_exponent).exp2();
    trace.segments[0]
        .logits
        .iter()
        .map(|&q| f32::from(q) * step)
        .collect()
}

/// ONNX Runtime rounds logits to 8 bits, half of some 1/200 of the largest; and a multiplier that is rounded to 15 bits
/// moves an activation by one step now and then, as the f32 of the runtime does.
const RUNTIME_TOLERANCE: f32 = 0.02;

#[test]
fn networks_quantized_by_onnx_runtime_compute_what_it_computes() {
    for name in ["vgg-qdq", "vgg-qoperator", "strided-i8"] {
        let imported = import_integers(name);
        let expected = Expected::read(name);
        let found = integer_logits(&imported.model.to_bytes().unwrap(), &expected.image);
        let error = relative(&found, &expected.logits);
        println!("{name}: {error:.1e} {:?}", imported.notes);
        assert!(
            error < RUNTIME_TOLERANCE,
            "{name}: {found:?} instead of {:?}",
            expected.logits
        );
    }
}
