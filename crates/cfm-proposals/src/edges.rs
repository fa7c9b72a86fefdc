//! The edges of the pixel grid in order of weight, with as much or as little memory as there is.
//!
//! Pixels are joined to their four neighbours. The weight of an edge is the Euclidean distance of the two colours,
//! rounded down to quarters of a grey level. Equal weights keep raster order: by first pixel, and of one pixel the
//! edge to the right before the edge down.
//!
//! The edges are sorted by counting. When the buffer holds only some of them, they come in several passes over the
//! image, each for a range of weights; the order is the same for every size of the buffer, even none.

use cfm_core::image::ImageView;

use crate::arena::take;
use crate::colour::ColourSpace;
use crate::error::ProposalError;
use crate::params::Smoothing;
use crate::smooth::{Colour, smoothed_row};

/// One more than the largest weight, `floor(sqrt(3 * 1020^2))`.
pub(crate) const WEIGHTS: usize = 1767;

/// Words besides the buffer for an image of this width.
pub(crate) const fn fixed_words(width: u16) -> usize {
    2 * width as usize + WEIGHTS
}

/// Edges of a grid.
pub(crate) const fn edge_count(width: u16, height: u16) -> usize {
    let (width, height) = (width as usize, height as usize);
    let right = width.saturating_sub(1).saturating_mul(height);
    let down = width.saturating_mul(height.saturating_sub(1));
    right.saturating_add(down)
}

fn weight(a: Colour, b: Colour) -> u16 {
    let difference = |shift: u32| (a >> shift & 0x3ff).abs_diff(b >> shift & 0x3ff);
    let (r, g, b) = (difference(0), difference(10), difference(20));
    (r * r + g * g + b * b).isqrt() as u16
}

/// The grid graph of an image, with memory for sorting.
pub(crate) struct SortedEdges<'m, 'i> {
    image: ImageView<'i>,
    space: ColourSpace,
    smoothing: Smoothing,
    /// Two smoothed rows.
    rows: &'m mut [Colour],
    /// How many edges have each weight; while a buffer is filled, where the next edge of this weight goes.
    bins: &'m mut [u32],
    /// Edges: twice the first pixel, plus 1 when it goes down.
    buffer: &'m mut [u32],
    /// Whether the buffer holds all edges, sorted.
    complete: bool,
}

impl<'m, 'i> SortedEdges<'m, 'i> {
    /// Counts the edges of each weight. Takes [`fixed_words`] of `words`; the rest is the buffer.
    pub(crate) fn new(
        image: ImageView<'i>,
        space: ColourSpace,
        smoothing: Smoothing,
        mut words: &'m mut [u32],
    ) -> Result<Self, ProposalError> {
        let rows = take(&mut words, 2 * usize::from(image.width()))?;
        let bins = take(&mut words, WEIGHTS)?;
        bins.fill(0);
        scan(image, space, smoothing, rows, |_, weight| {
            if let Some(bin) = bins.get_mut(usize::from(weight)) {
                *bin += 1;
            }
        });
        Ok(Self {
            image,
            space,
            smoothing,
            rows,
            bins,
            buffer: words,
            complete: false,
        })
    }

    /// Calls `visit` with both pixels and the weight of each edge, in order. Can be repeated.
    pub(crate) fn for_each(&mut self, mut visit: impl FnMut(usize, usize, u16)) {
        let width = usize::from(self.image.width());
        let ends = |edge: u32| {
            let first = (edge >> 1) as usize;
            (
                first,
                if edge & 1 == 0 {
                    first + 1
                } else {
                    first + width
                },
            )
        };
        let mut low = 0;
        while low < WEIGHTS {
            let (high, total) = self.batch(low);
            if high == low {
                // More edges of this one weight than the buffer holds: raster order is their order.
                scan(
                    self.image,
                    self.space,
                    self.smoothing,
                    self.rows,
                    |edge, weight| {
                        if usize::from(weight) == low {
                            let (a, b) = ends(edge);
                            visit(a, b, weight);
                        }
                    },
                );
                low += 1;
                continue;
            }
            if total > 0 && !self.complete {
                self.fill(low, high);
            }
            let mut from = 0;
            for weight in low..high {
                let count = self.bins.get(weight).copied().unwrap_or(0) as usize;
                for &edge in self.buffer.get(from..from + count).unwrap_or(&[]) {
                    let (a, b) = ends(edge);
                    visit(a, b, weight as u16);
                }
                from += count;
            }
            self.complete = low == 0 && high == WEIGHTS;
            low = high;
        }
    }

    /// The end of the longest range of weights from `low` whose edges fit in the buffer, and their number.
    fn batch(&self, low: usize) -> (usize, usize) {
        let mut total = 0;
        for (i, &bin) in self.bins.iter().enumerate().skip(low) {
            if total + bin as usize > self.buffer.len() {
                return (i, total);
            }
            total += bin as usize;
        }
        (WEIGHTS, total)
    }

    /// Sorts the edges of weights `low .. high` into the buffer.
    fn fill(&mut self, low: usize, high: usize) {
        let Some(bins) = self.bins.get_mut(low..high) else {
            return;
        };
        let mut next = 0;
        for bin in bins.iter_mut() {
            next += core::mem::replace(bin, next);
        }
        let buffer = &mut *self.buffer;
        scan(
            self.image,
            self.space,
            self.smoothing,
            self.rows,
            |edge, weight| {
                let bin = usize::from(weight).checked_sub(low);
                if let Some(at) = bin.and_then(|bin| bins.get_mut(bin)) {
                    if let Some(slot) = buffer.get_mut(*at as usize) {
                        *slot = edge;
                    }
                    *at += 1;
                }
            },
        );
        // Every bin now holds its end: back to counts.
        let mut start = 0;
        for bin in bins.iter_mut() {
            let end = *bin;
            *bin = end - start;
            start = end;
        }
    }
}

/// Calls `visit` with each edge and its weight in raster order.
fn scan(
    image: ImageView<'_>,
    space: ColourSpace,
    smoothing: Smoothing,
    rows: &mut [Colour],
    mut visit: impl FnMut(u32, u16),
) {
    let width = usize::from(image.width());
    let height = usize::from(image.height());
    let Some((mut row, mut below)) = rows.split_at_mut_checked(width) else {
        return;
    };
    smoothed_row(image, space, smoothing, 0, row);
    for y in 0..height {
        let last = y + 1 == height;
        if !last {
            smoothed_row(image, space, smoothing, y + 1, below);
        }
        let mut edge = (2 * y * width) as u32;
        for (x, (&colour, &down)) in row.iter().zip(below.iter()).enumerate() {
            if let Some(&right) = row.get(x + 1) {
                visit(edge, weight(colour, right));
            }
            if !last {
                visit(edge + 1, weight(colour, down));
            }
            edge += 2;
        }
        core::mem::swap(&mut row, &mut below);
    }
}
