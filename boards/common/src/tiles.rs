//! Tiles as candidate segments, for chips without the memory for a frame and its superpixels.
//!
//! The image is cut into grids of several sizes. The labels are blocky, but need no look at the image's colours.

use cfm_core::segment::{Run, Segment};

/// Columns and rows of tiles, coarse to fine.
pub const GRIDS: [(u16, u16); 3] = [(4, 3), (8, 6), (16, 12)];

/// How many tiles there are.
pub const COUNT: usize = {
    let mut count = 0;
    let mut i = 0;
    while i < GRIDS.len() {
        count += GRIDS[i].0 as usize * GRIDS[i].1 as usize;
        i += 1;
    }
    count
};

/// Runs of all tiles of an image of so many rows.
#[must_use]
pub const fn runs_needed(height: u16) -> usize {
    let mut columns = 0;
    let mut i = 0;
    while i < GRIDS.len() {
        columns += GRIDS[i].0 as usize;
        i += 1;
    }
    columns * height as usize
}

/// The tiles of an image.
#[derive(Debug)]
pub struct Tiles<'a> {
    runs: &'a [Run],
    height: u16,
    width: u16,
}

/// Bounds of part `index` of `count` parts of `length`.
fn part(length: u16, count: u16, index: u16) -> (u16, u16) {
    let bound = |i: u16| {
        let at = u32::from(length) * u32::from(i);
        // At most `length`.
        at.checked_div(u32::from(count)).unwrap_or(0) as u16
    };
    (bound(index), bound(index + 1))
}

impl<'a> Tiles<'a> {
    /// The tiles of an image, in memory for [`runs_needed`] runs; `None` if there are fewer.
    pub fn new(width: u16, height: u16, memory: &'a mut [Run]) -> Option<Self> {
        let runs = memory.get_mut(..runs_needed(height))?;
        let mut slots = runs.iter_mut();
        for (columns, rows) in GRIDS {
            for row in 0..rows {
                let (top, bottom) = part(height, rows, row);
                for column in 0..columns {
                    let (x0, x1) = part(width, columns, column);
                    for y in top..bottom {
                        *slots.next()? = Run { y, x0, x1 };
                    }
                }
            }
        }
        Some(Self {
            runs,
            height,
            width,
        })
    }

    /// Tile `index` and its pixels; an empty segment beyond the last.
    #[must_use]
    pub fn get(&self, index: usize) -> (Segment<'a>, u32) {
        let (runs, area) = self.find(index).unwrap_or((&[], 0));
        (Segment::Runs(runs), area)
    }

    fn find(&self, mut index: usize) -> Option<(&'a [Run], u32)> {
        let mut start = 0;
        for (columns, rows) in GRIDS {
            let count = usize::from(columns) * usize::from(rows);
            if index >= count {
                index -= count;
                start += usize::from(columns) * usize::from(self.height);
                continue;
            }
            // Less than the number of tiles of a grid.
            let (row, column) = (index as u16 / columns, index as u16 % columns);
            let (top, bottom) = part(self.height, rows, row);
            let (x0, x1) = part(self.width, columns, column);
            let length = usize::from(bottom - top);
            let first =
                start + usize::from(top) * usize::from(columns) + usize::from(column) * length;
            let area = u32::from(bottom - top) * u32::from(x1 - x0);
            return Some((self.runs.get(first..first + length)?, area));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn every_grid_covers_every_pixel_once() {
        for (width, height) in [(240, 180), (17, 13), (16, 12)] {
            let mut memory = vec![Run { y: 0, x0: 0, x1: 0 }; runs_needed(height)];
            let tiles = Tiles::new(width, height, &mut memory).expect("there is memory");
            let mut covered = vec![0_u8; usize::from(width) * usize::from(height)];
            for index in 0..COUNT {
                let (segment, area) = tiles.get(index);
                let Segment::Runs(runs) = segment else {
                    panic!("tiles are runs");
                };
                let mut pixels = 0;
                for run in runs {
                    for x in run.x0..run.x1 {
                        covered[usize::from(run.y) * usize::from(width) + usize::from(x)] += 1;
                        pixels += 1;
                    }
                }
                assert_eq!(pixels, area);
                assert!(runs.is_sorted_by_key(|run| run.y) && area > 0);
            }
            assert!(covered.iter().all(|&n| usize::from(n) == GRIDS.len()));
            assert_eq!(tiles.get(COUNT).1, 0);
        }
        assert!(Tiles::new(4, 4, &mut []).is_none());
    }
}
