//! What an engine was built with, beside its folding.

/// The parameters of an engine's instance (`hls/ENGINE.md`): those that it has, or those that a configuration was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instance {
    /// Words in every bank of the feature memory.
    pub feature_words: u32,
    /// Words of the weight memory.
    pub weight_words: u32,
    /// Records of the channel memory.
    pub channels: u32,
    /// Words of the control store.
    pub store_words: u32,
    /// Where the rows' geometry begins in the scoring memory.
    pub side: u32,
    /// Outputs of the classifier.
    pub classes: u16,
    /// Whether multipliers may be anything.
    pub general_scale: bool,
    /// Whether there is average pooling.
    pub average_pool: bool,
}

impl Instance {
    /// From the six words that registers and configurations have of it.
    pub(crate) const fn from_words(words: [u32; 6]) -> Self {
        let [
            feature_words,
            weight_words,
            channels,
            store_words,
            side,
            units,
        ] = words;
        Self {
            feature_words,
            weight_words,
            channels,
            store_words,
            side,
            classes: units as u16,
            general_scale: units >> 16 & 1 != 0,
            average_pool: units >> 17 & 1 != 0,
        }
    }

    /// Whether words that were made for `other` mean the same here: the same `side`, and no less of everything else.
    #[must_use]
    pub const fn runs(&self, other: &Self) -> bool {
        self.side == other.side
            && self.feature_words >= other.feature_words
            && self.weight_words >= other.weight_words
            && self.channels >= other.channels
            && self.store_words >= other.store_words
            && self.classes >= other.classes
            && (self.general_scale || !other.general_scale)
            && (self.average_pool || !other.average_pool)
    }
}
