//! Superpixels by gradient descent: SLIC, "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods",
//! Achanta, Shaji, Smith, Lucchi, Fua and Süsstrunk, TPAMI 2012, section 3.
//!
//! Clusters start as the cells of a regular grid. In each step every pixel goes to the nearest centre, and every centre
//! to the mean of its pixels. With colours `c`, positions `p`, spacing `S` and compactness `m`, distance is
//! `|c - c'|^2 / m^2 + |p - p'|^2 / S^2` (equation 3), compared exactly after multiplication by `m^2 S^2`.
//!
//! Where this differs from the paper:
//!
//! - A pixel looks at the centres of its own grid cell and the eight around it, as in gSLIC (Ren and Reid 2011),
//!   instead of each centre at a window around itself. So there is no distance per pixel to keep, and pixels come row
//!   by row.
//! - Centres start as the means of their cells, not as single pixels moved off the edges.
//! - Small pieces are joined as [`felzenszwalb`] does it: across the weakest edge first.

use cfm_core::image::ImageView;
use cfm_core::segment::SuperpixelMap;

use crate::arena::take;
use crate::colour::ColourSpace;
use crate::edges::SortedEdges;
use crate::error::ProposalError;
use crate::felzenszwalb::{self, check_image};
use crate::forest::Forest;
use crate::params::{MAX_SUPERPIXELS, Smoothing};
use crate::smooth::{Colour, smoothed_row};

/// How SLIC makes superpixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Slic {
    /// Distance of the initial centres, in pixels. 0 counts as 1.
    pub spacing: u16,
    /// The colour distance that weighs as much as a distance of one spacing, in levels. 5 to 40 is usual; larger makes
    /// more compact superpixels.
    pub compactness: u8,
    /// Most steps: fewer are made where one changes nothing. 0 leaves the grid; the paper takes 10.
    pub iterations: u8,
    /// Pieces below this many pixels are joined to a neighbour; the rest of a cluster in pieces stays apart.
    pub min_size: u16,
}

/// A centre in words: its colour in quarters of a level, column and row in quarters of a pixel.
const CENTRE: usize = 3;
/// Sums over a cluster in words: three channels, columns and rows in two words each, pixels.
const SUMS: usize = 8;
const CLUSTER: usize = CENTRE + SUMS;

/// The fewest words [`superpixels`] works with; less than [`words`] costs more passes over the image, some hundred times as
/// long at worst.
#[must_use]
pub const fn min_words(width: u16, height: u16, spacing: u16, max_count: u16) -> usize {
    clustering_words(
        width,
        height,
        spacing,
        max_count,
        felzenszwalb::min_words(width, height),
    )
}

/// The words with which [`superpixels`] is fastest.
#[must_use]
pub const fn words(width: u16, height: u16, spacing: u16, max_count: u16) -> usize {
    clustering_words(
        width,
        height,
        spacing,
        max_count,
        felzenszwalb::words(width, height),
    )
}

/// The words of the clusters and a row, or more when joining needs more.
const fn clustering_words(
    width: u16,
    height: u16,
    spacing: u16,
    max_count: u16,
    joining: usize,
) -> usize {
    let (columns, rows) = (cells(width, spacing), cells(height, spacing));
    let count = columns.saturating_mul(rows);
    let limit = limit(max_count);
    let count = if count < limit { count } else { limit };
    let clusters = width as usize + CLUSTER * count;
    if clusters < joining {
        joining
    } else {
        clusters
    }
}

/// Cells side by side.
const fn cells(size: u16, spacing: u16) -> usize {
    let spacing = if spacing == 0 { 1 } else { spacing };
    size.div_ceil(spacing) as usize
}

const fn limit(max_count: u16) -> usize {
    if max_count == 0 {
        1
    } else if max_count > MAX_SUPERPIXELS {
        MAX_SUPERPIXELS as usize
    } else {
        max_count as usize
    }
}

/// Writes the superpixels of `image` to `labels` (one id per pixel, row-major) and returns them as a map.
///
/// - The grid has one cell per `spacing` begun in each direction, all as equal as can be; pixel `x` of `w` is in column
///   `x * columns / w`, rounded down. While there are more than `max_count` cells, the spacing grows by one.
/// - Centres are the means of smoothed colours, rounded to quarters of a level, and of positions, rounded to quarters
///   of a pixel; halves are rounded up. A cluster without pixels keeps its centre. Of equally near centres, the first
///   in raster order of the cells gets the pixel.
/// - Every 4-connected piece of a cluster is a superpixel of its own. Then those below `min_size` are joined, in the
///   order of edges and with the doubling of [`felzenszwalb::superpixels`], until `max_count` is kept.
/// - Ids are numbered by first appearance in raster order.
///
/// `words` is scratch memory, at least [`min_words`]. The result does not depend on its size or content.
///
/// # Errors
/// [`ProposalError::Channels`], [`ProposalError::TooManyPixels`], [`ProposalError::Words`], or
/// [`ProposalError::Labels`] unless there is exactly one label per pixel.
pub fn superpixels<'l>(
    image: ImageView<'_>,
    space: ColourSpace,
    smoothing: Smoothing,
    slic: Slic,
    max_count: u16,
    words: &mut [u32],
    labels: &'l mut [u16],
) -> Result<SuperpixelMap<'l>, ProposalError> {
    let pixels = check_image(image)?;
    if labels.len() != pixels {
        return Err(ProposalError::Labels);
    }
    let (width, height) = (image.width(), image.height());
    if words.len() < min_words(width, height, slic.spacing, max_count) {
        return Err(ProposalError::Words);
    }
    cluster(
        image,
        space,
        smoothing,
        slic,
        limit(max_count),
        words,
        labels,
    )?;

    let mut words = words;
    let mut forest = Forest::new(take(&mut words, pixels)?);
    let mut edges = SortedEdges::new(image, space, smoothing, words)?;
    // Never 0, which the compiler does not know.
    let width = usize::from(width).max(1);
    for pixel in 0..pixels {
        let before = [
            (pixel % width != 0).then(|| pixel.wrapping_sub(1)),
            pixel.checked_sub(width),
        ];
        for other in before.into_iter().flatten() {
            if labels.get(other) == labels.get(pixel) {
                let (a, b) = (forest.find(other), forest.find(pixel));
                if a != b {
                    forest.join(a, b);
                }
            }
        }
    }
    forest.absorb(&mut edges, slic.min_size, max_count);
    let count = forest.number(labels);
    SuperpixelMap::new(labels, image.width(), image.height(), count)
        .map_err(|_| ProposalError::Labels)
}

/// Writes each pixel's cluster to `labels`; returns the steps that this took. Once a step has changed no label, none after
/// it would.
fn cluster(
    image: ImageView<'_>,
    space: ColourSpace,
    smoothing: Smoothing,
    slic: Slic,
    limit: usize,
    mut words: &mut [u32],
    labels: &mut [u16],
) -> Result<usize, ProposalError> {
    let mut spacing = slic.spacing.max(1);
    while cells(image.width(), spacing) * cells(image.height(), spacing) > limit {
        spacing += 1;
    }
    let row = take(&mut words, usize::from(image.width()))?;
    let columns = cells(image.width(), spacing);
    let rows = cells(image.height(), spacing);
    let mut clusters = Clusters {
        columns,
        rows,
        colour_weight: u64::from(spacing).pow(2),
        // Positions and colours are both in quarters.
        place_weight: u64::from(slic.compactness).pow(2),
        centres: take(&mut words, columns * rows * CENTRE)?.as_chunks_mut().0,
        sums: take(&mut words, columns * rows * SUMS)?.as_chunks_mut().0,
    };
    // Never 0, which the compiler does not know.
    let (width, height) = (
        usize::from(image.width()).max(1),
        usize::from(image.height()).max(1),
    );
    for step in 0..=usize::from(slic.iterations) {
        clusters.sums.fill([0; SUMS]);
        // What was in the labels before is none of a step's.
        let mut changed = step == 0;
        for (y, labels) in labels.chunks_exact_mut(width).enumerate() {
            smoothed_row(image, space, smoothing, y, row);
            let cell_row = y * rows / height;
            for (x, (&colour, label)) in row.iter().zip(labels).enumerate() {
                let column = x * columns / width;
                let id = if step == 0 {
                    cell_row * columns + column
                } else {
                    clusters.nearest(column, cell_row, colour, x, y)
                };
                changed |= *label != id as u16;
                *label = id as u16;
                clusters.add(id, colour, x, y);
            }
        }
        // The same members have the same means.
        if !changed {
            return Ok(step);
        }
        clusters.move_centres();
    }
    Ok(slic.iterations.into())
}

struct Clusters<'m> {
    columns: usize,
    rows: usize,
    colour_weight: u64,
    place_weight: u64,
    centres: &'m mut [[u32; CENTRE]],
    sums: &'m mut [[u32; SUMS]],
}

fn channels(colour: Colour) -> [u32; 3] {
    [colour & 0x3ff, colour >> 10 & 0x3ff, colour >> 20]
}

fn add_wide(low: &mut u32, high: &mut u32, value: usize) {
    let (sum, carry) = low.overflowing_add(value as u32);
    *low = sum;
    *high += u32::from(carry);
}

impl Clusters<'_> {
    /// The nearest of the centres around a cell.
    fn nearest(&self, column: usize, row: usize, colour: Colour, x: usize, y: usize) -> usize {
        let colour = channels(colour);
        let square = |a: u32, b: u32| u64::from(a.abs_diff(b)).pow(2);
        let (mut nearest, mut least) = (0, u64::MAX);
        for row in row.saturating_sub(1)..(row + 2).min(self.rows) {
            for column in column.saturating_sub(1)..(column + 2).min(self.columns) {
                let id = row * self.columns + column;
                let Some(&[centre, centre_x, centre_y]) = self.centres.get(id) else {
                    continue;
                };
                // Below 2^22 and 2^38: with the weights, no sum reaches 2^55.
                let apart: u64 = colour
                    .into_iter()
                    .zip(channels(centre))
                    .map(|(a, b)| square(a, b))
                    .sum();
                let far = square(4 * x as u32, centre_x) + square(4 * y as u32, centre_y);
                let distance = self.colour_weight * apart + self.place_weight * far;
                if distance < least {
                    (nearest, least) = (id, distance);
                }
            }
        }
        nearest
    }

    fn add(&mut self, id: usize, colour: Colour, x: usize, y: usize) {
        if let Some([r, g, b, x_low, x_high, y_low, y_high, count]) = self.sums.get_mut(id) {
            // At most 1020 times 2^22.
            for (sum, value) in [r, g, b].into_iter().zip(channels(colour)) {
                *sum += value;
            }
            add_wide(x_low, x_high, x);
            add_wide(y_low, y_high, y);
            *count += 1;
        }
    }

    fn move_centres(&mut self) {
        for (centre, &[r, g, b, x_low, x_high, y_low, y_high, count]) in
            self.centres.iter_mut().zip(self.sums.iter())
        {
            let half = u64::from(count / 2);
            let mean = |sum: u64| (sum + half).checked_div(u64::from(count)).unwrap_or(0) as u32;
            let wide = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
            if count != 0 {
                let [r, g, b] = [r, g, b].map(|sum| mean(u64::from(sum)));
                *centre = [
                    r | g << 10 | b << 20,
                    mean(4 * wide(x_low, x_high)),
                    mean(4 * wide(y_low, y_high)),
                ];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use super::*;

    /// Labels after at most so many steps, and how many were made.
    fn clustered(image: ImageView<'_>, iterations: u8) -> (Vec<u16>, usize) {
        let slic = Slic {
            spacing: 8,
            compactness: 10,
            iterations,
            min_size: 0,
        };
        let mut words = vec![9; min_words(image.width(), image.height(), 8, 100)];
        let mut labels = vec![7; usize::from(image.width()) * usize::from(image.height())];
        let (space, smoothing) = (ColourSpace::Rgb, Smoothing::None);
        let steps = cluster(image, space, smoothing, slic, 100, &mut words, &mut labels);
        (labels, steps.unwrap())
    }

    #[test]
    fn steps_end_where_nothing_moves() {
        let mut state = 1_u32;
        let noise: Vec<u8> = (0..3 * 40 * 24)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let image = ImageView::new(&noise, 40, 24, 3).unwrap();
        let (last, steps) = clustered(image, u8::MAX);
        assert!((2..255).contains(&steps), "{steps}");
        // Only the last step changed nothing.
        let before = |less: usize| clustered(image, (steps - less) as u8);
        assert_eq!(before(0), (last.clone(), steps));
        assert_eq!(before(1), (last.clone(), steps - 1));
        assert_ne!(before(2).0, last);
        // Of one colour, the grid is where it ends.
        let flat = vec![50; 40 * 24];
        let image = ImageView::new(&flat, 40, 24, 1).unwrap();
        assert_eq!(clustered(image, 9).1, 1);
    }
}
