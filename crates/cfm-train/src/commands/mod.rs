//! The subcommands of `cfm-train`, and what they share.

pub mod drives;
mod inputs;
mod table;
pub mod train;

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use cfm_model::float_model::FloatModel;
use cfm_model::output;
use cfm_sim::dataset::Dataset;
use cfm_sim::eval_part::Fingerprint;
use cfm_sim::evaluate::EvaluateError;
use cfm_sim::output::one_line;
use cfm_train::checkpoint::Checkpoint;
use cfm_train::config::Config;
use cfm_train::device::Backend;
use cfm_train::measure::{MeasureError, Measured, measure};
use cfm_train::train_loop::{Outcome, Run, train};
use cfm_train::{data, export};
use indicatif::{MultiProgress, ProgressBar};

use self::inputs::Inputs;

/// Exit status of a run that was stopped and can be resumed.
pub const STOPPED: u8 = 130;

/// Set by Ctrl-C; at the second time the program ends at once.
pub fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            // Without saving.
            std::process::exit(STOPPED.into());
        }
        // Whether anybody reads it or not, the run stops.
        let _ = writeln!(
            io::stderr(),
            "finishing the step; press Ctrl-C again to stop without saving"
        );
    })
    .context("cannot catch Ctrl-C")?;
    Ok(stop)
}

/// The changes of a configuration: those of `--set`, then `--seed`.
pub fn settings(set: &[String], seed: Option<u64>) -> Vec<String> {
    let seed = seed.map(|seed| format!("seed={seed}"));
    set.iter().cloned().chain(seed).collect()
}

/// What every training run is given.
pub struct Session<'a> {
    pub dataset: &'a Dataset,
    pub init: Option<&'a Path>,
    pub backend: Backend,
    pub resume: bool,
    /// How a run that was stopped goes on, for the user.
    pub continues: &'a str,
    pub stop: &'a AtomicBool,
    pub progress: &'a MultiProgress,
}

impl Session<'_> {
    /// Trains in `folder`; `None` when stopped.
    pub fn train(&self, config: &Config, folder: &Path) -> Result<Option<FloatModel>> {
        let dataset = &self.dataset(config)?;
        warn_of_shared(dataset, config)?;
        let inputs = Inputs::of(dataset, config, folder, self.init)?;
        let _lock = claim(config, &inputs, folder, self.resume)?;
        let provenance = provenance(config, dataset, inputs.init.as_ref());
        let outcome = train(&Run {
            dataset,
            config,
            folder,
            init: self.init,
            provenance: &provenance,
            backend: self.backend,
            resume: self.resume,
            stop: &|_| self.stop.load(Ordering::Relaxed),
            progress: self.progress,
        })?;
        let trained = match outcome {
            Outcome::Stopped(position) => {
                let _ = writeln!(
                    io::stderr(),
                    "stopped after {} epochs and {} steps of the {:?} phase; {}",
                    position.epoch,
                    position.step,
                    position.phase,
                    self.continues
                );
                return Ok(None);
            }
            Outcome::Trained(trained) => trained,
        };
        Ok(Some(export::float_model(
            &trained.network,
            &trained.exponents,
            config,
            dataset.description(),
            provenance,
        )?))
    }

    /// Measures a trained model on the photographs that it was validated on; `None` when validation is switched off, or
    /// when none of their pixels has a class.
    pub fn measure(&self, config: &Config, model: &FloatModel) -> Result<Option<Measured>> {
        let dataset = &self.dataset(config)?;
        let [_, ids] = data::ids(dataset, config)?;
        if ids.is_empty() {
            return Ok(None);
        }
        let bar = self.progress.add(ProgressBar::new(ids.len() as u64));
        let measured = measure(model, dataset, &ids, || bar.inc(1));
        bar.finish_and_clear();
        match measured {
            Err(MeasureError::Evaluate(EvaluateError::NoTruth)) => Ok(None),
            measured => Ok(Some(measured?)),
        }
    }

    fn dataset(&self, config: &Config) -> Result<Dataset> {
        Ok(self
            .dataset
            .clone()
            .without_classes(&config.data.leave_out)?)
    }
}

/// Says when photographs are validated on that are trained on.
fn warn_of_shared(dataset: &Dataset, config: &Config) -> Result<()> {
    let [train, val] = data::ids(dataset, config)?;
    let shared = data::shared(&train, &val);
    if shared > 0 {
        let _ = writeln!(
            io::stderr(),
            "warning: {shared} of the {} photographs that are validated on are trained on, too",
            val.len()
        );
    }
    Ok(())
}

/// Makes sure that the folder's checkpoint, if any, is to be continued and is of this configuration and these inputs, which
/// are written there otherwise. The folder is this run's as long as the file that is returned is open.
fn claim(config: &Config, inputs: &Inputs, folder: &Path, resume: bool) -> Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let lock = folder.join("lock");
    let file = File::create(&lock).with_context(|| format!("cannot write {}", lock.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            bail!("{}: another training runs in this folder", folder.display())
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", lock.display()));
        }
    }
    let saved: PathBuf = folder.join("config.toml");
    if !Checkpoint::of(folder).exists() {
        inputs.write(folder)?;
        output::write(&saved, config.to_toml().as_bytes())
            .with_context(|| format!("cannot write {}", saved.display()))?;
        return Ok(file);
    }
    if !resume {
        bail!(
            "{} holds a checkpoint: give --resume to continue it, or another --run",
            folder.display()
        );
    }
    if Config::read(Some(&saved), &[])? != *config {
        bail!(
            "{} is the checkpoint of another configuration",
            folder.display()
        );
    }
    if Inputs::read(folder)? != *inputs {
        bail!(
            "{} is the checkpoint of other photographs, classes or first weights",
            folder.display()
        );
    }
    Ok(file)
}

/// How the model was made, for the model file. Names and licences come from files in which they may have several lines.
fn provenance(
    config: &Config,
    dataset: &Dataset,
    init: Option<&Fingerprint>,
) -> Vec<(String, String)> {
    let description = dataset.description();
    let config_line = serde_json::to_string(config).unwrap_or_default();
    let init = init.map(|network| ("init", format!("the backbone of a run, {network}")));
    [
        ("name", one_line(&config.name)),
        (
            "trained_by",
            concat!("cfm-train ", env!("CARGO_PKG_VERSION")).to_owned(),
        ),
        ("data", one_line(&description.name)),
        ("data_source", one_line(&description.source)),
        ("data_license", one_line(&description.license)),
        ("split", one_line(&config.data.train)),
        ("seed", config.seed.to_string()),
        ("config", config_line),
    ]
    .into_iter()
    .chain(init)
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}
