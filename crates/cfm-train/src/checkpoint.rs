//! Saving a run so that it continues as if it had never stopped.
//!
//! A checkpoint is a folder: the network and the optimizer's momentum as records of the training framework, and the
//! place in the run as JSON. There is no generator to save, since [every draw is named](crate::random) by its place.
//! A new checkpoint is written beside the old one and then takes its name, so a crash leaves one of the two.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::{ModuleRecord, RecordError};
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

const NETWORK: &str = "network.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const POSITION: &str = "position.json";

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
        let new = self.folder.with_extension("new");
        let old = self.folder.with_extension("old");
        remove(&new)?;
        fs::create_dir_all(&new).map_err(file_error(&new))?;
        let path = new.join(NETWORK);
        network.settle();
        let record = network.clone().into_record();
        record.save(&path).map_err(record_error(&path))?;
        let path = new.join(OPTIMIZER);
        optimizer.save(&path).map_err(record_error(&path))?;
        let path = new.join(POSITION);
        let text = serde_json::to_string_pretty(position).map_err(position_error(&path))?;
        fs::write(&path, text).map_err(file_error(&path))?;
        remove(&old)?;
        if self.folder.exists() {
            fs::rename(&self.folder, &old).map_err(file_error(&old))?;
        }
        fs::rename(&new, &self.folder).map_err(file_error(&self.folder))?;
        remove(&old)
    }

    /// Where the run stood.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn position(&self) -> Result<Position, CheckpointError> {
        let path = self.folder.join(POSITION);
        let text = fs::read_to_string(&path).map_err(file_error(&path))?;
        serde_json::from_str(&text).map_err(position_error(&path))
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
        let path = self.folder.join(OPTIMIZER);
        let optimizer = optimizer.load(&path).map_err(record_error(&path))?;
        Ok((network, optimizer))
    }

    /// The network alone; `network` must have the structure of the saved one, folded or not.
    ///
    /// # Errors
    /// When the file cannot be read, or the structure is another.
    pub fn load_network(&self, network: Network) -> Result<Network, CheckpointError> {
        let path = self.folder.join(NETWORK);
        ModuleRecord::load(&path)
            .and_then(|record| network.try_load_record(record))
            .map_err(record_error(&path))
    }
}

fn remove(folder: &Path) -> Result<(), CheckpointError> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(file_error(folder))?;
    }
    Ok(())
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
