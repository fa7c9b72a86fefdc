//! What a model of `cfm export onnx` takes for a photograph, and what it must give, as `.npy` files.

use cfm_core::segment::{Segment, SuperpixelMap};
use cfm_hardware::stream::runs;
use image::RgbImage;

use crate::memory_bound::{MemoryError, check_masks};
use crate::output::FileError;
use crate::pipeline::{Pipeline, PipelineError, ScoredPhoto};
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
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// Adds to a folder, and returns the number n of segments:
///
/// - `image.npy`: u8 `(1, channels, height, width)`, the photograph at the network's size;
/// - `masks.npy`: bool `(n, height, width)`, the proposals;
/// - `logits.npy`: i16 `(n, classes)`, the core's verdict on them.
///
/// # Errors
/// [`InputsError`] when the photograph cannot be scored, its masks are too large, or a file cannot be written.
pub fn write(
    pipeline: &Pipeline<'_>,
    photo: &RgbImage,
    folder: &mut Folder<'_>,
) -> Result<usize, InputsError> {
    let model = pipeline.model();
    let input = pipeline.input(photo)?;
    let view = input.view().map_err(PipelineError::from)?;
    let [height, width, channels] = [view.height(), view.width(), view.channels()].map(usize::from);
    let planes = (0..channels).flat_map(|c| view.pixels().iter().skip(c).step_by(channels));
    folder.array("image", &[1, channels, height, width], planes.copied())?;

    let mut scored = |scored: &ScoredPhoto<'_>| -> Result<usize, InputsError> {
        let segments = scored.segments().len();
        check_masks(model, segments)?;
        let masks = scored
            .segments()
            .flat_map(|segment| pixels(segment, scored.maps(), width, height));
        folder.array("masks", &[segments, height, width], masks)?;
        let logits = scored.logits().iter().copied();
        folder.array("logits", &[segments, model.class_count()], logits)?;
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
