//! `cfm parity`: whether the core computes exactly what the float reference computes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use cfm_hardware::project::Language;
use cfm_model::random::Options;
use cfm_sim::output::print_json;
use cfm_sim::parity::random::{RandomFailure, SEGMENTS, check_many};
use cfm_sim::parity::{ParityReport, check_parity};
use cfm_sim::photo;
use cfm_sim::scene::{SAMPLE_SEED, SAMPLE_SIZE, Scene};
use serde::Serialize;

use super::engine_project::{Project, ProjectInput};
use super::hardware::EngineArg;
use super::{ModelArg, display, progress, twin};

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Backend {
    /// The core, with the float reference
    Core,
    /// The engine's RTL, simulated by Verilator, with the core
    Rtl,
    /// The engine in C++ for HLS, compiled by g++, with the core
    Hls,
}

/// Arguments of `cfm parity`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Photograph (PNG, JPEG, BMP or PNM); a rendered sample scene without it
    image: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArg,
    /// Compare N random models on random images and segments instead
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..),
        conflicts_with_all = ["image", "model"]
    )]
    random: Option<u64>,
    /// Seed of the first random model, or of the rendered scene
    #[arg(long, value_name = "S", conflicts_with = "image")]
    seed: Option<u64>,
    /// What is compared
    #[arg(long, value_enum, default_value = "core", conflicts_with = "random")]
    backend: Backend,
    #[command(flatten)]
    engine: EngineArg,
    /// Most segments for the engine, evenly spread over the proposals [default: 128]
    #[arg(long, value_name = "N")]
    max_segments: Option<usize>,
    /// Where the engine's test benches are built, and kept for the next time [default: target/engine]
    #[arg(long, value_name = "DIR")]
    build: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What a twin of the engine showed.
#[derive(Serialize)]
struct TwinReport {
    backend: Backend,
    model: String,
    folding: String,
    segments: usize,
    /// Words of the convolutions, of pooling, masks and logits.
    words: usize,
    exact: bool,
    /// What the test bench said.
    said: String,
}

/// What was compared, and what was found.
#[derive(Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    random: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// The photograph's path; none for the rendered scene and for random models.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// The random model on which core and reference differ, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_seed: Option<u64>,
    /// What one of them refuses, if that is why.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    elements: u64,
    mismatches: u64,
    #[serde(flatten)]
    parity: ParityReport,
}

/// Runs the command; the status is 1 when core and reference, or engine and core, differ.
///
/// # Errors
/// When an input is broken or an output cannot be written.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let language = match args.backend {
        Backend::Core => None,
        Backend::Rtl => Some(Language::Rtl),
        Backend::Hls => Some(Language::Hls),
    };
    if let Some(language) = language {
        return twin_parity(args, language, out);
    }
    if args.engine.is_given() || args.max_segments.is_some() || args.build.is_some() {
        bail!(
            "--pe, --lanes, --budget, --max-segments and --build are about the engine: say --backend rtl or hls"
        );
    }
    let report = match args.random {
        Some(count) => random(args, count),
        None => photograph(args)?,
    };
    if args.json {
        print_json(out, &report)?;
    } else {
        print(&report, out)?;
    }
    let exact = report.refused.is_none() && report.parity.is_exact();
    Ok(ExitCode::from(u8::from(!exact)))
}

/// Has a twin of the engine compute the image, and compares every stage's words.
fn twin_parity(args: &Args, language: Language, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    let input = ProjectInput {
        image: args.image.clone(),
        model: args.model.clone(),
        engine: args.engine.clone(),
        max_segments: args.max_segments.unwrap_or(128),
        seed: args.seed,
    };
    let Project {
        model,
        engine,
        summary,
        ..
    } = input.write(language, folder.path())?;
    let build = args.build.as_deref().unwrap_or(Path::new("target/engine"));
    let (exact, said) = twin::run(folder.path(), build)?;
    let report = TwinReport {
        backend: args.backend,
        model,
        folding: engine.folding().to_string(),
        segments: summary.segments,
        words: summary.writes + summary.pooled + summary.segments + summary.logits,
        exact,
        said,
    };
    if args.json {
        print_json(out, &report)?;
    } else {
        writeln!(out, "{}", report.said.trim_end())?;
        writeln!(
            out,
            "{}, folding {}, {} segments: {} words, {}",
            report.model,
            report.folding,
            report.segments,
            report.words,
            if exact { "0 mismatches" } else { "MISMATCH" }
        )?;
    }
    Ok(ExitCode::from(u8::from(!exact)))
}

fn photograph(args: &Args) -> anyhow::Result<Report> {
    let file = args.model.open()?;
    let model = file.parse()?;
    let seed = args.seed.unwrap_or(SAMPLE_SEED);
    let photo = match &args.image {
        Some(path) => photo::open(path)?,
        None => {
            let (width, height) = SAMPLE_SIZE;
            Scene::render(width, height, seed).photo
        }
    };
    let parity = check_parity(&model, &photo).with_context(|| file.name())?;
    Ok(Report {
        random: None,
        seed: args.image.is_none().then_some(seed),
        path: args.image.as_deref().map(display),
        model: Some(file.name()),
        failed_seed: None,
        refused: None,
        elements: parity.elements(),
        mismatches: parity.mismatches(),
        parity,
    })
}

fn random(args: &Args, count: u64) -> Report {
    let seed = args.seed.unwrap_or(0);
    let bar = progress(count, "random models", args.json);
    let result = check_many(seed, count, &Options::default(), || bar.inc(1));
    bar.finish_and_clear();
    let (parity, failed_seed, refused) = match result {
        Ok(parity) => (parity, None, None),
        Err(failure) => {
            let RandomFailure {
                seed,
                refused,
                report,
            } = *failure;
            (report, Some(seed), refused)
        }
    };
    Report {
        random: Some(count),
        seed: Some(seed),
        path: None,
        model: None,
        failed_seed,
        refused,
        elements: parity.elements(),
        mismatches: parity.mismatches(),
        parity,
    }
}

fn print(report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    match (report.random, &report.model) {
        (Some(count), _) => writeln!(
            out,
            "{count} random models from seed {}, {SEGMENTS} segments each",
            report.seed.unwrap_or(0)
        )?,
        (None, model) => writeln!(
            out,
            "{}, {}, {} segments",
            report.path.as_deref().unwrap_or("rendered sample scene"),
            model.as_deref().unwrap_or_default(),
            report.parity.segments
        )?,
    }
    if let Some(seed) = report.failed_seed {
        writeln!(
            out,
            "random model {seed} fails; `cfm parity --random 1 --seed {seed}` repeats it"
        )?;
    }
    if let Some(refused) = &report.refused {
        writeln!(out, "{refused}")?;
    }
    write!(out, "{}", report.parity)?;
    writeln!(
        out,
        "{} elements, {} mismatches",
        report.elements, report.mismatches
    )
}
