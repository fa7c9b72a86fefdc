//! Segment pursuit (CFM paper, section 4.1): few large segments that overlap little, of the many that are pure.
//!
//! A patch of stuff has many pure segments, one inside the other. Pursuit takes one, inhibits all that overlap it, and
//! goes on until only segments are left that are smaller than the candidates were on average at the beginning. The
//! deterministic form takes the largest each time, the stochastic one draws with a probability proportional to the
//! area.

use super::overlap::{iou, with_segment};
use crate::proposals::Candidates;
use crate::random::Stream;

/// Pursues among the segments `pool` (indices into the candidates), whose areas in pixels are `areas[i]` for segment
/// `i`; overlaps of an IoU of `inhibition` or more inhibit. Draws at random if there is a stream, otherwise takes the
/// largest (the first of equals). Gives the segments in the order in which they were taken.
#[must_use]
pub fn pursue(
    candidates: &Candidates,
    areas: &[u32],
    pool: &[usize],
    inhibition: f32,
    mut random: Option<&mut Stream>,
) -> Vec<usize> {
    let total = |of: &[usize]| of.iter().map(|&i| u64::from(areas[i])).sum::<u64>();
    let (sum, count) = (total(pool), pool.len() as u64);
    let large = |i: usize| u64::from(areas[i]) * count >= sum;
    let mut left = pool.to_vec();
    let mut taken = Vec::new();
    while left.iter().any(|&i| large(i)) {
        let pick = match random.as_deref_mut() {
            None => left
                .iter()
                .copied()
                .rev()
                .max_by_key(|&i| areas[i])
                .unwrap_or(left[0]),
            Some(random) => {
                let mut ticket = random.below(total(&left) as usize) as u64;
                left.iter()
                    .copied()
                    .find(|&i| {
                        let area = u64::from(areas[i]);
                        let found = ticket < area;
                        ticket = ticket.saturating_sub(area);
                        found
                    })
                    .unwrap_or(left[0])
            }
        };
        taken.push(pick);
        let shared = with_segment(&candidates.maps, &candidates.segments[pick]);
        left.retain(|&i| {
            let segment = &candidates.segments[i];
            let shared = shared[segment.map].of(&segment.members)[0];
            i != pick && iou(areas[i], areas[pick], shared) < inhibition
        });
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;
    use crate::sampling::tests::{arbitrary_candidates, pixels};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn sets(candidates: &Candidates) -> Vec<BTreeSet<usize>> {
        candidates
            .segments
            .iter()
            .map(|segment| pixels(candidates, segment).into_iter().collect())
            .collect()
    }

    fn overlap(a: &BTreeSet<usize>, b: &BTreeSet<usize>) -> f32 {
        let shared = a.intersection(b).count();
        shared as f32 / a.union(b).count().max(1) as f32
    }

    proptest! {
        #[test]
        fn the_largest_is_taken_and_overlaps_are_inhibited(
            candidates in arbitrary_candidates(24),
            inhibition in 0.05_f32..0.9,
        ) {
            let sets = sets(&candidates);
            let areas: Vec<u32> = sets.iter().map(|set| set.len() as u32).collect();
            let pool: Vec<usize> = (0..sets.len()).filter(|&i| areas[i] > 0).collect();
            let taken = pursue(&candidates, &areas, &pool, inhibition, None);
            // The definition, on sets of pixels.
            let mean = pool.iter().map(|&i| f64::from(areas[i])).sum::<f64>() / pool.len() as f64;
            let mut expected: Vec<usize> = Vec::new();
            loop {
                let free = pool.iter().copied().filter(|&i| {
                    expected.iter().all(|&t| t != i && overlap(&sets[t], &sets[i]) < inhibition)
                });
                let largest = free.max_by_key(|&i| (areas[i], usize::MAX - i));
                match largest {
                    Some(i) if f64::from(areas[i]) >= mean - 1e-9 => expected.push(i),
                    _ => break,
                }
            }
            prop_assert_eq!(taken, expected);
        }

        #[test]
        fn drawn_segments_do_not_overlap_and_leave_only_small_ones(
            candidates in arbitrary_candidates(24),
            inhibition in 0.05_f32..0.9,
            seed in 0_u64..1000,
        ) {
            let sets = sets(&candidates);
            let areas: Vec<u32> = sets.iter().map(|set| set.len() as u32).collect();
            let pool: Vec<usize> = (0..sets.len()).filter(|&i| areas[i] > 0).collect();
            let mut random = Stream::new(seed, Purpose::Sample, 0, 0);
            let taken = pursue(&candidates, &areas, &pool, inhibition, Some(&mut random));
            for (n, &a) in taken.iter().enumerate() {
                prop_assert!(pool.contains(&a));
                for &b in &taken[..n] {
                    prop_assert!(a != b && overlap(&sets[a], &sets[b]) < inhibition);
                }
            }
            let mean = pool.iter().map(|&i| f64::from(areas[i])).sum::<f64>() / pool.len() as f64;
            for &i in &pool {
                let inhibited =
                    taken.iter().any(|&t| t == i || overlap(&sets[t], &sets[i]) >= inhibition);
                prop_assert!(inhibited || f64::from(areas[i]) < mean + 1e-9);
            }
        }
    }

    #[test]
    fn the_first_draw_goes_by_area() {
        // Three superpixels of 1, 2 and 5 pixels.
        let labels = vec![0, 1, 1, 2, 2, 2, 2, 2];
        let candidates = crate::sampling::tests::singles(labels, 3);
        let areas = [1, 2, 5];
        let mut first = BTreeMap::new();
        let draws = 4000;
        for seed in 0..draws {
            let mut random = Stream::new(seed, Purpose::Sample, 0, 0);
            let taken = pursue(&candidates, &areas, &[0, 1, 2], 0.2, Some(&mut random));
            *first.entry(taken[0]).or_insert(0.0) += 1.0 / draws as f64;
        }
        for (index, area) in areas.into_iter().enumerate() {
            let p = f64::from(area) / 8.0;
            let deviation = (p * (1.0 - p) / draws as f64).sqrt();
            assert!((first[&index] - p).abs() < 5.0 * deviation, "{first:?}");
        }
    }
}
