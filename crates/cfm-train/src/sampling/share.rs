//! Segments by the share of their majority class: pure ones are examples of it, mixed ones of "mixed".

use super::overlap;
use crate::config::SamplingConfig;
use crate::proposals::{Candidate, Map};
use crate::random::Stream;

/// Indices of the segments that can be drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labelled {
    /// Of every class.
    pub pure: Vec<Vec<usize>>,
    /// Of several classes.
    pub mixed: Vec<usize>,
}

/// Sorts segments by the labels of their pixels.
#[must_use]
pub fn labelled(
    maps: &[Map],
    segments: &[Candidate],
    labels: &[u8],
    classes: usize,
    config: &SamplingConfig,
) -> Labelled {
    let histograms = overlap::classes(maps, labels, classes);
    let mut found = Labelled {
        pure: vec![Vec::new(); classes],
        mixed: Vec::new(),
    };
    for (index, segment) in segments.iter().enumerate() {
        let counts = histograms[segment.map].of(&segment.members);
        let (counts, unlabelled) = (&counts[..classes], counts[classes]);
        let labelled: u32 = counts.iter().sum();
        if labelled + unlabelled < config.smallest.max(1) || labelled < unlabelled {
            continue;
        }
        let most = counts.iter().copied().max().unwrap_or(0);
        let majority = counts.iter().position(|&count| count == most).unwrap_or(0);
        let share = most as f32 / labelled.max(1) as f32;
        if share >= config.pure_share {
            found.pure[majority].push(index);
        } else if share < config.mixed_share {
            found.mixed.push(index);
        }
    }
    found
}

impl Labelled {
    /// Draws segments of one class, in equal turns of the classes, and mixed ones, with replacement; each with its
    /// class, of which the one after the last is "mixed".
    pub fn draw(&self, config: &SamplingConfig, random: &mut Stream) -> Vec<(usize, u8)> {
        let classes = self.pure.len();
        let present: Vec<usize> = (0..classes)
            .filter(|&class| !self.pure[class].is_empty())
            .collect();
        let mut chosen = Vec::with_capacity(config.pure + config.mixed);
        if !present.is_empty() {
            let first = random.below(present.len());
            for turn in 0..config.pure {
                let class = present[(first + turn) % present.len()];
                let pure = &self.pure[class];
                chosen.push((pure[random.below(pure.len())], class as u8));
            }
        }
        if !self.mixed.is_empty() {
            for _ in 0..config.mixed {
                let mixed = self.mixed[random.below(self.mixed.len())];
                chosen.push((mixed, classes as u8));
            }
        }
        chosen
    }

    /// All of them, each with its class.
    #[must_use]
    pub fn all(&self) -> Vec<(usize, u8)> {
        let pure = (0_u8..)
            .zip(&self.pure)
            .flat_map(|(class, pure)| pure.iter().map(move |&index| (index, class)));
        let mixed = self.pure.len() as u8;
        pure.chain(self.mixed.iter().map(|&index| (index, mixed)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::IGNORE;
    use crate::random::Purpose;

    #[test]
    fn draws_are_balanced_and_mixed_is_mixed() {
        // Eight superpixels of four pixels; labels 0, 0, 0, 1, mixed, mixed, ignored, 2.
        let map = Map {
            labels: (0..32).map(|i| i / 4).collect(),
            count: 8,
        };
        let labels: Vec<u8> = [
            [0; 4],
            [0; 4],
            [0, 0, 0, 1],
            [1; 4],
            [0, 1, 2, IGNORE],
            [2, 1, 0, 1],
            [IGNORE; 4],
            [2, 2, IGNORE, 2],
        ]
        .concat();
        let segments: Vec<Candidate> = (0..8)
            .map(|id| Candidate {
                map: 0,
                members: vec![id],
            })
            .collect();
        let config = SamplingConfig {
            pure: 9,
            mixed: 4,
            mixed_share: 0.51,
            smallest: 1,
            ..SamplingConfig::default()
        };
        let found = labelled(&[map], &segments, &labels, 3, &config);
        assert_eq!(found.pure, [vec![0, 1, 2], vec![3], vec![7]]);
        assert_eq!(found.mixed, [4, 5]);
        let all = [(0, 0), (1, 0), (2, 0), (3, 1), (7, 2), (4, 3), (5, 3)];
        assert_eq!(found.all(), all);
        let chosen = found.draw(&config, &mut Stream::new(1, Purpose::Sample, 0, 0));
        for class in 0..3 {
            assert_eq!(chosen.iter().filter(|(_, c)| *c == class).count(), 3);
        }
        assert_eq!(chosen.iter().filter(|(_, c)| *c == 3).count(), 4);
        assert!(chosen.iter().all(|one| all.contains(one)));
    }
}
