//! Pixel labelling: the scores of overlapping segments become one class per pixel.
//!
//! Both rules look at superpixels first and at pixels last, so that segments made of superpixels cost next to nothing.
//! Segments given as runs are looked at once per row of the image. Both rules decide on integers alone:
//!
//! - **Paste** (CFM paper, section 3.3): a pixel takes the class of the best-ranked segment that covers it. Rank:
//!   segments that some background class wins come last; then score (higher first), area (smaller first), index.
//! - **Vote**: a segment adds to every class a weight made from the class's score p and the segment's area,
//!
//!   ```text
//!   x = p * 2^16, then (power - 1) times x = x * p >> 16          (p in 1/65536)
//!   if divided by the root of the area: x = (x << 8) / isqrt(area << 16)
//!   weight = min(2^32 - 1, x >> 12)
//!   ```
//!
//!   and a pixel takes the class with the largest (saturating) sum, ties to the smaller class.
//!
//! A score is the class's probability, or for a support vector machine `2 * max(0, logit)` when voting and the logit
//! itself when ranking. A segment's class is its best one that is not background, ties to the smaller. Background
//! classes get no votes. A pixel without a covering segment (or without a vote) is [`VOID`].

use fixed::types::U0F16;
use heapless::Vec;

use crate::mask::measure_runs;
use crate::model::format::MAX_CLASSES;
use crate::model::{ClassKind, Classifier, LabellingRule, Model};
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

/// Words of memory that [`label_pixels`] needs: one accumulator per superpixel of every map and per column, which
/// holds one word per class when voting and four words when pasting.
#[must_use]
pub fn memory_words(rule: LabellingRule, model: &Model<'_>, maps: &[SuperpixelMap<'_>]) -> usize {
    maps.iter()
        .map(|map| usize::from(map.count()))
        .fold(usize::from(model.input().width), usize::saturating_add)
        .saturating_mul(words_per_accumulator(rule, model))
}

fn words_per_accumulator(rule: LabellingRule, model: &Model<'_>) -> usize {
    match rule {
        LabellingRule::Paste => PASTE_WORDS,
        LabellingRule::Vote { .. } => model.class_count(),
    }
}

/// Labels every pixel with a class index, or [`VOID`].
///
/// `segment(i)` yields segment `i` of `count`; `maps` are the superpixel maps that segments refer to; `memory` has
/// [`memory_words`] words; `labels` is the label map, `height * width` of the model's input, row-major.
///
/// # Errors
/// See [`LabelError`]; `labels` is unspecified then. All segments are checked as the scorer checks them, but for
/// superpixels that are named twice: those count twice here.
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
    let (width, height) = (usize::from(input.width), usize::from(input.height));
    if labels.len() != width * height {
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
    let words = words_per_accumulator(rule, model);
    let memory = memory
        .get_mut(..memory_words(rule, model, maps))
        .ok_or(LabelError::Memory)?;
    let (line, table) = memory
        .split_at_mut_checked(width * words)
        .ok_or(LabelError::Memory)?;
    let judge = Judge::new(model, rule);

    judge.clear(table);
    let mut has_runs = false;
    for i in 0..count {
        let scored = segment(i);
        if scored.logits.len() != model.class_count() {
            return Err(LabelError::LogitsLength);
        }
        let (map, members) = match scored.segment {
            Segment::Superpixels { map, members } => (map, members),
            Segment::Runs(runs) => {
                measure_runs(runs, input.width, input.height)?;
                has_runs = true;
                continue;
            }
        };
        let (first, count) = accumulators(maps, map).ok_or(SegmentError::MapIndex)?;
        if members.iter().any(|&id| id >= count) {
            return Err(SegmentError::SuperpixelId.into());
        }
        let opinion = judge.opinion(&scored, i);
        for &id in members {
            let at = (first + usize::from(id)) * words;
            if let Some(accumulator) = table.get_mut(at..at + words) {
                judge.merge(&opinion, accumulator);
            }
        }
    }

    for (y, label_row) in (0..input.height).zip(labels.chunks_exact_mut(width.max(1))) {
        judge.clear(line);
        if has_runs {
            for i in 0..count {
                let scored = segment(i);
                let Segment::Runs(runs) = scored.segment else {
                    continue;
                };
                let start = runs.partition_point(|run| run.y < y);
                let row = runs.get(start..).unwrap_or(&[]);
                let mut row = row.iter().take_while(|run| run.y == y).peekable();
                if row.peek().is_none() {
                    continue;
                }
                let opinion = judge.opinion(&scored, i);
                for run in row {
                    let pixels = usize::from(run.x0) * words..usize::from(run.x1) * words;
                    for accumulator in line
                        .get_mut(pixels)
                        .unwrap_or(&mut [])
                        .chunks_exact_mut(words)
                    {
                        judge.merge(&opinion, accumulator);
                    }
                }
            }
        }
        let mut first = 0;
        for map in maps {
            let start = usize::from(y) * width;
            let ids = map.labels().get(start..start + width).unwrap_or(&[]);
            for (accumulator, &id) in line.chunks_exact_mut(words).zip(ids) {
                let at = (first + usize::from(id)) * words;
                if let Some(other) = table.get(at..at + words) {
                    judge.merge(other, accumulator);
                }
            }
            first += usize::from(map.count());
        }
        for (label, accumulator) in label_row.iter_mut().zip(line.chunks_exact(words)) {
            *label = judge.verdict(accumulator);
        }
    }
    Ok(())
}

/// Index of the first accumulator of map `map`, and its number of superpixels.
fn accumulators(maps: &[SuperpixelMap<'_>], map: usize) -> Option<(usize, u16)> {
    let count = maps.get(map)?.count();
    let earlier = maps.get(..map)?.iter().map(|m| usize::from(m.count()));
    Some((earlier.sum(), count))
}

/// What a segment says about the pixels it covers. Pasting: rank (smaller is better, compared from the first word
/// on) and, last, the class. Voting: one weight per class.
type Opinion = Vec<u32, MAX_CLASSES>;

/// Words of a pasted opinion: rank key (two), index, class.
const PASTE_WORDS: usize = 4;

/// The rule, and what it has to know about the model's classes.
struct Judge {
    rule: LabellingRule,
    classifier: Classifier,
    exponent: i8,
    background: Vec<bool, MAX_CLASSES>,
}

impl Judge {
    fn new(model: &Model<'_>, rule: LabellingRule) -> Self {
        Self {
            rule,
            classifier: model.head().classifier,
            exponent: model.head().logit_exponent,
            background: model
                .classes()
                .take(MAX_CLASSES)
                .map(|class| class.kind == ClassKind::Background)
                .collect(),
        }
    }

    fn clear(&self, accumulators: &mut [u32]) {
        accumulators.fill(match self.rule {
            LabellingRule::Paste => u32::MAX,
            LabellingRule::Vote { .. } => 0,
        });
    }

    fn opinion(&self, scored: &ScoredSegment<'_>, index: usize) -> Opinion {
        let mut p: Vec<U0F16, MAX_CLASSES> = Vec::new();
        // As many as there are logits; both are at most MAX_CLASSES.
        let _ = p.resize(scored.logits.len().min(MAX_CLASSES), U0F16::ZERO);
        match self.classifier {
            Classifier::Softmax => softmax(scored.logits, self.exponent, &mut p),
            Classifier::Svm => {
                for (p, &logit) in p.iter_mut().zip(scored.logits) {
                    *p = U0F16::from_bits(logit.max(0).cast_unsigned() * 2);
                }
            }
        }
        match self.rule {
            LabellingRule::Paste => self.rank(scored, &p, index).into_iter().collect(),
            LabellingRule::Vote {
                power,
                by_root_area,
            } => {
                let root = by_root_area.then(|| (u64::from(scored.area) << 16).isqrt());
                p.iter()
                    .zip(&self.background)
                    .map(|(p, &background)| {
                        if background {
                            0
                        } else {
                            weight(*p, power, root)
                        }
                    })
                    .collect()
            }
        }
    }

    fn rank(&self, scored: &ScoredSegment<'_>, p: &[U0F16], index: usize) -> [u32; PASTE_WORDS] {
        let mut best: Option<(usize, i16)> = None;
        let mut best_background = None;
        for ((class, &logit), &background) in scored.logits.iter().enumerate().zip(&self.background)
        {
            if background {
                best_background = best_background.max(Some(logit));
            } else if best.is_none_or(|(_, l)| logit > l) {
                best = Some((class, logit));
            }
        }
        let Some((class, logit)) = best else {
            return [u32::MAX; PASTE_WORDS];
        };
        let score = match self.classifier {
            Classifier::Softmax => p.get(class).map_or(0, |p| i32::from(p.to_bits())),
            Classifier::Svm => i32::from(logit),
        };
        let last = best_background.is_some_and(|background| background > logit);
        [
            // Scores lie in -32768 ..= 65535, so 65535 - score takes 17 bits.
            (u32::from(last) << 17) | 65535_i32.wrapping_sub(score).cast_unsigned(),
            scored.area,
            u32::try_from(index).unwrap_or(u32::MAX),
            u32::try_from(class).unwrap_or(u32::MAX),
        ]
    }

    /// Combines two accumulators: the better rank, or the saturating sums.
    fn merge(&self, other: &[u32], accumulator: &mut [u32]) {
        match self.rule {
            LabellingRule::Paste => {
                if *other < *accumulator && other.len() == accumulator.len() {
                    accumulator.copy_from_slice(other);
                }
            }
            LabellingRule::Vote { .. } => {
                for (sum, &votes) in accumulator.iter_mut().zip(other) {
                    *sum = sum.saturating_add(votes);
                }
            }
        }
    }

    fn verdict(&self, accumulator: &[u32]) -> u8 {
        let class = match self.rule {
            LabellingRule::Paste => accumulator.last().copied(),
            LabellingRule::Vote { .. } => {
                let mut best = (0, None);
                for (class, &votes) in (0..).zip(accumulator) {
                    if votes > best.0 {
                        best = (votes, Some(class));
                    }
                }
                best.1
            }
        };
        class
            .and_then(|class| u8::try_from(class).ok())
            .unwrap_or(VOID)
    }
}

/// A class's weight in the vote of one segment; `root` is the square root of the area in 1/256, if it divides.
fn weight(p: U0F16, power: u8, root: Option<u64>) -> u32 {
    let p = u64::from(p.to_bits());
    let mut x = p << 16;
    for _ in 1..power {
        x = (x * p) >> 16;
    }
    if let Some(root) = root {
        x = (x << 8).checked_div(root).unwrap_or(0);
    }
    u32::try_from(x >> 12).unwrap_or(u32::MAX)
}
