//! The image row by row, smoothed: no smoothed copy of the image is ever stored.

use cfm_core::image::ImageView;

use crate::colour::ColourSpace;
use crate::params::Smoothing;

/// A colour in quarters of a grey level, 10 bits per channel in one word; grey images have three equal channels.
pub(crate) type Colour = u32;

/// Bits per channel while summing: 255 * 256 needs 16.
const LANE: u32 = 20;

/// The channels of the pixel at column `x`, one per lane.
fn load(row: &[u8], channels: usize, x: usize, space: ColourSpace) -> u64 {
    let [r, g, b] = space.sample(row, channels, x).map(u64::from);
    r | g << LANE | b << (2 * LANE)
}

/// Narrows the lanes to 10 bits after a rounding shift.
fn pack(lanes: u64, shift: u32) -> Colour {
    let half = (1_u64 << shift) >> 1;
    let rounded = (lanes + half * (1 | 1 << LANE | 1 << (2 * LANE))) >> shift;
    let channel = |i: u32| (rounded >> (i * LANE)) as u32 & 0x3ff;
    channel(0) | channel(1) << 10 | channel(2) << 20
}

/// Writes row `y` of the smoothed image to `out`, one [`Colour`] per column. Beyond its border the image continues
/// with the border pixels.
pub(crate) fn smoothed_row(
    image: ImageView<'_>,
    space: ColourSpace,
    smoothing: Smoothing,
    y: usize,
    out: &mut [Colour],
) {
    match smoothing {
        Smoothing::None => {
            let channels = usize::from(image.channels());
            let row = row(image, y);
            for (x, out) in out.iter_mut().enumerate() {
                *out = pack(load(row, channels, x, space) << 2, 0);
            }
        }
        // The weights' sum is 2^4 or 2^8; two bits of it stay as the fraction.
        Smoothing::Binomial3 => binomial(image, space, y, [1, 2, 1], 2, out),
        Smoothing::Binomial5 => binomial(image, space, y, [1, 4, 6, 4, 1], 6, out),
    }
}

/// The samples of row `y`.
pub(crate) fn row(image: ImageView<'_>, y: usize) -> &[u8] {
    let stride = usize::from(image.width()) * usize::from(image.channels());
    image
        .pixels()
        .get(y * stride..(y + 1) * stride)
        .unwrap_or(&[])
}

fn binomial<const TAPS: usize>(
    image: ImageView<'_>,
    space: ColourSpace,
    y: usize,
    weights: [u64; TAPS],
    shift: u32,
    out: &mut [Colour],
) {
    let radius = TAPS / 2;
    let channels = usize::from(image.channels());
    let last = usize::from(image.width()) - 1;
    let bottom = usize::from(image.height()) - 1;
    let rows: [&[u8]; TAPS] =
        core::array::from_fn(|i| row(image, (y + i).saturating_sub(radius).min(bottom)));
    let column = |x: usize| -> u64 {
        let x = x.min(last);
        rows.iter()
            .zip(weights)
            .map(|(row, weight)| load(row, channels, x, space) * weight)
            .sum()
    };
    // The columns under the kernel one step before the first.
    let mut window: [u64; TAPS] = core::array::from_fn(|i| column(i.saturating_sub(radius + 1)));
    for (x, out) in out.iter_mut().enumerate() {
        window.rotate_left(1);
        if let Some(newest) = window.last_mut() {
            *newest = column(x + radius);
        }
        let sum = window
            .iter()
            .zip(weights)
            .map(|(column, weight)| column * weight)
            .sum();
        *out = pack(sum, shift);
    }
}
