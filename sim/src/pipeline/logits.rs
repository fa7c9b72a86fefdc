//! Logits that go out, to be compared, and come in, computed by something else.

use cfm_core::segment::{Segment, SuperpixelMap};
use image::RgbImage;

use super::{Pipeline, PipelineError, ScoredPhoto, Segmentation, Times};
use crate::import::Logits;

impl ScoredPhoto<'_> {
    /// The superpixel maps that segments refer to.
    #[must_use]
    pub const fn maps(&self) -> &[SuperpixelMap<'_>] {
        self.maps
    }

    /// The segments.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &Segment<'_>> {
        self.segments.iter().map(|(segment, _)| segment)
    }

    /// The classifier's outputs: one per segment and class.
    #[must_use]
    pub const fn logits(&self) -> &[i16] {
        self.logits
    }
}

impl Pipeline<'_> {
    /// Labels every pixel of a photograph by the scores that something else has computed for its proposals, in their order.
    ///
    /// # Errors
    /// [`PipelineError::Logits`] for the wrong number of logits, or as [`Pipeline::segment`].
    pub fn segment_by_logits(
        &self,
        photo: &RgbImage,
        logits: &Logits,
    ) -> Result<Segmentation, PipelineError> {
        let classes = self.model.class_count();
        let found = logits.values().len();
        self.proposed(photo, |candidates| {
            let segments = candidates.segments;
            if logits.classes() != classes || found != segments.len() * classes {
                return Err(PipelineError::Logits {
                    found,
                    segments: segments.len(),
                    classes,
                });
            }
            let scored = ScoredPhoto {
                model: self.model,
                maps: candidates.maps,
                segments,
                logits: logits.values(),
                times: Times {
                    total: candidates.start.elapsed(),
                    ..candidates.times
                },
            };
            scored.label(self.labelling)
        })
    }
}
