//! The purity of segments in stuff (CFM paper, section 4.1): the IoU between a segment and the stuff inside its
//! bounding box.
//!
//! Stuff has no shape, and a segment may be a good example of it without covering all of it. It should cover what there
//! is of it in its box.

use super::overlap::{self, iou};
use crate::data::IGNORE;
use crate::proposals::Candidates;

/// The stuff in which a segment is purest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Purity {
    /// Intersection over union of the segment and the stuff inside the segment's box.
    pub purity: f32,
    /// Class of the stuff.
    pub class: u8,
}

/// Pixels of one class above and left of every pixel corner.
struct Integral {
    sums: Vec<u32>,
    width: usize,
}

/// A box of pixels, ends exclusive.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

impl Integral {
    fn new(labels: &[u8], width: usize, class: u8) -> Self {
        let height = labels.len() / width;
        let stride = width + 1;
        let mut sums = vec![0; stride * (height + 1)];
        for y in 0..height {
            let mut row = 0;
            for x in 0..width {
                row += u32::from(labels[y * width + x] == class);
                sums[(y + 1) * stride + x + 1] = sums[y * stride + x + 1] + row;
            }
        }
        Self {
            sums,
            width: stride,
        }
    }

    fn within(&self, bounds: &Bounds) -> u32 {
        let at = |x: usize, y: usize| self.sums[y * self.width + x];
        let Bounds {
            left,
            top,
            right,
            bottom,
        } = *bounds;
        at(right, bottom) + at(left, top) - at(left, bottom) - at(right, top)
    }
}

/// For every segment the class among `stuff` in which it is purest (the first of equals); `None` where it has no pixel
/// of any. Pixels without a label do not count.
#[must_use]
pub fn best(
    candidates: &Candidates,
    labels: &[u8],
    width: usize,
    classes: usize,
    stuff: &[u8],
) -> Vec<Option<Purity>> {
    let integrals: Vec<Integral> = stuff
        .iter()
        .map(|&class| Integral::new(labels, width, class))
        .collect();
    let histograms = overlap::classes(&candidates.maps, labels, classes);
    let bounds: Vec<Vec<Option<Bounds>>> = candidates
        .maps
        .iter()
        .map(|map| bounds(&map.labels, width, map.count.into()))
        .collect();
    candidates
        .segments
        .iter()
        .map(|segment| {
            let counts = histograms[segment.map].of(&segment.members);
            let labelled: u32 = counts[..classes].iter().sum();
            let bounds = segment
                .members
                .iter()
                .filter_map(|&id| bounds[segment.map][usize::from(id)])
                .reduce(Bounds::union)?;
            let mut best: Option<Purity> = None;
            for (&class, integral) in stuff.iter().zip(&integrals) {
                let shared = counts[usize::from(class)];
                let purity = iou(labelled, integral.within(&bounds), shared);
                if shared > 0 && best.is_none_or(|best| purity > best.purity) {
                    best = Some(Purity { purity, class });
                }
            }
            best
        })
        .collect()
}

impl Bounds {
    fn union(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }
}

/// The box of every superpixel that has pixels.
fn bounds(map: &[u16], width: usize, count: usize) -> Vec<Option<Bounds>> {
    let mut bounds: Vec<Option<Bounds>> = vec![None; count];
    for (at, &id) in map.iter().enumerate() {
        let (x, y) = (at % width, at / width);
        let pixel = Bounds {
            left: x,
            top: y,
            right: x + 1,
            bottom: y + 1,
        };
        let entry = &mut bounds[usize::from(id)];
        *entry = Some(entry.map_or(pixel, |b| b.union(pixel)));
    }
    bounds
}

/// For every pixel whether it has a label.
#[must_use]
pub fn labelled(labels: &[u8]) -> Vec<bool> {
    labels.iter().map(|&label| label != IGNORE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::tests::{arbitrary_candidates, pixels};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn purity_is_that_of_pixel_sets(
            candidates in arbitrary_candidates(24),
            labels in proptest::collection::vec(0_u8..5, 24),
        ) {
            let labels: Vec<u8> = labels.iter().map(|&l| if l == 4 { IGNORE } else { l }).collect();
            let width = 6;
            let found = best(&candidates, &labels, width, 4, &[1, 3]);
            for (segment, found) in candidates.segments.iter().zip(found) {
                let all = pixels(&candidates, segment);
                let range = |values: Vec<usize>| {
                    let low = values.iter().min().copied();
                    low.zip(values.iter().max().copied())
                };
                let columns = range(all.iter().map(|p| p % width).collect());
                let rows = range(all.iter().map(|p| p / width).collect());
                let segment: Vec<usize> =
                    all.into_iter().filter(|&p| labels[p] != IGNORE).collect();
                let mut expected: Option<(f32, u8)> = None;
                if let Some((columns, rows)) = columns.zip(rows) {
                    for class in [1, 3] {
                        let stuff: Vec<usize> = (0..24)
                            .filter(|p| (columns.0..=columns.1).contains(&(p % width)))
                            .filter(|p| (rows.0..=rows.1).contains(&(p / width)))
                            .filter(|&p| labels[p] == class)
                            .collect();
                        let shared = segment.iter().filter(|p| stuff.contains(p)).count();
                        let union = segment.len() + stuff.len() - shared;
                        let purity = shared as f32 / union as f32;
                        if shared > 0 && expected.is_none_or(|(best, _)| purity > best) {
                            expected = Some((purity, class));
                        }
                    }
                }
                prop_assert_eq!(found.map(|f| (f.purity, f.class)), expected);
            }
        }
    }
}
