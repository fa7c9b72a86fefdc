//! `cfm-train drives`: leave-one-drive-out validation.
//!
//! Neighbouring frames of a drive look alike, so a split inside drives says little about other roads. Here each drive
//! is in turn left out of training, with all its frames of either split, and measured on.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use cfm_sim::dataset::Dataset;
use cfm_sim::output::print_json;
use cfm_train::config::Config;
use cfm_train::data;
use cfm_train::device::Backend;
use cfm_train::measure::Measured;
use indicatif::MultiProgress;
use serde::Serialize;

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
    /// Seed of everything random; short for --set seed=N
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Folder with a run's folder for each configuration and drive; finished runs are not repeated
    #[arg(long, value_name = "FOLDER")]
    runs: PathBuf,
    /// Only these drives; may be repeated
    #[arg(long, value_name = "NAME")]
    drive: Vec<String>,
    /// Where the training framework computes
    #[arg(long, value_enum, default_value_t)]
    backend: Backend,
    /// Print the measures as JSON, at the end
    #[arg(long)]
    json: bool,
}

/// What is told of a configuration: the measures without each drive, and their means.
#[derive(Serialize)]
struct Row {
    configuration: String,
    drives: Vec<DriveRow>,
    mean_miou: Mious,
}

/// What is told of a model: the drive that it was trained without and measured on.
#[derive(Serialize)]
struct DriveRow {
    drive: String,
    #[serde(flatten)]
    measured: Measured,
}

/// Mean IoU of the integer core and of the float network, between 0 and 1.
#[derive(Serialize)]
struct Mious {
    int8: f64,
    float: f64,
}

impl Mious {
    /// Of one model, or the means of several.
    fn of<'a>(models: impl ExactSizeIterator<Item = &'a Measured>) -> Self {
        let count = models.len() as f64;
        let sum = models.fold([0.0; 2], |[int8, float], measured| {
            [int8 + measured.int8.miou, float + measured.float.miou]
        });
        let [int8, float] = sum.map(|sum| sum / count);
        Self { int8, float }
    }
}

/// Runs the command.
///
/// # Errors
/// When an input is broken or an output cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let dataset = Dataset::open(&args.dataset)?;
    let settings = super::settings(&args.set, args.seed);
    let configs = args
        .config
        .iter()
        .map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            Ok((name.into_owned(), Config::read(Some(path), &settings)?))
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
    if !args.json {
        writeln!(
            out,
            "{:>20} {:>12} {:>7} {:>7} {:>9}",
            "configuration", "drive", "frames", "int8", "float"
        )?;
    }
    let mut rows = Vec::new();
    for (name, config) in &configs {
        let drives = if args.drive.is_empty() {
            data::drives(&dataset, &config.data)?
        } else {
            args.drive.clone()
        };
        if drives.len() < 2 && args.drive.is_empty() {
            bail!("all photographs are of one drive; none can be left out");
        }
        let mut measures = Vec::new();
        for drive in drives {
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
            if !args.json {
                let frames = measured.int8.images.to_string();
                let mious = Mious::of([&measured].into_iter());
                print(&mut out, name, &drive, &frames, &mious)?;
            }
            measures.push(DriveRow { drive, measured });
        }
        let mean_miou = Mious::of(measures.iter().map(|row| &row.measured));
        if !args.json {
            print(&mut out, name, "mean", "", &mean_miou)?;
        }
        rows.push(Row {
            configuration: name.clone(),
            drives: measures,
            mean_miou,
        });
    }
    if args.json {
        print_json(&mut out, &rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(
    out: &mut impl Write,
    configuration: &str,
    drive: &str,
    frames: &str,
    miou: &Mious,
) -> io::Result<()> {
    writeln!(
        out,
        "{configuration:>20} {drive:>12} {frames:>7} {:>7.2} {:>9.2}",
        100.0 * miou.int8,
        100.0 * miou.float
    )
}
