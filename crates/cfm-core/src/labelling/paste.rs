//! Pasting: segments in the order of their ranks claim pixels. The label map itself says which pixels are claimed; per
//! superpixel there is the number of those that are not, so that most segments are decided without looking at pixels.

use fixed::types::U0F16;

use super::refine::Sums;
use super::{Frame, LabelError, ScoredSegment, Scores, VOID};
use crate::model::Classifier;
use crate::segment::{Segment, SuperpixelMap};
use crate::sort::sort_by;

/// A segment's place in the order, compared from the first word on, and its class: rank key, area, index, class.
type Rank = [u32; 4];

/// What is known of a superpixel: pixels that are not claimed and [`MEMBER`]; columns `left | right << 16` and rows
/// `top | bottom << 16` of its bounding box, ends inclusive.
type Superpixel = [u32; 3];

/// Set in the first word of the superpixels of the segment at hand. (An image has at most 2^26 pixels.)
const MEMBER: u32 = 1 << 31;

/// Words for one rank per segment and one record per superpixel.
pub(super) fn words(superpixels: usize, segments: usize) -> usize {
    let ranks = segments.saturating_mul(size_of::<Rank>() / size_of::<u32>());
    let records = superpixels.saturating_mul(size_of::<Superpixel>() / size_of::<u32>());
    ranks.saturating_add(records)
}

pub(super) fn paste<'s, F: Fn(usize) -> ScoredSegment<'s>>(
    frame: &Frame<'_, F>,
    inhibition: U0F16,
    refinement: Option<&SuperpixelMap<'_>>,
    memory: &mut [u32],
    labels: &mut [u8],
) -> Result<(), LabelError> {
    let (ranks, rest) = memory
        .split_at_mut_checked(words(0, frame.count))
        .ok_or(LabelError::Memory)?;
    let ranks = ranks.as_chunks_mut().0;
    for (i, rank) in ranks.iter_mut().enumerate() {
        *rank = frame.scores.rank(&frame.checked(i)?, i);
    }
    sort_by(ranks, |a: &Rank, b| a < b);

    let superpixels = super::superpixels(frame.maps);
    let table = rest.as_chunks_mut().0.get_mut(..superpixels);
    let mut canvas = Canvas::new(frame, table.ok_or(LabelError::Memory)?, labels);
    for &[_, area, index, class] in ranks.iter() {
        if canvas.left == 0 {
            break;
        }
        // Indices and classes are what `Scores::rank` has put there.
        let (Ok(index), Ok(class)) = (usize::try_from(index), u8::try_from(class)) else {
            continue;
        };
        let segment = (frame.segment)(index).segment;
        canvas.paste(&segment, class, |unclaimed| {
            let claimed = area.saturating_sub(unclaimed);
            let share = u64::from(inhibition.to_bits()) * u64::from(area);
            inhibition > U0F16::ZERO && u64::from(claimed) << 16 >= share
        });
    }

    if let Some(map) = refinement {
        let mut sums = Sums::new(memory, frame.classes());
        for (&label, &id) in labels.iter().zip(map.labels()) {
            if label != VOID {
                sums.add(id, label.into(), &[1]);
            }
        }
        sums.assign(map, labels);
    }
    Ok(())
}

/// The label map while it is painted.
struct Canvas<'c> {
    maps: &'c [SuperpixelMap<'c>],
    /// The superpixels of all maps, one map after the other.
    table: &'c mut [Superpixel],
    labels: &'c mut [u8],
    width: usize,
    /// Pixels that are not claimed.
    left: usize,
}

impl<'c> Canvas<'c> {
    fn new<F>(frame: &Frame<'c, F>, table: &'c mut [Superpixel], labels: &'c mut [u8]) -> Self {
        labels.fill(VOID);
        table.fill([0, 0xFFFF, 0xFFFF]);
        let width = usize::from(frame.width);
        let mut first = 0;
        for map in frame.maps {
            let rows = map.labels().chunks_exact(width.max(1));
            for (y, row) in (0..u32::from(frame.height)).zip(rows) {
                for (x, &id) in (0..u32::from(frame.width)).zip(row) {
                    if let Some([pixels, columns, rows]) = table.get_mut(first + usize::from(id)) {
                        *pixels += 1;
                        *columns = with(*columns, x);
                        *rows = with(*rows, y);
                    }
                }
            }
            first += usize::from(map.count());
        }
        Self {
            maps: frame.maps,
            table,
            left: labels.len(),
            labels,
            width,
        }
    }

    /// Pastes a segment unless `dropped` says otherwise, which is asked with the number of its pixels that are not
    /// claimed.
    fn paste(&mut self, segment: &Segment<'_>, class: u8, dropped: impl FnOnce(u32) -> bool) {
        match *segment {
            Segment::Runs(runs) => {
                let mut unclaimed = 0;
                for run in runs {
                    let pixels = self.row(run.y.into(), run.x0.into(), run.x1.into());
                    unclaimed += pixels.filter(|&at| self.is_free(at)).count();
                }
                if unclaimed == 0 || dropped(u32::try_from(unclaimed).unwrap_or(u32::MAX)) {
                    return;
                }
                for run in runs {
                    for at in self.row(run.y.into(), run.x0.into(), run.x1.into()) {
                        self.claim(at, class);
                    }
                }
            }
            Segment::Superpixels { map, members } => {
                let maps = self.maps;
                let Some(labels) = maps.get(map).map(SuperpixelMap::labels) else {
                    return;
                };
                let first = super::superpixels(maps.get(..map).unwrap_or(&[]));
                let (mut unclaimed, mut columns, mut rows) = (0, 0xFFFF, 0xFFFF);
                for &id in members {
                    let record = self.table.get_mut(first + usize::from(id));
                    if let Some([pixels, c, r]) = record
                        && *pixels & MEMBER == 0
                        && *pixels > 0
                    {
                        unclaimed += *pixels;
                        *pixels |= MEMBER;
                        columns = with(with(columns, *c & 0xFFFF), *c >> 16);
                        rows = with(with(rows, *r & 0xFFFF), *r >> 16);
                    }
                }
                if unclaimed > 0 && !dropped(unclaimed) {
                    let (left, right) = (columns & 0xFFFF, columns >> 16);
                    for y in rows & 0xFFFF..=rows >> 16 {
                        for at in self.row(y as usize, left as usize, right as usize + 1) {
                            let id = labels.get(at).map(|&id| first + usize::from(id));
                            let record = id.and_then(|id| self.table.get(id));
                            if record.is_some_and(|[pixels, ..]| pixels & MEMBER != 0) {
                                self.claim(at, class);
                            }
                        }
                    }
                }
                for &id in members {
                    if let Some([pixels, ..]) = self.table.get_mut(first + usize::from(id)) {
                        *pixels &= !MEMBER;
                    }
                }
            }
        }
    }

    /// Indices of the pixels `x0 .. x1` of row `y`.
    fn row(&self, y: usize, x0: usize, x1: usize) -> core::ops::Range<usize> {
        let start = y * self.width;
        start + x0..start + x1
    }

    fn is_free(&self, at: usize) -> bool {
        self.labels.get(at) == Some(&VOID)
    }

    /// Gives a pixel a class unless it has one.
    fn claim(&mut self, at: usize, class: u8) {
        let Some(label) = self.labels.get_mut(at).filter(|label| **label == VOID) else {
            return;
        };
        *label = class;
        self.left = self.left.saturating_sub(1);
        let mut first = 0;
        for map in self.maps {
            let id = map.labels().get(at).map(|&id| first + usize::from(id));
            if let Some([pixels, ..]) = id.and_then(|id| self.table.get_mut(id)) {
                // Never below 0: this pixel was counted. The bit of members stays.
                *pixels = pixels.wrapping_sub(1);
            }
            first += usize::from(map.count());
        }
    }
}

/// Extends the bounds `first | last << 16`; those of nothing are 0xFFFF.
fn with(bounds: u32, at: u32) -> u32 {
    (bounds & 0xFFFF).min(at) | (bounds >> 16).max(at) << 16
}

impl Scores {
    fn rank(&self, scored: &ScoredSegment<'_>, index: usize) -> Rank {
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
            return [u32::MAX; 4];
        };
        let score = match self.classifier {
            Classifier::Softmax => {
                let p = self.of(scored.logits);
                p.get(class).map_or(0, |p| i32::from(p.to_bits()))
            }
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
}
