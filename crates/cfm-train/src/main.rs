//! `cfm-train`: trains models on data set folders and writes them as `.cfm`, with the float weights beside them.

mod commands;

use std::io::{self, Write};
use std::process::ExitCode;

use cfm_sim::output::is_broken_pipe;
use clap::{Parser, Subcommand};

use commands::{drives, train};

/// Trains segmentation models: in floats, then through a fake quantizer.
#[derive(Debug, Parser)]
#[command(name = "cfm-train", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a model, measure it, and write it as .cfm.
    Train(train::Args),
    /// Train once for each drive of a data set, without its frames, and measure on these.
    Drives(drives::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Train(args) => train::run(&args),
        Command::Drives(args) => drives::run(&args),
    };
    match result {
        Ok(code) => code,
        // Whoever reads the output has seen enough: the status of a program that SIGPIPE ends.
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::from(141),
        Err(error) => {
            // Nothing is left to be done when even this cannot be written.
            let _ = writeln!(io::stderr(), "cfm-train: {error:#}");
            ExitCode::FAILURE
        }
    }
}
