//! `cfm quantize`: turns a float model into integers, calibrated on photographs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use cfm_model::quantize::WeightScales;
use cfm_model::quantize::range::RangeMethod;
use cfm_sim::model_file::ModelFile;
use cfm_sim::output::print_json;
use cfm_sim::photo;
use cfm_sim::photo_list::{photo_list, source_files};
use cfm_sim::pipeline::{NetworkInput, Pipeline};
use cfm_sim::post_training::{Equalization, LayerReport, Options, quantize};
use clap::ValueEnum;
use rayon::prelude::*;
use serde::Serialize;

use super::{display, outputs_beside, pipeline, progress};

/// Arguments of `cfm quantize`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Float weights
    #[arg(value_name = "FLOAT.safetensors")]
    weights: PathBuf,
    /// Model of the same structure, which gives everything but the numbers; without it, the one beside the weights
    #[arg(long, value_name = "LIKE.cfm")]
    model: Option<PathBuf>,
    /// Photographs to calibrate on: a folder of them, or a data set and the split to take (train without it)
    #[arg(long, value_name = "FOLDER|DATASET[:SPLIT]")]
    images: PathBuf,
    #[command(flatten)]
    calibration: Calibration,
    /// Where the model goes
    #[arg(long, value_name = "NEW.cfm")]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How a float network is calibrated.
#[derive(Debug, clap::Args)]
pub struct Calibration {
    /// Most photographs to calibrate on, evenly spread over all [default: 32]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    limit: Option<usize>,
    /// How the ranges of activations are chosen: max, percentile=P or mse [default: mse]
    #[arg(long, value_name = "METHOD")]
    range: Option<RangeMethod>,
    /// Take the mean error of every layer back out of its bias [default: on]
    #[arg(long, value_enum)]
    bias_correction: Option<Switch>,
    /// Bring channels between two convolutions to like magnitudes: their weights', or those that activations show
    /// [default: weights]
    #[arg(long, value_enum)]
    equalize: Option<Equalize>,
    /// Scales of weights: powers of two, or general ones that cost a multiplication [default: power-of-two]
    #[arg(long, value_enum)]
    scales: Option<Scales>,
}

impl Calibration {
    /// The first of these options that was given.
    #[must_use]
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            (self.limit.is_some(), "--limit"),
            (self.range.is_some(), "--range"),
            (self.bias_correction.is_some(), "--bias-correction"),
            (self.equalize.is_some(), "--equalize"),
            (self.scales.is_some(), "--scales"),
        ];
        let first = given.into_iter().find(|(given, _)| *given);
        first.map(|(_, option)| option)
    }

    fn range(&self) -> RangeMethod {
        self.range.unwrap_or(RangeMethod::MeanSquaredError)
    }

    fn bias_correction(&self) -> Switch {
        self.bias_correction.unwrap_or(Switch::On)
    }

    fn equalize(&self) -> Equalize {
        self.equalize.unwrap_or(Equalize::Weights)
    }

    fn scales(&self) -> Scales {
        self.scales.unwrap_or(Scales::PowerOfTwo)
    }

    /// What the library takes.
    #[must_use]
    pub fn options(&self) -> Options {
        Options {
            range: self.range(),
            scales: match self.scales() {
                Scales::PowerOfTwo => WeightScales::PowerOfTwo,
                Scales::General => WeightScales::General,
            },
            equalization: match self.equalize() {
                Equalize::Off => Equalization::Off,
                Equalize::Weights => Equalization::Weights,
                Equalize::Activations => Equalization::Activations,
            },
            bias_correction: self.bias_correction() == Switch::On,
        }
    }

    /// The photographs of a folder or a data set at the network's size.
    ///
    /// # Errors
    /// When there are none, or one cannot be read.
    pub fn inputs(
        &self,
        images: &Path,
        pipeline: &Pipeline<'_>,
    ) -> anyhow::Result<Vec<NetworkInput>> {
        let photos = photo_list(images, self.limit.unwrap_or(32))?;
        photos
            .par_iter()
            .map(|path| Ok(pipeline.input(&photo::open(path)?)?))
            .collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Equalize {
    Off,
    Weights,
    Activations,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Scales {
    PowerOfTwo,
    General,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1 photograph is needed".to_owned()),
        Ok(count) => Ok(count),
        Err(error) => Err(format!("{error}")),
    }
}

#[derive(Serialize)]
struct Report {
    weights: String,
    model: String,
    images: usize,
    segments: usize,
    range: String,
    bias_correction: Switch,
    equalize: Equalize,
    /// Pairs of layers that were equalized.
    equalized: Vec<[usize; 2]>,
    scales: Scales,
    layers: Vec<LayerReport>,
    out: String,
    bytes: usize,
}

/// Runs the command.
///
/// # Errors
/// When an input is broken, weights and model do not belong together, or the model cannot be written.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let like = match &args.model {
        Some(path) => path.clone(),
        None => args.weights.with_extension("cfm"),
    };
    let file = ModelFile::open(Some(&like))?;
    let model = file.parse()?;
    let pipeline = pipeline(&file, &model)?;
    let float = file.float_from(&args.weights)?;
    let mut inputs = source_files(&args.images)?;
    inputs.push(args.weights.clone());
    let mut files = outputs_beside(&file, &inputs);
    files.expect(&args.out)?;
    let images = args.calibration.inputs(&args.images, &pipeline)?;
    let options = args.calibration.options();
    let steps = (options.passes() * images.len()) as u64;
    let bar = progress(steps, "calibration", args.json);
    let quantized = quantize(float, &pipeline, &images, &options, || bar.inc(1))
        .with_context(|| display(&args.weights))?;
    bar.finish_and_clear();
    let bytes = quantized.cfm.len();
    files.add(&args.out, quantized.cfm)?;
    files.commit()?;
    let report = Report {
        weights: display(&args.weights),
        model: file.name(),
        images: images.len(),
        segments: quantized.segments,
        range: args.calibration.range().to_string(),
        bias_correction: args.calibration.bias_correction(),
        equalize: args.calibration.equalize(),
        equalized: quantized
            .equalized
            .iter()
            .map(|pair| [pair.first, pair.second])
            .collect(),
        scales: args.calibration.scales(),
        layers: quantized.layers,
        out: display(&args.out),
        bytes,
    };
    if args.json {
        print_json(out, &report)?;
    } else {
        print(&report, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(
        out,
        "{}, structure of {}, {} photographs, {} segments",
        report.weights, report.model, report.images, report.segments
    )?;
    for [first, second] in &report.equalized {
        writeln!(out, "equalized: layers {first} and {second}")?;
    }
    print_layers(&report.layers, out)?;
    writeln!(out, "\n{}: {} bytes", report.out, report.bytes)
}

/// What became of every layer, as a table.
///
/// # Errors
/// What the stream reports.
pub fn print_layers(layers: &[LayerReport], out: &mut dyn Write) -> std::io::Result<()> {
    let widest = layers
        .iter()
        .map(|layer| layer.layer.len())
        .max()
        .unwrap_or(0);
    writeln!(
        out,
        "\n{:widest$}  {:<15}  step  zero     max |x|    clipped  SQNR",
        "layer", "kind"
    )?;
    for layer in layers {
        let sqnr = layer
            .sqnr_db
            .map_or_else(|| "-".to_owned(), |sqnr| format!("{sqnr:.1} dB"));
        writeln!(
            out,
            "{:widest$}  {:<15}  2^{:<3} {:>4}  {:>10.4}  {:>7.4} %  {sqnr}",
            layer.layer,
            layer.kind,
            layer.exponent,
            layer.zero_point,
            layer.max,
            100.0 * layer.clipped
        )?;
    }
    Ok(())
}
