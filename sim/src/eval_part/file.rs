//! Parts as files.

use std::io;
use std::path::Path;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::plan::checksum;
use super::{Difference, Part, Plan, Shard, State};
use crate::metrics::Confusion;
use crate::output;
use crate::photo::MAX_PIXELS;
use cfm_model::bounded_file;

const FORMAT: &str = "cfm-eval-part 1";

/// Most bytes of a part file.
const MAX_FILE: u64 = 1 << 28;

/// Why a part file is of no use.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct PartError {
    /// The file.
    pub path: String,
    /// What is wrong.
    pub problem: PartProblem,
}

impl PartError {
    pub(super) fn new(path: &Path, problem: impl Into<PartProblem>) -> Self {
        Self {
            path: path.display().to_string(),
            problem: problem.into(),
        }
    }
}

/// What is wrong with a part file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartProblem {
    /// The file cannot be read or written.
    #[error("{0}")]
    File(#[from] io::Error),
    /// The file is longer than 256 MiB.
    #[error("the file is longer than {} MiB", MAX_FILE >> 20)]
    TooLong,
    /// The file is cut off, or something else.
    #[error("no part of an evaluation, or damaged: {0}")]
    Json(#[from] serde_json::Error),
    /// The file is of another format or version.
    #[error("its format is {0:?} instead of {FORMAT:?}")]
    Format(String),
    /// The content was changed.
    #[error("damaged: the checksum does not match")]
    Checksum,
    /// The content contradicts itself.
    #[error("damaged: {0}")]
    Inconsistent(&'static str),
    /// It is the part of another evaluation.
    #[error("a part of another evaluation, {0}; remove it or name another file")]
    Plan(#[from] Difference),
    /// It is another shard.
    #[error("this is shard {found}, not {asked}; remove it or name another file")]
    Shard {
        /// The one to go on with.
        asked: Shard,
        /// The one in the file.
        found: Shard,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartFile<P> {
    format: String,
    crc32: String,
    part: P,
}

impl Part {
    /// Reads a part file.
    ///
    /// # Errors
    /// A [`PartError`] that names the file; never `Plan` or `Shard`.
    pub fn open(path: &Path) -> Result<Self, PartError> {
        read(path)
            .and_then(|bytes| Self::from_json(&bytes))
            .map_err(|problem| PartError::new(path, problem))
    }

    /// The part that a file of this content holds.
    pub(super) fn from_json(bytes: &[u8]) -> Result<Self, PartProblem> {
        // First of all whether the rest is of this format; nothing is kept of it.
        let file: PartFile<IgnoredAny> = serde_json::from_slice(bytes)?;
        if file.format != FORMAT {
            return Err(PartProblem::Format(file.format));
        }
        let PartFile { crc32, part, .. }: PartFile<Self> = serde_json::from_slice(bytes)?;
        if checksum(&serde_json::to_vec(&part)?) != crc32 {
            return Err(PartProblem::Checksum);
        }
        match part.contradiction() {
            Some(contradiction) => Err(PartProblem::Inconsistent(contradiction)),
            None => Ok(part),
        }
    }

    /// What could not be if this program had written the part. (A checksum is easily made right.)
    fn contradiction(&self) -> Option<&'static str> {
        let plan = &self.plan;
        let images = self.shard.range(plan.photographs.count).len();
        let compared = |image: &&super::Image| image.state == State::Compared;
        let compared = self.images.iter().filter(compared).count() as u64;
        let totals: Vec<u64> = self.confusions.iter().map(Confusion::total).collect();
        let classes = plan.classes.count();
        let contradictions = [
            (!plan.classes.is_valid(), "a class that there is not"),
            (
                self.images.len() != images,
                "not the shard's number of images",
            ),
            (
                totals.len() != plan.labelling.len() || totals.is_empty(),
                "not a confusion matrix for every labelling rule",
            ),
            (
                self.confusions.iter().any(|c| c.classes() != classes),
                "a confusion matrix of other classes",
            ),
            (
                totals.iter().any(|&total| total != totals[0])
                    || totals.iter().any(|&total| total > compared * MAX_PIXELS),
                "confusion matrices of other pixels",
            ),
        ];
        let mut found = contradictions.into_iter().filter(|(wrong, _)| *wrong);
        found.next().map(|(_, contradiction)| contradiction)
    }

    /// What is in the file at `path` if there is one, and nothing measured yet otherwise. Photographs that were skipped are
    /// to be tried again. `ids` are all photographs of the plan.
    ///
    /// # Errors
    /// A [`PartError`] that names the file.
    pub fn resume(
        path: &Path,
        plan: Plan,
        shard: Shard,
        ids: &[String],
    ) -> Result<Self, PartError> {
        let mut part = match Self::open(path) {
            Err(PartError {
                problem: PartProblem::File(error),
                ..
            }) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::new(plan, shard, ids));
            }
            part => part?,
        };
        let refuse = |problem| PartError::new(path, problem);
        plan.same_as(&part.plan)
            .map_err(|difference| refuse(difference.into()))?;
        if part.shard != shard {
            return Err(refuse(PartProblem::Shard {
                asked: shard,
                found: part.shard,
            }));
        }
        let own = part.images.iter().map(|image| &image.id);
        if !own.eq(&ids[shard.range(ids.len())]) {
            return Err(refuse(PartProblem::Inconsistent("other images")));
        }
        for image in &mut part.images {
            if let State::Skipped(_) = image.state {
                image.state = State::Pending;
            }
        }
        Ok(part)
    }

    /// Writes the part; a file that is there is replaced, whole.
    ///
    /// # Errors
    /// A [`PartError`] that names the file.
    pub fn save(&self, path: &Path) -> Result<(), PartError> {
        write(path, &self.to_json().map_err(|e| PartError::new(path, e))?)
    }

    /// The content of the part's file.
    pub(super) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec(&PartFile {
            format: FORMAT.to_owned(),
            crc32: checksum(&serde_json::to_vec(self)?),
            part: self,
        })?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, PartProblem> {
    bounded_file::read(path, MAX_FILE)?.ok_or(PartProblem::TooLong)
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), PartError> {
    output::write(path, bytes).map_err(|error| PartError::new(path, error))
}
