//! What a model of `cfm export onnx` takes for a photograph, and what it must give, as `.npy` files.

use cfm_core::segment::{Segment, SuperpixelMap};
use cfm_hardware::stream::runs;
use image::RgbImage;

use crate::memory_bound::{MemoryError, check_masks};
use crate::output::FileError;
use crate::pipeline::{Pipeline, PipelineError, ScoredPhoto};
use crate::trace::spread;
use crate::vectors::Folder;

/// Why the files cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum InputsError {
    /// The photograph cannot be scored.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The masks of all segments would take too much memory.
    #[error("{0}; fewer segments take less")]
    Memory(#[from] MemoryError),
}

/// Adds to a folder, and returns the number n of segments, which is at most `max_segments`:
///
/// - `image.npy`: u8 `(1, channels, height, width)`, the photograph at the network's size;
/// - `masks.npy`: bool `(n, height, width)`, the proposals; of more than `max_segments`, so many, evenly spread;
/// - `logits.npy`: i16 `(n, classes)`, the core's verdict on them.
///
/// # Errors
/// [`InputsError`] when the photograph cannot be scored, its masks are too large, or a file cannot be written.
pub fn write(
    pipeline: &Pipeline<'_>,
    photo: &RgbImage,
    max_segments: usize,
    folder: &mut Folder<'_>,
) -> Result<usize, InputsError> {
    let model = pipeline.model();
    let input = pipeline.input(photo)?;
    let view = input.view().map_err(PipelineError::from)?;
    let [height, width, channels] = [view.height(), view.width(), view.channels()].map(usize::from);
    let planes = (0..channels).flat_map(|c| view.pixels().iter().skip(c).step_by(channels));
    folder.array("image", &[1, channels, height, width], planes.copied())?;

    let mut scored = |scored: &ScoredPhoto<'_>| -> Result<usize, InputsError> {
        let all: Vec<&Segment<'_>> = scored.segments().collect();
        let used = spread(all.len(), max_segments);
        let (segments, classes) = (used.len(), model.class_count());
        check_masks(model, segments)?;
        let masks = used
            .clone()
            .flat_map(|i| pixels(all[i], scored.maps(), width, height));
        folder.array("masks", &[segments, height, width], masks)?;
        let logits = used.flat_map(|i| &scored.logits()[i * classes..][..classes]);
        folder.array("logits", &[segments, classes], logits.copied())?;
        Ok(segments)
    };
    pipeline.score(photo, |photo| Ok(scored(photo)))?
}

/// Whether each pixel belongs to the segment, row-major.
fn pixels(
    segment: &Segment<'_>,
    maps: &[SuperpixelMap<'_>],
    width: usize,
    height: usize,
) -> Vec<bool> {
    let mut pixels = vec![false; width * height];
    for run in runs(segment, maps) {
        let row = usize::from(run.y) * width;
        pixels[row + usize::from(run.x0)..row + usize::from(run.x1)].fill(true);
    }
    pixels
}
