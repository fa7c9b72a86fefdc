//! How labels compare with the truth.

use crate::data::IGNORE;

/// Pixels by true class and labelled class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// One row per true class; the last column is "no label".
    counts: Vec<u64>,
}

impl Confusion {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self {
            classes,
            counts: vec![0; classes * (classes + 1)],
        }
    }

    /// Counts pixels; those whose truth is [`IGNORE`] are left out, labels beyond the classes are wrong.
    pub fn add(&mut self, truth: &[u8], labels: &[u8]) {
        for (&truth, &label) in truth.iter().zip(labels) {
            if truth != IGNORE {
                let label = usize::from(label).min(self.classes);
                self.counts[usize::from(truth) * (self.classes + 1) + label] += 1;
            }
        }
    }

    /// Adds another count.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// Intersection over union of each class; `None` for a class that occurs neither in truth nor in labels.
    #[must_use]
    pub fn iou(&self) -> Vec<Option<f64>> {
        let at = |truth: usize, label: usize| self.counts[truth * (self.classes + 1) + label];
        (0..self.classes)
            .map(|class| {
                let truth: u64 = (0..=self.classes).map(|label| at(class, label)).sum();
                let labelled: u64 = (0..self.classes).map(|truth| at(truth, class)).sum();
                let both = at(class, class);
                let union = truth + labelled - both;
                (union > 0).then(|| both as f64 / union as f64)
            })
            .collect()
    }

    /// Mean of the classes' intersections over unions.
    #[must_use]
    pub fn mean_iou(&self) -> f64 {
        let iou: Vec<f64> = self.iou().into_iter().flatten().collect();
        iou.iter().sum::<f64>() / iou.len().max(1) as f64
    }

    /// Share of the pixels that are labelled right.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.classes)
            .map(|class| self.counts[class * (self.classes + 1) + class])
            .sum();
        right as f64 / self.counts.iter().sum::<u64>().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures() {
        let mut confusion = Confusion::new(3);
        confusion.add(&[0, 0, 1, 1, IGNORE], &[0, 1, 1, 255, 0]);
        assert_eq!(confusion.iou(), [Some(0.5), Some(1.0 / 3.0), None]);
        assert!((confusion.mean_iou() - 5.0 / 12.0).abs() < 1e-12);
        assert!((confusion.accuracy() - 0.5).abs() < 1e-12);
        let mut twice = confusion.clone();
        twice.merge(&confusion);
        assert_eq!(twice.iou(), confusion.iou());
    }
}
