//! Segments by their overlap with ground-truth objects.

use super::ground_truth::Objects;
use super::overlap::{Histogram, iou};
use crate::proposals::Candidates;

/// The object that a segment overlaps most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ObjectOverlap {
    /// Intersection over union of the segment and the object.
    pub iou: f32,
    /// Class of the object.
    pub class: u8,
}

/// For every segment the object of largest IoU (the first of equals); `None` where it overlaps none. Pixels without a
/// label count neither for segments nor for objects: nobody knows where they belong. `counts` tells for every pixel
/// whether it does.
#[must_use]
pub fn best(
    candidates: &Candidates,
    objects: &Objects,
    counts: &[bool],
) -> Vec<Option<ObjectOverlap>> {
    let groups = objects.classes.len();
    let mut sizes = vec![0; groups];
    // The group after the last object is of the pixels of none.
    let group = |(object, &counts): (&Option<u16>, &bool)| {
        counts.then_some(object.map_or(groups, usize::from))
    };
    for group in objects.object.iter().zip(counts).filter_map(group) {
        if let Some(size) = sizes.get_mut(group) {
            *size += 1;
        }
    }
    let histograms: Vec<Histogram> = candidates
        .maps
        .iter()
        .map(|map| {
            Histogram::new(
                map,
                groups + 1,
                objects.object.iter().zip(counts).map(group),
            )
        })
        .collect();
    candidates
        .segments
        .iter()
        .map(|segment| {
            let shared = histograms[segment.map].of(&segment.members);
            let area: u32 = shared.iter().sum();
            let mut best: Option<ObjectOverlap> = None;
            for ((&shared, &size), &class) in shared.iter().zip(&sizes).zip(&objects.classes) {
                let iou = iou(area, size, shared);
                if shared > 0 && best.is_none_or(|best| iou > best.iou) {
                    best = Some(ObjectOverlap { iou, class });
                }
            }
            best
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::tests::{arbitrary_candidates, pixels};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn best_overlap_is_that_of_pixel_sets(
            candidates in arbitrary_candidates(24),
            object in proptest::collection::vec(proptest::option::of(0_u16..3), 24),
            counts in proptest::collection::vec(proptest::bool::weighted(0.8), 24),
        ) {
            let objects = Objects { object, classes: vec![5, 7, 5] };
            let found = best(&candidates, &objects, &counts);
            for (segment, found) in candidates.segments.iter().zip(found) {
                let segment: Vec<usize> = pixels(&candidates, segment)
                    .into_iter()
                    .filter(|&p| counts[p])
                    .collect();
                let mut expected: Option<(f32, u8)> = None;
                for (number, class) in [5, 7, 5].into_iter().enumerate() {
                    let object: Vec<usize> = (0..24)
                        .filter(|&p| counts[p] && objects.object[p] == Some(number as u16))
                        .collect();
                    let shared = segment.iter().filter(|p| object.contains(p)).count();
                    let union = segment.len() + object.len() - shared;
                    let iou = shared as f32 / union as f32;
                    if shared > 0 && expected.is_none_or(|(best, _)| iou > best) {
                        expected = Some((iou, class));
                    }
                }
                prop_assert_eq!(found.map(|f| (f.iou, f.class)), expected);
            }
        }
    }
}
