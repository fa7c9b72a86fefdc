//! `cfm import`: a network from ONNX files.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use cfm_core::model::Model;
use cfm_model::bounded_file;
use cfm_model::float_model::FloatHead;
use cfm_model::onnx::import::{self, HeadOptions, Import, Pixels};
use cfm_model::quantize::blank;
use cfm_model::spec::{ClassSpec, Classifier, Design, MaskRule};
use cfm_sim::dataset::{Class, MAX_DESCRIPTION};
use cfm_sim::labelling::RuleSpec;
use cfm_sim::output::{OutputFiles, print_json};
use cfm_sim::photo_list::source_files;
use cfm_sim::pipeline::Pipeline;
use cfm_sim::post_training::{LayerReport, quantize};
use clap::ValueEnum;
use fixed::types::U0F16;
use serde::{Deserialize, Serialize};

use super::quantize::{Calibration, print_layers};
use super::{LABELLING_HELP, display, progress};

/// Arguments of `cfm import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Network, or backbone: image to feature map
    #[arg(value_name = "BACKBONE.onnx")]
    backbone: PathBuf,
    /// Head: pooled vectors to logits
    #[arg(long, value_name = "HEAD.onnx")]
    head: Option<PathBuf>,
    /// Photographs to calibrate a float network on: a folder of them, or a data set and the split to take
    #[arg(long, value_name = "FOLDER|DATASET[:SPLIT]")]
    images: Option<PathBuf>,
    /// Where the model goes
    #[arg(long, value_name = "NEW.cfm")]
    out: PathBuf,
    /// Where the float weights go
    #[arg(long, value_name = "NEW.safetensors")]
    float: Option<PathBuf>,
    /// Size of the image, where the file leaves it open or another one is wanted
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    size: Option<(u16, u16)>,
    /// What the network takes for a white pixel before normalization: 1 or 255
    #[arg(long, value_name = "VALUE", default_value_t = 1.0)]
    white: f64,
    /// Mean that the network's input is normalized with, outside of the file
    #[arg(long, value_name = "R,G,B", value_parser = triple, default_value = "0,0,0")]
    mean: [f64; 3],
    /// Standard deviation that the network's input is normalized with, outside of the file
    #[arg(long, value_name = "R,G,B", value_parser = triple, default_value = "1,1,1")]
    std: [f64; 3],
    /// The value that is the feature map, instead of the graph's output
    #[arg(long, value_name = "VALUE")]
    output: Option<String>,
    /// What padding of a float network's first convolution holds: the network's zero (a layer more), or grey
    #[arg(long, value_enum, default_value = "exact")]
    border: Border,
    /// Levels of the pyramid, where the head reads whole vectors [default: 3,2,1]
    #[arg(long, value_name = "N,N...", value_delimiter = ',')]
    pyramid: Option<Vec<u8>>,
    /// Levels of the region path's pyramid (Design A), if others
    #[arg(long, value_name = "N,N...", value_delimiter = ',')]
    region_pyramid: Option<Vec<u8>>,
    /// Design of the head: what its structure is if not given (plain if it has one path)
    #[arg(long, value_enum)]
    design: Option<DesignName>,
    /// How segments become masks: average[=SHARE], max, nearest or off; if the file does not say it [default: average]
    #[arg(long, value_name = "RULE", value_parser = mask_rule)]
    mask: Option<MaskRule>,
    /// What the logits mean, if the file does not say it [default: softmax]
    #[arg(long, value_enum)]
    classifier: Option<ClassifierName>,
    /// Names of the classes: a TOML file with tables `class` of index, name, kind and color, such as a dataset.toml
    #[arg(long, value_name = "FILE.toml")]
    classes: Option<PathBuf>,
    #[arg(long, value_name = "RULE", help = LABELLING_HELP)]
    labelling: Option<RuleSpec>,
    #[command(flatten)]
    calibration: Calibration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Border {
    Exact,
    Grey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DesignName {
    Plain,
    A,
    B,
}

impl From<DesignName> for Design {
    fn from(name: DesignName) -> Self {
        match name {
            DesignName::Plain => Self::Plain,
            DesignName::A => Self::A,
            DesignName::B => Self::B,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ClassifierName {
    Softmax,
    Svm,
}

impl From<ClassifierName> for Classifier {
    fn from(name: ClassifierName) -> Self {
        match name {
            ClassifierName::Softmax => Self::Softmax,
            ClassifierName::Svm => Self::Svm,
        }
    }
}

/// Width and height as rows and columns.
fn size(text: &str) -> Result<(u16, u16), String> {
    let parse = |side: &str| side.parse().map_err(|error| format!("{side:?}: {error}"));
    let (width, height) = text.split_once('x').ok_or("it is not WIDTHxHEIGHT")?;
    Ok((parse(height)?, parse(width)?))
}

fn triple(text: &str) -> Result<[f64; 3], String> {
    let parse = |value: &str| match value.trim().parse() {
        Ok(value) if f64::is_finite(value) => Ok(value),
        _ => Err(format!("{value:?} is not a number")),
    };
    let values: Vec<f64> = text.split(',').map(parse).collect::<Result<_, _>>()?;
    <[f64; 3]>::try_from(values).map_err(|_| "there must be three numbers".to_owned())
}

fn mask_rule(text: &str) -> Result<MaskRule, String> {
    let average = |share: &str| {
        let threshold = share.parse().ok().and_then(U0F16::checked_from_num::<f64>);
        match threshold {
            Some(threshold) if threshold > U0F16::ZERO => Ok(MaskRule::Average { threshold }),
            _ => Err(format!("{share:?} is not a share between 0 and 1")),
        }
    };
    match text.split_once('=') {
        Some(("average", share)) => average(share),
        None if text == "average" => average("0.5"),
        None if text == "max" => Ok(MaskRule::Max),
        None if text == "nearest" => Ok(MaskRule::Nearest),
        None if text == "off" => Ok(MaskRule::Off),
        _ => Err("it is none of average[=SHARE], max, nearest, off".to_owned()),
    }
}

#[derive(Serialize)]
struct Report {
    backbone: String,
    head: Option<String>,
    /// Whether the integers come from the files.
    integers: bool,
    notes: Vec<String>,
    images: usize,
    segments: usize,
    layers: Vec<LayerReport>,
    out: String,
    bytes: usize,
    float: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When a file is broken or holds what cannot be represented, or the model cannot be written.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let backbone = read(&args.backbone)?;
    let head = args.head.as_deref().map(read).transpose()?;
    let options = options(args)?;
    let imported =
        import::import(&backbone, head.as_deref(), &options).with_context(|| names(args))?;
    let mut report = Report {
        backbone: display(&args.backbone),
        head: args.head.as_deref().map(display),
        integers: matches!(imported, Import::Integers(_)),
        notes: Vec::new(),
        images: 0,
        segments: 0,
        layers: Vec::new(),
        out: display(&args.out),
        bytes: 0,
        float: args.float.as_deref().map(display),
    };
    let mut files = outputs(args)?;
    let cfm = match imported {
        Import::Float(imported) => {
            let mut float = imported.model;
            let FloatHead {
                design,
                classifier,
                mask_rule,
                segment_levels,
                region_levels,
                ..
            } = &float.head;
            Head {
                design: *design,
                classifier: *classifier,
                mask_rule: *mask_rule,
                levels: [segment_levels, region_levels],
            }
            .check(args)?;
            if let Some(rule) = &args.labelling {
                float.labelling = Some(rule.0);
            }
            report.notes = imported.notes;
            let Some(images) = &args.images else {
                bail!("a float network is calibrated on photographs: say --images");
            };
            let blank = blank(&float)
                .with_context(|| names(args))?
                .to_bytes()
                .with_context(|| names(args))?;
            let model = Model::parse(&blank)?;
            let pipeline = Pipeline::new(&model).with_context(|| names(args))?;
            let images = args.calibration.inputs(images, &pipeline)?;
            let options = args.calibration.options();
            let steps = (options.passes() * images.len()) as u64;
            let bar = progress(steps, "calibration", args.json);
            let quantized = quantize(float.clone(), &pipeline, &images, &options, || bar.inc(1))
                .with_context(|| names(args))?;
            bar.finish_and_clear();
            report.images = images.len();
            report.segments = quantized.segments;
            report.layers = quantized.layers;
            if let Some(path) = &args.float {
                let bytes = float.to_safetensors(&quantized.cfm)?;
                files.add(path, bytes)?;
            }
            quantized.cfm
        }
        Import::Integers(imported) => {
            if args.float.is_some() {
                bail!(
                    "{}: the network is quantized; it has no float weights",
                    names(args)
                );
            }
            if args.images.is_some() {
                bail!(
                    "{}: the network is quantized; there is nothing to calibrate on --images",
                    names(args)
                );
            }
            let mut spec = imported.model;
            if let Some(option) = args.calibration.given() {
                bail!(
                    "{}: the network is quantized; there is nothing to calibrate with {option}",
                    names(args)
                );
            }
            let head = &spec.head;
            Head {
                design: head.design,
                classifier: head.classifier,
                mask_rule: head.mask_rule,
                levels: [&head.segment_levels, &head.region_levels],
            }
            .check(args)?;
            if let Some(rule) = &args.labelling {
                spec.labelling = Some(rule.0);
            }
            report.notes = imported.notes;
            spec.to_bytes().with_context(|| names(args))?
        }
    };
    report.bytes = cfm.len();
    // The model comes last: weights without it are of no use.
    files.add(&args.out, cfm)?;
    files.commit()?;
    if args.json {
        print_json(out, &report)?;
    } else {
        print(&report, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a head became.
struct Head<'a> {
    design: Design,
    classifier: Classifier,
    mask_rule: MaskRule,
    /// Of segments, of the region.
    levels: [&'a Vec<u8>; 2],
}

impl Head<'_> {
    /// Refuses an option that asked for something else: what a file says itself, in its structure or its `cfm.*` keys,
    /// goes before options.
    fn check(&self, args: &Args) -> anyhow::Result<()> {
        let design = args.design.map(Design::from);
        let classifier = args.classifier.map(Classifier::from);
        let [segment, region] = self.levels;
        let levels = |levels: &Vec<u8>| {
            let levels: Vec<String> = levels.iter().map(u8::to_string).collect();
            levels.join(",")
        };
        let design_name = match self.design {
            Design::Plain => "plain",
            Design::A => "a",
            Design::B => "b",
        };
        let classifier_name = match self.classifier {
            Classifier::Softmax => "softmax",
            Classifier::Svm => "svm",
        };
        let mask_name = match self.mask_rule {
            MaskRule::Average { threshold } => format!("average={threshold}"),
            MaskRule::Max => "max".to_owned(),
            MaskRule::Nearest => "nearest".to_owned(),
            MaskRule::Off => "off".to_owned(),
        };
        let differs = |given: Option<bool>| given == Some(false);
        let options = [
            (
                "--design",
                differs(design.map(|d| d == self.design)),
                design_name.to_owned(),
            ),
            (
                "--classifier",
                differs(classifier.map(|c| c == self.classifier)),
                classifier_name.to_owned(),
            ),
            (
                "--mask",
                differs(args.mask.map(|rule| rule == self.mask_rule)),
                mask_name,
            ),
            (
                "--pyramid",
                differs(args.pyramid.as_ref().map(|l| l == segment)),
                levels(segment),
            ),
            (
                "--region-pyramid",
                differs(args.region_pyramid.as_ref().map(|l| l == region)),
                match region.is_empty() {
                    true => "that there is none".to_owned(),
                    false => levels(region),
                },
            ),
        ];
        match options.into_iter().find(|(_, differs, _)| *differs) {
            Some((option, _, said)) => {
                bail!(
                    "{}: {option}: the file says {said}; leave it out",
                    names(args)
                )
            }
            None => Ok(()),
        }
    }
}

/// The files to write, which leave all that is read alone.
fn outputs(args: &Args) -> anyhow::Result<OutputFiles> {
    let mut inputs: Vec<PathBuf> = vec![args.backbone.clone()];
    inputs.extend(args.head.iter().chain(&args.classes).cloned());
    if let Some(images) = &args.images {
        inputs.extend(source_files(images)?);
    }
    let mut files = OutputFiles::new();
    files.keep(inputs);
    for path in args.float.iter().chain([&args.out]) {
        files.expect(path)?;
    }
    Ok(files)
}

/// The files that an error is about.
fn names(args: &Args) -> String {
    match &args.head {
        Some(head) => format!("{}, {}", display(&args.backbone), display(head)),
        None => display(&args.backbone),
    }
}

fn read(path: impl AsRef<Path>) -> anyhow::Result<Vec<u8>> {
    let path = path.as_ref();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(import::MAX_FILE + 1).read_to_end(&mut bytes))
        .with_context(|| display(path))?;
    if bytes.len() as u64 > import::MAX_FILE {
        bail!(
            "{}: the file is longer than {} MiB",
            display(path),
            import::MAX_FILE >> 20
        );
    }
    Ok(bytes)
}

fn options(args: &Args) -> anyhow::Result<import::Options> {
    if !args.white.is_finite() || args.white <= 0.0 || args.std.contains(&0.0) {
        bail!("--white and --std must not be zero");
    }
    let head = HeadOptions::default();
    Ok(import::Options {
        pixels: Pixels {
            white: args.white,
            mean: args.mean,
            std: args.std,
        },
        size: args.size,
        output: args.output.clone(),
        exact_border: args.border == Border::Exact,
        head: HeadOptions {
            design: args.design.map(Design::from),
            pyramid: args.pyramid.clone().unwrap_or(head.pyramid),
            region_pyramid: args.region_pyramid.clone(),
            mask_rule: args.mask.unwrap_or(head.mask_rule),
            classifier: args.classifier.map_or(head.classifier, Classifier::from),
        },
        classes: args.classes.as_deref().map(classes).transpose()?,
    })
}

/// The classes of a TOML file.
fn classes(path: &Path) -> anyhow::Result<Vec<ClassSpec>> {
    #[derive(Deserialize)]
    struct Classes {
        class: Vec<Class>,
    }
    let text = bounded_file::read_text(path, MAX_DESCRIPTION).with_context(|| display(path))?;
    let classes: Classes = toml::from_str(&text).with_context(|| display(path))?;
    Ok(classes.class.iter().map(ClassSpec::from).collect())
}

fn print(report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    let head = report
        .head
        .as_ref()
        .map_or(String::new(), |head| format!(" and {head}"));
    if report.integers {
        writeln!(out, "{}{head}, integers as they are", report.backbone)?;
    } else {
        writeln!(
            out,
            "{}{head}, {} photographs, {} segments",
            report.backbone, report.images, report.segments
        )?;
    }
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    if !report.integers {
        print_layers(&report.layers, out)?;
    }
    writeln!(out, "\n{}: {} bytes", report.out, report.bytes)?;
    match &report.float {
        Some(float) => writeln!(out, "{float}: the float weights"),
        None => Ok(()),
    }
}
