//! Whether the core computes exactly what the float reference computes, tensor by tensor.

mod names;
mod photo;
pub mod random;
mod report;

pub use names::Naming;
pub use photo::{PhotoCheck, assert_parity, check_parity};
pub use report::{Difference, ParityReport, TensorParity};

use cfm_core::executor::ExecuteError;
use cfm_core::kernels::{Kernels, native_for};
use cfm_core::model::Model;
use cfm_core::scorer::ScoreError;

use crate::core_trace::{self, CoreError};
use crate::pipeline::PipelineError;
use crate::reference::{self, ReferenceError};
use crate::trace::{Inputs, Trace};
use names::Names;

/// Why nothing can be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParityError {
    /// A photograph cannot be brought to the model's input, or no segments can be made of it.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The core refuses the image or a segment.
    #[error("the core: {0}")]
    Core(#[from] CoreError),
    /// The core's whole-image call refuses the image.
    #[error("the core's whole-image call: {0}")]
    WholeImage(#[from] ExecuteError),
    /// The core's single call for scoring refuses a segment.
    #[error("the core's scoring in one call: {0}")]
    Score(#[from] ScoreError),
    /// The reference refuses the image or a segment.
    #[error("the reference: {0}")]
    Reference(#[from] ReferenceError),
}

/// Computes everything twice, with the core and the host's fastest kernels (row by row, with everything shown on the way;
/// then by its whole-image and whole-segment calls) and with the float reference, and compares every tensor.
///
/// # Errors
/// [`ParityError`] for an image of another size than the model's input, or a broken segment.
pub fn check(
    model: &Model<'_>,
    inputs: &Inputs<'_>,
    naming: Naming,
) -> Result<ParityReport, ParityError> {
    check_with(model, inputs, naming, &native_for(model))
}

/// [`check`] for the core with kernels of the caller's choice.
///
/// # Errors
/// As [`check`].
pub fn check_with<K: Kernels + Copy>(
    model: &Model<'_>,
    inputs: &Inputs<'_>,
    naming: Naming,
    kernels: K,
) -> Result<ParityReport, ParityError> {
    let core = core_trace::trace_with(model, inputs, kernels)?;
    let reference = reference::trace(model, inputs)?;
    let mut report = compare(model, inputs, naming, &core, &reference);

    let names = Names::new(model, inputs.rule, naming);
    let empty = Vec::new();
    let features = reference.tensors.last().unwrap_or(&empty);
    let whole = core_trace::whole_image(model, &inputs.image, kernels)?;
    let dimensions = names.dimensions.last().map_or(&[][..], |d| &d[..]);
    report.compare(names.whole_image, None, dimensions, &whole, features);
    let logits = core_trace::logits(model, features, inputs, kernels)?;
    for (at, (logits, segment)) in logits.iter().zip(&reference.segments).enumerate() {
        report.compare(names.one_call, Some(at), &[], logits, &segment.logits);
    }
    Ok(report)
}

/// Compares two traces of the same model and inputs, tensor by tensor.
#[must_use]
pub fn compare(
    model: &Model<'_>,
    inputs: &Inputs<'_>,
    naming: Naming,
    core: &Trace,
    reference: &Trace,
) -> ParityReport {
    let names = Names::new(model, inputs.rule, naming);
    let mut report = ParityReport {
        segments: inputs.segments.len() as u64,
        tensors: Vec::new(),
    };
    // What one of them lacks must not go unnoticed because there is nothing to compare it with.
    let hidden = |trace: &Trace| trace.segments.first().map_or(0, |s| s.hidden.len());
    for (what, a, b) in [
        (
            "number of tensors",
            core.tensors.len(),
            reference.tensors.len(),
        ),
        (
            "number of segments",
            core.segments.len(),
            reference.segments.len(),
        ),
        ("number of hidden layers", hidden(core), hidden(reference)),
    ] {
        if a != b {
            report.compare(what, None, &[], &[a as u32], &[b as u32]);
        }
    }
    let tensors = core.tensors.iter().zip(&reference.tensors);
    for ((name, dimensions), (a, b)) in names.tensors.iter().zip(&names.dimensions).zip(tensors) {
        report.compare(name, None, dimensions, a, b);
    }
    for (at, (a, b)) in core.segments.iter().zip(&reference.segments).enumerate() {
        let segment = Some(at);
        report.compare(names.area, segment, &[], &[a.area], &[b.area]);
        report.compare(names.window, segment, &[], &a.window, &b.window);
        let width = usize::from(b.window[3] - b.window[1]);
        report.compare(&names.mask, segment, &[width], &a.mask, &b.mask);
        let finest = usize::from(model.head().segment_levels.finest());
        report.compare(
            &names.bin_mask,
            segment,
            &[finest],
            &a.bin_mask,
            &b.bin_mask,
        );
        report.compare(
            &names.segment_vector,
            segment,
            &[],
            &a.segment_vector,
            &b.segment_vector,
        );
        report.compare(
            &names.region_vector,
            segment,
            &[],
            &a.region_vector,
            &b.region_vector,
        );
        for (name, (a, b)) in names.hidden.iter().zip(a.hidden.iter().zip(&b.hidden)) {
            report.compare(name, segment, &[], a, b);
        }
        report.compare(&names.logits, segment, &[], &a.logits, &b.logits);
        report.compare(
            &names.probabilities,
            segment,
            &[],
            &a.probabilities,
            &b.probabilities,
        );
    }
    let width = usize::from(model.input().width);
    report.compare(
        &names.labels,
        None,
        &[width],
        &core.labels,
        &reference.labels,
    );
    report.tensors.retain(|tensor| tensor.elements > 0);
    report
}

#[cfg(test)]
mod tests;
