//! Refinement by superpixels: sums over the pixels of each superpixel, and the class with the largest.

use super::VOID;
use crate::segment::SuperpixelMap;

/// Words per sum: a 64-bit number, low half first. (2^26 pixels times 32 bits of votes need 58.)
const SUM: usize = 2;

/// Words of memory for the sums of a map.
pub(super) fn words(map: &SuperpixelMap<'_>, classes: usize) -> usize {
    usize::from(map.count())
        .saturating_mul(classes)
        .saturating_mul(SUM)
}

/// One sum per superpixel and class.
pub(super) struct Sums<'m> {
    sums: &'m mut [[u32; SUM]],
    classes: usize,
}

impl<'m> Sums<'m> {
    /// Empty sums in [`words`] words.
    pub(super) fn new(memory: &'m mut [u32], classes: usize) -> Self {
        let (sums, _) = memory.as_chunks_mut();
        sums.fill([0; SUM]);
        Self { sums, classes }
    }

    /// Adds a pixel's votes for the classes from `first` on to those of superpixel `id`.
    pub(super) fn add(&mut self, id: u16, first: usize, votes: &[u32]) {
        let at = usize::from(id) * self.classes + first;
        let sums = self.sums.get_mut(at..).unwrap_or(&mut []);
        for (words, &votes) in sums.iter_mut().zip(votes) {
            let sum = value(*words).saturating_add(votes.into());
            *words = [sum as u32, (sum >> 32) as u32];
        }
    }

    /// Gives every pixel the class of its superpixel in `map`.
    pub(super) fn assign(self, map: &SuperpixelMap<'_>, labels: &mut [u8]) {
        // The verdict takes the place of the superpixel's first sum.
        for sums in self.sums.chunks_exact_mut(self.classes.max(1)) {
            let label = best(sums.iter().map(|&words| value(words)));
            if let Some(first) = sums.first_mut() {
                *first = [label.into(), 0];
            }
        }
        for (label, &id) in labels.iter_mut().zip(map.labels()) {
            let verdict = self.sums.get(usize::from(id) * self.classes);
            *label = verdict
                .and_then(|&[label, _]| u8::try_from(label).ok())
                .unwrap_or(VOID);
        }
    }
}

fn value([low, high]: [u32; SUM]) -> u64 {
    u64::from(low) | (u64::from(high) << 32)
}

/// The class with the largest sum, the smallest of equals; [`VOID`] if all are 0.
pub(super) fn best(sums: impl Iterator<Item = u64>) -> u8 {
    let mut best = (0, VOID);
    for (class, sum) in (0..VOID).zip(sums) {
        if sum > best.0 {
            best = (sum, class);
        }
    }
    best.1
}
