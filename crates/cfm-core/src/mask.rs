//! Convolutional feature masking: a segment projected onto the feature map as a low-resolution binary mask.
//!
//! Patent WO2016/197303 (claims 1-4); CFM paper, section 3.1. A mask is held for the segment's *window* only: the
//! cells of its bounding box, `cell(first pixel) ..= cell(last pixel)` either way. Whether any bit is set, and every
//! pooling over the mask, concerns that window. With `inside` the segment's pixels that belong to a cell and `total`
//! all pixels that do, the bit of a cell with `total > 0` is, by [`MaskRule`],
//!
//! - average: `inside * 65536 >= threshold * total` (the threshold in 1/65536);
//! - maximum: `inside >= 1`;
//! - nearest: whether the pixel nearest the cell's centre, ties to the smaller, belongs to the segment. (It may
//!   belong to a neighbouring cell: with a jump of 1 and an odd offset every centre lies between two pixels.)
//! - off: always set, so that a segment is pooled as its whole window.
//!
//! If no bit is set, that of the cell with the largest `inside / total` is, the first in row-major order. The bins that
//! Design B masks follow the same rules, with the pixels of all their cells, and the centre half-way between those of
//! their first and last cell.

use crate::model::{MaskRule, Model};
use crate::receptive_field::Axis;
use crate::segment::{PixelBox, Run, Segment, SegmentError};
use crate::superpixel_index::SuperpixelIndex;
use fixed::types::U0F16;

/// A box of feature-map cells, ends exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CellWindow {
    /// First row.
    pub top: u16,
    /// First column.
    pub left: u16,
    /// One past the last row.
    pub bottom: u16,
    /// One past the last column.
    pub right: u16,
}

impl CellWindow {
    /// The window of a box of pixels: from the cell of its first pixel to that of its last.
    #[must_use]
    pub const fn of(bounds: &PixelBox, rows: &Axis, columns: &Axis) -> Self {
        Self {
            top: rows.cell(bounds.top),
            left: columns.cell(bounds.left),
            bottom: rows.cell(bounds.bottom) + 1,
            right: columns.cell(bounds.right) + 1,
        }
    }

    /// Rows.
    #[must_use]
    pub const fn height(&self) -> u16 {
        self.bottom.saturating_sub(self.top)
    }

    /// Columns.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.right.saturating_sub(self.left)
    }

    /// Cells.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.height() as usize * self.width() as usize
    }

    /// Whether there are no cells (never so for a segment's window).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Index of a cell in row-major order within the window.
    pub(crate) const fn index(&self, row: u16, column: u16) -> usize {
        row.saturating_sub(self.top) as usize * self.width() as usize
            + column.saturating_sub(self.left) as usize
    }
}

/// A segment's size and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Extent {
    /// Pixels.
    pub area: u32,
    /// Bounding box in pixels.
    pub bounds: PixelBox,
}

/// Which superpixels belong to the segment at hand, one bit each.
#[derive(Debug)]
pub(crate) struct Members<'s> {
    bits: &'s mut [i8],
}

impl<'s> Members<'s> {
    pub(crate) fn new(bits: &'s mut [i8]) -> Self {
        Self { bits }
    }

    /// Adds `id`; `false` if it was there already (or cannot be held).
    fn insert(&mut self, id: u16) -> bool {
        let Some(byte) = self.bits.get_mut(usize::from(id / 8)) else {
            return false;
        };
        let bit = 1_i8 << (id % 8);
        let new = *byte & bit == 0;
        *byte |= bit;
        new
    }

    fn contains(&self, id: u16) -> bool {
        self.bits
            .get(usize::from(id / 8))
            .is_some_and(|byte| byte & (1_i8 << (id % 8)) != 0)
    }
}

/// Checks a segment and measures it; superpixel members are entered into `members`.
pub(crate) fn measure(
    segment: &Segment<'_>,
    maps: &[SuperpixelIndex<'_>],
    model: &Model<'_>,
    members: &mut Members<'_>,
) -> Result<Extent, SegmentError> {
    match *segment {
        Segment::Runs(runs) => measure_runs(runs, model.input().width, model.input().height),
        Segment::Superpixels { map, members: ids } => {
            let index = maps.get(map).ok_or(SegmentError::MapIndex)?;
            if !index.fits(model) {
                return Err(SegmentError::IndexModel);
            }
            members.bits.fill(0);
            let mut area = 0;
            let mut bounds: Option<PixelBox> = None;
            for &id in ids {
                if id >= index.map().count() {
                    return Err(SegmentError::SuperpixelId);
                }
                if !members.insert(id) {
                    return Err(SegmentError::Duplicate);
                }
                if let Some(here) = index.bounds(id) {
                    area += index.area(id);
                    bounds = Some(bounds.map_or(here, |b| b.union(here)));
                }
            }
            let bounds = bounds.ok_or(SegmentError::Empty)?;
            Ok(Extent { area, bounds })
        }
    }
}

pub(crate) fn measure_runs(runs: &[Run], width: u16, height: u16) -> Result<Extent, SegmentError> {
    let mut area = 0;
    let mut bounds: Option<PixelBox> = None;
    let mut previous: Option<Run> = None;
    for &run in runs {
        if run.x0 >= run.x1 || run.x1 > width || run.y >= height {
            return Err(SegmentError::RunOutside);
        }
        if previous.is_some_and(|p| (p.y, p.x1) > (run.y, run.x0)) {
            return Err(SegmentError::RunOrder);
        }
        previous = Some(run);
        area += u32::from(run.x1 - run.x0);
        let here = PixelBox {
            left: run.x0,
            top: run.y,
            right: run.x1 - 1,
            bottom: run.y,
        };
        bounds = Some(bounds.map_or(here, |b| b.union(here)));
    }
    let bounds = bounds.ok_or(SegmentError::Empty)?;
    Ok(Extent { area, bounds })
}

/// Whether pixel `(x, y)` belongs to a segment that has been measured.
pub(crate) fn contains(
    segment: &Segment<'_>,
    maps: &[SuperpixelIndex<'_>],
    members: &Members<'_>,
    x: u16,
    y: u16,
) -> bool {
    match *segment {
        Segment::Runs(runs) => {
            let after = runs.partition_point(|run| (run.y, run.x0) <= (y, x));
            after
                .checked_sub(1)
                .and_then(|i| runs.get(i))
                .is_some_and(|run| run.y == y && x < run.x1)
        }
        Segment::Superpixels { map, .. } => maps.get(map).is_some_and(|index| {
            let at = usize::from(y) * usize::from(index.map().width()) + usize::from(x);
            index
                .map()
                .labels()
                .get(at)
                .is_some_and(|&id| members.contains(id))
        }),
    }
}

/// Counts, for every cell of `window`, the segment's pixels that belong to it.
pub(crate) fn count_inside(
    segment: &Segment<'_>,
    maps: &[SuperpixelIndex<'_>],
    model: &Model<'_>,
    window: &CellWindow,
    counts: &mut [[i8; 4]],
) {
    counts.fill([0; 4]);
    match *segment {
        Segment::Runs(runs) => {
            for run in runs {
                let row = model.rows().cell(run.y);
                for column in model.columns().cell(run.x0)..=model.columns().cell(run.x1 - 1) {
                    let start = model.columns().start(column).max(run.x0);
                    let end = model.columns().start(column + 1).min(run.x1);
                    let pixels = u32::from(end.saturating_sub(start));
                    add(counts, window.index(row, column), pixels);
                }
            }
        }
        Segment::Superpixels { map, members } => {
            let Some(index) = maps.get(map) else {
                return;
            };
            for count in members.iter().flat_map(|&id| index.counts(id)) {
                let at = window.index(count.row(), count.column());
                add(counts, at, count.pixels());
            }
        }
    }
}

/// The scratch memory holds counts as four bytes each.
fn pixels(count: [i8; 4]) -> u32 {
    u32::from_le_bytes(count.map(i8::cast_unsigned))
}

fn add(counts: &mut [[i8; 4]], at: usize, more: u32) {
    if let Some(count) = counts.get_mut(at) {
        let sum = pixels(*count).saturating_add(more);
        *count = sum.to_le_bytes().map(u8::cast_signed);
    }
}

/// Pixels of the image that belong to the cells `first .. end` of an axis.
fn pixels_along(axis: &Axis, first: u16, end: u16) -> u64 {
    u64::from(axis.start(end).saturating_sub(axis.start(first)))
}

/// A cell, or a rectangle of cells (a pyramid bin), as the mask rules see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coverage {
    /// Pixels of the segment.
    inside: u64,
    /// Pixels of the image.
    total: u64,
    cells: CellWindow,
}

impl Coverage {
    /// The coverage of every cell of `window`, row-major.
    pub(crate) fn of_cells(
        model: &Model<'_>,
        window: CellWindow,
        counts: &[[i8; 4]],
    ) -> impl Iterator<Item = Self> {
        let (rows, columns) = (*model.rows(), *model.columns());
        let areas = (window.top..window.bottom).flat_map(move |row| {
            let height = pixels_along(&rows, row, row + 1);
            let mut start = columns.start(window.left);
            (window.left..window.right).map(move |column| {
                let end = columns.start(column + 1);
                let width = end.saturating_sub(start);
                start = end;
                (row, column, height * u64::from(width))
            })
        });
        areas
            .zip(counts)
            .map(|((row, column, total), &count)| Self {
                inside: pixels(count).into(),
                total,
                cells: CellWindow {
                    top: row,
                    left: column,
                    bottom: row + 1,
                    right: column + 1,
                },
            })
    }

    /// The coverage of the cells `cells` (not empty, inside `window`).
    pub(crate) fn of(
        model: &Model<'_>,
        window: &CellWindow,
        counts: &[[i8; 4]],
        cells: &CellWindow,
    ) -> Self {
        let width = usize::from(cells.width());
        let inside = (cells.top..cells.bottom)
            .filter_map(|row| counts.get(window.index(row, cells.left)..)?.get(..width))
            .flatten()
            .map(|&count| u64::from(pixels(count)))
            .sum();
        Self {
            inside,
            total: pixels_along(model.rows(), cells.top, cells.bottom)
                * pixels_along(model.columns(), cells.left, cells.right),
            cells: *cells,
        }
    }

    /// The mask bit under the model's rule; `contains` tells whether a pixel `(x, y)` belongs to the segment.
    fn bit(&self, model: &Model<'_>, contains: impl FnOnce(u16, u16) -> bool) -> bool {
        if self.total == 0 {
            return false;
        }
        match model.head().mask_rule {
            MaskRule::Average { threshold } => self.reaches(threshold),
            MaskRule::Max => self.inside >= 1,
            MaskRule::Nearest => {
                let CellWindow {
                    top,
                    left,
                    bottom,
                    right,
                } = self.cells;
                contains(
                    model.columns().centre_pixel(left, right.saturating_sub(1)),
                    model.rows().centre_pixel(top, bottom.saturating_sub(1)),
                )
            }
            MaskRule::Off => true,
        }
    }

    /// Whether the share of the segment is at least the threshold, compared exactly.
    fn reaches(&self, threshold: U0F16) -> bool {
        self.inside * 65536 >= u64::from(threshold.to_bits()) * self.total
    }

    /// Whether the share of the segment is larger than `other`'s, compared exactly.
    pub(crate) fn exceeds(&self, other: &Self) -> bool {
        u128::from(self.inside) * u128::from(other.total)
            > u128::from(other.inside) * u128::from(self.total)
    }
}

/// Sets the bits of `areas` (cells, or bins) in order, and, if none is set, that of the best covered one.
pub(crate) fn set_bits(
    model: &Model<'_>,
    areas: impl Iterator<Item = Coverage>,
    mut contains: impl FnMut(u16, u16) -> bool,
    bits: &mut [i8],
) {
    let mut best: Option<(usize, Coverage)> = None;
    let mut any = false;
    for (i, (bit, coverage)) in bits.iter_mut().zip(areas).enumerate() {
        let set = coverage.bit(model, &mut contains);
        *bit = i8::from(set);
        any |= set;
        let better = match &best {
            _ if any => false,
            Some((_, best)) => coverage.exceeds(best),
            None => coverage.total > 0,
        };
        if better {
            best = Some((i, coverage));
        }
    }
    if !any
        && let Some((i, _)) = best
        && let Some(bit) = bits.get_mut(i)
    {
        *bit = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::format::MAX_SIDE;

    fn share(inside: u64, total: u64) -> Coverage {
        Coverage {
            inside,
            total,
            cells: CellWindow::default(),
        }
    }

    /// Pixels of a cell; the largest is a whole image.
    fn totals() -> impl Iterator<Item = u64> {
        let all = if cfg!(miri) { 3 } else { 60 };
        let side = u64::from(MAX_SIDE);
        (1..=all).chain([side, side * side - 1, side * side])
    }

    #[test]
    fn every_threshold_is_reached_from_its_own_share_on() {
        for total in totals() {
            for threshold in (1..=u16::MAX).step_by(if cfg!(miri) { 3001 } else { 1 }) {
                // The fewest pixels that are at least the threshold's part of all.
                let fewest = (u64::from(threshold) * total).div_ceil(1 << 16);
                let threshold = U0F16::from_bits(threshold);
                assert!((1..=total).contains(&fewest));
                assert!(share(fewest, total).reaches(threshold));
                assert!(share(total, total).reaches(threshold));
                assert!(!share(fewest - 1, total).reaches(threshold));
                assert!(!share(0, total).reaches(threshold));
            }
        }
    }

    #[test]
    fn shares_are_ordered_as_fractions() {
        let shares = || totals().flat_map(|t| [0, 1, t / 3, t / 2, t - 1, t].map(|i| (i, t)));
        for (i, t) in shares() {
            for (j, u) in shares() {
                // By continued fractions: whole parts first, then the rests, upside down.
                let (mut a, mut b, mut flipped) = ((i, t), (j, u), false);
                let larger = loop {
                    let (p, q) = (a.0 / a.1, b.0 / b.1);
                    let (rest, other) = (a.0 % a.1, b.0 % b.1);
                    if p != q || rest == 0 || other == 0 {
                        let a = (p, rest > 0);
                        let b = (q, other > 0);
                        break if flipped { a < b } else { a > b };
                    }
                    (a, b, flipped) = ((a.1, rest), (b.1, other), !flipped);
                };
                assert_eq!(share(i, t).exceeds(&share(j, u)), larger, "{i}/{t} {j}/{u}");
            }
        }
    }
}
