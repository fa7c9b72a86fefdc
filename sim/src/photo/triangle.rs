//! Resizing through a triangle filter, in no memory but that of the result.

use std::ops::Range;

use image::{Rgb, RgbImage};

use super::MAX_PIXELS;

/// Columns whose sums are held at a time.
const COLUMNS: u32 = 256;

/// The photograph at another size, through a triangle filter as wide as a new pixel is, or as an old one where the new
/// ones are narrower.
///
/// To the last bit what `imageops::resize` of the `image` crate makes of it (first down the columns, then along the rows,
/// in `f32`), which holds 16 bytes for each column of the photograph and each new row. Those of a photograph of a hundred
/// kilobytes, very wide and a few pixels high, would be tens of gigabytes. Here only a few columns have sums at a time. So
/// many columns that their sums for all new rows are more than [`MAX_PIXELS`] are made fewer before there are more rows,
/// with rounded pixels in between.
///
/// # Panics
/// When a side is 0.
pub(crate) fn resized(photo: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (columns, rows) = photo.dimensions();
    assert!(width > 0 && height > 0, "an image has pixels");
    assert!(columns > 0 && rows > 0, "a photograph has pixels");
    if columns > width && height > rows && u64::from(columns) * u64::from(height) > MAX_PIXELS {
        return resized(&resized(photo, width, rows), width, height);
    }
    let across: Vec<Window> = (0..width).map(|x| Window::new(x, width, columns)).collect();
    let mut resized = RgbImage::new(width, height);
    let mut sums = [[0.0; 3]; COLUMNS as usize];
    let mut colors = vec![[0.0; 3]; width as usize];
    for y in 0..height {
        let down = Window::new(y, height, rows);
        colors.fill([0.0; 3]);
        let mut passed = 0;
        for start in (0..columns).step_by(COLUMNS as usize) {
            let end = columns.min(start.saturating_add(COLUMNS));
            let sums = &mut sums[..(end - start) as usize];
            add_up(photo, start, &down, sums);
            passed += across[passed..].partition_point(|window| window.sources.end <= start);
            for (color, window) in colors[passed..].iter_mut().zip(&across[passed..]) {
                let Range {
                    start: from,
                    end: to,
                } = window.sources;
                if from >= end {
                    break;
                }
                for column in from.max(start)..to.min(end) {
                    add(
                        color,
                        &sums[(column - start) as usize],
                        window.weight(column),
                    );
                }
            }
        }
        for (x, color) in (0..width).zip(&colors) {
            let rounded = color.map(|value| value.clamp(0.0, 255.0).round() as u8);
            resized.put_pixel(x, y, Rgb(rounded));
        }
    }
    resized
}

/// The weighted sum of the rows of a window, for each column from `start` on.
fn add_up(photo: &RgbImage, start: u32, window: &Window, sums: &mut [[f32; 3]]) {
    sums.fill([0.0; 3]);
    let stride = photo.width() as usize;
    let (pixels, _) = photo.as_raw().as_chunks::<3>();
    for row in window.sources.clone() {
        let weight = window.weight(row);
        let first = row as usize * stride + start as usize;
        for (sum, pixel) in sums.iter_mut().zip(&pixels[first..]) {
            add(sum, &pixel.map(f32::from), weight);
        }
    }
}

fn add(sum: &mut [f32; 3], color: &[f32; 3], weight: f32) {
    for (sum, value) in sum.iter_mut().zip(color) {
        *sum += value * weight;
    }
}

/// The pixels of a row or column that a new pixel is made of.
struct Window {
    sources: Range<u32>,
    /// Where the middle of the new pixel is, the middle of the first old one being 0.
    middle: f32,
    /// Old pixels from the top of the triangle to its end.
    reach: f32,
    /// Of the weights before they are divided by it.
    sum: f32,
}

impl Window {
    /// Of new pixel `at` of `to`, which take the place of `from`.
    fn new(at: u32, to: u32, from: u32) -> Self {
        let ratio = from as f32 / to as f32;
        let reach = ratio.max(1.0);
        let middle = (at as f32 + 0.5) * ratio;
        // Floats become integers within the bounds of the type.
        let first = ((middle - reach).floor() as u32).min(from - 1);
        let end = ((middle + reach).ceil() as u32).clamp(first + 1, from);
        let mut window = Self {
            sources: first..end,
            middle: middle - 0.5,
            reach,
            sum: 0.0,
        };
        let sources = window.sources.clone();
        window.sum = sources.fold(0.0, |sum, source| sum + window.height(source));
        window
    }

    /// The height of the triangle at an old pixel.
    fn height(&self, source: u32) -> f32 {
        let distance = ((source as f32 - self.middle) / self.reach).abs();
        if distance < 1.0 { 1.0 - distance } else { 0.0 }
    }

    fn weight(&self, source: u32) -> f32 {
        self.height(source) / self.sum
    }
}

#[cfg(test)]
mod tests {
    use image::imageops::{self, FilterType};
    use proptest::prelude::*;

    use super::*;

    /// Pixels that are arbitrary but always the same.
    fn noise(width: u32, height: u32, seed: u32) -> RgbImage {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        RgbImage::from_fn(width, height, |_, _| Rgb([next(), next(), next()]))
    }

    fn check(from: (u32, u32), to: (u32, u32), seed: u32) {
        let photo = noise(from.0, from.1, seed);
        let known = imageops::resize(&photo, to.0, to.1, FilterType::Triangle);
        // A photograph of that size is copied there.
        if from != to {
            assert!(resized(&photo, to.0, to.1) == known, "{from:?} {to:?}");
        }
    }

    proptest! {
        #[test]
        fn pixels_are_those_of_the_image_crate(
            from in (1..80_u32, 1..80_u32),
            to in (1..60_u32, 1..60_u32),
            seed in any::<u32>(),
        ) {
            check(from, to, seed);
        }
    }

    /// A hundred thousand million sums would take minutes.
    #[test]
    fn columns_go_before_rows_come() {
        let photo = noise(20_000_000, 2, 5);
        let made = resized(&photo, 4, 5000);
        assert!(made == resized(&resized(&photo, 4, 2), 4, 5000));
        assert!(
            made.pixels()
                .all(|pixel| pixel.0.iter().all(|value| (120..136).contains(value)))
        );
    }

    #[test]
    fn photographs_are_resized_as_by_the_image_crate() {
        for (from, to) in [
            ((960, 720), (240, 180)),
            ((1280, 853), (240, 180)),
            ((720, 960), (240, 180)),
            ((320, 213), (160, 120)),
            ((3000, 2), (240, 180)),
            ((2, 3000), (240, 180)),
            ((9000, 3), (5, 7)),
            ((70_001, 1), (1, 1)),
            ((1, 70_001), (1, 3)),
            ((48, 36), (240, 180)),
            ((100, 100), (100, 37)),
        ] {
            check(from, to, 7);
        }
    }
}
