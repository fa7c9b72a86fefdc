//! The core's labelling, in memory from the heap.

use cfm_core::labelling::{LabelError, ScoredSegment, label_pixels, memory_words};
use cfm_core::model::{LabellingRule, Model};
use cfm_core::segment::SuperpixelMap;

/// The class of every pixel of the network's input, row-major, as [`label_pixels`] decides it for the segments
/// `segment(0) .. segment(count)`.
///
/// # Errors
/// As [`label_pixels`], except for the memory, which is as large as it must be.
pub fn label<'s>(
    model: &Model<'_>,
    rule: LabellingRule,
    maps: &[SuperpixelMap<'_>],
    count: usize,
    segment: impl Fn(usize) -> ScoredSegment<'s>,
) -> Result<Vec<u8>, LabelError> {
    let input = model.input();
    let mut labels = vec![0; usize::from(input.height) * usize::from(input.width)];
    let mut memory = vec![0; memory_words(rule, model, maps)];
    label_pixels(model, rule, maps, count, segment, &mut memory, &mut labels)?;
    Ok(labels)
}
