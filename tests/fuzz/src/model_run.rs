//! A model computed in every way that this machine has, compared tensor by tensor.

use cfm_core::image::ImageView;
use cfm_core::kernels::{InstructionSet, Kernels, Portable, X86};
use cfm_core::model::{Model, Operation, Path, WeightOrder};
use cfm_model::random::random_segments;
use cfm_sim::core_trace;
use cfm_sim::parity::{self, Naming};
use cfm_sim::reference;
use cfm_sim::trace::{Inputs, Trace};

/// Segments that are scored per model.
const SEGMENTS: usize = 3;

/// Whether a run under the fuzzer takes milliseconds: little memory, and few multiplications.
#[must_use]
pub fn is_small(model: &Model<'_>) -> bool {
    const MAX_ARENA: usize = 1 << 16;
    const MAX_VALUES: usize = 1 << 16;
    const MAX_PRODUCTS: usize = 1 << 18;
    let values: usize = model
        .tensors()
        .iter()
        .map(|tensor| tensor.shape.len())
        .sum();
    let products: usize = model
        .layers()
        .zip(&model.tensors()[1..])
        .map(|(layer, output)| {
            let filter = match layer.operation {
                Operation::Conv2d(conv) => conv.parameters.filter_len(),
                Operation::MaxPool { window } | Operation::AvgPool { window } => {
                    usize::from(window.kernel[0]) * usize::from(window.kernel[1])
                }
                Operation::Add { .. } => 1,
            };
            output.shape.len().saturating_mul(filter)
        })
        .fold(0, usize::saturating_add);
    let connections: usize = [Path::Segment, Path::Region, Path::Joint]
        .into_iter()
        .flat_map(|path| model.head().layers(path))
        .map(|fc| fc.parameters.channels.len() * fc.parameters.filter_len())
        .fold(0, usize::saturating_add);
    model.arena_bytes() <= MAX_ARENA
        && values <= MAX_VALUES
        && products.saturating_add(connections * SEGMENTS) <= MAX_PRODUCTS
}

/// Computes an image and random segments with the portable kernels, with those for every instruction set of the processor
/// and with the float reference, row by row and in one call.
///
/// # Panics
/// With the comparison when a value differs, and when any of them refuses the image or the segments.
pub fn assert_equal_everywhere(model: &Model<'_>, image: &ImageView<'_>, seed: u64) {
    let (width, height) = (image.width(), image.height());
    let segments = random_segments(seed, width, height, SEGMENTS);
    let maps = segments.map_views().expect("random maps are valid");
    let inputs = Inputs {
        image: *image,
        maps: &maps,
        segments: &segments.views(),
        rule: segments.applicable(model.labelling()),
    };
    let expected = reference::trace(model, &inputs).expect("the reference computes");
    // Only the reference computes on models that were packed for other kernels.
    if model.weight_order() != WeightOrder::Rows {
        return;
    }
    check("the portable kernels", model, &inputs, &expected, Portable);
    for set in InstructionSet::ALL {
        if let Some(kernels) = X86::with(model, set) {
            check(&format!("{set:?}"), model, &inputs, &expected, &kernels);
        }
    }
}

fn check<K: Kernels + Copy>(
    name: &str,
    model: &Model<'_>,
    inputs: &Inputs<'_>,
    expected: &Trace,
    kernels: K,
) {
    let computed = core_trace::trace_with(model, inputs, kernels).expect("the core computes");
    if computed != *expected {
        let report = parity::compare(model, inputs, Naming::Layers, &computed, expected);
        panic!("{name} and the reference differ\n{report}");
    }
    let features = expected.tensors.last().expect("there is the image");
    let whole = core_trace::whole_image(model, &inputs.image, kernels);
    assert_eq!(whole.as_ref(), Ok(features), "{name}: the whole image");
    let logits = core_trace::logits(model, features, inputs, kernels).expect("the core scores");
    for (logits, segment) in logits.iter().zip(&expected.segments) {
        assert_eq!(*logits, segment.logits, "{name}: scoring in one call");
    }
}
