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
        let quota = |share: f32| (config.segments as f32 * share).round() as usize;
        let (objects, stuff) = (quota(config.objects), quota(config.stuff));
        let pursued = self.stuff(candidates, config, Some(random));
        let mut chosen = drawn(&self.objects, objects, random);
        chosen.extend(drawn(&pursued, stuff, random));
        // As many as the ratio allows for what was found.
        let room = config.segments.saturating_sub(objects + stuff);
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
