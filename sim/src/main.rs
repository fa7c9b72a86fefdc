//! The `cfm` command: semantic segmentation by convolutional feature masking.

mod commands;

use std::io::{self, Write};
use std::process::ExitCode;

use cfm_sim::output::{is_broken_pipe, one_line};
use clap::{Parser, Subcommand};

use commands::{
    bench, eval, export, import, inspect, pack, parity, proposals, quantize, report, segment,
};

/// Semantic segmentation by convolutional feature masking, in integers.
#[derive(Debug, Parser)]
#[command(name = "cfm", version, max_term_width = 100)]
#[command(after_help = "Exit status: 0 success, 1 a check failed, 2 wrong usage or input.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Label every pixel of a photograph, or of a rendered sample scene.
    Segment(segment::Args),
    /// Compare the core with the float reference, tensor by tensor.
    Parity(parity::Args),
    /// Make candidate segments, show them, and measure them against ground truth.
    Proposals(proposals::Args),
    /// Measure a model on a labelled data set.
    Eval(eval::Args),
    /// Time the method and its kernels beside what could be in their place.
    Bench(bench::Args),
    /// Turn a float model into integers, calibrated on photographs.
    Quantize(quantize::Args),
    /// Make a model of a network in ONNX files.
    Import(Box<import::Args>),
    /// Put everything about a model and a photograph on one page for a browser.
    Report(report::Args),
    /// Show what a model is made of: layers, memory, flash.
    Inspect(inspect::Args),
    /// Put a model's weights into the order that the kernels for Cortex-M4, M7 and M33 read.
    Pack(pack::Args),
    /// Write a model in other forms.
    Export(export::Args),
}

impl Command {
    fn run(self, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        match self {
            Self::Segment(args) => segment::run(&args, out),
            Self::Parity(args) => parity::run(&args, out),
            Self::Proposals(args) => proposals::run(&args, out),
            Self::Bench(args) => bench::run(&args, out),
            Self::Eval(args) => eval::run(&args, out),
            Self::Quantize(args) => quantize::run(&args, out),
            Self::Import(args) => import::run(&args, out),
            Self::Report(args) => report::run(&args, out),
            Self::Inspect(args) => inspect::run(&args, out),
            Self::Pack(args) => pack::run(&args, out),
            Self::Export(args) => export::run(&args, out),
        }
    }
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let mut out = io::BufWriter::new(StandardOutput);
    let result = command
        .run(&mut out)
        .and_then(|status| Ok(out.flush().map(|()| status)?));
    match result {
        Ok(status) => status,
        // Whoever reads the output has seen enough: the status of a program that SIGPIPE ends.
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::from(141),
        Err(error) => {
            // Nothing is left to be done when even this cannot be written.
            let _ = writeln!(io::stderr(), "cfm: {}", in_one_line(&error));
            ExitCode::from(2)
        }
    }
}

/// Standard output, named in its errors.
struct StandardOutput;

impl StandardOutput {
    fn named(error: io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("standard output: {error}"))
    }
}

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stdout().write(bytes).map_err(Self::named)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush().map_err(Self::named)
    }
}

/// The error and its causes, each said once: many errors already end with their cause.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    one_line(&text)
}
