//! From the scores of segments to the labels of pixels, pixel by pixel.

use std::cmp::Reverse;

use cfm_core::model::{ClassKind, Classifier, LabellingRule};

use super::pixels::PixelSet;

/// The label of a pixel that no class claims.
pub const VOID: u8 = 255;

/// What labelling knows of a segment.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    /// Its pixels.
    pub pixels: &'a PixelSet,
    /// The classifier's outputs.
    pub logits: &'a [i16],
    /// Softmax probabilities as U0F16 bits; empty for an SVM.
    pub probabilities: &'a [u16],
}

impl Scored<'_> {
    /// The score of a class in a vote.
    fn share(&self, classifier: Classifier, class: usize) -> u16 {
        match classifier {
            Classifier::Softmax => self.probabilities[class],
            Classifier::Svm => u16::try_from(self.logits[class]).unwrap_or(0) * 2,
        }
    }
}

/// The class of every pixel of an image of `height` x `width` pixels.
#[must_use]
pub fn label(
    rule: LabellingRule,
    classifier: Classifier,
    kinds: &[ClassKind],
    segments: &[Scored<'_>],
    (height, width): (u16, u16),
) -> Vec<u8> {
    let pixels = usize::from(height) * usize::from(width);
    match rule {
        LabellingRule::Paste => paste(classifier, kinds, segments, pixels, width),
        LabellingRule::Vote {
            power,
            by_root_area,
        } => {
            let weight = |segment: &Scored<'_>, class| {
                let share = segment.share(classifier, class);
                vote_weight(share, segment.pixels.area(), power, by_root_area)
            };
            vote(kinds, segments, pixels, width, weight)
        }
    }
}

/// A sort key by which a better segment is smaller.
type Rank = (bool, Reverse<i32>, u32, usize);

fn paste(
    classifier: Classifier,
    kinds: &[ClassKind],
    segments: &[Scored<'_>],
    pixels: usize,
    width: u16,
) -> Vec<u8> {
    let mut best: Vec<Option<(Rank, u8)>> = vec![None; pixels];
    for (index, segment) in segments.iter().enumerate() {
        let largest = |background: bool| {
            (0..kinds.len())
                .filter(|&class| (kinds[class] == ClassKind::Background) == background)
                .map(|class| segment.logits[class])
                .max()
        };
        let Some(top) = largest(false) else {
            continue;
        };
        let class = (0..kinds.len())
            .find(|&class| kinds[class] != ClassKind::Background && segment.logits[class] == top)
            .unwrap_or(0);
        let score = match classifier {
            Classifier::Softmax => i32::from(segment.probabilities[class]),
            Classifier::Svm => i32::from(segment.logits[class]),
        };
        let background_wins = largest(true).is_some_and(|background| background > top);
        let rank = (
            background_wins,
            Reverse(score),
            segment.pixels.area(),
            index,
        );
        for &(y, x) in &segment.pixels.pixels {
            let pixel = &mut best[usize::from(y) * usize::from(width) + usize::from(x)];
            if pixel.is_none_or(|(other, _)| rank < other) {
                *pixel = Some((rank, class as u8));
            }
        }
    }
    best.into_iter()
        .map(|pixel| pixel.map_or(VOID, |(_, class)| class))
        .collect()
}

/// The weight of a segment's vote for a class with score `share` (U0F16 bits): `share^power / sqrt(area)` in fixed
/// point, every step rounded down.
fn vote_weight(share: u16, area: u32, power: u8, by_root_area: bool) -> u32 {
    let mut x = u128::from(share) * 65536;
    for _ in 1..power {
        x = x * u128::from(share) / 65536;
    }
    if by_root_area {
        x = x * 256 / floor_root(u128::from(area) * 65536);
    }
    u32::try_from(x / 4096).unwrap_or(u32::MAX)
}

/// The largest integer whose square is at most `value`.
fn floor_root(value: u128) -> u128 {
    let mut root = (value as f64).sqrt() as u128;
    while root * root > value {
        root -= 1;
    }
    while (root + 1) * (root + 1) <= value {
        root += 1;
    }
    root
}

fn vote(
    kinds: &[ClassKind],
    segments: &[Scored<'_>],
    pixels: usize,
    width: u16,
    weight: impl Fn(&Scored<'_>, usize) -> u32,
) -> Vec<u8> {
    let classes = kinds.len();
    let mut votes = vec![0_u128; pixels * classes];
    for segment in segments {
        let weights: Vec<u128> = (0..classes)
            .map(|class| match kinds[class] {
                ClassKind::Background => 0,
                ClassKind::Object | ClassKind::Stuff => weight(segment, class).into(),
            })
            .collect();
        for &(y, x) in &segment.pixels.pixels {
            let pixel = usize::from(y) * usize::from(width) + usize::from(x);
            let sums = &mut votes[pixel * classes..(pixel + 1) * classes];
            for (sum, weight) in sums.iter_mut().zip(&weights) {
                *sum += weight;
            }
        }
    }
    votes
        .chunks_exact(classes.max(1))
        .map(|sums| {
            // Sums saturate at 32 bits; a tie goes to the smaller class.
            let (class, most) = sums
                .iter()
                .map(|&sum| sum.min(u128::from(u32::MAX)))
                .enumerate()
                .min_by_key(|&(_, sum)| Reverse(sum))
                .unwrap_or((0, 0));
            if most == 0 { VOID } else { class as u8 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ClassKind; 3] = [ClassKind::Stuff, ClassKind::Background, ClassKind::Object];

    fn pixels(columns: std::ops::Range<u16>) -> PixelSet {
        PixelSet {
            rows: (0, 0),
            columns: (columns.start, columns.end - 1),
            pixels: columns.map(|x| (0, x)).collect(),
        }
    }

    fn svm<'a>(pixels: &'a PixelSet, logits: &'a [i16]) -> Scored<'a> {
        Scored {
            pixels,
            logits,
            probabilities: &[],
        }
    }

    fn labels(rule: LabellingRule, segments: &[Scored<'_>]) -> Vec<u8> {
        label(rule, Classifier::Svm, &KINDS, segments, (1, 6))
    }

    #[test]
    fn the_best_segment_is_pasted_on_top() {
        let (left, middle, right) = (pixels(0..3), pixels(1..5), pixels(2..5));
        let segments = [
            svm(&left, &[10, 0, 9]),
            // Background wins, so this one lies below all others.
            svm(&middle, &[90, 91, 0]),
            svm(&right, &[-9, -8, 10]),
        ];
        // Equal scores, equal areas: the earlier segment wins pixel 2.
        assert_eq!(
            labels(LabellingRule::Paste, &segments),
            [0, 0, 0, 2, 2, VOID]
        );
        // Equal classes tie to the smaller; a background that only ties does not win.
        let tied = [svm(&left, &[7, 7, 7]), svm(&middle, &[6, 0, 8])];
        assert_eq!(labels(LabellingRule::Paste, &tied), [0, 2, 2, 2, 2, VOID]);
    }

    #[test]
    fn votes_add_up() {
        let (left, right) = (pixels(0..3), pixels(2..5));
        let rule = LabellingRule::Vote {
            power: 1,
            by_root_area: false,
        };
        let segments = [
            svm(&left, &[100, 300, 90]),
            svm(&right, &[-5, 0, 20]),
            svm(&right, &[-5, 0, -7]),
        ];
        // Pixel 2: 100 against 90 + 20.
        assert_eq!(labels(rule, &segments), [0, 0, 2, 2, 2, VOID]);
        // No positive margin, no vote.
        assert_eq!(labels(rule, &[svm(&left, &[0, 5, -1])]), [VOID; 6]);
    }

    #[test]
    fn weights_by_hand() {
        // 0.5 as U0F32 is 2^31; in steps of 2^-20.
        assert_eq!(vote_weight(1 << 15, 1, 1, false), 1 << 19);
        assert_eq!(vote_weight(1 << 15, 1, 3, false), 1 << 17);
        // Divided by the root of 4, with 8 bits more of fraction than of root: 2^31 * 2^8 / 2^9.
        assert_eq!(vote_weight(1 << 15, 4, 1, true), 1 << 18);
        assert_eq!(vote_weight(65535, 1, 1, true), (65535 << 16) >> 12);
        assert_eq!(floor_root(24), 4);
        assert_eq!(floor_root(25), 5);
    }
}
