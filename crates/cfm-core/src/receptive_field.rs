//! Receptive-field geometry: which image pixels a feature cell stands for.
//!
//! The centre of a cell's receptive field is carried through the layers in half pixels, in integers (patent
//! WO2016/197303: a pixel of the image belongs to the feature-map cell with the nearest receptive-field centre;
//! CFM paper, section 2.1). Rows and columns are independent, so everything here is one-dimensional.

/// The map from image pixels to feature cells along one axis.
///
/// Cell `i` is centred on pixel `jump * i + offset2 / 2`; a pixel belongs to the cell of the nearest centre, ties to
/// the smaller index, clamped to the map.
///
/// ```
/// use cfm_core::receptive_field::Axis;
/// // A 3-wide, stride-2 window with one pixel of padding over 10 pixels: centres 0, 2, 4, 6, 8.
/// let axis = Axis::identity(10).through(3, 1, 2, 1, 5).unwrap();
/// assert_eq!((0..10).map(|x| axis.cell(x)).collect::<Vec<_>>(), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Axis {
    jump: i32,
    offset2: i32,
    pixels: u16,
    cells: u16,
}

/// Largest jump and largest centre offset (in half pixels) that are carried.
const LIMIT: i64 = 1 << 24;

impl Axis {
    /// The image itself: every pixel is its own cell.
    #[must_use]
    pub const fn identity(pixels: u16) -> Self {
        Self {
            jump: 1,
            offset2: 0,
            pixels,
            cells: pixels,
        }
    }

    /// The axis after a layer with this window, whose output has `cells` cells.
    ///
    /// `None` when the jump or the offset leaves the range that 32-bit arithmetic carries safely.
    #[must_use]
    pub const fn through(
        &self,
        kernel: u8,
        dilation: u8,
        stride: u8,
        leading_padding: u8,
        cells: u16,
    ) -> Option<Self> {
        let reach = dilation as i64 * (kernel as i64 - 1) - 2 * leading_padding as i64;
        let offset2 = self.offset2 as i64 + self.jump as i64 * reach;
        let jump = self.jump as i64 * stride as i64;
        if jump < 1 || jump > LIMIT || offset2 < -LIMIT || offset2 > LIMIT {
            return None;
        }
        Some(Self {
            jump: jump as i32,
            offset2: offset2 as i32,
            pixels: self.pixels,
            cells,
        })
    }

    /// Distance between the centres of neighbouring cells, in pixels.
    #[must_use]
    pub const fn jump(&self) -> i32 {
        self.jump
    }

    /// Centre of cell 0, in half pixels.
    #[must_use]
    pub const fn offset2(&self) -> i32 {
        self.offset2
    }

    /// Length of the axis in pixels.
    #[must_use]
    pub const fn pixels(&self) -> u16 {
        self.pixels
    }

    /// Length of the axis in cells.
    #[must_use]
    pub const fn cells(&self) -> u16 {
        self.cells
    }

    /// The cell that pixel `x` belongs to.
    #[must_use]
    pub const fn cell(&self, x: u16) -> u16 {
        let numerator = 2 * x as i64 - self.offset2 as i64 - self.jump as i64;
        // Never 0.
        let Some(index) = (-numerator).checked_div_euclid(2 * self.jump as i64) else {
            return 0;
        };
        clamp(-index, self.cells as i64 - 1)
    }

    /// The first pixel of cell `cell`: its pixels are `start(cell) .. start(cell + 1)`, possibly none.
    ///
    /// `start(0)` is 0 and `start(cells)` is the number of pixels.
    #[must_use]
    pub const fn start(&self, cell: u16) -> u16 {
        if cell == 0 {
            return 0;
        }
        if cell >= self.cells {
            return self.pixels;
        }
        // The smallest x with ceil((2 x - O2 - J) / 2 J) >= cell.
        let bound = self.jump as i64 * (2 * cell as i64 - 1) + self.offset2 as i64;
        clamp(bound.div_euclid(2) + 1, self.pixels as i64)
    }

    /// The pixel nearest the centre of cells `first ..= last`, ties to the smaller, clamped to the image.
    #[must_use]
    pub const fn centre_pixel(&self, first: u16, last: u16) -> u16 {
        let centre2 = self.jump as i64 * (first as i64 + last as i64) + self.offset2 as i64;
        clamp(centre2.div_euclid(2), self.pixels as i64 - 1)
    }
}

const fn clamp(value: i64, high: i64) -> u16 {
    if value < 0 || high < 0 {
        0
    } else if value > high {
        high as u16
    } else {
        value as u16
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// All cells by a search for the nearest centre, ties to the smaller index.
    fn brute_force(axis: &Axis, x: u16) -> u16 {
        (0..axis.cells())
            .min_by_key(|&c| {
                let centre2 = i64::from(axis.jump) * 2 * i64::from(c) + i64::from(axis.offset2);
                (2 * i64::from(x) - centre2).abs()
            })
            .unwrap()
    }

    /// One layer over an axis, and another behind it: every window up to a bound, with any number of cells. Miri is slow.
    fn axes() -> Vec<Axis> {
        let mut axes = Vec::new();
        for pixels in (1..=9).chain([20]) {
            for (kernel, stride) in (1..=5).flat_map(|kernel| (1..=4).map(move |s| (kernel, s))) {
                for (dilation, padding) in (1..=2).flat_map(|d| (0..=3).map(move |p| (d, p))) {
                    for cells in 1..=9 {
                        let one = Axis::identity(pixels)
                            .through(kernel, dilation, stride, padding, cells)
                            .unwrap();
                        axes.push(one);
                        axes.push(one.through(2, 1, 2, 0, cells.div_ceil(2)).unwrap());
                    }
                }
            }
        }
        axes.into_iter()
            .step_by(if cfg!(miri) { 997 } else { 1 })
            .collect()
    }

    #[test]
    fn cells_of_the_largest_axes_are_those_of_the_formula() {
        let numbers = [0, 1, 2, 255, 32_767, 65_533, 65_534, u16::MAX];
        let jumps = [1, 2, 3, 65_537, (LIMIT - 1) as i32, LIMIT as i32];
        let offsets = [-LIMIT, 1 - LIMIT, -1, 0, 1, LIMIT - 1, LIMIT];
        for (jump, offset2) in jumps.into_iter().flat_map(|j| offsets.map(|o| (j, o))) {
            for (&pixels, &cells) in numbers[1..]
                .iter()
                .flat_map(|p| numbers[1..].iter().map(move |c| (p, c)))
            {
                let axis = Axis {
                    jump,
                    offset2: offset2 as i32,
                    pixels,
                    cells,
                };
                let cell = |x: u16| {
                    let numerator = 2 * i128::from(x) - i128::from(offset2) - i128::from(jump);
                    let up = numerator.div_euclid(2 * i128::from(jump))
                        + i128::from(numerator.rem_euclid(2 * i128::from(jump)) > 0);
                    up.clamp(0, i128::from(cells) - 1) as u16
                };
                for x in numbers.into_iter().filter(|&x| x < pixels) {
                    assert_eq!(axis.cell(x), cell(x), "{axis:?} {x}");
                }
                for first in numbers.into_iter().filter(|&first| first <= cells) {
                    let start = axis.start(first);
                    assert!(start <= pixels, "{axis:?} {first}");
                    assert!(
                        start == 0 || first == 0 || cell(start - 1) < first,
                        "{axis:?} {first}"
                    );
                    assert!(start == pixels || cell(start) >= first, "{axis:?} {first}");
                    assert!(axis.centre_pixel(first, cells - 1) < pixels);
                }
            }
        }
    }

    #[test]
    fn the_limits_themselves_are_carried() {
        let axis = Axis::identity(9).through(1, 1, 128, 0, 9).unwrap();
        let axis = axis.through(1, 1, 128, 0, 9).unwrap();
        assert_eq!(axis.through(1, 1, 8, 0, 9).unwrap().jump(), 1 << 17);
        let axis = axis
            .through(1, 1, 128, 0, 9)
            .unwrap()
            .through(1, 1, 8, 0, 9)
            .unwrap();
        assert_eq!(i64::from(axis.jump()), LIMIT);
        assert_eq!(axis.through(1, 1, 2, 0, 9), None);
        assert_eq!(axis.through(1, 1, 0, 0, 9), None);
        assert_eq!(
            i64::from(axis.through(2, 1, 1, 0, 9).unwrap().offset2()),
            LIMIT
        );
        assert_eq!(
            i64::from(axis.through(2, 1, 1, 1, 9).unwrap().offset2()),
            -LIMIT
        );
        assert_eq!(axis.through(3, 1, 1, 0, 9), None);
        assert_eq!(axis.through(1, 1, 1, 1, 9), None);
    }

    #[test]
    fn cell_is_the_nearest_centre() {
        for axis in axes() {
            for x in 0..axis.pixels() {
                assert_eq!(axis.cell(x), brute_force(&axis, x), "{axis:?} {x}");
            }
        }
    }

    #[test]
    fn starts_partition_the_pixels() {
        for axis in axes() {
            for cell in 0..axis.cells() {
                for x in 0..axis.pixels() {
                    let inside = axis.start(cell) <= x && x < axis.start(cell + 1);
                    assert_eq!(inside, axis.cell(x) == cell, "{axis:?} {cell} {x}");
                }
            }
        }
    }

    #[test]
    fn centre_pixel_is_the_nearest_pixel() {
        for axis in axes() {
            for first in 0..axis.cells() {
                for last in first..axis.cells() {
                    let centre4 = 2 * i64::from(axis.jump) * i64::from(first + last)
                        + 2 * i64::from(axis.offset2);
                    let nearest = (0..axis.pixels())
                        .min_by_key(|&x| (4 * i64::from(x) - centre4).abs())
                        .unwrap();
                    assert_eq!(axis.centre_pixel(first, last), nearest);
                }
            }
        }
    }

    #[test]
    fn absurd_windows_are_refused() {
        let mut axis = Some(Axis::identity(100));
        for _ in 0..4 {
            axis = axis.and_then(|a| a.through(255, 255, 255, 0, 1));
        }
        assert_eq!(axis, None);
    }
}
