//! Why proposals cannot be made.

use core::fmt;

/// Why proposals cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ProposalError {
    /// The image has neither one channel (grey) nor three (RGB).
    Channels,
    /// The image has more than [`MAX_PIXELS`](crate::MAX_PIXELS) pixels.
    TooManyPixels,
    /// The label map has another size than the image, or one of its ids has no pixel, or it has more pairs of
    /// neighbours than a map of 4-connected regions can have.
    Map,
    /// The caller's `u32` memory is too small; see [`Params::min_words`](crate::Params::min_words).
    Words,
    /// The caller's `u16` memory is too small; see [`Params::labels`](crate::Params::labels).
    Labels,
}

impl ProposalError {
    /// The error in words.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Channels => "the image has neither one channel nor three",
            Self::TooManyPixels => "the image has too many pixels",
            Self::Map => {
                "the superpixel map does not fit the image, has ids without pixels or regions in several pieces"
            }
            Self::Words => "the u32 memory for proposals is too small",
            Self::Labels => "the u16 memory for proposals is too small",
        }
    }
}

impl fmt::Display for ProposalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for ProposalError {}
