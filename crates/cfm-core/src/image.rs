//! The input image: a checked view over interleaved 8-bit pixels.

use crate::error::display_error;

/// A borrowed image of `height x width` pixels with `channels` interleaved `u8` samples per pixel, row-major.
///
/// RGB images have three channels. The view is checked once, so rows can be taken without further checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageView<'a> {
    pixels: &'a [u8],
    width: u16,
    height: u16,
    channels: u16,
}

/// Why a byte slice is not an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ImageError {
    /// Width, height or channel count is zero.
    Empty,
    /// The slice does not hold exactly `width * height * channels` bytes.
    Length,
}

display_error!(ImageError {
    Empty => "the image has no pixels",
    Length => "the pixel buffer does not hold width * height * channels bytes",
});

impl<'a> ImageView<'a> {
    /// Views `pixels` as an image.
    ///
    /// # Errors
    /// [`ImageError::Empty`] when a dimension is zero, [`ImageError::Length`] when the slice has another length.
    pub const fn new(
        pixels: &'a [u8],
        width: u16,
        height: u16,
        channels: u16,
    ) -> Result<Self, ImageError> {
        if width == 0 || height == 0 || channels == 0 {
            return Err(ImageError::Empty);
        }
        if pixels.len() as u64 != width as u64 * height as u64 * channels as u64 {
            return Err(ImageError::Length);
        }
        Ok(Self {
            pixels,
            width,
            height,
            channels,
        })
    }

    /// Views `pixels` as an RGB image.
    ///
    /// # Errors
    /// As [`ImageView::new`].
    pub const fn rgb(pixels: &'a [u8], width: u16, height: u16) -> Result<Self, ImageError> {
        Self::new(pixels, width, height, 3)
    }

    /// Width in pixels.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub const fn height(&self) -> u16 {
        self.height
    }

    /// Samples per pixel.
    #[must_use]
    pub const fn channels(&self) -> u16 {
        self.channels
    }

    /// All samples, row-major.
    #[must_use]
    pub const fn pixels(&self) -> &'a [u8] {
        self.pixels
    }

    /// The rows from top to bottom, each `width * channels` samples.
    pub fn rows(&self) -> core::slice::ChunksExact<'a, u8> {
        self.pixels
            // Never 0, which the compiler does not know.
            .chunks_exact((usize::from(self.width) * usize::from(self.channels)).max(1))
    }
}
