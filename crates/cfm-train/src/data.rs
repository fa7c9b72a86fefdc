//! The photographs of a split with their labels, all in memory: at the size of the network's input, but for the labels that
//! results are measured on.

use std::collections::BTreeSet;

use cfm_sim::dataset::{Dataset, DatasetError, Description};
use cfm_sim::label_map::LabelMap;
use cfm_sim::photo;
use rayon::prelude::*;

use crate::config::{Config, DataConfig, InputSize};

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
    /// Label values as they are in the data set, on which results are measured; only of photographs that are measured on.
    pub labels: Option<LabelMap>,
    /// Width and height of the labels in the data set.
    pub labels_size: (usize, usize),
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
    /// A class has a label value that no class of a model can have.
    #[error("{path}: class {name} has the index 255; those of a model are below it")]
    ClassIndex {
        /// The folder.
        path: String,
        /// The class.
        name: String,
    },
    /// Nothing, or everything, is held out.
    #[error("hold_out = {0:?} leaves nothing to train on or nothing to validate on")]
    HoldOut(String),
}

/// The names of the photographs to train on and to validate on, in the order of their splits' files. A run that never
/// validates needs no split for that, and has none to validate on.
///
/// # Errors
/// When a split cannot be read, or nothing is left to train or to validate on.
pub fn ids(dataset: &Dataset, config: &Config) -> Result<[Vec<String>; 2], DataError> {
    let validated = config.validate_every > 0;
    let config = &config.data;
    let mut train = dataset.split(&config.train)?;
    let mut val = if validated || config.hold_out.is_some() {
        dataset.split(&config.val)?
    } else {
        Vec::new()
    };
    if let Some(held_out) = &config.hold_out {
        train.extend(val);
        train.sort_unstable();
        train.dedup();
        (val, train) = train.into_iter().partition(|id| drive(id) == held_out);
        if train.is_empty() || val.is_empty() {
            return Err(DataError::HoldOut(held_out.clone()));
        }
    }
    if !validated {
        val.clear();
    }
    for ids in [&mut train, &mut val] {
        ids.truncate(config.limit.unwrap_or(usize::MAX));
    }
    Ok([train, val])
}

/// What a photograph is named after, up to the first underscore: the drive, for a frame of a video.
#[must_use]
pub fn drive(id: &str) -> &str {
    id.split_once('_').map_or(id, |(drive, _)| drive)
}

/// The drives of the photographs of both splits, in order, each once.
///
/// # Errors
/// When a split cannot be read.
pub fn drives(dataset: &Dataset, config: &DataConfig) -> Result<Vec<String>, DataError> {
    let mut ids = dataset.split(&config.train)?;
    ids.extend(dataset.split(&config.val)?);
    let drives: BTreeSet<&str> = ids.iter().map(|id| drive(id)).collect();
    Ok(drives.into_iter().map(str::to_owned).collect())
}

/// How many photographs are in both lists.
#[must_use]
pub fn shared(train: &[String], val: &[String]) -> usize {
    let train: BTreeSet<&String> = train.iter().collect();
    val.iter().filter(|id| train.contains(id)).count()
}

/// Makes sure that a model can have the classes of a data set.
///
/// # Errors
/// [`DataError::Classes`] or [`DataError::ClassIndex`].
pub fn check_classes(dataset: &Dataset) -> Result<(), DataError> {
    let path = || dataset.root().display().to_string();
    let classes = &dataset.description().classes;
    if classes.len() > MAX_CLASSES {
        return Err(DataError::Classes {
            path: path(),
            classes: classes.len(),
        });
    }
    match classes.iter().find(|class| class.index == u8::MAX) {
        Some(class) => Err(DataError::ClassIndex {
            path: path(),
            name: class.name.clone(),
        }),
        None => Ok(()),
    }
}

/// Reads photographs at the given size, in the given order; `measured` ones keep their labels as they are.
///
/// # Errors
/// The first [`DataError`] that occurs.
pub fn read(
    dataset: &Dataset,
    ids: Vec<String>,
    size: InputSize,
    measured: bool,
) -> Result<Vec<Photo>, DataError> {
    check_classes(dataset)?;
    let positions = positions(dataset.description());
    ids.into_par_iter()
        .map(|id| {
            let sample = dataset.sample(&id)?;
            let pixels = photo::resized(&sample.photo, size.width.into(), size.height.into());
            let classes = sample
                .labels
                .resized(size.width.into(), size.height.into())
                .mapped(&positions);
            Ok(Photo {
                id,
                pixels: pixels.into_raw(),
                classes,
                labels_size: (sample.labels.width(), sample.labels.height()),
                labels: measured.then_some(sample.labels),
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
