//! Pixels that segments share with each other and with what is labelled.

use crate::data::IGNORE;
use crate::proposals::{Candidate, Map};

/// For every superpixel, the pixels of each of some groups: `counts[superpixel * groups + group]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u32>,
    groups: usize,
}

impl Histogram {
    /// Counts, for every superpixel of `map`, the pixels of `groups` groups; `group` gives the group of every pixel, in
    /// row-major order, or `None` for a pixel that does not count.
    pub fn new(map: &Map, groups: usize, group: impl IntoIterator<Item = Option<usize>>) -> Self {
        let mut counts = vec![0; usize::from(map.count) * groups];
        for (&id, group) in map.labels.iter().zip(group) {
            if let Some(group) = group {
                counts[usize::from(id) * groups + group] += 1;
            }
        }
        Self { counts, groups }
    }

    /// The pixels of each group in a set of superpixels.
    #[must_use]
    pub fn of(&self, members: &[u16]) -> Vec<u32> {
        let mut sums = vec![0; self.groups];
        for &member in members {
            let row = &self.counts[usize::from(member) * self.groups..][..self.groups];
            for (sum, &count) in sums.iter_mut().zip(row) {
                *sum += count;
            }
        }
        sums
    }
}

/// Counts the labelled pixels of every class in every superpixel; the group after the last class is of those without a
/// label.
#[must_use]
pub fn classes(maps: &[Map], labels: &[u8], classes: usize) -> Vec<Histogram> {
    let group = |&label: &u8| {
        Some(if label == IGNORE {
            classes
        } else {
            label.into()
        })
    };
    maps.iter()
        .map(|map| Histogram::new(map, classes + 1, labels.iter().map(group)))
        .collect()
}

/// Counts the pixels of every superpixel that belong to `segment`.
#[must_use]
pub fn with_segment(maps: &[Map], segment: &Candidate) -> Vec<Histogram> {
    let Some(own) = maps.get(segment.map) else {
        return Vec::new();
    };
    let mut member = vec![false; usize::from(own.count)];
    for &id in &segment.members {
        member[usize::from(id)] = true;
    }
    maps.iter()
        .map(|map| {
            let inside = own
                .labels
                .iter()
                .map(|&id| member[usize::from(id)].then_some(0));
            Histogram::new(map, 1, inside)
        })
        .collect()
}

/// Intersection over union of two sets of pixels, from their sizes and that of their intersection; 0 for empty sets.
#[must_use]
pub fn iou(a: u32, b: u32, intersection: u32) -> f32 {
    intersection as f32 / (a + b - intersection).max(1) as f32
}
