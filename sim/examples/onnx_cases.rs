//! Cases for `tests/onnx_check.py`: random models as golden vectors and in all ONNX formats, a folder each.
//!
//!     cargo run --release -p cfm-sim --example onnx_cases -- DIR COUNT [SEED]
//!
//! Every other model has power-of-two multipliers only.

use std::error::Error;
use std::path::PathBuf;

use cfm_core::model::Model;
use cfm_core::requantize::MANTISSA_MIN;
use cfm_model::onnx::export::{Format, export};
use cfm_model::random::{Options, random_image, random_model, random_segments};
use cfm_model::spec::{LayerSpec, ModelSpec};
use cfm_sim::trace::Inputs;
use cfm_sim::vectors::{self, Folder};

/// Segments of a case.
const SEGMENTS: usize = 12;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("where to?")?);
    let count: u64 = arguments.next().ok_or("how many?")?.parse()?;
    let first: u64 = arguments.next().map_or(Ok(0), |seed| seed.parse())?;
    for seed in first..first + count {
        let mut spec = random_model(seed, &Options::default());
        if seed % 2 == 0 {
            make_power_of_two(&mut spec);
        }
        let bytes = spec.to_bytes()?;
        let model = Model::parse(&bytes)?;
        let image = random_image(seed, spec.input);
        let segments = random_segments(seed, spec.input.width, spec.input.height, SEGMENTS);
        let inputs = Inputs {
            image: image.view()?,
            maps: &segments.map_views()?,
            segments: &segments.views(),
            rule: segments.applicable(model.labelling()),
        };
        let case = folder.join(format!("random_{seed:04}"));
        vectors::export(&model, &inputs, SEGMENTS, Folder::new(&case))?;
        for format in Format::ALL {
            let path = case.join(format.name());
            let mut folder = Folder::new(&path);
            for (name, proto) in export(&model, format)?.all().into_iter().rev() {
                folder.bytes(name, &proto.to_bytes())?;
            }
            folder.commit()?;
        }
    }
    Ok(())
}

fn make_power_of_two(spec: &mut ModelSpec) {
    let convolutions = spec.layers.iter_mut().filter_map(|layer| match layer {
        LayerSpec::Conv2d(conv) => Some(&mut conv.channels),
        _ => None,
    });
    let head = &mut spec.head;
    let fcs = [
        &mut head.segment_fcs,
        &mut head.region_fcs,
        &mut head.joint_fcs,
    ];
    let fcs = fcs.into_iter().flatten().map(|fc| &mut fc.channels);
    for channel in convolutions.chain(fcs).flatten() {
        channel.mantissa = MANTISSA_MIN;
    }
}
