//! `cfm eval`: measures a model on a labelled data set, in one go or in parts.

mod report;

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use cfm_sim::dataset::Dataset;
use cfm_sim::eval_part::{Fingerprint, Part, Photographs, Plan, Run, Shard, Skipped, merge};
use cfm_sim::evaluate::ClassMatch;
use cfm_sim::float_network::FloatNetwork;
use cfm_sim::label_map::LabelMap;
use cfm_sim::labelling::RuleSpec;
use cfm_sim::pipeline::PipelineError;
use image::RgbImage;

use super::{LABELLING_HELP, ModelArg, display, pipeline, progress, spaced};

/// Arguments of `cfm eval`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    measure: MeasureArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Put the parts of a data set that was measured in shards together, and print what one run prints
    Merge(MergeArgs),
}

#[derive(Debug, clap::Args)]
struct MergeArgs {
    /// The part files of all shards
    #[arg(required = true)]
    parts: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct MeasureArgs {
    /// Folder of the data set: dataset.toml, images/, labels/, and a file of IDs per split
    #[arg(required = true)]
    dataset: Option<PathBuf>,
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
        help = format!("{LABELLING_HELP}; given several times, photographs are scored once and labelled by each, but with --float once for each")
    )]
    labelling: Vec<RuleSpec>,
    /// Run the float network before quantization, from M.safetensors beside M.cfm
    #[arg(long)]
    float: bool,
    /// Record what is measured in FILE, once a second; if it is there, go on where it ends
    #[arg(long, value_name = "FILE")]
    part: Option<PathBuf>,
    /// Measure the I-th of N equal shards only; `cfm eval merge` puts their part files together
    #[arg(long, value_name = "I/N", requires = "part")]
    shard: Option<Shard>,
    /// Skip photographs and labels that cannot be used instead of stopping with status 2; name them in the end, with
    /// status 1
    #[arg(long)]
    keep_going: bool,
    /// Print how long labelling took, too
    #[arg(long, conflicts_with_all = ["part", "float"])]
    times: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command; the status is 1 when photographs were skipped.
///
/// # Errors
/// When the model or the data set is broken, or they, or parts, do not belong together.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match (&args.action, &args.measure.dataset) {
        (Some(Action::Merge(args)), _) => merge_parts(args, out),
        (None, Some(dataset)) => measure(dataset, &args.measure, out),
        (None, None) => anyhow::bail!("name a data set"),
    }
}

fn merge_parts(args: &MergeArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let parts = args.parts.iter();
    let parts: Vec<(String, Part)> = parts
        .map(|path| Ok((display(path), Part::open(path)?)))
        .collect::<anyhow::Result<_>>()?;
    Ok(report::print_outcome(&merge(parts)?, None, args.json, out)?)
}

fn measure(dataset: &Path, args: &MeasureArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
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
    let name = || display(dataset);
    let dataset = Dataset::open(dataset)?;
    let mut ids = dataset.split(&args.split)?;
    if let Some(images) = args.images {
        ids = spaced(&ids, images.get());
    }
    let classes = ClassMatch::new(&model, dataset.description()).with_context(name)?;
    let photographs = Photographs::new(dataset.description(), &args.split, &ids);
    let mut plan = Plan::new(file.bytes(), rules.clone(), photographs, &classes);
    if args.float {
        plan.float = Some(Fingerprint::of(&file.float_bytes()?));
    }
    let shard = args.shard.unwrap_or(Shard::WHOLE);
    let part = match &args.part {
        Some(path) => Part::resume(path, plan, shard, &ids)?,
        None => Part::new(plan, shard, &ids),
    };

    let micros: Vec<AtomicU64> = rules.iter().map(|_| AtomicU64::new(0)).collect();
    let segment = |photo: &RgbImage| -> Result<Vec<LabelMap>, PipelineError> {
        match &network {
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
        }
    };
    let images = part.images().len();
    let bar = progress(images as u64, "images", args.json);
    bar.set_position((images - part.pending()) as u64);
    bar.reset_eta();
    let done = |skipped: Option<&Skipped>| {
        if let Some(Skipped { reason, .. }) = skipped {
            // Nothing is left to be done when even this cannot be written.
            let _ = bar.suspend(|| writeln!(io::stderr(), "cfm: skipped: {reason}"));
        }
        bar.inc(1);
    };
    let run = Run {
        dataset: &dataset,
        classes: &classes,
        file: args.part.as_deref(),
        keep_going: args.keep_going,
    };
    let part = run.finish(part, segment, done).with_context(name)?;
    bar.finish_and_clear();

    if let (Some(path), Some(_)) = (&args.part, args.shard) {
        return Ok(report::print_shard(&part, &display(path), args.json, out)?);
    }
    let outcome = merge(vec![(name(), part)])?;
    let times = args.times.then(|| {
        let compared = (images - outcome.skipped.len()) as f64;
        let mean = |micros: &AtomicU64| micros.load(Ordering::Relaxed) as f64 / 1000.0 / compared;
        micros.iter().map(mean).collect::<Vec<f64>>()
    });
    Ok(report::print_outcome(
        &outcome,
        times.as_deref(),
        args.json,
        out,
    )?)
}
