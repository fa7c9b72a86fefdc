//! Pixel labelling: the scores of overlapping segments become one class per pixel.
//!
//! Everything is decided on integers, by the [`LabellingRule`]. A **score** is the class's probability in 1/65536, or
//! for a support vector machine `2 * max(0, logit)` when voting and the logit itself when ranking. A segment's class is
//! its best one that is not background, ties to the smaller; background classes never label a pixel.
//!
//! # Paste
//!
//! Segments are looked at from the best to the worst. Rank: segments that some background class wins come last; then
//! score of the segment's class (higher first), area (smaller first), index (smaller first). With `claimed` of the
//! `area` pixels of a segment labelled by better ones, the segment is *inhibited*, that is dropped whole, if
//!
//! ```text
//! inhibition > 0  and  claimed * 65536 >= inhibition * area      (the threshold in 1/65536)
//! ```
//!
//! and gives its class to its `area - claimed` other pixels otherwise. Pixels of dropped segments alone are [`VOID`].
//!
//! This is the paper's pasting (CFM, section 3.3, after Hariharan, Arbelaez, Girshick, Malik, *Simultaneous detection
//! and segmentation*, ECCV 2014): segments are pasted in the order of their scores, and regions around those pasted
//! are inhibited. There the inhibition is a suppression of segments that overlap a better one of the same class; here
//! it looks at what all better segments have claimed together, whatever their class, which takes one comparison a
//! segment instead of one a pair, and is meant for segments that cover an image many times over. Without a threshold
//! it inhibits nothing: every pixel takes the class of the best segment that covers it.
//!
//! # Vote
//!
//! A segment adds to every class a weight made from the class's score `p`, the segment's purity `q` and its area. Purity
//! is the largest score among the classes that are not background: how sure the classifier is that the segment is of
//! one class.
//!
//! ```text
//! x = p * 2^16                                  (p in 1/65536)
//! x = x * p >> 16                               power - 1 times
//! x = x * q >> 16                               purity times
//! x = (x << 8) / isqrt(area << 16)              if divided by the root of the area
//! x = (x << 6) / area                           if divided by the area
//! weight = min(2^32 - 1, x >> 12)
//! ```
//!
//! All divisions and roots are rounded down. A pixel takes the class with the largest (saturating 32-bit) sum over the
//! segments that cover it, ties to the smaller class, and [`VOID`] if all sums are 0.
//!
//! # Refinement by superpixels
//!
//! Optionally, every superpixel of one of the image's maps takes the class with the largest sum over its pixels: of the
//! pixel's sums when voting, of the pixels with that label when pasting; ties to the smaller class, [`VOID`] if all are
//! 0. Borders between labels then follow borders between superpixels. The map is the rule's choice, by its index: the
//! finest one, of which the image's edges cut least, is the one to choose, and that is the scale with the smallest
//! superpixels in the model's proposal parameters (scale 0 of the default ones).

mod paste;
mod refine;
mod vote;

use fixed::types::U0F16;
use heapless::Vec;

use crate::mask::measure_runs;
use crate::model::format::MAX_CLASSES;
use crate::model::{ClassKind, Classifier, Combination, LabellingRule, Model};
use crate::segment::{Segment, SegmentError, SuperpixelMap};
use crate::softmax::softmax;

/// The label of a pixel that no segment labels.
pub const VOID: u8 = 255;

/// A segment with the scorer's verdict.
#[derive(Debug, Clone, Copy)]
pub struct ScoredSegment<'a> {
    /// The segment.
    pub segment: Segment<'a>,
    /// Its pixels, as the scorer counted them.
    pub area: u32,
    /// One logit per class of the model.
    pub logits: &'a [i16],
}

/// Why an image cannot be labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LabelError {
    /// The working memory is smaller than [`memory_words`] says.
    Memory,
    /// The label map does not have the size of the model's input.
    LabelMapSize,
    /// A segment does not have one logit per class.
    LogitsLength,
    /// There are 2^32 - 1 segments or more.
    TooManySegments,
    /// The image does not have the superpixel map by which the rule refines.
    RefinementMap,
    /// A segment or a superpixel map is refused.
    Segment(SegmentError),
}

impl LabelError {
    /// The error in words.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Memory => "the memory for labelling is smaller than memory_words() says",
            Self::LabelMapSize => "the label map does not have the size of the model's input",
            Self::LogitsLength => "a segment must have one logit per class of the model",
            Self::TooManySegments => "too many segments",
            Self::RefinementMap => {
                "the image does not have the superpixel map that labels are refined by"
            }
            Self::Segment(error) => error.message(),
        }
    }
}

impl core::fmt::Display for LabelError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for LabelError {}

impl From<SegmentError> for LabelError {
    fn from(error: SegmentError) -> Self {
        Self::Segment(error)
    }
}

/// Words of memory that [`label_pixels`] needs for `count` segments.
///
/// With `s` superpixels in all maps together, `r` in the map that refines (0 without refinement), `c` classes and
/// images `w` pixels wide: pasting takes the larger of `4 count + 3 s` and `2 c r`, voting `c (s + w + 2 r)`.
#[must_use]
pub fn memory_words(
    rule: LabellingRule,
    model: &Model<'_>,
    maps: &[SuperpixelMap<'_>],
    count: usize,
) -> usize {
    let classes = model.class_count();
    let superpixels = superpixels(maps);
    let refinement = rule
        .refinement
        .and_then(|map| maps.get(usize::from(map)))
        .map_or(0, |map| refine::words(map, classes));
    match rule.combination {
        Combination::Paste { .. } => paste::words(superpixels, count).max(refinement),
        Combination::Vote { .. } => {
            let width = usize::from(model.input().width);
            vote::words(superpixels, width, classes).saturating_add(refinement)
        }
    }
}

fn superpixels(maps: &[SuperpixelMap<'_>]) -> usize {
    maps.iter()
        .map(|map| usize::from(map.count()))
        .fold(0, usize::saturating_add)
}

/// Labels every pixel with a class index, or [`VOID`].
///
/// `segment(i)` yields segment `i` of `count`; `maps` are the superpixel maps that segments refer to; `memory` has
/// [`memory_words`] words; `labels` is the label map, `height * width` of the model's input, row-major.
///
/// # Errors
/// See [`LabelError`]; `labels` is unspecified then. All segments are checked as the scorer checks them, but for
/// superpixels that are named twice, which count twice in a vote, and members that all have no pixel, which label nothing.
pub fn label_pixels<'s>(
    model: &Model<'_>,
    rule: LabellingRule,
    maps: &[SuperpixelMap<'_>],
    count: usize,
    segment: impl Fn(usize) -> ScoredSegment<'s>,
    memory: &mut [u32],
    labels: &mut [u8],
) -> Result<(), LabelError> {
    let input = model.input();
    if labels.len() != usize::from(input.width) * usize::from(input.height) {
        return Err(LabelError::LabelMapSize);
    }
    if maps
        .iter()
        .any(|map| (map.width(), map.height()) != (input.width, input.height))
    {
        return Err(SegmentError::MapSize.into());
    }
    if u32::try_from(count).map_or(true, |count| count == u32::MAX) {
        return Err(LabelError::TooManySegments);
    }
    let refinement = match rule.refinement {
        None => None,
        Some(map) => Some(
            maps.get(usize::from(map))
                .ok_or(LabelError::RefinementMap)?,
        ),
    };
    let memory = memory
        .get_mut(..memory_words(rule, model, maps, count))
        .ok_or(LabelError::Memory)?;
    let frame = Frame {
        scores: Scores::new(model),
        maps,
        count,
        segment,
        width: input.width,
        height: input.height,
    };
    match rule.combination {
        Combination::Paste { inhibition } => {
            paste::paste(&frame, inhibition, refinement, memory, labels)
        }
        Combination::Vote {
            power,
            area,
            purity,
        } => {
            let ballot = vote::Ballot {
                power,
                area,
                purity,
            };
            vote::vote(&frame, ballot, refinement, memory, labels)
        }
    }
}

/// What is labelled.
struct Frame<'f, F> {
    scores: Scores,
    maps: &'f [SuperpixelMap<'f>],
    count: usize,
    segment: F,
    width: u16,
    height: u16,
}

impl<'s, F: Fn(usize) -> ScoredSegment<'s>> Frame<'_, F> {
    fn classes(&self) -> usize {
        self.scores.background.len()
    }

    /// Segment `index`, with runs, map and members in range and one logit per class.
    fn checked(&self, index: usize) -> Result<ScoredSegment<'s>, LabelError> {
        let scored = (self.segment)(index);
        if scored.logits.len() != self.classes() {
            return Err(LabelError::LogitsLength);
        }
        match scored.segment {
            Segment::Runs(runs) => {
                measure_runs(runs, self.width, self.height)?;
            }
            Segment::Superpixels { map, members } => {
                let map = self.maps.get(map).ok_or(SegmentError::MapIndex)?;
                if members.is_empty() {
                    return Err(SegmentError::Empty.into());
                }
                if members.iter().any(|&id| id >= map.count()) {
                    return Err(SegmentError::SuperpixelId.into());
                }
            }
        }
        Ok(scored)
    }

    /// Superpixels of the maps before map `map`.
    fn superpixels_before(&self, map: usize) -> usize {
        superpixels(self.maps.get(..map).unwrap_or(&[]))
    }
}

/// What has to be known about the model's classes.
struct Scores {
    classifier: Classifier,
    exponent: i8,
    background: Vec<bool, MAX_CLASSES>,
}

impl Scores {
    fn new(model: &Model<'_>) -> Self {
        let mut background = Vec::new();
        for class in model.classes().take(MAX_CLASSES) {
            // There is room for as many.
            let _ = background.push(class.kind == ClassKind::Background);
        }
        Self {
            classifier: model.head().classifier,
            exponent: model.head().logit_exponent,
            background,
        }
    }

    /// The score of every class, as votes are made from it.
    fn of(&self, logits: &[i16]) -> Vec<U0F16, MAX_CLASSES> {
        let mut p: Vec<U0F16, MAX_CLASSES> = Vec::new();
        // As many as there are logits; both are at most MAX_CLASSES.
        let _ = p.resize(logits.len().min(MAX_CLASSES), U0F16::ZERO);
        match self.classifier {
            Classifier::Softmax => softmax(logits, self.exponent, &mut p),
            Classifier::Svm => {
                for (p, &logit) in p.iter_mut().zip(logits) {
                    *p = U0F16::from_bits(logit.max(0).cast_unsigned() * 2);
                }
            }
        }
        p
    }
}
