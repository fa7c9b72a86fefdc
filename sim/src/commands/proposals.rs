//! `cfm proposals`: shows the superpixels that candidate segments are made of.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use cfm_sim::output::write_picture;
use cfm_sim::pipeline::ProposalMemory;
use cfm_sim::{photo, picture};
use serde::Serialize;

use super::{ModelArg, display, pipeline, print_json};

/// Width that a panel of the picture is enlarged to, roughly.
const PANEL: u32 = 480;

/// Arguments of `cfm proposals`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Photograph (PNG, JPEG, BMP or PNM)
    image: PathBuf,
    #[command(flatten)]
    model: ModelArg,
    /// Where the picture goes: the photograph, and the superpixels of every scale
    #[arg(long, value_name = "PNG", default_value = "proposals.png")]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    path: String,
    width: u16,
    height: u16,
    superpixels: Vec<u16>,
    segments: usize,
    milliseconds: f64,
    out: String,
}

/// Runs the command.
///
/// # Errors
/// When an input is broken or the picture cannot be written.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let file = args.model.open()?;
    let model = file.parse()?;
    let pipeline = pipeline(&file, &model)?;
    let photo = photo::open(&args.image)?;
    let input = pipeline.input(&photo)?;
    let clock = Instant::now();
    let mut memory = ProposalMemory::default();
    let proposals = memory.propose(input.view()?, pipeline.params())?;
    let elapsed = clock.elapsed();

    let (width, height) = (model.input().width, model.input().height);
    let small = photo::resized(&photo, width.into(), height.into());
    let zoom = (PANEL / u32::from(width)).max(1);
    write_picture(
        &args.out,
        &picture::superpixels(&small, proposals.maps(), zoom),
    )?;
    let report = Report {
        path: display(&args.image),
        width,
        height,
        superpixels: proposals.maps().iter().map(|map| map.count()).collect(),
        segments: proposals.len(),
        milliseconds: elapsed.as_secs_f64() * 1000.0,
        out: display(&args.out),
    };
    if args.json {
        print_json(out, &report)?;
    } else {
        writeln!(out, "{}, seen at {width}x{height}", report.path)?;
        for (count, scale) in report.superpixels.iter().zip(pipeline.params().scales()) {
            writeln!(out, "  k {:>4}: {count:>5} superpixels", scale.k)?;
        }
        writeln!(
            out,
            "{} segments in {:.1} ms\npicture: {}",
            report.segments, report.milliseconds, report.out
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
