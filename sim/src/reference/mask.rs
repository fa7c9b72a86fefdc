//! The low-resolution mask of a segment, over cells or over bins of cells.

use std::collections::HashSet;
use std::ops::Range;

use cfm_core::model::MaskRule;

use super::geometry::AxisMap;
use super::pixels::PixelSet;

/// The cells that a segment's bounding box covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellWindow {
    /// Rows of the feature map.
    pub rows: Range<usize>,
    /// Columns of the feature map.
    pub columns: Range<usize>,
}

impl CellWindow {
    /// The window of a segment.
    #[must_use]
    pub fn new(segment: &PixelSet, rows: &AxisMap, columns: &AxisMap) -> Self {
        Self {
            rows: rows.cell(segment.rows.0)..rows.cell(segment.rows.1) + 1,
            columns: columns.cell(segment.columns.0)..columns.cell(segment.columns.1) + 1,
        }
    }
}

/// Bin `i` of `n` over a range of cells: `floor(i w / n) .. ceil((i + 1) w / n)`.
#[must_use]
pub fn bins(cells: &Range<usize>, n: usize) -> Vec<Range<usize>> {
    let w = cells.len();
    (0..n)
        .map(|i| cells.start + i * w / n..cells.start + ((i + 1) * w).div_ceil(n))
        .collect()
}

/// What share of an element of the mask the segment covers.
struct Cover {
    inside: u64,
    total: u64,
}

/// The mask over the elements that `row_bins` and `column_bins` span, row-major: one bit each, by the rule or, if
/// that sets none, by the fall-back.
#[must_use]
pub fn project(
    segment: &PixelSet,
    rule: MaskRule,
    (rows, row_bins): (&AxisMap, &[Range<usize>]),
    (columns, column_bins): (&AxisMap, &[Range<usize>]),
) -> Vec<bool> {
    let members: HashSet<(u16, u16)> = segment.pixels.iter().copied().collect();
    let covers = covers(segment, (rows, row_bins), (columns, column_bins));
    let elements = row_bins.iter().flat_map(|row_bin| {
        column_bins
            .iter()
            .map(move |column_bin| (row_bin, column_bin))
    });
    let mut bits: Vec<bool> = elements
        .zip(&covers)
        .map(|((row_bin, column_bin), cover)| {
            cover.total > 0
                && match rule {
                    MaskRule::Average { threshold } => {
                        cover.inside * 65536 >= u64::from(threshold.to_bits()) * cover.total
                    }
                    MaskRule::Max => cover.inside >= 1,
                    MaskRule::Nearest => {
                        let y = rows.centre_pixel(row_bin.start, row_bin.end - 1);
                        let x = columns.centre_pixel(column_bin.start, column_bin.end - 1);
                        members.contains(&(y, x))
                    }
                    MaskRule::Off => true,
                }
        })
        .collect();
    if !bits.contains(&true) {
        let mut best = 0;
        for (index, cover) in covers.iter().enumerate() {
            // inside / total is larger than the best one so far; an element without pixels has no share.
            let challenger = cover.inside * covers[best].total;
            let champion = covers[best].inside * cover.total;
            if cover.inside > 0 && (covers[best].inside == 0 || challenger > champion) {
                best = index;
            }
        }
        bits[best] = true;
    }
    bits
}

fn covers(
    segment: &PixelSet,
    (rows, row_bins): (&AxisMap, &[Range<usize>]),
    (columns, column_bins): (&AxisMap, &[Range<usize>]),
) -> Vec<Cover> {
    // Pixels of the segment per cell of the window that the bins span together.
    let window = |bins: &[Range<usize>]| {
        let start = bins.first().map_or(0, |bin| bin.start);
        let end = bins.last().map_or(0, |bin| bin.end);
        start..end
    };
    let (row_window, column_window) = (window(row_bins), window(column_bins));
    let mut per_cell = vec![0_u64; row_window.len() * column_window.len()];
    for &(y, x) in &segment.pixels {
        let row = rows.cell(y) - row_window.start;
        let column = columns.cell(x) - column_window.start;
        per_cell[row * column_window.len() + column] += 1;
    }
    let mut covers = Vec::with_capacity(row_bins.len() * column_bins.len());
    for row_bin in row_bins {
        for column_bin in column_bins {
            let mut cover = Cover {
                inside: 0,
                total: 0,
            };
            for row in row_bin.clone() {
                for column in column_bin.clone() {
                    cover.total += rows.total(row) * columns.total(column);
                    cover.inside += per_cell[(row - row_window.start) * column_window.len()
                        + column
                        - column_window.start];
                }
            }
            covers.push(cover);
        }
    }
    covers
}

/// Every cell of a range as a bin of its own.
#[must_use]
pub fn single_cells(cells: &Range<usize>) -> Vec<Range<usize>> {
    cells.clone().map(|cell| cell..cell + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cfm_core::model::Window;
    use cfm_core::segment::{Run, Segment};
    use fixed::types::U0F16;

    /// Four pixels, two cells of two pixels (centres 0.5 and 2.5), and an empty cell beyond the image (4.5).
    fn axis() -> AxisMap {
        let window = Window {
            kernel: [2, 2],
            stride: [2, 2],
            ..Window::UNIT
        };
        AxisMap::through(&[window], 0, 4, 3)
    }

    fn bits(rule: MaskRule, runs: &[Run]) -> Vec<bool> {
        let segment = PixelSet::new(&Segment::Runs(runs), &[], 4, 4).unwrap();
        let axis = axis();
        let window = CellWindow::new(&segment, &axis, &axis);
        project(
            &segment,
            rule,
            (&axis, &single_cells(&window.rows)),
            (&axis, &single_cells(&window.columns)),
        )
    }

    const THRESHOLD: MaskRule = MaskRule::Average {
        threshold: U0F16::from_bits(1 << 15),
    };

    #[test]
    fn rules_by_hand() {
        // Top left: the upper two pixels of four. Top right: the lower left one. Bottom: nothing.
        let runs = [Run { y: 0, x0: 0, x1: 2 }, Run { y: 1, x0: 2, x1: 3 }];
        assert_eq!(bits(THRESHOLD, &runs), [true, false]);
        assert_eq!(bits(MaskRule::Max, &runs), [true, true]);
        // The pixels nearest the centres, ties to the smaller: (0, 0) and (0, 2).
        assert_eq!(bits(MaskRule::Nearest, &runs), [true, false]);
        let corners = [Run { y: 0, x0: 0, x1: 1 }, Run { y: 3, x0: 3, x1: 4 }];
        assert_eq!(bits(MaskRule::Off, &corners), [true; 4]);
    }

    #[test]
    fn the_best_covered_cell_is_set_when_none_is() {
        let runs = [Run { y: 1, x0: 1, x1: 2 }, Run { y: 3, x0: 3, x1: 4 }];
        for rule in [THRESHOLD, MaskRule::Nearest] {
            // A quarter of the first and of the last cell; the first one wins.
            assert_eq!(bits(rule, &runs), [true, false, false, false]);
        }
    }

    #[test]
    fn bins_overlap_in_small_windows() {
        assert_eq!(bins(&(4..6), 3), [4..5, 4..6, 5..6]);
        assert_eq!(bins(&(0..7), 2), [0..4, 3..7]);
        assert_eq!(bins(&(2..3), 4), [2..3, 2..3, 2..3, 2..3]);
    }

    #[test]
    fn bins_count_the_pixels_of_their_cells() {
        let runs = [Run { y: 0, x0: 0, x1: 4 }, Run { y: 3, x0: 0, x1: 1 }];
        let segment = PixelSet::new(&Segment::Runs(&runs), &[], 4, 4).unwrap();
        let axis = axis();
        let whole = bins(&(0..2), 1);
        let halves = bins(&(0..2), 2);
        let bits = |rule| project(&segment, rule, (&axis, &whole), (&axis, &halves));
        // 3 of 8 and 2 of 8 pixels: neither reaches a half, the first is better covered.
        assert_eq!(bits(THRESHOLD), [true, false]);
        assert_eq!(bits(MaskRule::Max), [true, true]);
        // The midpoint between rows 0.5 and 2.5 is 1.5: pixel 1, outside the segment.
        assert_eq!(bits(MaskRule::Nearest), [true, false]);
    }
}
