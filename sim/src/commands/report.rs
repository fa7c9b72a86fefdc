//! `cfm report`: everything about a model and a photograph on one page for a browser.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use cfm_sim::dataset::Dataset;
use cfm_sim::evaluate::{ClassMatch, evaluate};
use cfm_sim::output::{OutputFiles, print_json};
use cfm_sim::photo;
use cfm_sim::pipeline::Pipeline;
use cfm_sim::report::{OnDataset, Report, STEPS, Subject, html, measure};
use cfm_sim::scene::{SAMPLE_SEED, SAMPLE_SIZE, Scene};
use serde::Serialize;

use super::{ModelArg, display, outputs_beside, percent, pipeline, progress, spaced};

/// The split that is measured when none is named.
const DEFAULT_SPLIT: &str = "val";

/// Arguments of `cfm report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Photograph (PNG, JPEG, BMP or PNM); a rendered sample scene without it
    image: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArg,
    /// Also measure the model on a labelled data set [default split: val]
    #[arg(long, value_name = "DIR[:SPLIT]")]
    dataset: Option<String>,
    /// Measure on N photographs of the data set only, evenly spaced over the split
    #[arg(long, value_name = "N", requires = "dataset")]
    images: Option<NonZeroUsize>,
    /// Leave times out: the same inputs then give the same file, byte by byte
    #[arg(long)]
    no_times: bool,
    /// Seed of the rendered scene
    #[arg(long, value_name = "S", conflicts_with = "image")]
    seed: Option<u64>,
    /// Where the page goes
    #[arg(long, value_name = "HTML", default_value = "report.html")]
    out: PathBuf,
    /// Print what the report says as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Written<'a> {
    out: String,
    bytes: usize,
    #[serde(flatten)]
    report: &'a Report,
}

/// Runs the command; the status is 1 when core and reference differ.
///
/// # Errors
/// When an input is broken or the page cannot be written.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let file = args.model.open()?;
    let model = file.parse()?;
    let pipeline = pipeline(&file, &model)?;
    let (name, photo) = match &args.image {
        Some(path) => (file_name(path), photo::open(path)?),
        None => {
            let (width, height) = SAMPLE_SIZE;
            let seed = args.seed.unwrap_or(SAMPLE_SEED);
            let scene = Scene::render(width, height, seed);
            (format!("Rendered scene {seed}"), scene.photo)
        }
    };
    let mut files = outputs_beside(&file, &args.image);
    let evaluation = match &args.dataset {
        Some(dataset) => Some(evaluation(dataset, args, &pipeline, &mut files)?),
        None => {
            files.expect(&args.out)?;
            None
        }
    };
    let bar = progress(STEPS, "report", args.json);
    let subject = Subject {
        name,
        photo: &photo,
        file: &file,
        command: command(),
        times: !args.no_times,
        evaluation,
    };
    let report = measure(subject, &pipeline, |step| {
        bar.set_message(step);
        bar.inc(1);
    })
    .with_context(|| file.name())?;
    let page = html(&report);
    bar.finish_and_clear();
    let bytes = page.len();
    files.add(&args.out, page.into_bytes())?;
    files.commit()?;
    let written = Written {
        out: display(&args.out),
        bytes,
        report: &report,
    };
    if args.json {
        print_json(out, &written)?;
    } else {
        print(&written, out)?;
    }
    Ok(ExitCode::from(u8::from(!report.is_exact())))
}

/// The name of a file without its folder.
fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The words of the command line; the program by its name alone.
fn command() -> Vec<String> {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    std::iter::once("cfm".to_owned())
        .chain(words.skip(1))
        .collect()
}

/// The model of `pipeline` on a data set, given as `DIR` or `DIR:SPLIT`; first `files` learns what is read, and that the
/// page is to come.
fn evaluation(
    source: &str,
    args: &Args,
    pipeline: &Pipeline<'_>,
    files: &mut OutputFiles,
) -> anyhow::Result<OnDataset> {
    let (folder, split) = match source.rsplit_once(':') {
        Some(parts) if !Path::new(source).exists() => parts,
        _ => (source, DEFAULT_SPLIT),
    };
    let dataset = Dataset::open(folder)?;
    let mut ids = dataset.split(split)?;
    if let Some(images) = args.images {
        ids = spaced(&ids, images.get());
    }
    files.keep(dataset.files(&ids));
    files.expect(&args.out)?;
    let name = || folder.to_owned();
    let classes = ClassMatch::new(pipeline.model(), dataset.description()).with_context(name)?;
    let bar = progress(ids.len() as u64, "images", args.json);
    let segment = |photo: &_| {
        Ok::<_, cfm_sim::pipeline::PipelineError>(vec![pipeline.segment(photo)?.labels])
    };
    let evaluations =
        evaluate(&dataset, &ids, &classes, segment, || bar.inc(1)).with_context(name)?;
    bar.finish_and_clear();
    let evaluation = evaluations.into_iter().next();
    Ok(OnDataset {
        dataset: dataset.description().name.clone(),
        split: split.to_owned(),
        evaluation: evaluation.context("nothing was measured")?,
    })
}

fn print(written: &Written<'_>, out: &mut dyn Write) -> std::io::Result<()> {
    let report = written.report;
    writeln!(
        out,
        "{}, seen by {}: {} segments",
        report.subject, report.model, report.segments
    )?;
    if let Some(on) = &report.evaluation {
        let miou = percent(on.evaluation.miou);
        writeln!(out, "{} {}: mIoU {miou}", on.dataset, on.split)?;
    }
    writeln!(
        out,
        "{} elements, {} mismatches",
        report.parity.elements(),
        report.parity.mismatches()
    )?;
    if let Some(tensor) = report.parity.first_mismatch() {
        writeln!(out, "the first tensor that differs: {}", tensor.name)?;
    }
    writeln!(out, "{}: {} bytes", written.out, written.bytes)
}
