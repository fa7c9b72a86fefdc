//! From the scores of segments to the labels of pixels, pixel by pixel.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use cfm_core::model::{AreaFactor, ClassKind, Classifier, Combination};
use fixed::types::U0F16;

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

/// What is labelled, besides the segments.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// What the logits mean.
    pub classifier: Classifier,
    /// The kind of every class.
    pub kinds: &'a [ClassKind],
    /// Rows of the image.
    pub height: u16,
    /// Columns of the image.
    pub width: u16,
    /// The superpixel of every pixel, row-major, if labels are refined.
    pub superpixels: Option<&'a [u16]>,
}

/// The class of every pixel.
#[must_use]
pub fn label(combination: Combination, scene: &Scene<'_>, segments: &[Scored<'_>]) -> Vec<u8> {
    let width = usize::from(scene.width);
    let pixels = usize::from(scene.height) * width;
    let rows = rows(combination, scene, segments);
    let Some(ids) = scene.superpixels else {
        let mut labels = Vec::with_capacity(pixels);
        rows.each(|votes| labels.extend(votes.iter().map(|votes| most(votes))));
        return labels;
    };
    let mut sums: BTreeMap<u16, Vec<u128>> = BTreeMap::new();
    let mut rest = ids.chunks(width.max(1));
    rows.each(|votes| {
        for (id, votes) in rest.next().unwrap_or(&[]).iter().zip(votes) {
            let sum = sums.entry(*id).or_insert_with(|| vec![0; votes.len()]);
            for (sum, votes) in sum.iter_mut().zip(votes) {
                *sum += votes;
            }
        }
    });
    ids.iter().map(|id| most(&sums[id])).collect()
}

/// What gives a row of pixels its votes. Those of the whole image, for every class, would take gigabytes.
struct Rows<'a> {
    scene: &'a Scene<'a>,
    from: Votes<'a>,
}

enum Votes<'a> {
    /// The class pasted onto every pixel, which counts as one vote for it.
    Pasted(Vec<Option<usize>>),
    /// Segments, the pixels of each row by row, with the weight of each vote.
    Weighted(Vec<(&'a PixelSet, Vec<u32>)>),
}

fn rows<'a>(combination: Combination, scene: &'a Scene<'a>, segments: &[Scored<'a>]) -> Rows<'a> {
    let from = match combination {
        Combination::Paste { inhibition } => Votes::Pasted(paste(inhibition, scene, segments)),
        Combination::Vote {
            power,
            area,
            purity,
        } => {
            let weight = |segment: &Scored<'_>, class| {
                let foreground =
                    (0..scene.kinds.len()).filter(|&c| scene.kinds[c] != ClassKind::Background);
                let shares = foreground.map(|c| segment.share(scene.classifier, c));
                let factors = Factors {
                    score: (segment.share(scene.classifier, class), power),
                    purity: (shares.max().unwrap_or(0), purity),
                    area: (segment.pixels.area(), area),
                };
                factors.weight()
            };
            let weights = |segment: &Scored<'_>| {
                let kinds = scene.kinds.iter().enumerate();
                let weights = kinds.map(|(class, kind)| match kind {
                    ClassKind::Background => 0,
                    ClassKind::Object | ClassKind::Stuff => weight(segment, class),
                });
                weights.collect()
            };
            let segments = segments.iter();
            Votes::Weighted(segments.map(|s| (s.pixels, weights(s))).collect())
        }
    };
    Rows { scene, from }
}

impl Rows<'_> {
    /// Calls `with` with the votes of every pixel of a row, by class, row after row.
    fn each(&self, mut with: impl FnMut(&[Vec<u128>])) {
        let width = usize::from(self.scene.width);
        let mut votes = vec![vec![0_u128; self.scene.kinds.len()]; width];
        // How many pixels of each segment lie in earlier rows.
        let mut earlier = match &self.from {
            Votes::Pasted(_) => Vec::new(),
            Votes::Weighted(segments) => vec![0; segments.len()],
        };
        for y in 0..self.scene.height {
            for votes in &mut votes {
                votes.fill(0);
            }
            match &self.from {
                Votes::Pasted(painted) => {
                    let row = &painted[usize::from(y) * width..];
                    for (votes, class) in votes.iter_mut().zip(row) {
                        if let Some(class) = *class {
                            votes[class] = 1;
                        }
                    }
                }
                Votes::Weighted(segments) => {
                    for ((segment, weights), earlier) in segments.iter().zip(&mut earlier) {
                        let rest = &segment.pixels[*earlier..];
                        for &(_, x) in rest.iter().take_while(|pixel| pixel.0 == y) {
                            *earlier += 1;
                            let sums = &mut votes[usize::from(x)];
                            for (sum, &weight) in sums.iter_mut().zip(weights) {
                                // Sums saturate at 32 bits.
                                *sum = (*sum + u128::from(weight)).min(u32::MAX.into());
                            }
                        }
                    }
                }
            }
            with(&votes);
        }
    }
}

/// The class with most votes, the smaller of equals.
fn most(votes: &[u128]) -> u8 {
    match votes.iter().enumerate().min_by_key(|&(_, n)| Reverse(n)) {
        Some((class, &votes)) if votes > 0 => class as u8,
        _ => VOID,
    }
}

/// A sort key by which a better segment is smaller.
type Rank = (bool, Reverse<i32>, u32, usize);

fn paste(inhibition: U0F16, scene: &Scene<'_>, segments: &[Scored<'_>]) -> Vec<Option<usize>> {
    let pixels = usize::from(scene.height) * usize::from(scene.width);
    let kinds = scene.kinds;
    let mut ranked: Vec<(Rank, usize)> = Vec::new();
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
        let score = match scene.classifier {
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
        ranked.push((rank, class));
    }
    ranked.sort_unstable();
    let mut painted = vec![None; pixels];
    for ((.., index), class) in ranked {
        let of_segment: Vec<usize> = segments[index]
            .pixels
            .pixels
            .iter()
            .map(|&(y, x)| usize::from(y) * usize::from(scene.width) + usize::from(x))
            .collect();
        let claimed = of_segment.iter().filter(|&&at| painted[at].is_some());
        // Both products are integers below 2^53.
        let share = inhibition.to_num::<f64>() * of_segment.len() as f64;
        if inhibition > 0 && claimed.count() as f64 >= share {
            continue;
        }
        for at in of_segment {
            painted[at].get_or_insert(class);
        }
    }
    painted
}

/// What a weight is made of.
struct Factors {
    /// The class's score (U0F16 bits) and its power.
    score: (u16, u8),
    /// The segment's purity (U0F16 bits) and its power.
    purity: (u16, u8),
    /// The segment's area and what it does.
    area: (u32, AreaFactor),
}

impl Factors {
    /// The weight of a segment's vote, in fixed point, every step rounded down.
    fn weight(&self) -> u32 {
        let (score, power) = self.score;
        let (purity, purity_power) = self.purity;
        let mut x = u128::from(score) * 65536;
        for _ in 1..power {
            x = x * u128::from(score) / 65536;
        }
        for _ in 0..purity_power {
            x = x * u128::from(purity) / 65536;
        }
        let area = u128::from(self.area.0);
        x = match self.area.1 {
            AreaFactor::One => x,
            AreaFactor::InverseRoot => x * 256 / floor_root(area * 65536),
            AreaFactor::Inverse => x * 64 / area,
        };
        u32::try_from(x / 4096).unwrap_or(u32::MAX)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ClassKind; 3] = [ClassKind::Stuff, ClassKind::Background, ClassKind::Object];

    const PASTE: Combination = Combination::Paste {
        inhibition: U0F16::ZERO,
    };

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

    fn refined(
        combination: Combination,
        segments: &[Scored<'_>],
        superpixels: Option<&[u16]>,
    ) -> Vec<u8> {
        let scene = Scene {
            classifier: Classifier::Svm,
            kinds: &KINDS,
            height: 1,
            width: 6,
            superpixels,
        };
        label(combination, &scene, segments)
    }

    fn labels(combination: Combination, segments: &[Scored<'_>]) -> Vec<u8> {
        refined(combination, segments, None)
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
        assert_eq!(labels(PASTE, &segments), [0, 0, 0, 2, 2, VOID]);
        // Equal classes tie to the smaller; a background that only ties does not win.
        let tied = [svm(&left, &[7, 7, 7]), svm(&middle, &[6, 0, 8])];
        assert_eq!(labels(PASTE, &tied), [0, 2, 2, 2, 2, VOID]);
    }

    #[test]
    fn a_segment_that_is_mostly_claimed_is_dropped() {
        let (left, middle, right) = (pixels(0..3), pixels(1..5), pixels(3..6));
        let segments = [
            svm(&left, &[10, 0, 0]),
            svm(&middle, &[0, 0, 9]),
            svm(&right, &[8, 0, 0]),
        ];
        let inhibited = |bits| {
            let inhibition = U0F16::from_bits(bits);
            labels(Combination::Paste { inhibition }, &segments)
        };
        assert_eq!(inhibited(0), [0, 0, 0, 2, 2, 0]);
        // Half of the second segment is claimed; if it is pasted, two of the third's pixels are, otherwise none.
        assert_eq!(inhibited((1 << 15) + 1), [0, 0, 0, 2, 2, VOID]);
        assert_eq!(inhibited(1 << 15), [0, 0, 0, 0, 0, 0]);
        assert_eq!(inhibited(1), [0, 0, 0, 0, 0, 0]);
        // A dropped segment leaves its pixels to nobody.
        let inhibition = U0F16::from_bits(1);
        let two = labels(Combination::Paste { inhibition }, &segments[..2]);
        assert_eq!(two, [0, 0, 0, VOID, VOID, VOID]);
    }

    #[test]
    fn votes_add_up() {
        let (left, right) = (pixels(0..3), pixels(2..5));
        let rule = Combination::Vote {
            power: 1,
            area: AreaFactor::One,
            purity: 0,
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
    fn superpixels_take_one_class() {
        let (left, right) = (pixels(0..3), pixels(3..5));
        let segments = [svm(&left, &[100, 0, 0]), svm(&right, &[0, 0, 250])];
        let vote = Combination::Vote {
            power: 1,
            area: AreaFactor::One,
            purity: 0,
        };
        for (ids, pasted, voted) in [
            // Two pixels against one, but 200 votes against 250.
            ([5, 0, 0, 0, 1, 1], [0, 0, 0, 0, 2, 2], [0, 2, 2, 2, 2, 2]),
            // A tie goes to the smaller class, and what nobody labels stays as it is.
            (
                [0, 0, 2, 2, 2, 9],
                [0, 0, 2, 2, 2, VOID],
                [0, 0, 2, 2, 2, VOID],
            ),
            (
                [0, 0, 2, 2, 3, 9],
                [0, 0, 0, 0, 2, VOID],
                [0, 0, 2, 2, 2, VOID],
            ),
        ] {
            assert_eq!(refined(PASTE, &segments, Some(&ids)), pasted);
            assert_eq!(refined(vote, &segments, Some(&ids)), voted);
        }
    }

    #[test]
    fn weights_by_hand() {
        let weight = |score, purity, area| {
            Factors {
                score,
                purity,
                area,
            }
            .weight()
        };
        let (half, one) = (1 << 15, (1, AreaFactor::One));
        // 0.5 as U0F32 is 2^31; in steps of 2^-20.
        assert_eq!(weight((half, 1), (half, 0), one), 1 << 19);
        assert_eq!(weight((half, 3), (half, 0), one), 1 << 17);
        assert_eq!(weight((half, 1), (half, 2), one), 1 << 17);
        assert_eq!(weight((half, 1), (3 << 14, 1), one), 3 << 17);
        // Divided by the root of 4, with 8 bits more of fraction than of root: 2^31 * 2^8 / 2^9.
        let root = AreaFactor::InverseRoot;
        assert_eq!(weight((half, 1), (half, 0), (4, root)), 1 << 18);
        assert_eq!(
            weight((65535, 1), (half, 0), (1, root)),
            (65535 << 16) >> 12
        );
        // In steps of 2^-26.
        let area = AreaFactor::Inverse;
        assert_eq!(weight((half, 1), (half, 0), (4, area)), 1 << 23);
        assert_eq!(weight((half, 1), (half, 0), (3, area)), (1 << 25) / 3);
        assert_eq!(floor_root(24), 4);
        assert_eq!(floor_root(25), 5);
    }
}
