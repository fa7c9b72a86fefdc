//! Spatial pyramid pooling in real numbers.

use super::mask::{CellWindow, bins};
use super::real::Activation;

/// The maximum of every channel over every bin of every level, as integers at the feature map's scale.
///
/// `mask` has one bit per cell of the window, row-major; a cell without its bit counts as real zero. Without a mask
/// all cells count as they are.
#[must_use]
pub fn pool(
    feature: &Activation,
    window: &CellWindow,
    levels: &[u8],
    mask: Option<&[bool]>,
) -> Vec<i8> {
    let (width, channels) = (
        usize::from(feature.shape.width),
        usize::from(feature.shape.channels),
    );
    let mut pooled = Vec::new();
    for &level in levels {
        for row_bin in bins(&window.rows, usize::from(level)) {
            for column_bin in bins(&window.columns, usize::from(level)) {
                for channel in 0..channels {
                    let mut largest = f64::NEG_INFINITY;
                    for row in row_bin.clone() {
                        for column in column_bin.clone() {
                            let bit = mask.is_none_or(|mask| {
                                mask[(row - window.rows.start) * window.columns.len() + column
                                    - window.columns.start]
                            });
                            let q = feature.data[(row * width + column) * channels + channel];
                            largest = largest.max(if bit { feature.scale.real(q) } else { 0.0 });
                        }
                    }
                    pooled.push(feature.scale.quantize(largest, i8::MIN, i8::MAX));
                }
            }
        }
    }
    pooled
}

/// Sets the masked bins of the finest level to real zero (Design B). `mask` has one bit per bin of that level.
pub fn mask_finest(
    pooled: &mut [i8],
    levels: &[u8],
    channels: usize,
    mask: &[bool],
    zero_point: i8,
) {
    let finest = levels.iter().copied().max().unwrap_or(0);
    let before: usize = levels
        .iter()
        .take_while(|&&level| level != finest)
        .map(|&level| usize::from(level) * usize::from(level) * channels)
        .sum();
    for (bin, _) in mask.iter().enumerate().filter(|&(_, &bit)| !bit) {
        let start = before + bin * channels;
        pooled[start..start + channels].fill(zero_point);
    }
}
