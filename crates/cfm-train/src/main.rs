//! `cfm-train`: trains a model on a data set folder and writes it as `.cfm`, with the float weights beside it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use cfm_sim::dataset::Dataset;
use cfm_train::checkpoint::Checkpoint;
use cfm_train::config::Config;
use cfm_train::export;
use cfm_train::train_loop::{Outcome, Run, train};
use clap::Parser;
use indicatif::MultiProgress;

/// Exit status of a run that was stopped and can be resumed.
const STOPPED: u8 = 130;

/// Trains a segmentation model: in floats, then through a fake quantizer, and writes it as .cfm.
#[derive(Debug, Parser)]
#[command(name = "cfm-train", version)]
struct Arguments {
    /// Data set folder: dataset.toml, images/, labels/, and a NAME.txt per split.
    dataset: PathBuf,
    /// The model to write; the float weights go beside it as .safetensors.
    #[arg(long)]
    out: PathBuf,
    /// Configuration in TOML; the options below override it.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Folder for the checkpoint, the log and the effective configuration [default: OUT without its ending, plus ".run"].
    #[arg(long)]
    run: Option<PathBuf>,
    /// Continue from the checkpoint in the run's folder.
    #[arg(long)]
    resume: bool,
    /// Seed of everything random.
    #[arg(long)]
    seed: Option<u64>,
    /// Passes over the training images in floats; the first half trains the backbone alone.
    #[arg(long)]
    epochs: Option<usize>,
    /// Passes over the training images through the fake quantizer.
    #[arg(long)]
    qat_epochs: Option<usize>,
    /// Peak learning rate in floats.
    #[arg(long)]
    lr: Option<f64>,
    /// First learning rate through the fake quantizer.
    #[arg(long)]
    qat_lr: Option<f64>,
    /// Images a step.
    #[arg(long)]
    batch: Option<usize>,
    /// Multiplies the channels of the backbone.
    #[arg(long)]
    width: Option<f64>,
    /// Validate after every this many epochs; 0 for never.
    #[arg(long)]
    validate_every: Option<usize>,
    /// Use only the first images of each split.
    #[arg(long)]
    limit: Option<usize>,
}

impl Arguments {
    fn config(&self) -> Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        if let Some(seed) = self.seed {
            config.seed = seed;
        }
        if let Some(epochs) = self.epochs {
            config.float.epochs = epochs;
            config.float.dense_epochs = epochs / 2;
        }
        if let Some(epochs) = self.qat_epochs {
            config.quantized.epochs = epochs;
        }
        if let Some(lr) = self.lr {
            config.float.lr = lr;
        }
        if let Some(lr) = self.qat_lr {
            config.quantized.lr = lr;
        }
        if let Some(batch) = self.batch {
            config.float.batch = batch;
        }
        if let Some(width) = self.width {
            config.widen(width);
        }
        if let Some(every) = self.validate_every {
            config.validate_every = every;
        }
        if self.limit.is_some() {
            config.data.limit = self.limit;
        }
        config.check()?;
        Ok(config)
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cfm-train: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let config = arguments.config()?;
    let folder = arguments
        .run
        .clone()
        .unwrap_or_else(|| arguments.out.with_extension("run"));
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    let saved = folder.join("config.toml");
    if Checkpoint::of(&folder).exists() {
        if !arguments.resume {
            bail!(
                "{} holds a checkpoint: give --resume to continue it, or another --run",
                folder.display()
            );
        }
        if Config::read(&saved)? != config {
            bail!(
                "{} is the checkpoint of another configuration",
                folder.display()
            );
        }
    } else {
        std::fs::write(&saved, config.to_toml())
            .with_context(|| format!("cannot write {}", saved.display()))?;
    }
    let dataset = Dataset::open(&arguments.dataset)?;

    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            // The second time: at once, without saving.
            std::process::exit(STOPPED.into());
        }
        eprintln!("finishing the step; press Ctrl-C again to stop without saving");
    })
    .context("cannot catch Ctrl-C")?;

    let progress = MultiProgress::new();
    let outcome = train(&Run {
        dataset: &dataset,
        config: &config,
        folder: &folder,
        resume: arguments.resume,
        stop: &|_| stop.load(Ordering::Relaxed),
        progress: &progress,
    })?;
    let trained = match outcome {
        Outcome::Stopped(position) => {
            eprintln!(
                "stopped after {} epochs and {} steps of the {:?} phase; the same command with --resume continues",
                position.epoch, position.step, position.phase
            );
            return Ok(ExitCode::from(STOPPED));
        }
        Outcome::Trained(trained) => trained,
    };
    if let Some(validation) = &trained.validation {
        for (class, iou) in &validation.class_iou.0 {
            let iou = iou.map_or("    -".to_owned(), |iou| format!("{:5.1}", 100.0 * iou));
            println!("{class:>12} {iou}");
        }
        println!(
            "{} photographs of {}: mIoU {:.2}, accuracy {:.2} (through the fake quantizer)",
            config.data.val,
            dataset.description().name,
            100.0 * validation.miou,
            100.0 * validation.global_accuracy
        );
    }
    let description = dataset.description();
    let model = export::float_model(
        &trained.network,
        &trained.exponents,
        &config,
        description,
        provenance(&config, &dataset),
    )?;
    let weights = export::write(&model, &arguments.out)?;
    println!("{}", arguments.out.display());
    println!("{}", weights.display());
    Ok(ExitCode::SUCCESS)
}

/// How the model was made, for the model file.
fn provenance(config: &Config, dataset: &Dataset) -> Vec<(String, String)> {
    let description = dataset.description();
    let config_line = serde_json::to_string(config).unwrap_or_default();
    [
        ("name", config.name.clone()),
        (
            "trained_by",
            concat!("cfm-train ", env!("CARGO_PKG_VERSION")).to_owned(),
        ),
        ("data", description.name.clone()),
        ("data_source", description.source.clone()),
        ("data_license", description.license.clone()),
        ("split", config.data.train.clone()),
        ("seed", config.seed.to_string()),
        ("config", config_line),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.replace(['\r', '\n'], " ")))
    .collect()
}
