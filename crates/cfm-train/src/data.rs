//! The photographs of a split with their labels, at the size of the network's input and all in memory.

use cfm_sim::dataset::{Dataset, DatasetError, Description};
use cfm_sim::label_map::LabelMap;
use cfm_sim::photo;
use rayon::prelude::*;

use crate::config::InputSize;

/// Class of the pixels that count for nothing, whatever their label in the data set.
pub const IGNORE: u8 = u8::MAX;

/// Most classes of a data set: classes are bytes, and [`IGNORE`] and "mixed" are none of them.
pub const MAX_CLASSES: usize = 200;

/// One photograph at the size of the network's input, with its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo {
    /// Its name in the data set.
    pub id: String,
    /// Interleaved RGB, row-major.
    pub pixels: Vec<u8>,
    /// Classes at the size of the network's input: positions in [`Description::classes`], or [`IGNORE`].
    pub classes: LabelMap,
    /// Label values as they are in the data set, on which results are measured.
    pub labels: LabelMap,
}

/// Why a data set cannot be trained on.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// It has too many classes.
    #[error("{path}: {classes} classes; at most {MAX_CLASSES} can be trained")]
    Classes {
        /// The folder.
        path: String,
        /// How many it lists.
        classes: usize,
    },
    /// Photograph and labels have different sizes.
    #[error("{0}: it does not have the size of its photograph")]
    Size(String),
}

/// Reads the photographs of a split, in the order of its file, at the given size; only the first ones if there is a
/// limit.
///
/// # Errors
/// The first [`DataError`] that occurs.
pub fn read(
    dataset: &Dataset,
    split: &str,
    size: InputSize,
    limit: Option<usize>,
) -> Result<Vec<Photo>, DataError> {
    let classes = dataset.description().classes.len();
    if classes > MAX_CLASSES {
        return Err(DataError::Classes {
            path: dataset.root().display().to_string(),
            classes,
        });
    }
    let positions = positions(dataset.description());
    let mut ids = dataset.split(split)?;
    ids.truncate(limit.unwrap_or(usize::MAX));
    ids.into_par_iter()
        .map(|id| {
            let sample = dataset.sample(&id)?;
            let (width, height) = sample.photo.dimensions();
            if (sample.labels.width(), sample.labels.height()) != (width as usize, height as usize)
            {
                let path = dataset.labels_path(&id);
                return Err(DataError::Size(path.display().to_string()));
            }
            let pixels = photo::resized(&sample.photo, size.width.into(), size.height.into());
            let classes = sample
                .labels
                .resized(size.width.into(), size.height.into())
                .mapped(&positions);
            Ok(Photo {
                id,
                pixels: pixels.into_raw(),
                classes,
                labels: sample.labels,
            })
        })
        .collect()
}

/// The class of each label value.
fn positions(description: &Description) -> [u8; 256] {
    let mut positions = [IGNORE; 256];
    for (position, class) in (0..).zip(&description.classes) {
        positions[usize::from(class.index)] = position;
    }
    positions
}
