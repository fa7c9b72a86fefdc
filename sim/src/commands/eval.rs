//! `cfm eval`: measures a model on a labelled data set.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use cfm_sim::dataset::Dataset;
use cfm_sim::evaluate::{ClassMatch, Evaluation, evaluate};
use cfm_sim::float_network::FloatNetwork;
use image::RgbImage;

use super::{ModelArg, percent, pipeline, print_json, progress};

/// Arguments of `cfm eval`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the data set: dataset.toml, images/, labels/, and a file of IDs per split
    dataset: PathBuf,
    /// Which photographs: those that NAME.txt lists
    #[arg(long, value_name = "NAME", default_value = "val")]
    split: String,
    #[command(flatten)]
    model: ModelArg,
    /// Run the float network before quantization, from M.safetensors beside M.cfm
    #[arg(long)]
    float: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When the model or the data set is broken, or they do not belong together.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let file = args.model.open()?;
    let model = file.parse()?;
    let pipeline = pipeline(&file, &model)?;
    let network = if args.float {
        Some(FloatNetwork::new(&model, file.float()?).with_context(|| file.name())?)
    } else {
        None
    };
    let dataset = Dataset::open(&args.dataset)?;
    let ids = dataset.split(&args.split)?;
    let name = || args.dataset.display().to_string();
    let classes = ClassMatch::new(&model, dataset.description()).with_context(name)?;
    let bar = progress(ids.len() as u64, "images", args.json);
    let segment = |photo: &RgbImage| match &network {
        Some(network) => pipeline.segment_float(network, photo),
        None => Ok(pipeline.segment(photo)?.labels),
    };
    let evaluation =
        evaluate(&dataset, &ids, &classes, segment, || bar.inc(1)).with_context(name)?;
    bar.finish_and_clear();
    if args.json {
        print_json(out, &evaluation)?;
    } else {
        print(&evaluation, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(evaluation: &Evaluation, out: &mut dyn Write) -> std::io::Result<()> {
    let ious = &evaluation.class_iou.0;
    let widest = ious
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0)
        .max("frequency-weighted IoU".len());
    writeln!(out, "{} images; IoU:", evaluation.images)?;
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
