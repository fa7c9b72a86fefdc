//! `cfm segment`: labels every pixel of a photograph.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use cfm_core::model::Model;
use cfm_sim::import::{Logits, Segments};
use cfm_sim::labelling::RuleSpec;
use cfm_sim::output::{write_labels, write_picture};
use cfm_sim::pipeline::{Segmentation, Times};
use cfm_sim::scene::{SAMPLE_SEED, SAMPLE_SIZE, Scene};
use cfm_sim::{photo, picture};
use serde::Serialize;

use super::{LABELLING_HELP, ModelArg, SegmentsArg, display, percent, pipeline, print_json};

/// Arguments of `cfm segment`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Photograph (PNG, JPEG, BMP or PNM); a rendered sample scene without it
    image: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArg,
    #[command(flatten)]
    segments: SegmentsArg,
    /// The classifier's outputs for the proposals, computed elsewhere: int16 (segments, classes) in a .npy file
    #[arg(long, value_name = "FILE", conflicts_with = "segments")]
    logits: Option<PathBuf>,
    /// Where the photograph with the classes' colours over it goes
    #[arg(long, value_name = "PNG", default_value = "overlay.png")]
    out: PathBuf,
    /// Where the label values go, one byte a pixel, 255 for none: a PNG file, or a PGM file if its name ends in .pgm
    #[arg(long, value_name = "PNG|PGM")]
    labels: Option<PathBuf>,
    #[arg(long, value_name = "SPEC", help = LABELLING_HELP)]
    labelling: Option<RuleSpec>,
    /// Seed of the rendered scene
    #[arg(long, value_name = "S", conflicts_with = "image")]
    seed: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    /// The photograph's path; none for the rendered scene.
    path: Option<String>,
    model: String,
    image: Size,
    network: Size,
    segments: usize,
    labelling: RuleSpec,
    classes: Vec<ClassShare>,
    unlabelled: f64,
    milliseconds: Times,
    out: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<String>,
}

#[derive(Serialize)]
struct Size {
    width: u32,
    height: u32,
}

#[derive(Serialize)]
struct ClassShare {
    name: String,
    label: u8,
    share: f64,
}

/// Runs the command.
///
/// # Errors
/// When an input is broken or an output cannot be written.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let file = args.model.open()?;
    let model = file.parse()?;
    let mut pipeline = pipeline(&file, &model)?;
    if let Some(rule) = args.labelling {
        pipeline = pipeline.with_labelling(rule.0)?;
    }
    let photo = match &args.image {
        Some(path) => photo::open(path)?,
        None => {
            let (width, height) = SAMPLE_SIZE;
            Scene::render(width, height, args.seed.unwrap_or(SAMPLE_SEED)).photo
        }
    };
    let segmentation = match (&args.segments.segments, &args.logits) {
        (None, None) => pipeline.segment(&photo).with_context(|| file.name())?,
        (None, Some(path)) => {
            let segmentation = pipeline.segment_by_logits(&photo, &Logits::open(path)?);
            segmentation.with_context(|| display(path))?
        }
        (Some(path), _) => {
            let segments = Segments::open(path, &args.segments.options())?;
            let segmentation = pipeline.segment_by(&photo, &segments);
            segmentation.with_context(|| display(path))?
        }
    };

    write_picture(
        &args.out,
        &picture::overlay(&photo, &segmentation.labels, &model),
    )?;
    let (width, height) = photo.dimensions();
    if let Some(path) = &args.labels {
        let values = pipeline.label_values();
        let labels = segmentation
            .labels
            .mapped(&values)
            .resized(width as usize, height as usize);
        write_labels(path, &labels)?;
    }

    let classes = found(&model, &segmentation);
    let report = Report {
        path: args.image.as_deref().map(display),
        model: file.name(),
        image: Size { width, height },
        network: Size {
            width: model.input().width.into(),
            height: model.input().height.into(),
        },
        segments: segmentation.segments,
        labelling: RuleSpec(pipeline.labelling()),
        unlabelled: (1.0 - classes.iter().map(|class| class.share).sum::<f64>()).max(0.0),
        classes,
        milliseconds: segmentation.times,
        out: display(&args.out),
        labels: args.labels.as_deref().map(display),
    };
    if args.json {
        print_json(out, &report)?;
    } else {
        print(&report, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The classes that occur, largest share first.
fn found(model: &Model<'_>, segmentation: &Segmentation) -> Vec<ClassShare> {
    let shares = segmentation.shares(model.class_count());
    let mut classes: Vec<ClassShare> = model
        .classes()
        .zip(shares)
        .filter(|(_, share)| *share > 0.0)
        .map(|(class, share)| ClassShare {
            name: class.name.to_owned(),
            label: class.label,
            share,
        })
        .collect();
    classes.sort_by(|a, b| b.share.total_cmp(&a.share));
    classes
}

fn print(report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(
        out,
        "{}, {}x{}, seen by {} at {}x{}",
        report.path.as_deref().unwrap_or("rendered sample scene"),
        report.image.width,
        report.image.height,
        report.model,
        report.network.width,
        report.network.height,
    )?;
    let widest = report
        .classes
        .iter()
        .map(|class| class.name.chars().count())
        .max()
        .unwrap_or(0)
        .max("unlabelled".len());
    for class in &report.classes {
        writeln!(out, "  {:widest$}  {:>7}", class.name, percent(class.share))?;
    }
    if report.unlabelled > 1e-9 {
        let share = percent(report.unlabelled);
        writeln!(out, "  {:widest$}  {share:>7}", "unlabelled")?;
    }
    let times = &report.milliseconds;
    writeln!(
        out,
        "{} segments, labelled by {}; milliseconds:",
        report.segments, report.labelling
    )?;
    for (stage, time) in [
        ("convolution", times.conv),
        ("proposals", times.proposals),
        ("masks + SPP", times.masks_spp),
        ("FC", times.fc),
        ("labelling", times.labelling),
        ("total", times.total),
    ] {
        writeln!(
            out,
            "  {stage:widest$}  {:>7.1}",
            time.as_secs_f64() * 1000.0,
            widest = widest.max("convolution".len())
        )?;
    }
    writeln!(out, "overlay: {}", report.out)?;
    if let Some(labels) = &report.labels {
        writeln!(out, "labels: {labels}")?;
    }
    Ok(())
}
