//! Sampling as in the paper (section 4.1): what each segment is an example of, once for each photograph, and the draw.
//!
//! A segment is an example of the object it overlaps well; otherwise a candidate for the stuff in which it is pure;
//! otherwise background, if it overlaps objects a little or contains a little stuff, and no object or stuff more than
//! that. The rest, neither clearly one thing nor clearly not, is no example of anything.

use cfm_sim::dataset::Kind;

use super::ground_truth::Objects;
use super::overlap;
use super::segment_pursuit::pursue;
use super::{object_overlap, purity};
use crate::config::{PaperConfig, SamplingConfig};
use crate::data::Photo;
use crate::proposals::Candidates;
use crate::random::Stream;

/// What the segments of one photograph are examples of; all are indices of segments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    /// Examples of objects, with their class.
    pub objects: Vec<(usize, u8)>,
    /// Candidates for each stuff, with its class.
    pub stuff: Vec<(u8, Vec<usize>)>,
    /// Examples of background.
    pub background: Vec<usize>,
    /// Pixels of every segment.
    areas: Vec<u32>,
    /// The class that stands for background.
    background_class: u8,
}

impl Roles {
    /// Finds the roles of all segments of a photograph; `kinds` are the kinds of all classes.
    #[must_use]
    pub fn of(
        photo: &Photo,
        candidates: &Candidates,
        objects: &Objects,
        kinds: &[Kind],
        config: &SamplingConfig,
    ) -> Self {
        let labels = photo.classes.labels();
        let stuff: Vec<u8> = (0_u8..)
            .zip(kinds)
            .filter(|(_, kind)| **kind == Kind::Stuff)
            .map(|(class, _)| class)
            .collect();
        let overlaps = object_overlap::best(candidates, objects, &purity::labelled(labels));
        let width = photo.classes.width();
        let purities = purity::best(candidates, labels, width, kinds.len(), &stuff);
        let histograms = overlap::classes(&candidates.maps, labels, kinds.len());
        let mut roles = Self {
            stuff: stuff.iter().map(|&class| (class, Vec::new())).collect(),
            background_class: kinds.len() as u8,
            ..Self::default()
        };
        let PaperConfig {
            object_iou,
            background_iou: [low, high],
            purity: pure,
            background_purity,
            ..
        } = config.paper;
        for (index, segment) in candidates.segments.iter().enumerate() {
            let counts = histograms[segment.map].of(&segment.members);
            let area: u32 = counts.iter().sum();
            roles.areas.push(area);
            if area < config.smallest.max(1) || 2 * counts[kinds.len()] > area {
                continue;
            }
            let object = overlaps[index].map_or(0.0, |overlap| overlap.iou);
            let purity = purities[index].map_or(0.0, |purity| purity.purity);
            if let Some(overlap) = overlaps[index].filter(|overlap| overlap.iou >= object_iou) {
                roles.objects.push((index, overlap.class));
            } else if let Some(purity) = purities[index].filter(|found| found.purity > pure) {
                let entry = roles
                    .stuff
                    .iter_mut()
                    .find(|(class, _)| *class == purity.class);
                if let Some((_, candidates)) = entry {
                    candidates.push(index);
                }
            } else if object <= high
                && purity < background_purity
                && (object >= low || purity > 0.0)
            {
                roles.background.push(index);
            }
        }
        roles
    }

    /// Examples of stuff: the pursued ones, if there is pursuit, otherwise all candidates.
    fn stuff(
        &self,
        candidates: &Candidates,
        config: &PaperConfig,
        mut random: Option<&mut Stream>,
    ) -> Vec<(usize, u8)> {
        let mut found = Vec::new();
        for (class, pool) in &self.stuff {
            let taken = if config.pursuit {
                let random = random.as_deref_mut();
                pursue(candidates, &self.areas, pool, config.inhibition, random)
            } else {
                pool.clone()
            };
            found.extend(taken.into_iter().map(|index| (index, *class)));
        }
        found
    }

    /// Draws segments, each with its class, of which the one after the last is background. Stuff is pursued anew in
    /// each draw; none is drawn twice.
    pub fn draw(
        &self,
        candidates: &Candidates,
        config: &PaperConfig,
        random: &mut Stream,
    ) -> Vec<(usize, u8)> {
        let [objects, stuff, room] = config.quotas();
        let pursued = self.stuff(candidates, config, Some(random));
        let mut chosen = drawn(&self.objects, objects, random);
        chosen.extend(drawn(&pursued, stuff, random));
        // As many as the ratio allows for what was found.
        let background = (chosen.len() * room).div_ceil((objects + stuff).max(1));
        let class = self.background_class;
        chosen.extend(
            drawn(&self.background, background.min(room), random)
                .into_iter()
                .map(|index| (index, class)),
        );
        chosen
    }

    /// All examples, each with its class; stuff by the deterministic pursuit.
    #[must_use]
    pub fn all(&self, candidates: &Candidates, config: &PaperConfig) -> Vec<(usize, u8)> {
        let background = self.background.iter();
        let background = background.map(|&index| (index, self.background_class));
        let stuff = self.stuff(candidates, config, None);
        self.objects
            .iter()
            .copied()
            .chain(stuff)
            .chain(background)
            .collect()
    }
}

/// At most `count` of the items, each once, in random order.
fn drawn<T: Copy>(items: &[T], count: usize, random: &mut Stream) -> Vec<T> {
    let mut items = items.to_vec();
    random.shuffle(&mut items);
    items.truncate(count);
    items
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cfm_sim::label_map::LabelMap;

    use super::*;
    use crate::data::IGNORE;
    use crate::proposals::{Candidate, Map};
    use crate::random::Purpose;

    const KINDS: [Kind; 2] = [Kind::Stuff, Kind::Object];
    /// The paper's thresholds and shares, which are the defaults.
    fn config() -> SamplingConfig {
        SamplingConfig {
            smallest: 2,
            ..SamplingConfig::default()
        }
    }

    /// A row of ten pixels of stuff, ten of an object and six without a label, each a superpixel, and these segments.
    fn roles(segments: &[&[u16]]) -> (Candidates, Roles) {
        let labels = [vec![0; 10], vec![1; 10], vec![IGNORE; 6]].concat();
        let photo = Photo {
            id: String::new(),
            pixels: vec![0; 3 * labels.len()],
            classes: LabelMap::new(labels.len(), 1, labels.clone()).unwrap(),
            labels: None,
            labels_size: (labels.len(), 1),
        };
        let candidates = Candidates {
            maps: vec![Map {
                labels: (0..26).collect(),
                count: 26,
            }],
            segments: segments
                .iter()
                .map(|members| Candidate {
                    map: 0,
                    members: members.to_vec(),
                })
                .collect(),
        };
        let objects = Objects::components(&labels, labels.len(), &KINDS);
        let roles = Roles::of(&photo, &candidates, &objects, &KINDS, &config());
        (candidates, roles)
    }

    const SEGMENTS: [&[u16]; 11] = [
        // The object, half of it, and it with some stuff.
        &[10, 11, 12, 13, 14, 15, 16, 17, 18, 19],
        &[10, 11, 12, 13, 14],
        &[6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19],
        // Stuff, all of it and seven pixels.
        &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        &[0, 1, 2, 3, 4, 5, 6],
        // A little of the object; of both; of its end with pixels that do not count.
        &[18, 19],
        &[9, 10, 11, 12],
        &[17, 18, 19, 20],
        // Too much of the object for background, too little for an example.
        &[10, 11, 12, 13],
        // Too small; mostly without labels.
        &[3],
        &[19, 20, 21, 22],
    ];

    #[test]
    fn roles_are_as_the_paper_defines_them() {
        let (_, roles) = roles(&SEGMENTS);
        assert_eq!(roles.objects, [(0, 1), (1, 1), (2, 1)]);
        assert_eq!(roles.stuff, [(0, vec![3, 4])]);
        assert_eq!(roles.background, [5, 6, 7]);
    }

    #[test]
    fn quotas_are_never_more_than_the_segments() {
        let (candidates, mut roles) = roles(&SEGMENTS);
        // As many as there are segments, so that nothing but the quotas ends the draw.
        roles.objects = (0..11).map(|index| (index, 1)).collect();
        roles.stuff = vec![(0, (0..11).collect())];
        roles.background = (0..11).collect();
        for segments in 1..=11 {
            for tenths in 0..=10_u8 {
                let objects = f32::from(tenths) / 10.0;
                let config = PaperConfig {
                    segments,
                    objects,
                    stuff: 1.0 - objects,
                    pursuit: false,
                    ..config().paper
                };
                assert_eq!(config.quotas().iter().sum::<usize>(), segments);
                let mut random = Stream::new(1, Purpose::Sample, 0, 0);
                let chosen = roles.draw(&candidates, &config, &mut random);
                assert_eq!(chosen.len(), segments, "{objects}");
            }
        }
    }

    #[test]
    fn draws_keep_their_shares_and_take_nothing_twice() {
        let (candidates, roles) = roles(&SEGMENTS);
        let mut seen = BTreeSet::new();
        for pass in 0..200 {
            for segments in [10, 5, 1] {
                let config = PaperConfig {
                    segments,
                    ..config().paper
                };
                let mut random = Stream::new(1, Purpose::Sample, pass, 0);
                let chosen = roles.draw(&candidates, &config, &mut random);
                let of = |class| chosen.iter().filter(|(_, c)| *c == class).count();
                // Shares of 3, 3 and 4 in 10; pursuit leaves one segment of stuff.
                let expected = match segments {
                    10 => [1, 3, 3],
                    5 => [1, 2, 1],
                    _ => [0, 0, 0],
                };
                assert_eq!([of(0), of(1), of(2)], expected, "{segments}");
                let distinct: BTreeSet<usize> = chosen.iter().map(|(index, _)| *index).collect();
                assert_eq!(distinct.len(), chosen.len());
                for (index, class) in chosen {
                    let role = match class {
                        0 => roles.stuff[0].1.contains(&index),
                        1 => roles.objects.contains(&(index, 1)),
                        _ => roles.background.contains(&index),
                    };
                    assert!(role, "{index} as {class}");
                    seen.insert(index);
                }
            }
        }
        // Drawn anew in each pass: nothing is left out for ever.
        assert_eq!(seen, (0..8).collect());
        let all = roles.all(&candidates, &config().paper);
        assert_eq!(
            all,
            [(0, 1), (1, 1), (2, 1), (3, 0), (5, 2), (6, 2), (7, 2)]
        );
    }
}
