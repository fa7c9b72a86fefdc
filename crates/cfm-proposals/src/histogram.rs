//! Colour and texture of regions, as histograms of pixel counts (Uijlings et al. 2013, section 3.2).
//!
//! - Colour: 16 bins for each of the three channels of a [`ColourSpace`]; a grey image counts its one channel three
//!   times.
//! - Texture: 8 orientations of the brightness gradient, each at 3 strengths, and one bin for pixels without
//!   gradient.
//!
//! Counts are kept, not shares: the histogram of a union is the sum, which is the size-weighted mean of the paper
//! without any rounding.

use cfm_core::image::ImageView;

use crate::colour::ColourSpace;
use crate::smooth::row;

/// Colour bins of one channel.
const CHANNEL_BINS: usize = 16;
/// Colour bins.
pub(crate) const COLOUR_BINS: usize = 3 * CHANNEL_BINS;
/// Gradient strengths, each with all orientations.
const STRENGTHS: usize = 3;
/// Texture bins; the last one is for pixels without gradient.
pub(crate) const TEXTURE_BINS: usize = 8 * STRENGTHS + 1;
/// All bins of a region.
pub(crate) const BINS: usize = COLOUR_BINS + TEXTURE_BINS;

/// Squared gradients from which the strengths start: 4, 12 and 36 grey levels over two pixels, in quarters.
const STRENGTH_FROM: [i32; STRENGTHS] = [16 * 16, 48 * 48, 144 * 144];

/// Counts each pixel's colour and texture into its superpixel's bins: [`BINS`] words per superpixel.
pub(crate) fn count(image: ImageView<'_>, space: ColourSpace, labels: &[u16], bins: &mut [u32]) {
    bins.fill(0);
    let width = usize::from(image.width());
    let height = usize::from(image.height());
    for (y, labels) in labels.chunks_exact(width.max(1)).enumerate() {
        let above = Row::new(image, y.saturating_sub(1));
        let here = Row::new(image, y);
        let below = Row::new(image, (y + 1).min(height - 1));
        for (x, &label) in labels.iter().enumerate() {
            let from = usize::from(label) * BINS;
            let Some(region) = bins.get_mut(from..from + BINS) else {
                continue;
            };
            let Some((colours, textures)) = region.split_at_mut_checked(COLOUR_BINS) else {
                continue;
            };
            for (value, channel) in here
                .colour(space, x)
                .into_iter()
                .zip(colours.chunks_exact_mut(CHANNEL_BINS))
            {
                if let Some(bin) = channel.get_mut(usize::from(value >> 4)) {
                    *bin += 1;
                }
            }
            let gx = here.brightness((x + 1).min(width - 1)) - here.brightness(x.saturating_sub(1));
            let gy = below.brightness(x) - above.brightness(x);
            if let Some(bin) = textures.get_mut(texture_bin(gx, gy)) {
                *bin += 1;
            }
        }
    }
}

/// The bin of a gradient, in quarters of a grey level.
fn texture_bin(gx: i32, gy: i32) -> usize {
    let square = gx * gx + gy * gy;
    let strength = STRENGTH_FROM.iter().filter(|&&from| square >= from).count();
    if strength == 0 {
        return TEXTURE_BINS - 1;
    }
    (strength - 1) * 8 + orientation(gx, gy)
}

/// The nearest of eight directions, 45 degrees apart; the bounds are at tan 22.5 degrees, as 53 / 128.
fn orientation(gx: i32, gy: i32) -> usize {
    let (x, y) = (gx.abs(), gy.abs());
    if 128 * y < 53 * x {
        usize::from(gx < 0)
    } else if 128 * x < 53 * y {
        2 + usize::from(gy < 0)
    } else {
        4 + usize::from(gx < 0) + 2 * usize::from(gy < 0)
    }
}

/// A row of the image.
struct Row<'a> {
    samples: &'a [u8],
    channels: usize,
}

impl<'a> Row<'a> {
    fn new(image: ImageView<'a>, y: usize) -> Self {
        Self {
            samples: row(image, y),
            channels: usize::from(image.channels()),
        }
    }

    fn colour(&self, space: ColourSpace, x: usize) -> [u8; 3] {
        space.sample(self.samples, self.channels, x)
    }

    /// Brightness in quarters of a grey level.
    fn brightness(&self, x: usize) -> i32 {
        let [r, g, b] = self.colour(ColourSpace::Rgb, x);
        i32::from(r) + 2 * i32::from(g) + i32::from(b)
    }
}

/// How much two histograms with `parts` counts per pixel have in common, 0 to 65536: the sum over the bins of the
/// smaller share, rounded down.
pub(crate) fn intersection(a: &[u32], area_a: u32, b: &[u32], area_b: u32, parts: u64) -> u32 {
    let (area_a, area_b) = (u64::from(area_a), u64::from(area_b));
    // At most parts * area_a * area_b, below 2^44 where an image has at most 2^22 pixels.
    let common: u64 = a
        .iter()
        .zip(b)
        .map(|(&a, &b)| (u64::from(a) * area_b).min(u64::from(b) * area_a))
        .sum();
    (common << 16)
        .checked_div(parts * area_a * area_b)
        .unwrap_or(0) as u32
}
