//! `cfm eval`: measures a model on a labelled data set.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use cfm_sim::dataset::Dataset;
use cfm_sim::evaluate::{ClassMatch, Evaluation, evaluate};
use cfm_sim::float_network::FloatNetwork;
use cfm_sim::labelling::RuleSpec;
use image::RgbImage;
use serde::Serialize;

use super::{LABELLING_HELP, ModelArg, percent, pipeline, print_json, progress};

/// Arguments of `cfm eval`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the data set: dataset.toml, images/, labels/, and a file of IDs per split
    dataset: PathBuf,
    /// Which photographs: those that NAME.txt lists
    #[arg(long, value_name = "NAME", default_value = "val")]
    split: String,
    /// Measure N photographs only, evenly spaced over the split
    #[arg(long, value_name = "N")]
    images: Option<NonZeroUsize>,
    #[command(flatten)]
    model: ModelArg,
    #[arg(
        long,
        value_name = "SPEC",
        help = format!("{LABELLING_HELP}; given several times, photographs are scored once and labelled by each")
    )]
    labelling: Vec<RuleSpec>,
    /// Run the float network before quantization, from M.safetensors beside M.cfm
    #[arg(long)]
    float: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    labelling: RuleSpec,
    #[serde(flatten)]
    evaluation: Evaluation,
    /// Mean time that labelling took, by the integer network.
    #[serde(
        rename = "labelling_milliseconds",
        skip_serializing_if = "Option::is_none"
    )]
    milliseconds: Option<f64>,
}

/// Runs the command.
///
/// # Errors
/// When the model or the data set is broken, or they do not belong together.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let file = args.model.open()?;
    let model = file.parse()?;
    let pipeline = pipeline(&file, &model)?;
    let rules = if args.labelling.is_empty() {
        vec![RuleSpec(pipeline.labelling())]
    } else {
        args.labelling.clone()
    };
    let pipelines = rules
        .iter()
        .map(|rule| pipeline.clone().with_labelling(rule.0))
        .collect::<Result<Vec<_>, _>>()?;
    let network = if args.float {
        Some(FloatNetwork::new(&model, file.float()?).with_context(|| file.name())?)
    } else {
        None
    };
    let dataset = Dataset::open(&args.dataset)?;
    let mut ids = dataset.split(&args.split)?;
    if let Some(images) = args.images {
        ids = spaced(&ids, images.get());
    }
    let name = || args.dataset.display().to_string();
    let classes = ClassMatch::new(&model, dataset.description()).with_context(name)?;
    let bar = progress(ids.len() as u64, "images", args.json);
    let micros: Vec<AtomicU64> = rules.iter().map(|_| AtomicU64::new(0)).collect();
    let segment = |photo: &RgbImage| match &network {
        Some(network) => pipelines
            .iter()
            .map(|pipeline| pipeline.segment_float(network, photo))
            .collect(),
        None => pipeline.score(photo, |scored| {
            let rules = rules.iter().zip(&micros);
            rules
                .map(|(rule, micros)| {
                    let segmentation = scored.label(rule.0)?;
                    let time = segmentation.times.labelling.as_micros() as u64;
                    micros.fetch_add(time, Ordering::Relaxed);
                    Ok(segmentation.labels)
                })
                .collect()
        }),
    };
    let evaluations =
        evaluate(&dataset, &ids, &classes, segment, || bar.inc(1)).with_context(name)?;
    bar.finish_and_clear();
    let mut reports: Vec<Report> = evaluations
        .into_iter()
        .zip(&rules)
        .zip(&micros)
        .map(|((evaluation, &labelling), micros)| Report {
            labelling,
            evaluation,
            milliseconds: network.is_none().then(|| {
                let micros = micros.load(Ordering::Relaxed) as f64;
                micros / 1000.0 / ids.len() as f64
            }),
        })
        .collect();
    match (args.json, &mut reports[..]) {
        (true, [report]) => print_json(out, report)?,
        (true, reports) => print_json(out, &reports)?,
        (false, [report]) => print(report, out)?,
        (false, reports) => compare(reports, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `count` of the photographs (or all, if there are not so many), evenly spaced.
fn spaced(ids: &[String], count: usize) -> Vec<String> {
    let count = count.min(ids.len());
    (0..count)
        .map(|i| ids[i * ids.len() / count].clone())
        .collect()
}

/// The measures under several labelling rules, the best mIoU first.
fn compare(reports: &mut [Report], out: &mut dyn Write) -> std::io::Result<()> {
    reports.sort_by(|a, b| b.evaluation.miou.total_cmp(&a.evaluation.miou));
    let specs: Vec<String> = reports.iter().map(|r| r.labelling.to_string()).collect();
    let widest = specs.iter().map(String::len).max().unwrap_or(0);
    let images = reports.first().map_or(0, |report| report.evaluation.images);
    writeln!(out, "{images} images")?;
    writeln!(
        out,
        "{:widest$}     mIoU    class   global  ms an image",
        "labelling"
    )?;
    for (spec, report) in specs.iter().zip(reports) {
        let Evaluation {
            miou,
            class_accuracy,
            global_accuracy,
            ..
        } = report.evaluation;
        write!(out, "{spec:widest$}")?;
        for value in [miou, class_accuracy, global_accuracy] {
            write!(out, "  {:>5.2} %", 100.0 * value)?;
        }
        match report.milliseconds {
            Some(time) => writeln!(out, "  {time:>11.2}")?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}

fn print(report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    let evaluation = &report.evaluation;
    let ious = &evaluation.class_iou.0;
    let widest = ious
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0)
        .max("frequency-weighted IoU".len());
    writeln!(
        out,
        "{} images, labelled by {}; IoU:",
        evaluation.images, report.labelling
    )?;
    for (name, iou) in ious {
        let iou = iou.map_or_else(|| "absent".to_owned(), percent);
        writeln!(out, "  {name:widest$}  {iou:>7}")?;
    }
    for (name, value) in [
        ("mIoU", evaluation.miou),
        ("class average", evaluation.class_accuracy),
        ("global accuracy", evaluation.global_accuracy),
        ("frequency-weighted IoU", evaluation.fwiou),
    ] {
        let value = percent(value);
        writeln!(out, "{name:width$}  {value:>7}", width = widest + 2)?;
    }
    Ok(())
}
