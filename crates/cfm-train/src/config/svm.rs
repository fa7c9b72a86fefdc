//! The support vector machines.

use serde::{Deserialize, Serialize};

/// Training of the support vector machines; see [`crate::svm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SvmConfig {
    /// Cost of a violated margin, for features whose mean squared length is 1.
    pub cost: f64,
    /// How much more a positive costs than a negative.
    pub positive_weight: f64,
    /// Negatives that the first round draws at random, per positive.
    pub first_negatives: usize,
    /// Most rounds of mining hard negatives.
    pub rounds: usize,
    /// Most negatives that a round adds; the hardest come first.
    pub round_negatives: usize,
    /// Mining ends when no more than this share of the negatives violates its margin without being in the training
    /// set.
    pub few: f64,
    /// Each training ends when primal and dual objective differ by no more than this share of the primal.
    pub gap: f64,
}

impl Default for SvmConfig {
    fn default() -> Self {
        Self {
            cost: 1.0,
            positive_weight: 1.0,
            first_negatives: 3,
            rounds: 10,
            round_negatives: 20_000,
            few: 1e-3,
            gap: 1e-2,
        }
    }
}

impl SvmConfig {
    /// What makes no sense in it, if anything.
    pub(super) fn complaint(&self) -> Option<&'static str> {
        let positive = |x: f64| x > 0.0 && x.is_finite();
        if !positive(self.cost) || !positive(self.positive_weight) || !positive(self.gap) {
            return Some("cost, positive_weight and gap of the SVM must be positive");
        }
        if !(0.0..=1.0).contains(&self.few) {
            return Some("the SVM's few is not between 0 and 1");
        }
        (self.rounds == 0 || self.round_negatives == 0)
            .then_some("the SVM has no round, or rounds without negatives")
    }
}
