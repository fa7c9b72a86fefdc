//! The parameters of an engine's instance.

use serde::{Deserialize, Serialize};

use crate::folding::Folding;

/// What an engine's instance is built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// PE and L.
    pub folding: Folding,
    /// Words in every bank of the feature memory.
    pub feature_words: u32,
    /// Words of the weight memory.
    pub weight_words: u32,
    /// Records of the channel memory.
    pub channels: u32,
    /// Words of the control store.
    pub store_words: u32,
    /// Where the rows' geometry begins: more than the cells of the feature map along either axis.
    pub side: u32,
    /// Outputs of the classifier.
    pub classes: u32,
    /// Whether some multiplier is no power of two up to 1.
    pub general_scale: bool,
    /// Whether there is average pooling.
    pub average_pool: bool,
    /// Words a lane of the row buffer: no less than the output groups of any operation that writes a row. Of the C++
    /// description only.
    pub row_words: u32,
}

impl Parameters {
    /// Names, as the hardware descriptions have them, and values.
    #[must_use]
    pub fn pairs(&self) -> [(&'static str, u32); 11] {
        [
            ("PE", self.folding.pe),
            ("L", self.folding.lanes),
            ("FEATURE_WORDS", self.feature_words),
            ("WEIGHT_WORDS", self.weight_words),
            ("CHANNELS", self.channels),
            ("STORE_WORDS", self.store_words),
            ("SIDE", self.side),
            ("CLASSES", self.classes),
            ("GENERAL_SCALE", self.general_scale.into()),
            ("AVERAGE_POOL", self.average_pool.into()),
            ("ROW_WORDS", self.row_words),
        ]
    }

    /// All but the folding, as the engine's registers 21 to 23 and 29 to 31 have them (`hls/REGISTERS.md`).
    pub(crate) fn words(&self) -> [u32; 6] {
        let units = u32::from(self.general_scale) << 16 | u32::from(self.average_pool) << 17;
        [
            self.feature_words,
            self.weight_words,
            self.channels,
            self.store_words,
            self.side,
            self.classes | units,
        ]
    }
}
