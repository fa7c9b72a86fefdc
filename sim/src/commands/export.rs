//! `cfm export`: a model in other forms.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use cfm_hardware::fold::Estimate;
use cfm_hardware::parameters::Parameters;
use cfm_hardware::project::{Language, Summary};
use cfm_model::onnx::export::{self as onnx, Format};
use cfm_sim::c_source::{CSource, identifier};
use cfm_sim::model_file::ModelFile;
use cfm_sim::onnx_inputs::{self, InputsError};
use cfm_sim::output::print_json;
use cfm_sim::photo;
use cfm_sim::trace::Inputs;
use cfm_sim::vectors::{self, Folder};
use serde::Serialize;

use super::engine_project::{Project, ProjectInput};
use super::{ModelArg, display, pipeline};

/// Arguments of `cfm export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Golden vectors: model, image, segments and every intermediate tensor as .npy files.
    Vectors(VectorsArgs),
    /// ONNX files with standard operators that compute the same integers: the whole model, its backbone, its head.
    Onnx(OnnxArgs),
    /// C source: NAME.h and NAME.c with the model's bytes and the sizes of a program's memory, for the library cfm-c.
    C(CArgs),
    /// The engine in SystemVerilog: its parameters, memories and streams for a model and an image, and all that it must write.
    Rtl(ProjectArgs),
    /// The engine in C++ for HLS, likewise.
    Hls(ProjectArgs),
}

/// Arguments of `cfm export vectors`.
#[derive(Debug, clap::Args)]
struct VectorsArgs {
    /// Photograph (PNG, JPEG, BMP or PNM)
    image: PathBuf,
    #[command(flatten)]
    model: ModelArg,
    /// Folder for the files; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Most segments to export, evenly spread over the proposals
    #[arg(long, value_name = "N", default_value_t = 64)]
    max_segments: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `cfm export onnx`.
#[derive(Debug, clap::Args)]
struct OnnxArgs {
    /// Photograph (PNG, JPEG, BMP or PNM) whose inputs and logits to write, too: image.npy, masks.npy, logits.npy
    image: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArg,
    /// Folder for the files; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Most of the photograph's segments to write, evenly spread over the proposals [default: all]
    #[arg(long, value_name = "N", requires = "image")]
    max_segments: Option<usize>,
    /// How convolutions and sums are written: qdq, qlinear, or integer (exact for any model, but slow)
    #[arg(long, value_name = "FORMAT", default_value_t)]
    format: Format,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `cfm export c`.
#[derive(Debug, clap::Args)]
struct CArgs {
    #[command(flatten)]
    model: ModelArg,
    /// Folder for the files; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name of the files and of what is in them [default: that of the model's file]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `cfm export rtl` and `cfm export hls`.
#[derive(Debug, clap::Args)]
struct ProjectArgs {
    #[command(flatten)]
    input: ProjectInput,
    /// Folder for the files; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct ProjectReport {
    /// The photograph's path; none for the rendered scene.
    path: Option<String>,
    model: String,
    out: String,
    parameters: Parameters,
    project: Summary,
    estimate: Estimate,
}

#[derive(Serialize)]
struct OnnxReport {
    model: String,
    out: String,
    format: &'static str,
    opset: i64,
    files: Vec<OnnxFile>,
    /// Number of segments of the photograph.
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<usize>,
}

#[derive(Serialize)]
struct OnnxFile {
    file: &'static str,
    bytes: usize,
    nodes: usize,
}

#[derive(Serialize)]
struct CReport {
    model: String,
    header: String,
    source: String,
    model_bytes: usize,
    arena_bytes: usize,
}

#[derive(Serialize)]
struct Report {
    path: String,
    model: String,
    out: String,
    tensors: usize,
    segments: usize,
    segments_left_out: usize,
}

/// Runs the command.
///
/// # Errors
/// When an input is broken or a file cannot be written.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::Vectors(args) => vectors(args, out),
        What::Onnx(args) => onnx(args, out),
        What::C(args) => c(args, out),
        What::Rtl(args) => project(args, Language::Rtl, out),
        What::Hls(args) => project(args, Language::Hls, out),
    }
}

/// A folder whose files leave model and photograph alone.
fn folder_beside<'a>(out: &'a Path, model: &ModelFile, image: Option<&PathBuf>) -> Folder<'a> {
    let mut folder = Folder::new(out);
    folder.keep(model.files().iter().chain(image));
    folder
}

fn vectors(args: &VectorsArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let file = args.model.open()?;
    let model = file.parse()?;
    let pipeline = pipeline(&file, &model)?;
    let photo = photo::open(&args.image)?;
    let description = Inputs::of_photo(&pipeline, &photo, |inputs| {
        let folder = folder_beside(&args.out, &file, Some(&args.image));
        vectors::export(&model, inputs, args.max_segments, folder)
    })
    .with_context(|| file.name())??;
    let report = Report {
        path: display(&args.image),
        model: file.name(),
        out: display(&args.out),
        tensors: description.tensors.len(),
        segments: description.segments.len(),
        segments_left_out: description.segments_left_out,
    };
    if args.json {
        print_json(out, &report)?;
    } else {
        writeln!(
            out,
            "{}: {} tensors, {} segments ({} left out), model.json",
            report.out, report.tensors, report.segments, report.segments_left_out
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn onnx(args: &OnnxArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let file = args.model.open()?;
    let model = file.parse()?;
    let written = onnx::export(&model, args.format).with_context(|| file.name())?;
    let mut folder = folder_beside(&args.out, &file, args.image.as_ref());
    let segments = match &args.image {
        None => None,
        Some(path) => {
            let pipeline = pipeline(&file, &model)?;
            let photo = photo::open(path)?;
            let most = args.max_segments.unwrap_or(usize::MAX);
            Some(
                match onnx_inputs::write(&pipeline, &photo, most, &mut folder) {
                    // It names a file, and not that of the model.
                    Err(InputsError::File(error)) => return Err(error.into()),
                    written => written.with_context(|| file.name())?,
                },
            )
        }
    };
    let mut files = Vec::new();
    // The whole model comes last.
    for (name, proto) in written.all().into_iter().rev() {
        let bytes = proto.to_bytes();
        folder.bytes(name, &bytes)?;
        files.push(OnnxFile {
            file: name,
            bytes: bytes.len(),
            nodes: proto.graph.as_ref().map_or(0, |graph| graph.node.len()),
        });
    }
    folder.commit()?;
    files.reverse();
    let report = OnnxReport {
        model: file.name(),
        out: display(&args.out),
        format: args.format.name(),
        opset: onnx::OPSET,
        files,
        segments,
    };
    if args.json {
        print_json(out, &report)?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(
        out,
        "{}: {} of {}, opset {}",
        report.out, report.format, report.model, report.opset
    )?;
    for OnnxFile { file, bytes, nodes } in &report.files {
        writeln!(out, "  {file}: {nodes} nodes, {bytes} bytes")?;
    }
    if let Some(segments) = report.segments {
        writeln!(
            out,
            "  image.npy, masks.npy, logits.npy: {segments} segments"
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn c(args: &CArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let file = args.model.open()?;
    let model = file.parse()?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => identifier(&file.stem()),
    };
    let written = CSource::new(&name, &model)?;
    let [header, source] = written.write(&args.out)?;
    let report = CReport {
        model: file.name(),
        header: display(&header),
        source: display(&source),
        model_bytes: model.bytes().len(),
        arena_bytes: model.arena_bytes(),
    };
    if args.json {
        print_json(out, &report)?;
    } else {
        writeln!(
            out,
            "{}, {}: model {} bytes, arena {} bytes",
            report.header, report.source, report.model_bytes, report.arena_bytes
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn project(
    args: &ProjectArgs,
    language: Language,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let Project {
        model,
        engine,
        estimate,
        summary,
    } = args.input.write(language, &args.out)?;
    let report = ProjectReport {
        path: args.input.image.as_deref().map(display),
        model,
        out: display(&args.out),
        parameters: engine.description.parameters,
        project: summary,
        estimate,
    };
    if args.json {
        print_json(out, &report)?;
    } else {
        writeln!(
            out,
            "{}: folding {}, {} segments; {} words of configuration, {} of weights outside",
            report.out,
            engine.folding(),
            summary.segments,
            summary.config_writes,
            summary.external_words
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
