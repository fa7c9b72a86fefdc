//! Candidate segments from outside: those of another method, in files.
//!
//! | ending | content |
//! |---|---|
//! | `.png` | label map, 8- or 16-bit grey or palette indices: each value but 0 (and one to ignore) is a segment |
//! | `.json` | COCO run lengths, see below |
//! | `.npy` | array of masks, `(height, width)` or `(number, height, width)`, bool or 8-bit integers: not 0 is inside |
//!
//! JSON is an annotation, a list of annotations, or an object with a list `annotations`. An annotation has
//! `segmentation`, or is itself one: `{"size": [height, width], "counts": ...}`, where the counts are the lengths of
//! alternating runs, outside first, down the columns from left to right. They are a list of numbers or COCO's
//! compressed string. Where every annotation has a `score`, those with the highest score come first. Polygons are not
//! read. Annotations of several images (`image_id`) in one file need a choice.
//!
//! Segments keep their order, which counts as their rank; those without a pixel are left out. All segments of a file
//! are of one size, at most 65535 pixels each way and [`MAX_PIXELS`] together; there are at most [`MAX_SEGMENTS`]
//! with [`MAX_RUNS`] runs, in the size of the file and in any other. Nothing larger than the file and these limits call for is allocated.

mod coco;
mod npy;

use std::io;
use std::path::Path;

use cfm_core::segment::Run;

use crate::label_map::{LabelMapError, nearest_sources, read_indices};
use crate::photo::{MAX_FILE, MAX_PIXELS, same_shape};
use cfm_model::bounded_file;

/// Most segments of a file.
pub const MAX_SEGMENTS: usize = 65535;

/// Most runs of all segments of a file.
pub const MAX_RUNS: usize = 1 << 25;

/// Endings of files with segments, in the order in which they are looked for.
pub const ENDINGS: [&str; 3] = ["png", "json", "npy"];

/// Why segments do not fit a photograph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// They are of another shape than the photograph: turned, or cropped.
    #[error(
        "the segments' {width}x{height} pixels are of another shape than the photograph's {}x{}", .photo.0, .photo.1
    )]
    Shape {
        /// Their columns.
        width: u16,
        /// Their rows.
        height: u16,
        /// Columns and rows of the photograph, turned upright.
        photo: (u32, u32),
    },
    /// They have too many runs at the size that they are brought to.
    #[error(transparent)]
    Runs(#[from] TooManyRuns),
}

/// Segments have more than [`MAX_RUNS`] runs in an image of another size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the segments have more than {MAX_RUNS} runs in {width}x{height} pixels")]
pub struct TooManyRuns {
    /// Columns of that image.
    pub width: u16,
    /// Rows of that image.
    pub height: u16,
}

/// Why segments cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct ImportError {
    /// The file.
    pub path: String,
    /// What is wrong with it.
    pub problem: ImportProblem,
}

/// What is wrong with a file of segments.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportProblem {
    /// The file cannot be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// The file is longer than [`MAX_FILE`].
    #[error("the file is longer than {} MiB", MAX_FILE >> 20)]
    TooLong,
    /// The name says nothing about the content.
    #[error("segments are read from .png, .json and .npy files")]
    Ending,
    /// The image has no pixels or too many.
    #[error("{0}x{1} pixels; 1 to 65535 each way and at most {max} million are read", max = MAX_PIXELS / 1_000_000)]
    Size(u64, u64),
    /// There are too many segments.
    #[error("more than {MAX_SEGMENTS} segments")]
    Segments,
    /// The segments are in too many pieces.
    #[error("the segments have more than {MAX_RUNS} runs of pixels")]
    Runs,
    /// No segment has a pixel.
    #[error("no segment has a pixel")]
    Empty,
    /// A label image is broken.
    #[error("{}", without_path(.0))]
    Labels(LabelMapError),
    /// The file is no JSON.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The JSON is no COCO annotation.
    #[error("annotation {index}: {reason}")]
    Annotation {
        /// Number in the file, from 0.
        index: usize,
        /// What is wrong.
        reason: String,
    },
    /// The JSON holds no annotations.
    #[error("neither an annotation nor a list of annotations")]
    NoAnnotations,
    /// The annotations are of several images.
    #[error("annotations of several images ({0}, {1}, ...); choose one")]
    Images(String, String),
    /// No annotation is of the image that was chosen.
    #[error("no annotation of image {0}")]
    NoImage(String),
    /// The array is none of masks.
    #[error("{0}")]
    Array(String),
}

/// The message of an error that starts with the path, without it.
fn without_path(error: &LabelMapError) -> String {
    let text = error.to_string();
    match error {
        LabelMapError::Open { path, .. }
        | LabelMapError::Decode { path, .. }
        | LabelMapError::Write { path, .. }
        | LabelMapError::Encode { path, .. }
        | LabelMapError::Kind { path, .. }
        | LabelMapError::TooLarge { path, .. } => text
            .strip_prefix(path.as_str())
            .and_then(|text| text.strip_prefix(": "))
            .map_or_else(|| text.clone(), str::to_owned),
        LabelMapError::Length { .. } => text,
    }
}

/// What to read of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Value of a label map that is no segment, besides 0.
    pub ignore: Option<u16>,
    /// `image_id` of the COCO annotations to read, of several.
    pub image: Option<String>,
}

/// Segments of one image, as runs of pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    width: u16,
    height: u16,
    runs: Vec<Run>,
    /// Where the runs of each segment end.
    ends: Vec<usize>,
}

impl Segments {
    /// No segment yet, of an image of this size.
    fn new(width: u64, height: u64) -> Result<Self, ImportProblem> {
        let refuse = || ImportProblem::Size(width, height);
        let side = |side: u64| u16::try_from(side).ok().filter(|&side| side > 0);
        if width.saturating_mul(height) > MAX_PIXELS {
            return Err(refuse());
        }
        Ok(Self {
            width: side(width).ok_or_else(refuse)?,
            height: side(height).ok_or_else(refuse)?,
            runs: Vec::new(),
            ends: Vec::new(),
        })
    }

    /// Adds a run to the segment that is not ended yet.
    fn push_run(&mut self, run: Run) -> Result<(), ImportProblem> {
        if self.runs.len() == MAX_RUNS {
            return Err(ImportProblem::Runs);
        }
        self.runs.push(run);
        Ok(())
    }

    /// Adds the runs of a row of pixels to the segment that is not ended yet.
    fn push_row(
        &mut self,
        y: u16,
        inside: impl IntoIterator<Item = bool>,
    ) -> Result<(), ImportProblem> {
        let mut start = None;
        for (x, inside) in (0..=u16::MAX).zip(inside.into_iter().chain([false])) {
            match (start, inside) {
                (None, true) => start = Some(x),
                (Some(x0), false) => {
                    self.push_run(Run { y, x0, x1: x })?;
                    start = None;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Ends a segment; without a run, there is none.
    fn end(&mut self) -> Result<(), ImportProblem> {
        if self.runs.len() > self.ends.last().copied().unwrap_or(0) {
            if self.ends.len() == MAX_SEGMENTS {
                return Err(ImportProblem::Segments);
            }
            self.ends.push(self.runs.len());
        }
        Ok(())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// An [`ImportError`] that names the file and what is wrong with it.
    pub fn open(path: &Path, options: &Options) -> Result<Self, ImportError> {
        let read = || -> Result<Self, ImportProblem> {
            let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
            let segments = match ending.as_deref().and_then(|ending| ending.to_str()) {
                Some("png") => label_map(path, options.ignore)?,
                Some("json") => coco::parse(&bytes(path)?, options.image.as_deref())?,
                Some("npy") => npy::parse(&bytes(path)?)?,
                _ => return Err(ImportProblem::Ending),
            };
            if segments.is_empty() {
                return Err(ImportProblem::Empty);
            }
            Ok(segments)
        };
        read().map_err(|problem| ImportError {
            path: path.display().to_string(),
            problem,
        })
    }

    /// Columns of the image.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Rows of the image.
    #[must_use]
    pub const fn height(&self) -> u16 {
        self.height
    }

    /// Number of segments.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no segment: none has a pixel at this size.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The segments' runs, by row and column, with a gap between any two of a row.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[Run]> {
        (0..self.ends.len()).map(|index| {
            let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
            &self.runs[start..self.ends[index]]
        })
    }

    /// The first `count` segments.
    pub fn truncate(&mut self, count: usize) {
        self.ends.truncate(count);
        self.runs.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// The segments of a photograph of `photo` columns and rows, [`resized`](Self::resized) to the size at which it is looked
    /// at. They must be of the photograph's shape, or of that size already.
    ///
    /// # Errors
    /// [`FitError`].
    ///
    /// # Panics
    /// As [`Segments::resized`].
    pub fn fitted(&self, photo: (u32, u32), width: u16, height: u16) -> Result<Self, FitError> {
        let size = (self.width.into(), self.height.into());
        // Masks that were made at that size are of its shape, which photographs are stretched to.
        if size != (width.into(), height.into()) && !same_shape(photo, size) {
            return Err(FitError::Shape {
                width: self.width,
                height: self.height,
                photo,
            });
        }
        Ok(self.resized(width, height)?)
    }

    /// The segments of the image at another size: each pixel belongs to the segments of the one that holds its centre.
    /// Segments that have no pixel then are left out.
    ///
    /// # Errors
    /// [`TooManyRuns`] where a larger image has more rows to repeat runs in than there is memory for.
    ///
    /// # Panics
    /// When `width` or `height` is 0.
    pub fn resized(&self, width: u16, height: u16) -> Result<Self, TooManyRuns> {
        assert!(width > 0 && height > 0, "an image has pixels");
        let sources = |from: u16, to: u16| -> Vec<u16> {
            nearest_sources(from.into(), to.into())
                .map(|source| source as u16)
                .collect()
        };
        let (columns, rows) = (sources(self.width, width), sources(self.height, height));
        // The first pixel of the new row whose source is `x` or later.
        let column = |x: u16| columns.partition_point(|&source| source < x) as u16;
        let mut resized = Self {
            width,
            height,
            runs: Vec::new(),
            ends: Vec::new(),
        };
        for segment in self.iter() {
            let before = resized.runs.len();
            let first = segment.first().map_or(0, |run| run.y);
            let start = rows.partition_point(|&source| source < first);
            for (y, &source) in (0..height).zip(&rows).skip(start) {
                let from = segment.partition_point(|run| run.y < source);
                if from == segment.len() {
                    break;
                }
                let row_start = resized.runs.len();
                for run in segment[from..].iter().take_while(|run| run.y == source) {
                    let (x0, x1) = (column(run.x0), column(run.x1));
                    match resized.runs[row_start..].last_mut() {
                        // The gap between them has no pixel any more.
                        Some(last) if last.x1 == x0 => last.x1 = x1,
                        _ if x0 < x1 => resized.runs.push(Run { y, x0, x1 }),
                        _ => {}
                    }
                }
                if resized.runs.len() > MAX_RUNS {
                    return Err(TooManyRuns { width, height });
                }
            }
            if resized.runs.len() > before {
                resized.ends.push(resized.runs.len());
            }
        }
        Ok(resized)
    }
}

/// The classifier's outputs for the segments of an image, computed elsewhere: an array `(segments, classes)` of 16-bit
/// integers in a `.npy` file, as ONNX Runtime gives them for a model of `cfm export onnx`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logits {
    classes: usize,
    values: Vec<i16>,
}

impl Logits {
    /// Reads a file.
    ///
    /// # Errors
    /// An [`ImportError`] that names the file and what is wrong with it.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let read = || npy::parse_logits(&bytes(path)?);
        read().map_err(|problem| ImportError {
            path: path.display().to_string(),
            problem,
        })
    }

    /// Outputs per segment.
    #[must_use]
    pub const fn classes(&self) -> usize {
        self.classes
    }

    /// All outputs, segment by segment.
    #[must_use]
    pub fn values(&self) -> &[i16] {
        &self.values
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, ImportProblem> {
    bounded_file::read(path, MAX_FILE)?.ok_or(ImportProblem::TooLong)
}

/// A segment for every value of a label image but 0 and `ignore`, by value.
fn label_map(path: &Path, ignore: Option<u16>) -> Result<Segments, ImportProblem> {
    let (width, height, values) =
        read_indices(path, png::BitDepth::Sixteen).map_err(ImportProblem::Labels)?;
    let mut segments = Segments::new(width as u64, height as u64)?;
    let mut runs = Vec::new();
    for (y, row) in (0..=u16::MAX).zip(values.chunks_exact(width)) {
        let mut x0 = 0;
        for same in row.chunk_by(|a, b| a == b) {
            // A row has at most 65535 pixels.
            let x1 = x0 + same.len() as u16;
            if same[0] != 0 && Some(same[0]) != ignore {
                if runs.len() == MAX_RUNS {
                    return Err(ImportProblem::Runs);
                }
                runs.push((same[0], Run { y, x0, x1 }));
            }
            x0 = x1;
        }
    }
    runs.sort_by_key(|&(value, _)| value);
    for segment in runs.chunk_by(|a, b| a.0 == b.0) {
        for &(_, run) in segment {
            segments.push_run(run)?;
        }
        segments.end()?;
    }
    Ok(segments)
}

#[cfg(test)]
mod tests;
