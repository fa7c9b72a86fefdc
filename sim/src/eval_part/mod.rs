//! Evaluations in parts: what has been measured so far, as a file, so that an evaluation can be stopped and go on, be
//! spread over machines, and be put together again, with the same numbers to the last digit.
//!
//! A [`Plan`] says what is measured: which model, labelling rules, data set, photographs. Its photographs are cut into
//! [`Shard`]s. A [`Part`] is the record of one shard: the state of each photograph, and one [`Confusion`] matrix per
//! labelling rule. [`Run`] fills a part; [`merge`] turns parts into measures. All that is added up are whole numbers, so
//! neither order nor cutting matters. An evaluation in one go is one part that is never written to a file.
//!
//! A part file is JSON on one line: `{"format": "cfm-eval-part 1", "crc32": HEX, "part": {...}}`. The checksum is that of
//! the part without white space, as `serde_json` writes it. The contents of photographs and labels are not part of the
//! plan: whoever changes them must remove the part files.

mod file;
mod merge;
mod plan;
mod run;
#[cfg(test)]
mod tests;

pub use file::{PartError, PartProblem};
pub use merge::{MergeError, Outcome, merge};
pub use plan::{Difference, Fingerprint, Photographs, Plan, Shard, ShardError};
pub use run::{Run, RunError};

use serde::{Deserialize, Serialize};

use crate::metrics::Confusion;

/// How far a photograph is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not yet measured.
    Pending,
    /// In the confusion matrices.
    Compared,
    /// Left out, for this reason.
    Skipped(String),
}

/// A photograph of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Name in the split file.
    pub id: String,
    /// How far it is.
    pub state: State,
}

/// A photograph that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Name in the split file.
    pub id: String,
    /// Why; it names the file.
    pub reason: String,
}

/// What has been measured of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    plan: Plan,
    shard: Shard,
    /// The shard's photographs, in the order of the plan.
    images: Vec<Image>,
    /// One per labelling rule, over all photographs that are compared.
    confusions: Vec<Confusion>,
}

impl Part {
    /// The part of nothing measured yet; `ids` are all photographs of the plan, of which the shard takes its own.
    #[must_use]
    pub fn new(plan: Plan, shard: Shard, ids: &[String]) -> Self {
        let pending = |id: &String| Image {
            id: id.clone(),
            state: State::Pending,
        };
        let empty = Confusion::new(plan.classes.count());
        Self {
            images: ids[shard.range(ids.len())].iter().map(pending).collect(),
            confusions: vec![empty; plan.labelling.len()],
            plan,
            shard,
        }
    }

    /// What is measured.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Which part of it.
    #[must_use]
    pub const fn shard(&self) -> Shard {
        self.shard
    }

    /// The shard's photographs, in the order of the plan.
    #[must_use]
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// How many photographs are not yet measured.
    #[must_use]
    pub fn pending(&self) -> usize {
        let pending = |image: &&Image| image.state == State::Pending;
        self.images.iter().filter(pending).count()
    }

    /// The photographs that were left out.
    pub fn skipped(&self) -> impl Iterator<Item = Skipped> + '_ {
        self.images.iter().filter_map(|image| match &image.state {
            State::Skipped(reason) => Some(Skipped {
                id: image.id.clone(),
                reason: reason.clone(),
            }),
            State::Pending | State::Compared => None,
        })
    }

    /// Enters what the photograph at `position` of [`Part::images`] has shown: one matrix per rule, or why it is left out.
    fn record(&mut self, position: usize, result: Result<Vec<Confusion>, String>) {
        self.images[position].state = match result {
            Err(reason) => State::Skipped(reason),
            Ok(confusions) => {
                for (sum, confusion) in self.confusions.iter_mut().zip(&confusions) {
                    sum.add_counts(confusion);
                }
                State::Compared
            }
        };
    }
}
