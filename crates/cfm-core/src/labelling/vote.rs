//! Voting: weights summed over the superpixels first and over the pixels last, so that segments made of superpixels
//! cost next to nothing. Segments given as runs are looked at once per row of the image.

use fixed::types::U0F16;
use heapless::Vec;

use super::refine::{Sums, best};
use super::{Frame, LabelError, ScoredSegment, Scores};
use crate::model::AreaFactor;
use crate::model::format::MAX_CLASSES;
use crate::segment::{Segment, SuperpixelMap};

/// How the weight of a vote is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ballot {
    pub(super) power: u8,
    pub(super) area: AreaFactor,
    pub(super) purity: u8,
}

/// Words for one sum per class, superpixel and column.
pub(super) fn words(superpixels: usize, width: usize, classes: usize) -> usize {
    superpixels.saturating_add(width).saturating_mul(classes)
}

pub(super) fn vote<'s, F: Fn(usize) -> ScoredSegment<'s>>(
    frame: &Frame<'_, F>,
    ballot: Ballot,
    refinement: Option<&SuperpixelMap<'_>>,
    memory: &mut [u32],
    labels: &mut [u8],
) -> Result<(), LabelError> {
    let classes = frame.classes();
    let width = usize::from(frame.width);
    let superpixels = super::superpixels(frame.maps);
    let (line, rest) = memory
        .split_at_mut_checked(width * classes)
        .ok_or(LabelError::Memory)?;
    let (table, rest) = rest
        .split_at_mut_checked(superpixels * classes)
        .ok_or(LabelError::Memory)?;
    let mut refined = refinement.map(|map| (map, Sums::new(rest, classes)));

    table.fill(0);
    let mut has_runs = false;
    for i in 0..frame.count {
        let scored = frame.checked(i)?;
        let Segment::Superpixels { map, members } = scored.segment else {
            has_runs = true;
            continue;
        };
        let weights = ballot.weights(&frame.scores, &scored);
        let first = frame.superpixels_before(map);
        for &id in members {
            let at = (first + usize::from(id)) * classes;
            add(table.get_mut(at..at + classes), &weights);
        }
    }

    for (y, label_row) in (0..frame.height).zip(labels.chunks_exact_mut(width.max(1))) {
        line.fill(0);
        if has_runs {
            add_runs(frame, ballot, y, line);
        }
        let start = usize::from(y) * width;
        let mut first = 0;
        for map in frame.maps {
            let ids = map.labels().get(start..start + width).unwrap_or(&[]);
            for (sums, &id) in line.chunks_exact_mut(classes.max(1)).zip(ids) {
                let at = (first + usize::from(id)) * classes;
                add(Some(sums), table.get(at..at + classes).unwrap_or(&[]));
            }
            first += usize::from(map.count());
        }
        let sums = line.chunks_exact(classes.max(1));
        match &mut refined {
            Some((map, refined)) => {
                let ids = map.labels().get(start..start + width).unwrap_or(&[]);
                for (votes, &id) in sums.zip(ids) {
                    refined.add(id, 0, votes);
                }
            }
            None => {
                for (label, votes) in label_row.iter_mut().zip(sums) {
                    *label = best(votes.iter().copied().map(u64::from));
                }
            }
        }
    }
    if let Some((map, refined)) = refined {
        refined.assign(map, labels);
    }
    Ok(())
}

/// Adds the votes of all segments given as runs to the sums of row `y`.
fn add_runs<'s, F: Fn(usize) -> ScoredSegment<'s>>(
    frame: &Frame<'_, F>,
    ballot: Ballot,
    y: u16,
    line: &mut [u32],
) {
    let classes = frame.classes();
    for i in 0..frame.count {
        let scored = (frame.segment)(i);
        let Segment::Runs(runs) = scored.segment else {
            continue;
        };
        let start = runs.partition_point(|run| run.y < y);
        let row = runs.get(start..).unwrap_or(&[]);
        let mut row = row.iter().take_while(|run| run.y == y).peekable();
        if row.peek().is_none() {
            continue;
        }
        let weights = ballot.weights(&frame.scores, &scored);
        for run in row {
            let pixels = usize::from(run.x0) * classes..usize::from(run.x1) * classes;
            let pixels = line.get_mut(pixels).unwrap_or(&mut []);
            for sums in pixels.chunks_exact_mut(classes.max(1)) {
                add(Some(sums), &weights);
            }
        }
    }
}

fn add(sums: Option<&mut [u32]>, votes: &[u32]) {
    for (sum, &votes) in sums.unwrap_or(&mut []).iter_mut().zip(votes) {
        *sum = sum.saturating_add(votes);
    }
}

impl Ballot {
    /// What a segment adds to every class.
    fn weights(self, scores: &Scores, scored: &ScoredSegment<'_>) -> Vec<u32, MAX_CLASSES> {
        let p = scores.of(scored.logits);
        let foreground = p.iter().zip(&scores.background).filter(|(_, bg)| !**bg);
        let purity = foreground.map(|(p, _)| *p).max().unwrap_or(U0F16::ZERO);
        // The weight's denominator, and by how many bits the numerator is shifted.
        let (divisor, shift) = match self.area {
            AreaFactor::One => (1, 0),
            AreaFactor::InverseRoot => ((u64::from(scored.area) << 16).isqrt(), 8),
            AreaFactor::Inverse => (scored.area.into(), 6),
        };
        let mut weights = Vec::new();
        for (&p, &background) in p.iter().zip(&scores.background) {
            let weight = if background {
                0
            } else {
                let x = self.numerator(p, purity) << shift;
                let x = x.checked_div(divisor).unwrap_or(0);
                u32::try_from(x >> 12).unwrap_or(u32::MAX)
            };
            // There is room: `p` has as many items at most.
            let _ = weights.push(weight);
        }
        weights
    }

    /// `p^power * purity^k` in 2^-32, every step rounded down.
    fn numerator(self, p: U0F16, purity: U0F16) -> u64 {
        let (p, purity) = (u64::from(p.to_bits()), u64::from(purity.to_bits()));
        let mut x = p << 16;
        for _ in 1..self.power {
            x = (x * p) >> 16;
        }
        for _ in 0..self.purity {
            x = (x * purity) >> 16;
        }
        x
    }
}
