//! A labelled data set: a folder of photographs with a label for every pixel.
//!
//! ```text
//! DATASET/dataset.toml      name, source, license, the ignored label value, the classes
//! DATASET/images/ID.jpg     photograph (or .png, .jpeg, .bmp, .ppm, .pgm)
//! DATASET/labels/ID.png     8-bit class index (or palette index) per pixel
//! DATASET/regions/ID.png    where there is one: 8-bit id of the ground-truth segment per pixel, 0 for none
//! DATASET/NAME.txt          a split: one ID a line
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use cfm_core::model::ClassKind;
use cfm_model::bounded_file;
use cfm_model::spec::ClassSpec;
use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::label_map::{LabelMap, LabelMapError};
use crate::output::one_line;
use crate::photo::{self, PhotoError, same_shape};

/// Endings of photographs, in the order in which they are looked for.
pub(crate) const PHOTO_ENDINGS: [&str; 6] = ["jpg", "png", "jpeg", "bmp", "ppm", "pgm"];

/// Most bytes of `dataset.toml`.
pub const MAX_DESCRIPTION: u64 = 1 << 20;

/// Most bytes of a split's list.
pub const MAX_LIST: u64 = 1 << 26;

/// A data set folder.
#[derive(Debug, Clone)]
pub struct Dataset {
    root: PathBuf,
    description: Description,
    known: [bool; 256],
}

/// What `dataset.toml` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Name of the data set.
    pub name: String,
    /// Where it comes from.
    #[serde(default)]
    pub source: String,
    /// Licence of the photographs and labels.
    #[serde(default)]
    pub license: String,
    /// Label value of pixels that count for nothing.
    #[serde(default)]
    pub ignore: Option<u8>,
    /// The classes.
    #[serde(rename = "class")]
    pub classes: Vec<Class>,
}

/// A class of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Value in the label images.
    pub index: u8,
    /// Name.
    pub name: String,
    /// Stuff or object.
    #[serde(default)]
    pub kind: Kind,
    /// RGB colour in pictures.
    #[serde(default)]
    pub color: [u8; 3],
}

/// What kind of thing a class is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Amorphous: sky, road, grass.
    #[default]
    Stuff,
    /// Countable: car, person.
    Object,
}

impl From<Kind> for ClassKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Stuff => Self::Stuff,
            Kind::Object => Self::Object,
        }
    }
}

impl From<&Class> for ClassSpec {
    /// The class as a model of this data set lists it.
    fn from(class: &Class) -> Self {
        Self {
            name: class.name.clone(),
            kind: class.kind.into(),
            color: class.color,
            label: class.index,
        }
    }
}

/// A photograph and its labels, at the sizes they have in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Name in the split file.
    pub id: String,
    /// The photograph.
    pub photo: RgbImage,
    /// Label values as in the description.
    pub labels: LabelMap,
}

/// Why a data set cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A text file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// `dataset.toml` is not what it should be.
    #[error("{path}: {reason}")]
    Description {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no such split.
    #[error("{path}: no such split; {available}")]
    Split {
        /// The file that should list it.
        path: String,
        /// Which splits there are.
        available: String,
    },
    /// A split names no image.
    #[error("{0}: the split names no image")]
    EmptySplit(String),
    /// There is no photograph of an ID.
    #[error("{0}: no such photograph (.jpg, .png, .jpeg, .bmp, .ppm, .pgm)")]
    MissingPhoto(String),
    /// A photograph cannot be read.
    #[error(transparent)]
    Photo(#[from] PhotoError),
    /// A label image cannot be read.
    #[error(transparent)]
    Labels(#[from] LabelMapError),
    /// There is no class of that name to leave out.
    #[error("{path}: no class is called {name}")]
    UnknownClass {
        /// The description.
        path: String,
        /// The name.
        name: String,
    },
    /// A label value is neither a class nor the ignored value.
    #[error("{path}: pixel ({x}, {y}) has the label {label}, which dataset.toml does not list")]
    UnknownLabel {
        /// The label image.
        path: String,
        /// Column.
        x: usize,
        /// Row.
        y: usize,
        /// The value.
        label: u8,
    },
    /// A label image is of another shape than its photograph.
    #[error(
        "{path}: {width}x{height} labels are of another shape than the photograph's {}x{} pixels", .photo.0, .photo.1
    )]
    LabelsShape {
        /// The label image.
        path: String,
        /// Its columns.
        width: usize,
        /// Its rows.
        height: usize,
        /// Columns and rows of the photograph, turned upright.
        photo: (u32, u32),
    },
}

impl Dataset {
    /// Opens a data set folder and reads its description.
    ///
    /// # Errors
    /// [`DatasetError::Read`] or [`DatasetError::Description`].
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, DatasetError> {
        let root = root.into();
        let path = root.join("dataset.toml");
        let text = read_text(&path, MAX_DESCRIPTION)?;
        let refuse = |reason: String| DatasetError::Description {
            path: path.display().to_string(),
            reason,
        };
        let description: Description = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| {
                text[..span.start.min(text.len())].matches('\n').count() + 1
            });
            refuse(format!("line {line}: {}", one_line(error.message())))
        })?;
        if description.classes.is_empty() {
            return Err(refuse("it lists no classes".to_owned()));
        }
        let mut known = [false; 256];
        for class in &description.classes {
            if std::mem::replace(&mut known[usize::from(class.index)], true) {
                return Err(refuse(format!("class index {} occurs twice", class.index)));
            }
        }
        if let Some(ignore) = description.ignore
            && std::mem::replace(&mut known[usize::from(ignore)], true)
        {
            return Err(refuse(format!(
                "the ignored label {ignore} is also a class"
            )));
        }
        Ok(Self {
            root,
            description,
            known,
        })
    }

    /// The data set without the classes of these names; their pixels count for nothing.
    ///
    /// # Errors
    /// [`DatasetError::UnknownClass`], or [`DatasetError::Description`] if no class is left.
    pub fn without_classes(mut self, names: &[String]) -> Result<Self, DatasetError> {
        let path = || self.root.join("dataset.toml").display().to_string();
        for name in names {
            let classes = &mut self.description.classes;
            let Some(position) = classes.iter().position(|class| class.name == *name) else {
                return Err(DatasetError::UnknownClass {
                    path: path(),
                    name: name.clone(),
                });
            };
            // Its label stays a known one.
            classes.remove(position);
        }
        if self.description.classes.is_empty() {
            return Err(DatasetError::Description {
                path: path(),
                reason: "every class is left out".to_owned(),
            });
        }
        Ok(self)
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What `dataset.toml` says.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The IDs of a split, in the order of its file; empty lines and lines that start with `#` are skipped.
    ///
    /// # Errors
    /// [`DatasetError::Split`], [`DatasetError::EmptySplit`] or [`DatasetError::Read`].
    pub fn split(&self, name: &str) -> Result<Vec<String>, DatasetError> {
        let path = self.root.join(format!("{name}.txt"));
        if !path.is_file() {
            return Err(DatasetError::Split {
                path: path.display().to_string(),
                available: self.available_splits(),
            });
        }
        let ids: Vec<String> = read_text(&path, MAX_LIST)?
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect();
        if ids.is_empty() {
            return Err(DatasetError::EmptySplit(path.display().to_string()));
        }
        Ok(ids)
    }

    /// The files that the data set is made of, for photographs of these IDs: the description, the lists of all splits,
    /// and photographs, labels and ground-truth segments, which may be missing. None of them is for a program to write
    /// over.
    #[must_use]
    pub fn files(&self, ids: &[String]) -> Vec<PathBuf> {
        let mut files = vec![self.root.join("dataset.toml")];
        let splits = self.split_names().into_iter();
        files.extend(splits.map(|name| self.root.join(format!("{name}.txt"))));
        for id in ids {
            files.extend(self.photo_path(id));
            files.extend([self.labels_path(id), self.regions_path(id)]);
        }
        files
    }

    fn split_names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.root)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                name.strip_suffix(".txt").map(str::to_owned)
            })
            .collect();
        names.sort();
        names
    }

    fn available_splits(&self) -> String {
        let names = self.split_names();
        if names.is_empty() {
            "there is none".to_owned()
        } else {
            format!("there is {}", names.join(", "))
        }
    }

    /// The file that holds the photograph of an ID.
    ///
    /// # Errors
    /// [`DatasetError::MissingPhoto`].
    pub fn photo_path(&self, id: &str) -> Result<PathBuf, DatasetError> {
        let folder = self.root.join("images");
        PHOTO_ENDINGS
            .iter()
            .map(|ending| folder.join(format!("{id}.{ending}")))
            .find(|path| path.is_file())
            .ok_or_else(|| DatasetError::MissingPhoto(folder.join(id).display().to_string()))
    }

    /// The file that holds the labels of an ID.
    #[must_use]
    pub fn labels_path(&self, id: &str) -> PathBuf {
        self.root.join("labels").join(format!("{id}.png"))
    }

    /// The file that may hold the ground-truth segments of an ID.
    #[must_use]
    pub fn regions_path(&self, id: &str) -> PathBuf {
        self.root.join("regions").join(format!("{id}.png"))
    }

    /// The ground-truth segments of an ID, 0 for none; `None` if the data set has none for it.
    ///
    /// # Errors
    /// [`DatasetError::Labels`].
    pub fn regions(&self, id: &str) -> Result<Option<LabelMap>, DatasetError> {
        let path = self.regions_path(id);
        Ok(path.exists().then(|| LabelMap::open(&path)).transpose()?)
    }

    /// The photograph of an ID.
    ///
    /// # Errors
    /// [`DatasetError::MissingPhoto`] or [`DatasetError::Photo`].
    pub fn photo(&self, id: &str) -> Result<RgbImage, DatasetError> {
        Ok(photo::open(&self.photo_path(id)?)?)
    }

    /// The labels of an ID; every value is a class of the description or its ignored value.
    ///
    /// # Errors
    /// [`DatasetError::Labels`] or [`DatasetError::UnknownLabel`].
    pub fn labels(&self, id: &str) -> Result<LabelMap, DatasetError> {
        let path = self.labels_path(id);
        let map = LabelMap::open(&path)?;
        if let Some(at) = map
            .labels()
            .iter()
            .position(|&label| !self.known[usize::from(label)])
        {
            return Err(DatasetError::UnknownLabel {
                path: path.display().to_string(),
                x: at % map.width(),
                y: at / map.width(),
                label: map.labels()[at],
            });
        }
        Ok(map)
    }

    /// Photograph and labels of an ID. One may be a scaled version of the other.
    ///
    /// # Errors
    /// As [`Dataset::photo`] and [`Dataset::labels`]; [`DatasetError::LabelsShape`] where no scale fits to a pixel.
    pub fn sample(&self, id: &str) -> Result<Sample, DatasetError> {
        let (photo, labels) = (self.photo(id)?, self.labels(id)?);
        check_shape(&self.labels_path(id).display().to_string(), &photo, &labels)?;
        Ok(Sample {
            id: id.to_owned(),
            photo,
            labels,
        })
    }
}

/// Refuses the label image at `path` if neither it nor the photograph is the other one scaled.
///
/// # Errors
/// [`DatasetError::LabelsShape`].
pub fn check_shape(path: &str, photo: &RgbImage, labels: &LabelMap) -> Result<(), DatasetError> {
    let (width, height) = (labels.width(), labels.height());
    if same_shape(photo.dimensions(), (width as u32, height as u32)) {
        return Ok(());
    }
    Err(DatasetError::LabelsShape {
        path: path.to_owned(),
        width,
        height,
        photo: photo.dimensions(),
    })
}

fn read_text(path: &Path, most: u64) -> Result<String, DatasetError> {
    let mut text = bounded_file::read_text(path, most).map_err(|source| DatasetError::Read {
        path: path.display().to_string(),
        source,
    })?;
    // Editors on Windows begin a file with a mark of its encoding, which is no part of the first line.
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIPTION: &str = r#"
        name = "tiny"
        ignore = 9
        [[class]]
        index = 3
        name = "road"
        color = [1, 2, 3]
        [[class]]
        index = 0
        name = "car"
        kind = "object"
    "#;

    fn folder(description: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("dataset.toml"), description).unwrap();
        for sub in ["images", "labels"] {
            fs::create_dir(folder.path().join(sub)).unwrap();
        }
        folder
    }

    fn refusal(description: &str) -> String {
        let folder = folder(description);
        let error = Dataset::open(folder.path()).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error}");
        error
    }

    #[test]
    fn reads_a_folder() {
        let folder = folder(DESCRIPTION);
        let root = folder.path();
        fs::write(root.join("one.txt"), "# the only one\n a \n\n").unwrap();
        RgbImage::from_pixel(2, 1, image::Rgb([7, 8, 9]))
            .save(root.join("images/a.png"))
            .unwrap();
        LabelMap::new(2, 1, vec![3, 9])
            .unwrap()
            .save(&root.join("labels/a.png"))
            .unwrap();
        let dataset = Dataset::open(root).unwrap();
        assert_eq!(dataset.description().classes[0].kind, Kind::Stuff);
        assert_eq!(dataset.description().classes[1].kind, Kind::Object);
        let spec = ClassSpec::from(&dataset.description().classes[1]);
        assert_eq!((spec.name.as_str(), spec.label), ("car", 0));
        assert_eq!(spec.kind, ClassKind::Object);
        assert_eq!(dataset.split("one").unwrap(), ["a"]);
        let sample = dataset.sample("a").unwrap();
        assert_eq!(sample.photo.get_pixel(1, 0).0, [7, 8, 9]);
        assert_eq!(sample.labels.labels(), [3, 9]);

        let error = dataset
            .clone()
            .without_classes(&["tree".to_owned()])
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("dataset.toml: no class is called tree"));
        let stuff = dataset
            .clone()
            .without_classes(&["car".to_owned()])
            .unwrap();
        assert_eq!(stuff.description().classes.len(), 1);
        assert!(stuff.without_classes(&["road".to_owned()]).is_err());

        let error = dataset.split("two").unwrap_err().to_string();
        assert!(
            error.ends_with("two.txt: no such split; there is one"),
            "{error}"
        );
        let error = dataset.photo("b").unwrap_err().to_string();
        assert!(error.contains("images/b: no such photograph"), "{error}");
        LabelMap::new(2, 1, vec![3, 4])
            .unwrap()
            .save(&root.join("labels/a.png"))
            .unwrap();
        let error = dataset.labels("a").unwrap_err().to_string();
        assert!(
            error.contains("pixel (1, 0) has the label 4, which dataset.toml does not list"),
            "{error}"
        );
    }

    #[test]
    fn marks_of_the_encoding_are_no_text() {
        let folder = folder(&format!("\u{feff}{DESCRIPTION}"));
        fs::write(folder.path().join("one.txt"), "\u{feff}a\r\nb\r\n").unwrap();
        let dataset = Dataset::open(folder.path()).unwrap();
        assert_eq!(dataset.split("one").unwrap(), ["a", "b"]);
    }

    #[test]
    fn refuses_broken_descriptions() {
        assert!(
            refusal("name = \"x\"\nignore = 300\nclass = []").contains("dataset.toml: line 2: ")
        );
        assert!(refusal("name = \"x\"\nclass = []").contains("no classes"));
        assert!(refusal("ignore = 3").contains("missing field `name`"));
        assert!(refusal(&DESCRIPTION.replace("index = 0", "index = 3")).contains("occurs twice"));
        assert!(refusal(&DESCRIPTION.replace("ignore = 9", "ignore = 3")).contains("also a class"));
        let error = Dataset::open("/nonexistent/folder")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("/nonexistent/folder/dataset.toml: "),
            "{error}"
        );
    }
}
