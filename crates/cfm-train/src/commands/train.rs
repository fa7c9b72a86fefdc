//! `cfm-train train`: one run.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use cfm_model::output;
use cfm_sim::dataset::Dataset;
use cfm_sim::output::print_json;
use cfm_train::checkpoint::Checkpoint;
use cfm_train::config::Config;
use cfm_train::device::Backend;
use cfm_train::export;
use cfm_train::measure::Measured;
use indicatif::MultiProgress;

use super::table::{self, MEASURES};
use super::{STOPPED, Session, stop_flag};

/// Arguments of `cfm-train train`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Data set folder: dataset.toml, images/, labels/, and a NAME.txt per split
    dataset: PathBuf,
    /// The model to write; the float weights go beside it as .safetensors
    #[arg(long, value_name = "CFM")]
    out: PathBuf,
    /// Configuration in TOML
    #[arg(long, value_name = "TOML")]
    config: Option<PathBuf>,
    /// Change one value of the configuration, such as float.epochs=10; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Seed of everything random; short for --set seed=N
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Folder for the checkpoint, the log and the effective configuration [default: OUT without its ending, plus ".run"]
    #[arg(long, value_name = "FOLDER")]
    run: Option<PathBuf>,
    /// Continue from the checkpoint in the run's folder
    #[arg(long)]
    resume: bool,
    /// Start with the backbone of another run's float phase: its folder
    #[arg(long, value_name = "FOLDER")]
    init: Option<PathBuf>,
    /// Where the training framework computes
    #[arg(long, value_enum, default_value_t)]
    backend: Backend,
    /// Append the measures to this table, under the name of --row
    #[arg(long, value_name = "CSV", requires = "row")]
    table: Option<PathBuf>,
    /// Name of the row in --table
    #[arg(long, value_name = "NAME", requires = "table")]
    row: Option<String>,
    /// Print the measures and the files as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(serde::Serialize)]
struct Report<'a> {
    model: &'a Path,
    weights: &'a Path,
    /// Nothing where nothing was measured.
    #[serde(flatten)]
    measured: Option<&'a Measured>,
}

/// Runs the command.
///
/// # Errors
/// When an input is broken or an output cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let settings = super::settings(&args.set, args.seed);
    let config = Config::read(args.config.as_deref(), &settings)?;
    let folder = args
        .run
        .clone()
        .unwrap_or_else(|| args.out.with_extension("run"));
    check_outputs(args, &folder, &config)?;
    let dataset = Dataset::open(&args.dataset)?;
    if args.resume && !Checkpoint::of(&folder).exists() {
        let _ = writeln!(
            io::stderr(),
            "no checkpoint in {}: the run begins anew",
            folder.display()
        );
    }
    let stop = stop_flag()?;
    let session = Session {
        dataset: &dataset,
        init: args.init.as_deref(),
        backend: args.backend,
        resume: args.resume,
        continues: "the same command with --resume continues",
        stop: &stop,
        progress: &MultiProgress::new(),
    };
    let Some(model) = session.train(&config, &folder)? else {
        return Ok(ExitCode::from(STOPPED));
    };
    // First of all: after hours, a photograph may not be there to measure on, or nobody to read what is printed.
    let weights = export::write(&model, &args.out)?;
    let measured = session.measure(&config, &model)?;
    if measured.is_none() && args.table.is_some() {
        bail!("nothing was measured that could be appended to the table");
    }
    // Printed first: whatever becomes of the table, the measures are told.
    let mut out = io::stdout().lock();
    if args.json {
        print_json(
            &mut out,
            &Report {
                model: &args.out,
                weights: &weights,
                measured: measured.as_ref(),
            },
        )?;
    } else {
        if let Some(measured) = &measured {
            print(measured, &mut out)?;
        }
        writeln!(out, "{}", args.out.display())?;
        writeln!(out, "{}", weights.display())?;
    }
    if let (Some(measured), Some(table), Some(row)) = (&measured, &args.table, &args.row) {
        table::append(table, row, config.seed, measured)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses, before hours of training, what could not be written after them.
fn check_outputs(args: &Args, folder: &Path, config: &Config) -> Result<()> {
    let weights = export::weights_path(&args.out)?;
    for file in [&args.out, &weights] {
        if is_one(file, folder) {
            bail!(
                "{}: the run's folder has this name; give another --out or --run",
                file.display()
            );
        }
        if file.is_dir() {
            bail!("{}: it is a folder", file.display());
        }
    }
    if args.table.is_some() && config.validate_every == 0 {
        bail!("validate_every is 0: nothing is measured that could be appended to the table");
    }
    if args
        .row
        .as_ref()
        .is_some_and(|row| row.contains(['\r', '\n']))
    {
        bail!("the name of the row in the table has several lines");
    }
    let Some(table) = &args.table else {
        return Ok(());
    };
    let name =
        output::real_name(table).with_context(|| format!("cannot write {}", table.display()))?;
    for file in [&args.out, &weights] {
        // A folder that is not there yet is made for the model, and holds no table.
        if output::real_name(file).is_ok_and(|file| file == name) {
            bail!("{}: the table and the model have one name", file.display());
        }
    }
    table::check(table)
}

/// Whether two names are of one file or folder, which need not be there yet.
fn is_one(a: &Path, b: &Path) -> bool {
    // Where the folder that either lies in is still to be made, the names themselves have to do.
    match (output::real_name(a), output::real_name(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

fn print(Measured { int8, float }: &Measured, out: &mut impl Write) -> io::Result<()> {
    let percent = |value: f64| format!("{:5.1}", 100.0 * value);
    writeln!(
        out,
        "{:>24}   int8  float",
        format!("{} photographs", int8.images)
    )?;
    for ((class, iou), (_, float)) in int8.class_iou.0.iter().zip(&float.class_iou.0) {
        let text = |iou: &Option<f64>| iou.map_or("    -".to_owned(), percent);
        writeln!(out, "{class:>24}  {}  {}", text(iou), text(float))?;
    }
    for (name, of) in MEASURES {
        writeln!(
            out,
            "{name:>24}  {}  {}",
            percent(of(int8)),
            percent(of(float))
        )?;
    }
    Ok(())
}
