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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::real::Scale;
    use cfm_core::model::Shape;

    fn feature() -> Activation {
        Activation {
            shape: Shape {
                height: 2,
                width: 3,
                channels: 1,
            },
            scale: Scale {
                zero_point: -5,
                exponent: -3,
            },
            data: vec![9, -20, 3, -30, 7, -40],
        }
    }

    const WINDOW: CellWindow = CellWindow {
        rows: 0..2,
        columns: 1..3,
    };

    #[test]
    fn levels_follow_the_order_of_the_model() {
        let pooled = pool(&feature(), &WINDOW, &[2, 1], None);
        assert_eq!(pooled, [-20, 3, 7, -40, 7]);
    }

    #[test]
    fn masked_cells_are_real_zero() {
        let mask = [true, false, false, true];
        let pooled = pool(&feature(), &WINDOW, &[1, 2], Some(&mask));
        assert_eq!(pooled, [-5, -20, -5, -5, -40]);
    }

    #[test]
    fn design_b_masks_the_finest_level() {
        let mut pooled = vec![1, 2, 3, 4, 5, 6];
        mask_finest(&mut pooled, &[1, 2, 1], 1, &[true, false, true, false], -9);
        assert_eq!(pooled, [1, 2, -9, 4, -9, 6]);
    }
}
