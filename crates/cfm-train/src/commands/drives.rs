//! `cfm-train drives`: leave-one-drive-out validation.
//!
//! Neighbouring frames of a drive look alike, so a split inside drives says little about other roads. Here each drive
//! is in turn left out of training, with all its frames of either split, and measured on.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use cfm_sim::dataset::Dataset;
use cfm_train::config::Config;
use cfm_train::data;
use cfm_train::device::Backend;
use indicatif::MultiProgress;

use super::{STOPPED, Session, stop_flag};

/// Arguments of `cfm-train drives`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Data set folder whose photographs are named DRIVE_FRAME
    dataset: PathBuf,
    /// Configuration in TOML; several are compared
    #[arg(long, value_name = "TOML", required = true)]
    config: Vec<PathBuf>,
    /// Change one value of every configuration; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Folder with a run's folder for each configuration and drive; finished runs are not repeated
    #[arg(long, value_name = "FOLDER")]
    runs: PathBuf,
    /// Only these drives; may be repeated
    #[arg(long, value_name = "NAME")]
    drive: Vec<String>,
    /// Where the training framework computes
    #[arg(long, value_enum, default_value_t)]
    backend: Backend,
}

/// Runs the command.
///
/// # Errors
/// When an input is broken or an output cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let dataset = Dataset::open(&args.dataset)?;
    let configs = args
        .config
        .iter()
        .map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            Ok((name.into_owned(), Config::read(Some(path), &args.set)?))
        })
        .collect::<Result<Vec<_>>>()?;
    for (index, (name, config)) in configs.iter().enumerate() {
        if configs[..index].iter().any(|(other, _)| other == name) {
            bail!("two configurations are called {name}");
        }
        if config.validate_every == 0 {
            bail!("{name} switches validation off");
        }
    }
    let stop = stop_flag()?;
    let session = Session {
        dataset: &dataset,
        init: None,
        backend: args.backend,
        resume: true,
        continues: "the same command continues",
        stop: &stop,
        progress: &MultiProgress::new(),
    };
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:>20} {:>12} {:>7} {:>7} {:>9}",
        "configuration", "drive", "frames", "int8", "float"
    )?;
    for (name, config) in &configs {
        let drives = if args.drive.is_empty() {
            data::drives(&dataset, &config.data)?
        } else {
            args.drive.clone()
        };
        if drives.len() < 2 && args.drive.is_empty() {
            bail!("all photographs are of one drive; none can be left out");
        }
        let mut sums = [0.0; 2];
        for drive in &drives {
            let mut config = config.clone();
            config.data.hold_out = Some(drive.clone());
            let folder = args.runs.join(format!("{name}-{drive}"));
            let finished = session
                .train(&config, &folder)
                .with_context(|| format!("{name} without {drive}"))?;
            let Some(model) = finished else {
                return Ok(ExitCode::from(STOPPED));
            };
            let Some(measured) = session.measure(&config, &model)? else {
                bail!("no pixel of {drive} has a class");
            };
            let mious = [&measured.int8, &measured.float].map(|e| 100.0 * e.miou);
            for (sum, miou) in sums.iter_mut().zip(mious) {
                *sum += miou;
            }
            let [int8, float] = mious;
            writeln!(
                out,
                "{name:>20} {drive:>12} {:>7} {int8:>7.2} {float:>9.2}",
                measured.int8.images
            )?;
        }
        let [int8, float] = sums.map(|sum| sum / drives.len() as f64);
        writeln!(
            out,
            "{name:>20} {:>12} {:>7} {int8:>7.2} {float:>9.2}",
            "mean", ""
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
