//! `cfm bench`: how fast the parts of the method are, beside what could be in their place.

use std::cell::RefCell;
use std::fs;
use std::hint::black_box;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use cfm_core::executor::Executor;
use cfm_core::image::ImageView;
use cfm_core::kernels::{Kernels, Portable, native_for};
use cfm_core::model::{Model, Shape};
use cfm_core::segment::Segment;
use cfm_model::onnx::export::{ExportError, Format, export, export_float};
use cfm_sim::benchmark::each_segment::{convolve_each, masked_image};
use cfm_sim::benchmark::layer::convolution;
use cfm_sim::benchmark::peers::{PeerError, Peers, Runtime};
use cfm_sim::benchmark::{Contestant, Timing, race};
use cfm_sim::core_trace::{classification_time, logits, whole_image};
use cfm_sim::output::print_json;
use cfm_sim::photo;
use cfm_sim::pipeline::{Pipeline, ProposalMemory};
use cfm_sim::scene::{SAMPLE_SEED, SAMPLE_SIZE, Scene};
use cfm_sim::trace::Inputs;
use clap::builder::RangedU64ValueParser;
use prost::Message;
use serde::Serialize;

use super::{ModelArg, display, pipeline, progress};

/// Arguments of `cfm bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Photograph (PNG, JPEG, BMP or PNM); a rendered scene without it
    image: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArg,
    /// Most segments, evenly spread over the proposals
    #[arg(long, value_name = "N", default_value_t = 500)]
    segments: usize,
    /// Times that everything runs; the shortest counts
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    rounds: usize,
    /// Python with onnxruntime and tract, to run the same networks there
    #[arg(long, value_name = "PYTHON")]
    peers: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The time that a contestant may take in all.
const LIMIT: Duration = Duration::from_secs(20);

/// The convolution that kernels are usually compared on.
const LAYER: Shape = Shape {
    height: 60,
    width: 80,
    channels: 64,
};

#[derive(Serialize)]
struct Report {
    /// The photograph's path; none for the rendered scene.
    path: Option<String>,
    model: String,
    segments: usize,
    races: Vec<Race>,
}

#[derive(Serialize)]
struct Race {
    what: String,
    timings: Vec<Timing>,
    /// Programs that do not run the network, with what they say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// When an input is broken, or a peer cannot run the network.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let peers = args.peers.as_deref().map(Peers::start).transpose()?;
    let peers = peers.map(RefCell::new);
    let file = args.model.open()?;
    let model = file.parse()?;
    let pipeline = pipeline(&file, &model)?;
    let photo = match &args.image {
        Some(path) => photo::open(path)?,
        None => {
            let (width, height) = SAMPLE_SIZE;
            Scene::render(width, height, SAMPLE_SEED).photo
        }
    };
    let input = pipeline.input(&photo)?;
    let image = input.view()?;
    let layer = convolution(LAYER)?;
    let layer = Model::parse(&layer)?;
    let noise: Vec<u8> = (0..LAYER.len()).map(|i| (i * 167 % 251) as u8).collect();
    let noise = ImageView::new(&noise, LAYER.width, LAYER.height, LAYER.channels)?;

    let (segments, method) = method(args, &pipeline, image)?;
    let report = Report {
        path: args.image.as_deref().map(display),
        model: file.name(),
        segments,
        races: vec![
            method,
            network(
                args,
                format!("backbone of {}", file.name()),
                &model,
                image,
                peers.as_ref(),
            )?,
            network(
                args,
                "3x3 convolution, 80x60, 64 to 64 channels".to_owned(),
                &layer,
                noise,
                peers.as_ref(),
            )?,
        ],
    };
    if args.json {
        print_json(out, &report)?;
    } else {
        print(&report, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The method, what it replaces, and its parts.
fn method(
    args: &Args,
    pipeline: &Pipeline<'_>,
    image: ImageView<'_>,
) -> anyhow::Result<(usize, Race)> {
    let model = pipeline.model();
    let mut memory = ProposalMemory::default();
    let proposals = memory.propose(image, pipeline.params())?;
    let all: Vec<Segment<'_>> = proposals
        .iter()
        .map(|proposal| proposal.segment())
        .collect();
    let count = args.segments.min(all.len());
    let segments: Vec<Segment<'_>> = (0..count).map(|i| all[i * all.len() / count]).collect();
    let inputs = Inputs {
        image,
        maps: proposals.maps(),
        segments: &segments,
        rule: pipeline.labelling(),
    };
    let masked = segments
        .iter()
        .map(|segment| masked_image(&inputs, segment))
        .collect::<Result<Vec<_>, _>>()?;
    let kernels = &native_for(model);
    let features = whole_image(model, &image, kernels)?;
    let mut anew = ProposalMemory::default();
    let contestants: Vec<Contestant<'_, anyhow::Error>> = vec![
        Contestant::timed(
            format!("features masked: 1 convolution, {count} segments"),
            || {
                let features = whole_image(model, &image, kernels)?;
                black_box(logits(model, &features, &inputs, kernels)?);
                Ok(())
            },
        ),
        Contestant::timed(format!("image masked: {count} convolutions"), || {
            black_box(convolve_each(model, &masked, &inputs, kernels)?);
            Ok(())
        }),
        Contestant::timed("part: the convolution", || {
            black_box(whole_image(model, &image, kernels)?);
            Ok(())
        }),
        Contestant::timed(format!("part: the {count} segments"), || {
            black_box(logits(model, &features, &inputs, kernels)?);
            Ok(())
        }),
        Contestant::new(
            format!("part: the fully connected layers of the {count} segments alone"),
            || Ok(classification_time(model, &features, &inputs, kernels)?),
        ),
        Contestant::timed(format!("beside it: {} proposals", all.len()), || {
            black_box(anew.propose(image, pipeline.params())?.len());
            Ok(())
        }),
    ];
    let race = run_race(args, "masking features, not images", contestants)?;
    Ok((count, race))
}

/// A network on all that can run it.
fn network(
    args: &Args,
    what: String,
    model: &Model<'_>,
    image: ImageView<'_>,
    peers: Option<&RefCell<Peers>>,
) -> anyhow::Result<Race> {
    let kernels = native_for(model);
    let mut contestants = vec![
        convolution_by("these kernels", model, image, &kernels),
        convolution_by("portable kernels", model, image, Portable),
    ];
    let mut refused = Vec::new();
    // The files are read when a program loads them, and not again.
    let folder = tempfile::tempdir()?;
    for network in peer_networks(model)? {
        let Some(peers) = peers else { break };
        let PeerNetwork {
            runtime,
            arithmetic,
            onnx,
        } = network;
        let path = folder.path().join("network.onnx");
        fs::write(&path, onnx)?;
        let loaded = peers.borrow_mut().load(runtime, &path);
        match loaded {
            Ok(loaded) => {
                let name = format!("{} {}, {arithmetic}", runtime.name(), loaded.version);
                contestants.push(Contestant::new(name, move || {
                    Ok(peers.borrow_mut().run(&loaded)?)
                }));
            }
            Err(PeerError::Refused { runtime, reason }) => {
                refused.push(format!("{}, {arithmetic}: {reason}", runtime.name()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let mut race = run_race(args, what, contestants)?;
    race.refused = refused;
    Ok(race)
}

/// An ONNX file and the program that is to run it.
struct PeerNetwork {
    runtime: Runtime,
    arithmetic: &'static str,
    onnx: Vec<u8>,
}

/// What other programs are given: the network as integers in both forms, and as the real numbers that they stand for.
fn peer_networks(model: &Model<'_>) -> Result<Vec<PeerNetwork>, ExportError> {
    let integers = |format| export(model, format).map(|files| files.backbone.encode_to_vec());
    let float = export_float(model)?.encode_to_vec();
    let networks = [
        (
            Runtime::OnnxRuntime,
            "int8 (QLinear)",
            integers(Format::QLinear)?,
        ),
        (Runtime::OnnxRuntime, "int8 (QDQ)", integers(Format::Qdq)?),
        (Runtime::OnnxRuntime, "float", float.clone()),
        (Runtime::Tract, "int8 (QLinear)", integers(Format::QLinear)?),
        (Runtime::Tract, "float", float),
    ];
    Ok(networks
        .map(|(runtime, arithmetic, onnx)| PeerNetwork {
            runtime,
            arithmetic,
            onnx,
        })
        .into())
}

fn convolution_by<'a>(
    name: &str,
    model: &'a Model<'a>,
    image: ImageView<'a>,
    kernels: impl Kernels + Copy + 'a,
) -> Contestant<'a, anyhow::Error> {
    let mut arena = vec![0; model.arena_bytes()];
    Contestant::timed(name, move || {
        let mut executor = Executor::with_kernels(model, &mut arena, kernels)?;
        executor.push_image(&image)?;
        black_box(executor.finish()?);
        Ok(())
    })
}

fn run_race(
    args: &Args,
    what: impl Into<String>,
    contestants: Vec<Contestant<'_, anyhow::Error>>,
) -> anyhow::Result<Race> {
    let what = what.into();
    let turns = contestants.len() * (args.rounds + 1);
    let bar = progress(turns as u64, "runs", args.json);
    let timings = race(contestants, args.rounds, LIMIT, || bar.inc(1))?;
    bar.finish_and_clear();
    Ok(Race {
        what,
        timings,
        refused: Vec::new(),
    })
}

fn print(report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    let names = report.races.iter().flat_map(|race| &race.timings);
    let widest = names
        .map(|timing| timing.name.chars().count())
        .max()
        .unwrap_or(0);
    for race in &report.races {
        writeln!(
            out,
            "{:width$}  {:>9}  {:>9}  {:>5}  {:>7}",
            race.what,
            "best, ms",
            "median",
            "runs",
            "ratio",
            width = widest + 2
        )?;
        for timing in &race.timings {
            writeln!(
                out,
                "  {:widest$}  {:>9.3}  {:>9.3}  {:>5}  {:>7.2}",
                timing.name,
                timing.best_milliseconds,
                timing.median_milliseconds,
                timing.runs,
                timing.ratio
            )?;
        }
        for refused in &race.refused {
            writeln!(out, "  not run by {refused}")?;
        }
    }
    Ok(())
}
