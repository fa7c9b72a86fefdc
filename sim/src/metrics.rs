//! How well labels agree with the ground truth: a confusion matrix and what follows from it.
//!
//! With `n[t][p]` the number of pixels of true class t that were given class p, `t[c]` and `p[c]` the sums of row and
//! column c, and pixels without a true class left out:
//!
//! | measure | definition |
//! |---|---|
//! | IoU of c | `n[c][c] / (t[c] + p[c] - n[c][c])`, for classes that occur in the ground truth |
//! | mIoU | the mean IoU over the classes asked for that occur in the ground truth |
//! | accuracy of c (recall) | `n[c][c] / t[c]` |
//! | class average | the mean accuracy over the same classes |
//! | global accuracy | `sum n[c][c] / sum t[c]` |
//! | frequency-weighted IoU | `sum t[c] IoU(c) / sum t[c]`, over all classes |
//!
//! A pixel that was given no class counts against its true class alone. The sums run over all images together, as is
//! usual, not image by image.

use serde::{Deserialize, Serialize};

/// Counts of (true class, given class) pairs. Serialized as a list of rows, one per true class, whose last column counts
/// pixels that were given no class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Vec<u64>>", into = "Vec<Vec<u64>>")]
pub struct Confusion {
    classes: usize,
    /// Row per true class; its last column counts pixels that were given no class.
    counts: Vec<u64>,
}

/// The rows of a matrix are not each one longer than there are rows, or their sum is beyond 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a confusion matrix: its rows are not one longer than their number, or their sum is too large"
)]
pub struct ConfusionRowsError;

impl TryFrom<Vec<Vec<u64>>> for Confusion {
    type Error = ConfusionRowsError;

    fn try_from(rows: Vec<Vec<u64>>) -> Result<Self, ConfusionRowsError> {
        let classes = rows.len();
        let sum = rows
            .iter()
            .flatten()
            .try_fold(0_u64, |sum, &count| sum.checked_add(count));
        if sum.is_none() || rows.iter().any(|row| row.len() != classes + 1) {
            return Err(ConfusionRowsError);
        }
        Ok(Self {
            classes,
            counts: rows.concat(),
        })
    }
}

impl From<Confusion> for Vec<Vec<u64>> {
    fn from(confusion: Confusion) -> Self {
        (0..confusion.classes)
            .map(|class| confusion.row(class).to_vec())
            .collect()
    }
}

impl Confusion {
    /// No pixel seen yet, of `classes` classes.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self {
            classes,
            counts: vec![0; classes * (classes + 1)],
        }
    }

    /// Number of classes.
    #[must_use]
    pub const fn classes(&self) -> usize {
        self.classes
    }

    /// Counts pixels. A true class that is `None` leaves the pixel out; a given class that is `None` is wrong.
    ///
    /// # Panics
    /// When a class is not below [`Confusion::classes`].
    pub fn add(&mut self, pixels: impl IntoIterator<Item = (Option<usize>, Option<usize>)>) {
        for (truth, given) in pixels {
            let Some(truth) = truth else { continue };
            let given = given.unwrap_or(self.classes);
            assert!(truth < self.classes && given <= self.classes);
            self.counts[truth * (self.classes + 1) + given] += 1;
        }
    }

    /// Adds the counts of another.
    ///
    /// # Panics
    /// When the numbers of classes differ.
    pub fn add_counts(&mut self, other: &Self) {
        assert_eq!(self.classes, other.classes, "the same classes");
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// The counts that are not 0, with their places: few, where an image shows few of many classes.
    pub(crate) fn sparse(&self) -> Vec<(u32, u64)> {
        let counts = (0..).zip(self.counts.iter().copied());
        counts.filter(|&(_, count)| count > 0).collect()
    }

    /// Adds [`sparse`](Self::sparse) counts of a matrix of the same classes.
    pub(crate) fn add_sparse(&mut self, counts: &[(u32, u64)]) {
        for &(place, count) in counts {
            self.counts[place as usize] += count;
        }
    }

    /// The counts of both.
    ///
    /// # Panics
    /// When the numbers of classes differ.
    #[must_use]
    pub fn merged(mut self, other: &Self) -> Self {
        self.add_counts(other);
        self
    }

    /// Pixels of true class `truth` that were given class `given`.
    #[must_use]
    pub fn count(&self, truth: usize, given: usize) -> u64 {
        self.row(truth)[given]
    }

    /// Pixels whose true class is known.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn row(&self, class: usize) -> &[u64] {
        &self.counts[class * (self.classes + 1)..(class + 1) * (self.classes + 1)]
    }

    /// Pixels of a true class.
    #[must_use]
    pub fn truth(&self, class: usize) -> u64 {
        self.row(class).iter().sum()
    }

    /// Pixels that were given a class.
    #[must_use]
    pub fn given(&self, class: usize) -> u64 {
        (0..self.classes)
            .map(|truth| self.count(truth, class))
            .sum()
    }

    /// Intersection over union of a class; `None` if the ground truth lacks it.
    #[must_use]
    pub fn iou(&self, class: usize) -> Option<f64> {
        let both = self.count(class, class);
        let truth = self.truth(class);
        ratio(both, truth + self.given(class) - both).filter(|_| truth > 0)
    }

    /// Share of a class's pixels that were found; `None` if the ground truth lacks it.
    #[must_use]
    pub fn accuracy(&self, class: usize) -> Option<f64> {
        ratio(self.count(class, class), self.truth(class))
    }

    /// Mean IoU over those of `classes` that the ground truth has; `None` if it has none.
    #[must_use]
    pub fn mean_iou(&self, classes: &[usize]) -> Option<f64> {
        mean(classes.iter().filter_map(|&class| self.iou(class)))
    }

    /// Mean accuracy over those of `classes` that the ground truth has; `None` if it has none.
    #[must_use]
    pub fn class_accuracy(&self, classes: &[usize]) -> Option<f64> {
        mean(classes.iter().filter_map(|&class| self.accuracy(class)))
    }

    /// Share of all pixels that were given their true class; `None` without pixels.
    #[must_use]
    pub fn global_accuracy(&self) -> Option<f64> {
        let right = (0..self.classes)
            .map(|class| self.count(class, class))
            .sum();
        ratio(right, self.total())
    }

    /// IoU averaged over the pixels' true classes; `None` without pixels.
    #[must_use]
    pub fn frequency_weighted_iou(&self) -> Option<f64> {
        let total = self.total();
        let sum: f64 = (0..self.classes)
            .filter_map(|class| Some(self.iou(class)? * self.truth(class) as f64))
            .sum();
        (total > 0).then(|| sum / total as f64)
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Pixels = Vec<(Option<usize>, Option<usize>)>;

    fn confusion(pixels: &Pixels) -> Confusion {
        let mut confusion = Confusion::new(4);
        confusion.add(pixels.iter().copied());
        confusion
    }

    fn pixels() -> impl Strategy<Value = Pixels> {
        let class = || proptest::option::weighted(0.8, 0..4_usize);
        proptest::collection::vec((class(), class()), 0..60)
    }

    /// The measures from the sets of pixels, without a matrix.
    fn iou_by_sets(pixels: &Pixels, class: usize) -> Option<f64> {
        let known = || pixels.iter().filter(|(truth, _)| truth.is_some());
        let truth = |p: &&(Option<usize>, Option<usize>)| p.0 == Some(class);
        let given = |p: &&(Option<usize>, Option<usize>)| p.1 == Some(class);
        let both = known().filter(|p| truth(p) && given(p)).count();
        let either = known().filter(|p| truth(p) || given(p)).count();
        (known().any(|p| truth(&p))).then(|| both as f64 / either as f64)
    }

    proptest! {
        #[test]
        fn measures_equal_their_definitions(pixels in pixels()) {
            let confusion = confusion(&pixels);
            let known: Vec<_> = pixels.iter().filter(|p| p.0.is_some()).collect();
            prop_assert_eq!(confusion.total(), known.len() as u64);
            let mut ious = Vec::new();
            let mut weighted = 0.0;
            for class in 0..4 {
                let expected = iou_by_sets(&pixels, class);
                prop_assert_eq!(confusion.iou(class), expected);
                let of_class = known.iter().filter(|p| p.0 == Some(class)).count();
                let found = known.iter().filter(|p| p.0 == Some(class) && p.1 == p.0).count();
                let accuracy = (of_class > 0).then(|| found as f64 / of_class as f64);
                prop_assert_eq!(confusion.accuracy(class), accuracy);
                weighted += expected.unwrap_or(0.0) * of_class as f64;
                if class != 2 {
                    ious.extend(expected);
                }
            }
            let mean = (!ious.is_empty()).then(|| ious.iter().sum::<f64>() / ious.len() as f64);
            prop_assert_eq!(confusion.mean_iou(&[0, 1, 3]), mean);
            if known.is_empty() {
                prop_assert_eq!(confusion.global_accuracy(), None);
                prop_assert_eq!(confusion.frequency_weighted_iou(), None);
            } else {
                let right = known.iter().filter(|p| p.0 == p.1).count() as f64;
                prop_assert_eq!(confusion.global_accuracy(), Some(right / known.len() as f64));
                let fwiou = confusion.frequency_weighted_iou().unwrap();
                prop_assert!((fwiou - weighted / known.len() as f64).abs() < 1e-12);
            }
        }

        #[test]
        fn parts_merge_to_the_whole(a in pixels(), b in pixels()) {
            let whole: Pixels = a.iter().chain(&b).copied().collect();
            prop_assert_eq!(confusion(&a).merged(&confusion(&b)), confusion(&whole));
        }
    }

    #[test]
    fn a_worked_example() {
        // truth 0 0 0 1 1 -, given 0 0 1 1 none 0
        let pixels = vec![
            (Some(0), Some(0)),
            (Some(0), Some(0)),
            (Some(0), Some(1)),
            (Some(1), Some(1)),
            (Some(1), None),
            (None, Some(0)),
        ];
        let confusion = confusion(&pixels);
        assert_eq!(confusion.iou(0), Some(2.0 / 3.0));
        assert_eq!(confusion.iou(1), Some(1.0 / 3.0));
        assert_eq!(confusion.iou(2), None);
        assert_eq!(confusion.mean_iou(&[0, 1, 2, 3]), Some(0.5));
        assert_eq!(confusion.global_accuracy(), Some(0.6));
        assert_eq!(
            confusion.class_accuracy(&[0, 1]),
            Some((2.0 / 3.0 + 0.5) / 2.0)
        );
        let fwiou = confusion.frequency_weighted_iou().unwrap();
        assert!((fwiou - (3.0 * 2.0 / 3.0 + 2.0 / 3.0) / 5.0).abs() < 1e-12);
    }
}
