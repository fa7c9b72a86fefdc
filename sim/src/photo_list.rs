//! Which photographs to work on: those of a folder, or of a split of a data set.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::dataset::{Dataset, DatasetError, PHOTO_ENDINGS};

/// The split of a data set that is taken when none is named.
pub const DEFAULT_SPLIT: &str = "train";

/// Why there are no photographs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PhotoListError {
    /// The folder cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The folder.
        path: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The folder has no photographs.
    #[error("{0}: there is no photograph in this folder (.jpg, .png, .jpeg, .bmp, .ppm, .pgm)")]
    Empty(String),
    /// The data set is refused.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
}

/// Whether `source` means several photographs: a folder, or `DATASET:SPLIT`.
#[must_use]
pub fn is_photo_list(source: impl AsRef<Path>) -> bool {
    let source = source.as_ref();
    source.is_dir()
        || matches!(with_split(source), (folder, Some(_)) if folder.join("dataset.toml").is_file())
}

/// The folder that `source` names, and the split, if it names one. A name that is no text has none.
fn with_split(source: &Path) -> (&Path, Option<&str>) {
    let parts = source.to_str().and_then(|source| source.rsplit_once(':'));
    match parts {
        Some((folder, split)) if !source.exists() => (Path::new(folder), Some(split)),
        _ => (source, None),
    }
}

/// The data set that `source` means, and the IDs that it takes of it; `None` for a plain folder.
fn data_set(source: &Path) -> Result<Option<(Dataset, Vec<String>)>, PhotoListError> {
    let (folder, split) = with_split(source);
    if split.is_none() && !folder.join("dataset.toml").is_file() {
        return Ok(None);
    }
    let dataset = Dataset::open(folder)?;
    let ids = dataset.split(split.unwrap_or(DEFAULT_SPLIT))?;
    Ok(Some((dataset, ids)))
}

/// The photographs that `source` means: `DATASET` or `DATASET:SPLIT` where there is a `dataset.toml`, otherwise a
/// folder, whose photographs come in the order of their names, numbers in names counting as numbers. At most `limit` of
/// them, evenly spread: neighbours are often frames of one video.
///
/// # Errors
/// [`PhotoListError`] when there is none.
pub fn photo_list(source: impl AsRef<Path>, limit: usize) -> Result<Vec<PathBuf>, PhotoListError> {
    let source = source.as_ref();
    let photos = match data_set(source)? {
        Some((dataset, ids)) => {
            let paths = ids.iter().map(|id| dataset.photo_path(id));
            paths.collect::<Result<_, _>>()?
        }
        None => folder_photos(source)?,
    };
    let taken = photos.len().min(limit);
    Ok((0..taken)
        .map(|i| photos[i * photos.len() / taken].clone())
        .collect())
}

/// The files that make up what `source` means, none of which is for a program to write over: the photographs, and of a
/// data set [its other files](Dataset::files).
///
/// # Errors
/// As [`photo_list`].
pub fn source_files(source: impl AsRef<Path>) -> Result<Vec<PathBuf>, PhotoListError> {
    let source = source.as_ref();
    match data_set(source)? {
        Some((dataset, ids)) => Ok(dataset.files(&ids)),
        None => folder_photos(source),
    }
}

fn folder_photos(folder: &Path) -> Result<Vec<PathBuf>, PhotoListError> {
    let name = || folder.display().to_string();
    let read = |source| PhotoListError::Read {
        path: name(),
        source,
    };
    let mut photos = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        let is_photo = ending
            .is_some_and(|ending| PHOTO_ENDINGS.contains(&ending.to_ascii_lowercase().as_str()));
        if is_photo && path.is_file() {
            photos.push(path);
        }
    }
    if photos.is_empty() {
        return Err(PhotoListError::Empty(name()));
    }
    photos.sort_by(|a, b| alphanumeric_sort::compare_path(a, b).then_with(|| a.cmp(b)));
    Ok(photos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene;

    fn names(source: &str, limit: usize) -> Vec<String> {
        let photos = photo_list(source, limit).unwrap();
        let names = photos.iter().map(|path| path.file_name().unwrap());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn folders_are_read_in_order_and_thinned_evenly() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().to_str().unwrap();
        for name in ["b.JPG", "c.png", "a.bmp", "d.jpg", "notes.txt"] {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        fs::create_dir(folder.path().join("e.png")).unwrap();
        assert_eq!(names(source, 9), ["a.bmp", "b.JPG", "c.png", "d.jpg"]);
        assert_eq!(names(source, 2), ["a.bmp", "c.png"]);
    }

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["f10.png", "f9.png", "f09.png", "f100.png", "e11.png"] {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        let source = folder.path().to_str().unwrap();
        let expected = ["e11.png", "f9.png", "f09.png", "f10.png", "f100.png"];
        assert_eq!(names(source, 9), expected);
    }

    #[test]
    fn splits_of_a_data_set_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("set");
        let splits = [("train", 3), ("val", 2)];
        scene::write_dataset(&root, &splits, (16, 12), 1).unwrap();
        let source = root.to_str().unwrap();
        assert_eq!(names(source, 9).len(), 3);
        assert_eq!(names(&format!("{source}:val"), 9).len(), 2);
        assert!(is_photo_list(source) && is_photo_list(format!("{source}:val")));
        let file = root.join("images/scene00001.png");
        assert!(!is_photo_list(file.to_str().unwrap()) && !is_photo_list("none:val"));
        let error = photo_list(format!("{source}:test"), 9).unwrap_err();
        assert!(error.to_string().contains("no such split"), "{error}");
    }

    #[test]
    fn what_a_source_is_made_of_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("set");
        scene::write_dataset(&root, &[("train", 2), ("val", 1)], (16, 12), 1).unwrap();
        let mut found = source_files(&root).unwrap();
        found.retain(|path| path.exists());
        let expected = [
            "dataset.toml",
            "train.txt",
            "val.txt",
            "images/scene00001.png",
            "labels/scene00001.png",
            "images/scene00002.png",
            "labels/scene00002.png",
        ];
        assert_eq!(found, expected.map(|name| root.join(name)));
        let images = root.join("images");
        assert_eq!(
            source_files(&images).unwrap(),
            photo_list(&images, 9).unwrap()
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_needs_no_text_for_a_name() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join(std::ffi::OsStr::from_bytes(b"a\xff:b"));
        fs::create_dir(&source).unwrap();
        fs::write(source.join("a.png"), b"").unwrap();
        assert!(is_photo_list(&source));
        assert_eq!(photo_list(&source, 9).unwrap(), [source.join("a.png")]);
    }

    #[test]
    fn nothing_to_take_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().to_str().unwrap();
        let error = photo_list(source, 9).unwrap_err().to_string();
        assert!(error.contains("there is no photograph"), "{error}");
        let error = photo_list(format!("{source}/none"), 9).unwrap_err();
        assert!(matches!(error, PhotoListError::Read { .. }), "{error}");
        let error = photo_list(format!("{source}:train"), 9).unwrap_err();
        assert!(error.to_string().contains("dataset.toml"), "{error}");
    }
}
