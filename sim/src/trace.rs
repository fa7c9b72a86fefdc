//! What the pipeline computes for an image, tensor by tensor: the form in which implementations are compared.

use cfm_core::image::ImageView;
use cfm_core::model::LabellingRule;
use cfm_core::segment::{Segment, SuperpixelMap};
use image::RgbImage;

use crate::import::Segments;
use crate::pipeline::{NetworkInput, Pipeline, PipelineError, ProposalMemory};

/// What is computed on, besides the model.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The image, of the size of the model's input.
    pub image: ImageView<'a>,
    /// The superpixel maps that segments refer to.
    pub maps: &'a [SuperpixelMap<'a>],
    /// The candidate segments.
    pub segments: &'a [Segment<'a>],
    /// How segments become pixels.
    pub rule: LabellingRule,
}

impl Inputs<'_> {
    /// Calls `with` with what a pipeline makes of a photograph: the network's input, the proposals, the pipeline's rule.
    ///
    /// # Errors
    /// As [`Pipeline::segment`].
    pub fn of_photo<T>(
        pipeline: &Pipeline<'_>,
        photo: &RgbImage,
        with: impl FnOnce(&Inputs<'_>) -> T,
    ) -> Result<T, PipelineError> {
        Self::of_input(pipeline, &pipeline.input(photo)?, with)
    }

    /// [`Inputs::of_photo`] with segments from elsewhere, brought to the size of the network's input, and no superpixels.
    ///
    /// # Errors
    /// As [`Pipeline::segment_by`], but for the labelling.
    pub fn of_segments<T>(
        pipeline: &Pipeline<'_>,
        photo: &RgbImage,
        segments: &Segments,
        with: impl FnOnce(&Inputs<'_>) -> T,
    ) -> Result<T, PipelineError> {
        let input = pipeline.input(photo)?;
        let image = input.view()?;
        let resized = pipeline.fitted(photo, segments)?;
        let segments: Vec<Segment<'_>> = resized.iter().map(Segment::Runs).collect();
        Ok(with(&Inputs {
            image,
            maps: &[],
            segments: &segments,
            rule: pipeline.labelling(),
        }))
    }

    /// [`Inputs::of_photo`] for a photograph that has been brought to the network's size.
    ///
    /// # Errors
    /// As [`Pipeline::segment`].
    pub fn of_input<T>(
        pipeline: &Pipeline<'_>,
        input: &NetworkInput,
        with: impl FnOnce(&Inputs<'_>) -> T,
    ) -> Result<T, PipelineError> {
        let image = input.view()?;
        let mut memory = ProposalMemory::default();
        let proposals = memory.propose(image, pipeline.params())?;
        let segments: Vec<Segment<'_>> = proposals
            .iter()
            .map(|proposal| proposal.segment())
            .collect();
        Ok(with(&Inputs {
            image,
            maps: proposals.maps(),
            segments: &segments,
            rule: pipeline.labelling(),
        }))
    }
}

/// The indices of at most `most` of `count` segments, evenly spread: all of them, where there are no more.
pub fn spread(count: usize, most: usize) -> impl ExactSizeIterator<Item = usize> + Clone {
    let used = count.min(most);
    (0..used).map(move |i| i * count / used)
}

/// Everything computed for a segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SegmentTrace {
    /// Number of pixels.
    pub area: u32,
    /// The cells of its bounding box: top, left, bottom, right; the last two exclusive.
    pub window: [u16; 4],
    /// The low-resolution mask over the window's cells, row-major, 0 or 1.
    pub mask: Vec<u8>,
    /// Design B: the mask over the finest level's bins, row-major, 0 or 1; otherwise empty.
    pub bin_mask: Vec<u8>,
    /// The segment path's pyramid; in Design B that of the only path, its finest level masked.
    pub segment_vector: Vec<i8>,
    /// The region path's pyramid (Design A, otherwise empty).
    pub region_vector: Vec<i8>,
    /// The outputs of every fully connected layer but the classifier, in the order of the model file.
    pub hidden: Vec<Vec<i8>>,
    /// The classifier's outputs.
    pub logits: Vec<i16>,
    /// Probabilities as U0F16 bits (softmax classifier, otherwise empty).
    pub probabilities: Vec<u16>,
}

/// Everything computed for an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// The image as a tensor and each layer's output, channel last; the last is the feature map.
    pub tensors: Vec<Vec<i8>>,
    /// One trace per segment.
    pub segments: Vec<SegmentTrace>,
    /// The class of every pixel, 255 where there is none.
    pub labels: Vec<u8>,
}
