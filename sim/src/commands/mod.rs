//! The subcommands, one module each: arguments, and what is printed.

pub mod bench;
mod engine_project;
pub mod eval;
pub mod export;
pub mod hardware;
pub mod import;
pub mod inspect;
pub mod pack;
pub mod parity;
pub mod proposals;
pub mod quantize;
pub mod report;
pub mod segment;
mod twin;

use std::path::{Path, PathBuf};

use anyhow::Context;
use cfm_core::model::Model;
use cfm_sim::import::Options;
use cfm_sim::model_file::{ModelFile, ModelFileError};
use cfm_sim::output::OutputFiles;
use cfm_sim::pipeline::Pipeline;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

/// Help for an option that takes a labelling rule.
const LABELLING_HELP: &str = "Labelling rule instead of the model's: paste[,inhibit=SHARE][,refine=MAP] or \
    vote[,power=N][,area=none|root|full][,purity=N][,refine=MAP]";

/// The model to use.
#[derive(Debug, Clone, clap::Args)]
pub struct ModelArg {
    /// Model file, or the name of a built-in model: street, scene [default: street]
    #[arg(long, value_name = "M.cfm")]
    pub model: Option<PathBuf>,
}

impl ModelArg {
    /// Reads the model's bytes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(&self) -> Result<ModelFile, ModelFileError> {
        ModelFile::open(self.model.as_deref())
    }
}

/// Candidate segments from a file.
#[derive(Debug, clap::Args)]
pub struct SegmentsArg {
    /// Candidate segments from elsewhere: a label map (.png), COCO run lengths (.json) or masks (.npy)
    #[arg(long, value_name = "FILE")]
    pub segments: Option<PathBuf>,
    /// Value of a label map of segments that is no segment, besides 0
    #[arg(long, value_name = "ID", requires = "segments")]
    ignore_id: Option<u16>,
    /// Which of the images in a JSON file
    #[arg(long, value_name = "ID", requires = "segments")]
    image_id: Option<String>,
}

impl SegmentsArg {
    /// What to read of a file.
    #[must_use]
    pub fn options(&self) -> Options {
        Options {
            ignore: self.ignore_id,
            image: self.image_id.clone(),
        }
    }
}

/// Output files that leave all of these alone, and the model's.
#[must_use]
pub fn outputs_beside<'p>(
    model: &ModelFile,
    inputs: impl IntoIterator<Item = &'p PathBuf>,
) -> OutputFiles {
    let mut files = OutputFiles::new();
    files.keep(inputs);
    files.keep(model.files());
    files
}

/// A pipeline for a model; errors name its file.
///
/// # Errors
/// When photographs do not fit the model.
pub fn pipeline<'m>(file: &ModelFile, model: &'m Model<'m>) -> anyhow::Result<Pipeline<'m>> {
    Pipeline::new(model).with_context(|| file.name())
}

/// A progress bar on stderr, which is not drawn when `quiet` or when stderr is no terminal. Without a length it only
/// counts.
#[must_use]
pub fn progress(length: impl Into<Option<u64>>, what: &'static str, quiet: bool) -> ProgressBar {
    let target = if quiet {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let length = length.into();
    let template = match length {
        Some(_) => "{msg} {bar:40} {pos}/{len}, {eta} left",
        None => "{msg} {spinner} {pos}, {per_sec}",
    };
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(length, target)
        .with_style(style)
        .with_message(what)
        // Also when an error ends what it counts: the message gets a line of its own.
        .with_finish(ProgressFinish::AndClear)
}

/// `count` of the photographs (or all, if there are not so many), evenly spaced.
#[must_use]
pub fn spaced(ids: &[String], count: usize) -> Vec<String> {
    let count = count.min(ids.len());
    (0..count)
        .map(|i| ids[i * ids.len() / count].clone())
        .collect()
}

/// A fraction as a percentage for people.
#[must_use]
pub fn percent(fraction: f64) -> String {
    format!("{:.1} %", 100.0 * fraction)
}

/// The name of a file for people and for JSON.
#[must_use]
pub fn display(path: &Path) -> String {
    path.display().to_string()
}
