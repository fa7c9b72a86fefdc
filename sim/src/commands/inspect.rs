//! `cfm inspect`: what a model is made of and what it costs.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use cfm_hardware::budget::Budget;
use cfm_hardware::description::Description;
use cfm_hardware::fold::Estimate;
use cfm_sim::inspect::{Inspection, inspect};
use cfm_sim::model_file::ModelFile;
use cfm_sim::output::print_json;
use serde::Serialize;

use super::hardware::{self, EngineArg};

/// Arguments of `cfm inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Model file, or the name of a built-in model: street, scene [default: street]
    #[arg(value_name = "M.cfm")]
    model: Option<PathBuf>,
    /// Also what the model takes on the engine, and how fast it is there
    #[arg(long)]
    hardware: bool,
    #[command(flatten)]
    engine: EngineArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct WithHardware {
    #[serde(flatten)]
    model: Inspection,
    hardware: Hardware,
}

#[derive(Serialize)]
struct Hardware {
    budget: Budget,
    description: Description,
    estimate: Estimate,
}

/// Runs the command.
///
/// # Errors
/// When the model cannot be read or is refused.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    if args.engine.is_given() && !args.hardware {
        bail!("--pe, --lanes and --budget are about the engine: say --hardware, too");
    }
    let file = ModelFile::open_in_any_order(args.model.as_deref())?;
    let model = file.parse()?;
    let inspection = inspect(&model);
    if !args.hardware {
        if args.json {
            print_json(out, &inspection)?;
        } else {
            print(&file.name(), &inspection, out)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let budget = args.engine.budget()?;
    let (engine, estimate) = args.engine.compile(&model).with_context(|| file.name())?;
    if args.json {
        let hardware = Hardware {
            budget,
            description: engine.description,
            estimate,
        };
        let model = inspection;
        print_json(out, &WithHardware { model, hardware })?;
    } else {
        print(&file.name(), &inspection, out)?;
        hardware::print(&engine.description, &estimate, &budget, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A shape as people write it.
fn shape([height, width, channels]: [u16; 3]) -> String {
    format!("{height}x{width}x{channels}")
}

fn print(name: &str, model: &Inspection, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{name}: {} bytes", model.file_bytes)?;
    writeln!(
        out,
        "image {} -> feature map {}, one cell every {}x{} pixels",
        shape(model.input),
        shape(model.feature_map),
        model.stride[0],
        model.stride[1]
    )?;
    writeln!(out, "proposals: {}", model.proposals)?;
    writeln!(out, "labelling: {}", model.labelling)?;
    layers(model, out)?;
    head(model, out)?;
    memory(model, out)?;
    writeln!(out, "\nclasses")?;
    for (index, class) in model.classes.iter().enumerate() {
        let [red, green, blue] = class.color;
        let label = class
            .label
            .map_or("-".to_owned(), |label| label.to_string());
        writeln!(
            out,
            "{index:>4}  label {label:>3}  {:<10} #{red:02x}{green:02x}{blue:02x}  {}",
            class.kind, class.name
        )?;
    }
    if !model.provenance.is_empty() {
        writeln!(out, "\nprovenance")?;
        for (key, value) in &model.provenance {
            writeln!(out, "  {key} = {value}")?;
        }
    }
    Ok(())
}

fn layers(model: &Inspection, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "\nlayer        reads   output       window  stride  dilation  padding      groups  parameters        MACs"
    )?;
    for (index, layer) in model.layers.iter().enumerate() {
        // A layer writes the tensor behind the one of its number: the image is the first.
        let read = |&tensor: &usize| match tensor.checked_sub(1) {
            None => "image".to_owned(),
            Some(layer) => layer.to_string(),
        };
        let reads: Vec<String> = layer.inputs.iter().map(read).collect();
        let pair = |[a, b]: [u8; 2]| format!("{a}x{b}");
        let padding: Vec<String> = layer.padding.iter().map(ToString::to_string).collect();
        writeln!(
            out,
            "{:>3} {:<8} {:<7} {:<12} {:<7} {:<7} {:<9} {:<12} {:>6}  {:>10}  {:>10}",
            index,
            layer.kind,
            reads.join("+"),
            shape(layer.output),
            pair(layer.kernel),
            pair(layer.stride),
            pair(layer.dilation),
            padding.join(","),
            layer.groups,
            layer.parameters,
            layer.macs
        )?;
    }
    writeln!(out, "{:>103}", model.backbone_macs)
}

fn head(model: &Inspection, out: &mut dyn Write) -> io::Result<()> {
    let head = &model.head;
    let levels = |levels: &[u8]| {
        let levels: Vec<String> = levels.iter().map(ToString::to_string).collect();
        levels.join(",")
    };
    writeln!(
        out,
        "\nhead: design {}, {}, mask {}, pyramid {}{}",
        head.design,
        head.classifier,
        head.mask_rule,
        levels(&head.segment_levels),
        if head.region_levels.is_empty() {
            String::new()
        } else {
            format!(" (region {})", levels(&head.region_levels))
        }
    )?;
    for layer in &head.layers {
        writeln!(
            out,
            "    {:<8} {:>6} -> {:<6} {:>52}  {:>10}  {:>10}",
            layer.path, layer.inputs, layer.outputs, "", layer.parameters, layer.macs
        )?;
    }
    writeln!(
        out,
        "{} parameters; {} MACs an image and {} a segment",
        model.parameters, model.backbone_macs, model.segment_macs
    )
}

fn memory(model: &Inspection, out: &mut dyn Write) -> io::Result<()> {
    let arena = &model.arena;
    writeln!(out, "\narena: {} bytes", arena.total_bytes)?;
    writeln!(out, "{:>10}  feature map", arena.feature_map_bytes)?;
    writeln!(
        out,
        "{:>10}  line buffers, while rows arrive",
        arena.line_bytes
    )?;
    writeln!(
        out,
        "{:>10}  scratch of the kernels, behind them",
        arena.kernel_bytes
    )?;
    writeln!(
        out,
        "{:>10}  scratch of the scorer, afterwards in the same place",
        arena.scratch_bytes
    )?;
    writeln!(
        out,
        "{:>10}  layer by layer instead of row by row: inputs and output of the largest layer ({:.2} times)",
        arena.layer_at_a_time_bytes,
        arena.layer_at_a_time_bytes as f64 / arena.total_bytes as f64
    )?;
    let last = arena.tensors.len().saturating_sub(1);
    for tensor in &arena.tensors {
        let name = match tensor.tensor {
            0 => "image".to_owned(),
            number if number == last => "feature map".to_owned(),
            number => format!("layer {}", number - 1),
        };
        writeln!(
            out,
            "    {name:<12} {:<12} {:>4} of {:>4} rows  {:>8} bytes",
            shape(tensor.shape),
            tensor.rows,
            tensor.shape[0],
            tensor.bytes
        )?;
    }
    writeln!(out, "\nflash: {} bytes", model.file_bytes)?;
    for section in &model.flash {
        writeln!(
            out,
            "{:>10}  {:<4}  {}",
            section.bytes, section.section, section.content
        )?;
    }
    Ok(())
}
