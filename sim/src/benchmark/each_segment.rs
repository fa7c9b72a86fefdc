//! What convolutional feature masking replaces: the image is masked anew for every segment, and every masked image is
//! convolved (Dai, He, Sun, section 1 and 4.1: "R-CNN", "SDS"; WO2016/197303, background).
//!
//! The same network, kernels, pyramids and fully connected layers serve both, so the difference is the method's.

use cfm_core::executor::{ExecuteError, Executor};
use cfm_core::image::{ImageError, ImageView};
use cfm_core::kernels::Kernels;
use cfm_core::model::Model;
use cfm_core::scorer::{ScoreError, Scorer};
use cfm_core::segment::{Segment, SegmentError};

use crate::core_trace::IndexMemory;
use crate::reference::pixels::PixelSet;
use crate::trace::Inputs;

/// Why segments cannot be scored one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EachSegmentError {
    /// The masked image is refused.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A masked image cannot be convolved.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The segment is refused.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The segment cannot be scored.
    #[error(transparent)]
    Score(#[from] ScoreError),
}

/// A sample whose real value is zero.
const ZERO_SAMPLE: u8 = 128;

/// The image with everything outside of the segment at real zero: samples, row by row.
///
/// # Errors
/// What is wrong with the segment.
pub fn masked_image(inputs: &Inputs<'_>, segment: &Segment<'_>) -> Result<Vec<u8>, SegmentError> {
    let image = inputs.image;
    let (width, channels) = (usize::from(image.width()), usize::from(image.channels()));
    let set = PixelSet::new(segment, inputs.maps, image.height(), image.width())?;
    let mut masked = vec![ZERO_SAMPLE; image.pixels().len()];
    for (y, x) in set.pixels {
        let at = (usize::from(y) * width + usize::from(x)) * channels;
        masked[at..at + channels].copy_from_slice(&image.pixels()[at..at + channels]);
    }
    Ok(masked)
}

/// Convolves every masked image, and pools and classifies its feature map: the logits of every segment.
///
/// # Errors
/// [`EachSegmentError`], for the first segment that has one.
pub fn convolve_each<K: Kernels + Copy>(
    model: &Model<'_>,
    masked: &[Vec<u8>],
    inputs: &Inputs<'_>,
    kernels: K,
) -> Result<Vec<Vec<i16>>, EachSegmentError> {
    let input = model.input();
    let mut all = Vec::with_capacity(masked.len());
    let mut arena = vec![0; model.arena_bytes()];
    let mut memory = Vec::new();
    let indices = IndexMemory::build_all(&mut memory, inputs.maps, model)?;
    for (samples, segment) in masked.iter().zip(inputs.segments) {
        let image = ImageView::new(samples, input.width, input.height, input.channels)?;
        let mut executor = Executor::with_kernels(model, &mut arena, kernels)?;
        executor.push_image(&image)?;
        let (features, scratch) = executor.finish()?;
        let mut logits = vec![0; model.class_count()];
        Scorer::with_kernels(model, features, scratch, kernels)?.score(
            segment,
            &indices,
            &mut logits,
        )?;
        all.push(logits);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core_trace::{logits, whole_image};
    use cfm_core::kernels::Portable;
    use cfm_core::model::LabellingRule;
    use cfm_core::segment::Run;
    use cfm_model::random::{Options, random_image, random_model};

    #[test]
    fn a_segment_of_the_whole_image_has_the_same_logits_either_way() {
        for seed in 0..20 {
            let spec = random_model(seed, &Options::default());
            let bytes = spec.to_bytes().unwrap();
            let model = Model::parse(&bytes).unwrap();
            let pixels = random_image(seed, spec.input);
            let image = pixels.view().unwrap();
            let all: Vec<Run> = (0..image.height())
                .map(|y| Run {
                    y,
                    x0: 0,
                    x1: image.width(),
                })
                .collect();
            let segments = [Segment::Runs(&all), Segment::Runs(&all[..1])];
            let inputs = Inputs {
                image,
                maps: &[],
                segments: &segments,
                rule: LabellingRule::DEFAULT,
            };
            let masked = segments.map(|segment| masked_image(&inputs, &segment).unwrap());
            let row = usize::from(image.width()) * usize::from(image.channels());
            assert_eq!(masked[0], image.pixels());
            assert_eq!(masked[1][..row], image.pixels()[..row]);
            assert!(masked[1][row..].iter().all(|&sample| sample == 128));

            let features = whole_image(&model, &image, Portable).unwrap();
            let once = logits(&model, &features, &inputs, Portable).unwrap();
            let anew = convolve_each(&model, &masked, &inputs, Portable).unwrap();
            assert_eq!(anew[0], once[0], "seed {seed}");
        }
    }
}
