//! The kernel description: everything about an engine but the contents of its memories.

use serde::{Deserialize, Serialize};

use crate::error::Part;
use crate::operation::Operation;
use crate::parameters::Parameters;

/// A layer of the model as the engine runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Which layer.
    pub part: Part,
    /// How often the operation runs: rows of an image, or once a batch.
    pub runs: u32,
    /// Products that the layer needs: of an image, or of a segment.
    pub products: u64,
    /// The operation: loop bounds and places.
    pub operation: Operation,
}

/// An engine for a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The checksum of the model.
    pub fingerprint: u32,
    /// Parameters of the instance.
    pub parameters: Parameters,
    /// Words of the weights outside.
    pub external_words: u32,
    /// Height, width and samples per pixel of the image.
    pub image: [u16; 3],
    /// Height, width and channels of the feature map.
    pub feature_map: [u16; 3],
    /// Levels of the pyramids of the segment path and of the region path; one that both have is pooled once.
    pub levels: Vec<u32>,
    /// All stages, those of the backbone first.
    pub stages: Vec<Stage>,
    /// How many stages the backbone has.
    pub backbone_stages: usize,
}

impl Description {
    /// The stages that run for an image.
    #[must_use]
    pub fn backbone(&self) -> &[Stage] {
        self.stages.get(..self.backbone_stages).unwrap_or(&[])
    }

    /// The stages that run for a batch of segments.
    #[must_use]
    pub fn head(&self) -> &[Stage] {
        self.stages.get(self.backbone_stages..).unwrap_or(&[])
    }
}
