//! Pictures and label maps as files that are whole or not there at all.

use std::error::Error;
use std::io::{self, Cursor};
use std::path::Path;

pub use cfm_model::output::{Batch, FileError, write};
use image::{ImageError, ImageFormat, RgbImage};

use crate::label_map::LabelMap;

/// Why an output file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct OutputError {
    /// The file.
    pub path: String,
    /// What is wrong.
    pub problem: OutputProblem,
}

/// What keeps an output file from being written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputProblem {
    /// The file cannot be written.
    #[error("{0}")]
    Write(#[from] io::Error),
    /// The image cannot be encoded.
    #[error("{0}")]
    Image(#[from] ImageError),
    /// The labels cannot be encoded.
    #[error("{0}")]
    Labels(#[from] png::EncodingError),
}

impl OutputProblem {
    fn at(self, path: &Path) -> OutputError {
        OutputError {
            path: path.display().to_string(),
            problem: self,
        }
    }
}

/// Writes a picture as PNG.
///
/// # Errors
/// An [`OutputError`] that names the file.
pub fn write_picture(path: &Path, picture: &RgbImage) -> Result<(), OutputError> {
    let mut bytes = Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(OutputProblem::from)
        .and_then(|()| Ok(write(path, bytes.get_ref())?))
        .map_err(|problem| problem.at(path))
}

/// Writes a label map as 8-bit grey PNG, or as binary PGM (a short header, then the bytes) where the name ends in `.pgm`.
///
/// # Errors
/// An [`OutputError`] that names the file.
pub fn write_labels(path: &Path, labels: &LabelMap) -> Result<(), OutputError> {
    let mut bytes = Vec::new();
    if path.extension().is_some_and(|ending| ending == "pgm") {
        let (width, height) = (labels.width(), labels.height());
        bytes.extend_from_slice(format!("P5\n{width} {height}\n255\n").as_bytes());
        bytes.extend_from_slice(labels.labels());
        return write(path, &bytes).map_err(|error| OutputProblem::from(error).at(path));
    }
    labels
        .encode(&mut bytes)
        .map_err(OutputProblem::from)
        .and_then(|()| Ok(write(path, &bytes)?))
        .map_err(|problem| problem.at(path))
}

/// Whether a write failed because nobody reads any more: the output was a pipe whose reader has seen enough.
#[must_use]
pub fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source())
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
