//! Which segments a training step looks at.

use serde::{Deserialize, Serialize};

/// Which segments a training step looks at; see [`crate::sampling`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplingConfig {
    /// How segments get their class.
    pub method: SamplingMethod,
    /// Segments of one class, per image and step; the classes of the image take equal turns.
    pub pure: usize,
    /// Smallest share of the majority class in them.
    pub pure_share: f32,
    /// Segments of several classes, per image and step: examples of the output "mixed".
    pub mixed: usize,
    /// Largest share of the majority class in them.
    pub mixed_share: f32,
    /// Segments of fewer pixels are left out, with either method.
    pub smallest: u32,
    /// The method of the paper.
    pub paper: PaperConfig,
}

/// How segments get their class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SamplingMethod {
    /// By the share of the majority class among their pixels.
    Share,
    /// By their overlap with ground-truth objects and by their purity in stuff, as [`PaperConfig`] says.
    Paper,
}

/// Sampling as in the paper (section 4.1): objects by overlap, stuff by purity and segment pursuit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PaperConfig {
    /// Segments per image and step, at most.
    pub segments: usize,
    /// Share of objects among them.
    pub objects: f32,
    /// Share of stuff among them; the rest is background, never more than its share of what is found.
    pub stuff: f32,
    /// Smallest IoU of a segment with a ground-truth object of which it is an example.
    pub object_iou: f32,
    /// Smallest and largest IoU (the best over all objects) of a background segment.
    pub background_iou: [f32; 2],
    /// A segment of larger purity is a candidate for its stuff.
    pub purity: f32,
    /// A segment of smaller purity is background.
    pub background_purity: f32,
    /// Segment pursuit among the candidates for a stuff; otherwise all of them take part.
    pub pursuit: bool,
    /// IoU from which on a pursued segment inhibits others.
    pub inhibition: f32,
}

impl PaperConfig {
    /// The most segments that are drawn of objects, of stuff, and of background: together as many as
    /// [`PaperConfig::segments`].
    #[must_use]
    pub fn quotas(&self) -> [usize; 3] {
        let quota = |share: f32| (self.segments as f32 * share).round() as usize;
        let objects = quota(self.objects).min(self.segments);
        // Both may have been rounded up.
        let stuff = quota(self.stuff).min(self.segments - objects);
        [objects, stuff, self.segments - objects - stuff]
    }
}

impl Default for SamplingConfig {
    fn default() -> Self {
        Self {
            method: SamplingMethod::Share,
            pure: 40,
            pure_share: 0.75,
            mixed: 10,
            mixed_share: 0.5,
            smallest: 12,
            paper: PaperConfig::default(),
        }
    }
}

impl Default for PaperConfig {
    fn default() -> Self {
        Self {
            segments: 50,
            objects: 0.3,
            stuff: 0.3,
            object_iou: 0.5,
            background_iou: [0.1, 0.3],
            purity: 0.6,
            background_purity: 0.3,
            pursuit: true,
            inhibition: 0.2,
        }
    }
}

/// Most segments per image and step: as many as can be named.
const MOST: usize = 65535;

impl SamplingConfig {
    /// What makes no sense in it, if anything.
    pub(super) fn complaint(&self) -> Option<&'static str> {
        let PaperConfig {
            objects,
            stuff,
            object_iou,
            background_iou: [low, high],
            purity,
            background_purity,
            inhibition,
            ..
        } = self.paper;
        let shared = self.pure.saturating_add(self.mixed);
        let taken = match self.method {
            SamplingMethod::Share => shared,
            SamplingMethod::Paper => self.paper.segments,
        };
        if taken == 0 || shared.max(self.paper.segments) > MOST {
            return Some("the sampling takes no segment, or more than 65535");
        }
        let share = |x: f32| (0.0..=1.0).contains(&x);
        let shares = [
            self.pure_share,
            self.mixed_share,
            objects,
            stuff,
            object_iou,
            low,
            high,
            purity,
            background_purity,
            inhibition,
        ];
        if !shares.into_iter().all(share) || objects + stuff > 1.0 {
            return Some("a share, an IoU or a purity of the sampling is not between 0 and 1");
        }
        if low > high || high >= object_iou || background_purity > purity {
            return Some("the sampling's thresholds for background exceed those for classes");
        }
        // Background is drawn in proportion to the others.
        let [objects, stuff, _] = self.paper.quotas();
        (self.method == SamplingMethod::Paper && objects + stuff == 0)
            .then_some("the sampling takes no segment: the shares of objects and stuff round to 0")
    }
}
