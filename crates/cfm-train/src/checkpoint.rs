//! Saving a run so that it continues as if it had never stopped.
//!
//! A checkpoint is a folder: the network and the optimizer's momentum as records of the training framework, and the
//! place in the run as JSON. There is no generator to save, since [every draw is named](crate::random) by its place.
//!
//! A new checkpoint writes records of the next generation beside those of the last. The file with the place names the
//! generation that counts; it is replaced in one step when the records are on the disk, and only then the old ones are
//! removed. Wherever a crash comes, one of the two checkpoints is there. The half records that it leaves go with the old
//! ones.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::{ModuleRecord, RecordError};
use cfm_model::{bounded_file, output};
use serde::{Deserialize, Serialize};

use crate::network::{Exponents, Network};

/// Part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Training in floats.
    Float,
    /// Fine-tuning through the fake quantizer.
    Quantized,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Part of the run.
    pub phase: Phase,
    /// Finished passes over the images in this phase.
    pub epoch: usize,
    /// Finished steps of the pass at hand.
    pub step: usize,
    /// Losses of these steps, summed up: dense, then segments.
    pub losses: [f64; 2],
    /// Segments that were drawn in these steps.
    #[serde(default)]
    pub segments: usize,
    /// The activations' exponents, once chosen.
    pub exponents: Option<Exponents>,
}

impl Position {
    /// The start of a run.
    pub const START: Self = Self {
        phase: Phase::Float,
        epoch: 0,
        step: 0,
        losses: [0.0; 2],
        segments: 0,
        exponents: None,
    };
}

/// Why a checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file or folder cannot be written or read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The framework's record cannot be written or read.
    #[error("{path}: {source}")]
    Record {
        /// The file.
        path: String,
        /// What went wrong.
        source: RecordError,
    },
    /// The place in the run cannot be understood.
    #[error("{path}: {source}")]
    Position {
        /// The file.
        path: String,
        /// What went wrong.
        source: serde_json::Error,
    },
}

/// The file with the place in the run.
const POSITION: &str = "position.json";
/// Most bytes of it.
const MAX_POSITION: u64 = 1 << 20;
/// Ending of the framework's records.
const RECORD: &str = "bpk";
/// Ending of a record that is being written.
const TEMPORARY: &str = "tmp";

/// What the file with the place holds.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// Which records belong to it.
    generation: u64,
    #[serde(flatten)]
    position: Position,
}

/// The checkpoint of a run's folder.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    folder: PathBuf,
}

impl Checkpoint {
    /// The checkpoint in the folder of a run.
    #[must_use]
    pub fn of(run: &Path) -> Self {
        Self {
            folder: run.join("checkpoint"),
        }
    }

    /// The checkpoint at the end of the float phase, which stays when the run goes on.
    #[must_use]
    pub fn of_float_phase(run: &Path) -> Self {
        Self {
            folder: run.join("float"),
        }
    }

    /// Whether there is one.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.folder.join(POSITION).is_file()
    }

    /// Writes the checkpoint, in place of the one before.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(
        &self,
        network: &Network,
        optimizer: &ModuleOptimizer,
        position: &Position,
    ) -> Result<(), CheckpointError> {
        fs::create_dir_all(&self.folder).map_err(file_error(&self.folder))?;
        let generation = if self.exists() {
            self.saved()?.generation.wrapping_add(1)
        } else {
            0
        };
        let records = self.records(generation);
        network.settle();
        let record = network.clone().into_record();
        record
            .save(&records[0])
            .map_err(record_error(&records[0]))?;
        let saved = optimizer.save(&records[1]);
        saved.map_err(record_error(&records[1]))?;
        for record in &records {
            let file = OpenOptions::new().write(true).open(record);
            file.and_then(|file| file.sync_all())
                .map_err(file_error(record))?;
        }
        let path = self.folder.join(POSITION);
        let saved = Saved {
            generation,
            position: position.clone(),
        };
        let text = serde_json::to_string_pretty(&saved).map_err(position_error(&path))?;
        output::write(&path, text.as_bytes()).map_err(file_error(&path))?;
        self.remove_all_but(&records)
    }

    /// The network's record of a generation, and the optimizer's.
    fn records(&self, generation: u64) -> [PathBuf; 2] {
        ["network", "optimizer"].map(|name| {
            self.folder
                .join(format!("{name}-{generation}"))
                .with_extension(RECORD)
        })
    }

    fn remove_all_but(&self, records: &[PathBuf]) -> Result<(), CheckpointError> {
        let failed = || file_error(&self.folder);
        for entry in fs::read_dir(&self.folder).map_err(failed())? {
            let path = entry.map_err(failed())?.path();
            if is_record(&path) && !records.contains(&path) {
                fs::remove_file(&path).map_err(file_error(&path))?;
            }
        }
        Ok(())
    }

    fn saved(&self) -> Result<Saved, CheckpointError> {
        let path = self.folder.join(POSITION);
        let text = bounded_file::read_text(&path, MAX_POSITION).map_err(file_error(&path))?;
        serde_json::from_str(&text).map_err(position_error(&path))
    }

    /// Where the run stood.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn position(&self) -> Result<Position, CheckpointError> {
        Ok(self.saved()?.position)
    }

    /// The network and the optimizer; `network` must have the structure of the saved one, folded or not.
    ///
    /// # Errors
    /// When a file cannot be read, or the structure is another.
    pub fn load(
        &self,
        network: Network,
        optimizer: ModuleOptimizer,
    ) -> Result<(Network, ModuleOptimizer), CheckpointError> {
        let network = self.load_network(network)?;
        let [_, path] = self.records(self.saved()?.generation);
        let optimizer = optimizer.load(&path).map_err(record_error(&path))?;
        Ok((network, optimizer))
    }

    /// The network alone; `network` must have the structure of the saved one, folded or not.
    ///
    /// # Errors
    /// When the file cannot be read, or the structure is another.
    pub fn load_network(&self, network: Network) -> Result<Network, CheckpointError> {
        let [path, _] = self.records(self.saved()?.generation);
        ModuleRecord::load(&path)
            .and_then(|record| network.try_load_record(record))
            .map_err(record_error(&path))
    }
}

/// Whether a file is a record, or one that the framework was writing when the program was killed:
/// `NAME.bpk.PROCESS-NUMBER.tmp`.
fn is_record(path: &Path) -> bool {
    let has = |path: &Path, ending: &str| path.extension().is_some_and(|found| found == ending);
    // Without the ending, and without the numbers before it.
    let whole = path.with_extension("").with_extension("");
    has(path, RECORD) || has(path, TEMPORARY) && has(&whole, RECORD)
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> CheckpointError {
    let path = path.display().to_string();
    |source| CheckpointError::File { path, source }
}

fn record_error(path: &Path) -> impl FnOnce(RecordError) -> CheckpointError {
    let path = path.display().to_string();
    |source| CheckpointError::Record { path, source }
}

fn position_error(path: &Path) -> impl FnOnce(serde_json::Error) -> CheckpointError {
    let path = path.display().to_string();
    |source| CheckpointError::Position { path, source }
}

#[cfg(test)]
mod tests {
    use burn::optim::SgdConfig;
    use burn::tensor::Device;

    use super::*;
    use crate::config::{Config, LayerConfig};

    #[test]
    fn what_a_killed_run_left_goes_with_the_old_records() {
        let config = Config {
            backbone: vec![LayerConfig::new(8, 2)],
            ..Config::default()
        };
        let network = Network::new(&config, 3, &Device::flex().autodiff());
        let optimizer: ModuleOptimizer = SgdConfig::new().init();
        let run = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::of(run.path());
        let save = || {
            checkpoint
                .save(&network, &optimizer, &Position::START)
                .unwrap();
        };
        save();
        for left in [
            "network-1.bpk.123-0.tmp",
            "optimizer-1.bpk.123-1.tmp",
            "network-7.bpk",
            "notes.tmp",
            "notes.1-1.tmp",
        ] {
            fs::write(checkpoint.folder.join(left), "half").unwrap();
        }
        save();
        let mut names: Vec<_> = fs::read_dir(&checkpoint.folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let expected = [
            "network-1.bpk",
            "notes.1-1.tmp",
            "notes.tmp",
            "optimizer-1.bpk",
            POSITION,
        ];
        assert_eq!(names, expected);
        assert_eq!(checkpoint.position().unwrap(), Position::START);
    }
}
