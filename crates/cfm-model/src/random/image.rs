//! Random images.

use cfm_core::image::{ImageError, ImageView};

use super::source::{Source, Stream};
use crate::spec::InputSpec;

/// An image that owns its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RandomImage {
    /// Interleaved samples, row-major.
    pub pixels: Vec<u8>,
    /// Height in pixels.
    pub height: u16,
    /// Width in pixels.
    pub width: u16,
    /// Samples per pixel.
    pub channels: u16,
}

impl RandomImage {
    /// The image as the core reads it.
    ///
    /// # Errors
    /// An [`ImageError`] when the fields, which are public, contradict one another.
    pub fn view(&self) -> Result<ImageView<'_>, ImageError> {
        ImageView::new(&self.pixels, self.width, self.height, self.channels)
    }
}

/// What an image looks like.
#[derive(Debug, Clone, Copy)]
enum Style {
    Noise,
    /// Every sample 0 or 255.
    Extremes,
    Constant,
    Gradient,
    Blocks,
}

/// A random image of the given size: noise, extremes, a constant, a gradient or blocks with noise.
#[must_use]
pub fn random_image(seed: u64, size: InputSpec) -> RandomImage {
    let mut source = Source::new(seed, Stream::Image);
    let source = &mut source;
    let InputSpec {
        height,
        width,
        channels,
    } = size;
    let style = source.weighted(&[
        (9, Style::Noise),
        (2, Style::Extremes),
        (1, Style::Constant),
        (3, Style::Gradient),
        (6, Style::Blocks),
    ]);
    let any = source.any_u8();
    let constant = source.pick(&[0, 255, any]);
    let slopes: [i32; 3] = [0; 3].map(|_| source.range(-12..=12));
    let block = source.range(2..=9_u32);
    let salt = source.range(1..=u32::MAX);
    let samples = u32::from(height) * u32::from(width) * u32::from(channels);
    let pixels = (0..samples)
        .map(|i| {
            let channel = i % u32::from(channels);
            let x = i / u32::from(channels) % u32::from(width);
            let y = i / u32::from(channels) / u32::from(width);
            match style {
                Style::Noise => source.any_u8(),
                Style::Extremes => source.pick(&[0, 255]),
                Style::Constant => constant,
                Style::Gradient => {
                    let [across, down, deep] = slopes;
                    let value = i32::from(constant)
                        + across * x as i32
                        + down * y as i32
                        + deep * channel as i32;
                    value.clamp(0, 255) as u8
                }
                Style::Blocks => {
                    let [x, y] = [x / block, y / block];
                    let hash = (x.wrapping_mul(73_856_093) ^ y.wrapping_mul(19_349_663) ^ channel)
                        .wrapping_mul(salt | 1);
                    let base = (hash >> 24) as u8;
                    base.saturating_add(source.range(0..=12))
                }
            }
        })
        .collect();
    RandomImage {
        pixels,
        height,
        width,
        channels,
    }
}
