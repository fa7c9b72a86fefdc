//! Random changes of a training image: mirror, zoom, brightness, contrast, colour, saturation, tone curve.
//!
//! The geometric part is a [`Warp`] that is applied alike to the pixels, the labels and the superpixel maps, so that
//! segments stay where they are in the picture.

use crate::config::AugmentConfig;
use crate::random::Stream;

/// What happens to one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Augmentation {
    /// The geometric part.
    pub warp: Warp,
    gain: [f32; 3],
    offset: f32,
    saturation: f32,
    gamma: f32,
}

/// A mirror and a crop that is blown up to the full size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Warp {
    mirror: bool,
    zoom: f32,
    /// Position of the crop in the room the zoom leaves, 0 to 1 each.
    place: (f32, f32),
}

impl Augmentation {
    /// Leaves the image as it is.
    pub const NONE: Self = Self {
        warp: Warp {
            mirror: false,
            zoom: 1.0,
            place: (0.0, 0.0),
        },
        gain: [1.0; 3],
        offset: 0.0,
        saturation: 1.0,
        gamma: 1.0,
    };

    /// Draws one. The number of draws does not depend on the configuration, so that switching one change off leaves
    /// the others as they were.
    pub fn draw(config: &AugmentConfig, random: &mut Stream) -> Self {
        let mirror = random.unit() < 0.5;
        let zoom = random.range(1.0, config.zoom);
        let place = (random.unit(), random.unit());
        let contrast = 1.0 + random.range(-config.contrast, config.contrast);
        let gain =
            std::array::from_fn(|_| contrast * (1.0 + random.range(-config.color, config.color)));
        Self {
            warp: Warp {
                mirror: mirror && config.flip,
                zoom,
                place,
            },
            gain,
            offset: 255.0 * random.range(-config.brightness, config.brightness),
            saturation: config.saturation.powf(random.range(-1.0, 1.0)),
            gamma: config.gamma.powf(random.range(-1.0, 1.0)),
        }
    }

    /// The changed image, in 8 bits like any image the network will see.
    #[must_use]
    pub fn image(&self, pixels: &[u8], width: usize, height: usize) -> Vec<u8> {
        let mut warped = self.warp.image(pixels, width, height);
        if self.saturation != 1.0 {
            for pixel in warped.chunks_exact_mut(3) {
                let grey = pixel.iter().map(|&v| f32::from(v)).sum::<f32>() / 3.0;
                for value in pixel {
                    let changed = grey + (f32::from(*value) - grey) * self.saturation;
                    *value = changed.round().clamp(0.0, 255.0) as u8;
                }
            }
        }
        let table: [[u8; 256]; 3] = std::array::from_fn(|channel| {
            std::array::from_fn(|value| {
                let value = 255.0 * (value as f32 / 255.0).powf(self.gamma);
                let changed = (value - 128.0) * self.gain[channel] + 128.0 + self.offset;
                changed.round().clamp(0.0, 255.0) as u8
            })
        });
        warped
            .iter()
            .enumerate()
            .map(|(index, &value)| table[index % 3][usize::from(value)])
            .collect()
    }
}

impl Warp {
    /// Where output pixel `i` of `n` comes from, in (fractional) source pixels.
    fn source(&self, i: usize, n: usize, place: f32, mirror: bool) -> f32 {
        let i = if mirror { n - 1 - i } else { i };
        let room = n as f32 * (1.0 - 1.0 / self.zoom);
        (i as f32 + 0.5) / self.zoom - 0.5 + place * room
    }

    /// Warps labels or superpixel ids: each pixel takes the value nearest its source.
    #[must_use]
    pub fn nearest<T: Copy>(&self, values: &[T], width: usize, height: usize) -> Vec<T> {
        let nearest = |at: f32, n: usize| (at.round().max(0.0) as usize).min(n - 1);
        let columns: Vec<usize> = (0..width)
            .map(|x| nearest(self.source(x, width, self.place.0, self.mirror), width))
            .collect();
        let mut out = Vec::with_capacity(values.len());
        for y in 0..height {
            let row = nearest(self.source(y, height, self.place.1, false), height) * width;
            out.extend(columns.iter().map(|&x| values[row + x]));
        }
        out
    }

    /// Warps an RGB image, with linear interpolation where a pixel falls between source pixels.
    fn image(&self, pixels: &[u8], width: usize, height: usize) -> Vec<u8> {
        let split = |at: f32, n: usize| {
            let at = at.clamp(0.0, (n - 1) as f32);
            let low = at as usize;
            (low, (low + 1).min(n - 1), at - low as f32)
        };
        let columns: Vec<_> = (0..width)
            .map(|x| split(self.source(x, width, self.place.0, self.mirror), width))
            .collect();
        let mut out = Vec::with_capacity(pixels.len());
        for y in 0..height {
            let (top, bottom, down) = split(self.source(y, height, self.place.1, false), height);
            for &(left, right, across) in &columns {
                for channel in 0..3 {
                    let at = |x: usize, y: usize| f32::from(pixels[(y * width + x) * 3 + channel]);
                    let upper = at(left, top) + (at(right, top) - at(left, top)) * across;
                    let lower = at(left, bottom) + (at(right, bottom) - at(left, bottom)) * across;
                    out.push((upper + (lower - upper) * down).round() as u8);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    const CONFIG: AugmentConfig = AugmentConfig {
        flip: true,
        brightness: 0.2,
        contrast: 0.3,
        color: 0.1,
        saturation: 1.5,
        gamma: 1.3,
        zoom: 1.5,
    };

    fn picture() -> Vec<u8> {
        (0..12 * 8 * 3).map(|i| (i * 7 % 256) as u8).collect()
    }

    fn draw(seed: u64) -> Augmentation {
        Augmentation::draw(&CONFIG, &mut Stream::new(seed, Purpose::Sample, 0, 0))
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(draw(1), draw(1));
        assert_eq!(
            draw(1).image(&picture(), 12, 8),
            draw(1).image(&picture(), 12, 8)
        );
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn none_changes_nothing() {
        assert_eq!(Augmentation::NONE.image(&picture(), 12, 8), picture());
        let labels: Vec<u16> = (0..96).collect();
        assert_eq!(Augmentation::NONE.warp.nearest(&labels, 12, 8), labels);
    }

    #[test]
    fn mirror_moves_pixels_and_labels_alike() {
        let mut mirror = Augmentation::NONE;
        mirror.warp.mirror = true;
        let labels: Vec<u16> = (0..96).collect();
        let mirrored = mirror.warp.nearest(&labels, 12, 8);
        assert_eq!(mirrored[..12], [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
        let image = mirror.image(&picture(), 12, 8);
        for (pixel, &from) in image.chunks_exact(3).zip(&mirrored) {
            assert_eq!(pixel, &picture()[usize::from(from) * 3..][..3]);
        }
    }

    /// Every pixel says in its colours where it comes from, and so does its label.
    #[test]
    fn pixels_and_labels_stay_aligned() {
        let places = || (0..8_u8).flat_map(|y| (0..12_u8).map(move |x| (x, y)));
        let picture: Vec<u8> = places().flat_map(|(x, y)| [20 * x, 30 * y, 0]).collect();
        let labels: Vec<(u8, u8)> = places().collect();
        let mut seen = [false; 2];
        for seed in 0..50 {
            let warp = draw(seed).warp;
            let augmentation = Augmentation {
                warp,
                ..Augmentation::NONE
            };
            let image = augmentation.image(&picture, 12, 8);
            let warped = warp.nearest(&labels, 12, 8);
            assert_eq!((image.len(), warped.len()), (288, 96));
            for (pixel, (x, y)) in image.chunks_exact(3).zip(&warped) {
                // Labels are not interpolated, and colours are rounded.
                let near = |color: u8, step: f32, at: u8| {
                    (f32::from(color) / step - f32::from(at)).abs() <= 0.5 + 0.51 / step
                };
                assert!(
                    near(pixel[0], 20.0, *x) && near(pixel[1], 30.0, *y),
                    "{warp:?}"
                );
            }
            // The crop has the size that the zoom says, and lies where its place says.
            let columns = f32::from(warped[0].0.abs_diff(warped[11].0)) + 1.0;
            assert!((columns - 12.0 / warp.zoom).abs() <= 1.4, "{warp:?}");
            let left = f32::from(warped[0].0.min(warped[11].0));
            let room = 12.0 - 12.0 / warp.zoom;
            assert!((left - warp.place.0 * room).abs() <= 1.0, "{warp:?}");
            seen[usize::from(warp.mirror)] |= warp.zoom > 1.3;
        }
        assert_eq!(seen, [true; 2]);
    }
}
