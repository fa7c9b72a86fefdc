//! The data set: photographs and label maps, brought to the size of the network's input.

use std::path::{Path, PathBuf};

use image::RgbImage;
use image::imageops::FilterType;
use rayon::prelude::*;
use serde::Deserialize;

use crate::config::InputSize;

/// The class list and the notes of a data set, from its `dataset.toml`.
#[derive(Debug, Clone, Deserialize)]
pub struct Description {
    /// Name of the data set.
    pub name: String,
    /// Where it comes from.
    #[serde(default)]
    pub source: String,
    /// Its licence.
    #[serde(default)]
    pub license: String,
    /// Label value of pixels that count for nothing.
    pub ignore: u8,
    /// The classes.
    #[serde(rename = "class")]
    pub classes: Vec<Class>,
}

/// A class.
#[derive(Debug, Clone, Deserialize)]
pub struct Class {
    /// Label value.
    pub index: u8,
    /// Name.
    pub name: String,
    /// "stuff" or "object".
    #[serde(default)]
    pub kind: String,
    /// Colour in pictures.
    #[serde(default)]
    pub color: [u8; 3],
}

/// Label value of unlabelled pixels inside this crate, whatever the data set uses.
pub const IGNORE: u8 = u8::MAX;

/// A label for every pixel: an index into [`Description::classes`], or [`IGNORE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelMap {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The labels, row-major.
    pub labels: Vec<u8>,
}

impl LabelMap {
    /// The map at another size: each pixel takes the label of the nearest one.
    #[must_use]
    pub fn resized(&self, width: usize, height: usize) -> Self {
        let mut labels = Vec::with_capacity(width * height);
        for y in 0..height {
            let row = (2 * y + 1) * self.height / (2 * height) * self.width;
            for x in 0..width {
                labels.push(self.labels[row + (2 * x + 1) * self.width / (2 * width)]);
            }
        }
        Self {
            width,
            height,
            labels,
        }
    }
}

/// One photograph at the size of the network's input, with its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo {
    /// Its name in the data set.
    pub id: String,
    /// Interleaved RGB, row-major.
    pub pixels: Vec<u8>,
    /// Labels at the size of the network's input.
    pub labels: LabelMap,
    /// Labels as they are in the data set, on which results are measured.
    pub full_labels: LabelMap,
}

/// A data set folder.
#[derive(Debug, Clone)]
pub struct Dataset {
    root: PathBuf,
    description: Description,
}

/// Why a data set cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A text file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// `dataset.toml` does not describe a data set.
    #[error("{path}: {source}")]
    Description {
        /// The file.
        path: String,
        /// What went wrong.
        source: Box<toml::de::Error>,
    },
    /// A picture cannot be read.
    #[error("{path}: {source}")]
    Picture {
        /// The file.
        path: String,
        /// What went wrong.
        source: image::ImageError,
    },
    /// The parts of the data set contradict each other.
    #[error("{path}: {reason}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

impl Dataset {
    /// Opens a data set folder.
    ///
    /// # Errors
    /// When `dataset.toml` cannot be read or describes no classes.
    pub fn open(root: &Path) -> Result<Self, DataError> {
        let path = root.join("dataset.toml");
        let text = read_text(&path)?;
        let description: Description =
            toml::from_str(&text).map_err(|source| DataError::Description {
                path: path.display().to_string(),
                source: Box::new(source),
            })?;
        if description.classes.is_empty() || description.classes.len() > 200 {
            return Err(DataError::Content {
                path: path.display().to_string(),
                reason: "it must list 1 to 200 classes".to_owned(),
            });
        }
        Ok(Self {
            root: root.to_owned(),
            description,
        })
    }

    /// The class list and the notes.
    #[must_use]
    pub const fn description(&self) -> &Description {
        &self.description
    }

    /// The photographs of a split (`NAME.txt`, one a line), in the order of the file, at the given size.
    ///
    /// # Errors
    /// When a file is missing, unreadable, empty, or holds labels that the description does not know.
    pub fn read(
        &self,
        split: &str,
        size: InputSize,
        limit: Option<usize>,
    ) -> Result<Vec<Photo>, DataError> {
        let path = self.root.join(format!("{split}.txt"));
        let text = read_text(&path)?;
        let ids: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .take(limit.unwrap_or(usize::MAX))
            .collect();
        if ids.is_empty() {
            return Err(DataError::Content {
                path: path.display().to_string(),
                reason: "it names no image".to_owned(),
            });
        }
        ids.par_iter().map(|id| self.photo(id, size)).collect()
    }

    fn photo(&self, id: &str, size: InputSize) -> Result<Photo, DataError> {
        let folder = self.root.join("images");
        let path = ["jpg", "png", "jpeg", "bmp", "ppm"]
            .iter()
            .map(|ending| folder.join(format!("{id}.{ending}")))
            .find(|path| path.is_file())
            .unwrap_or_else(|| folder.join(format!("{id}.jpg")));
        let photo = open_picture(&path)?.to_rgb8();
        let path = self.root.join("labels").join(format!("{id}.png"));
        let picture = open_picture(&path)?.to_luma8();
        let (width, height) = picture.dimensions();
        if photo.dimensions() != (width, height) {
            return Err(DataError::Content {
                path: path.display().to_string(),
                reason: "it does not have the size of its photograph".to_owned(),
            });
        }
        let table = self.label_table();
        let labels = picture
            .into_raw()
            .into_iter()
            .map(|value| table[usize::from(value)])
            .collect::<Option<Vec<u8>>>()
            .ok_or_else(|| DataError::Content {
                path: path.display().to_string(),
                reason: "it holds a label that dataset.toml does not list".to_owned(),
            })?;
        let full_labels = LabelMap {
            width: width as usize,
            height: height as usize,
            labels,
        };
        Ok(Photo {
            id: id.to_owned(),
            pixels: resize(photo, size).into_raw(),
            labels: full_labels.resized(size.width.into(), size.height.into()),
            full_labels,
        })
    }

    /// What each label value of the pictures means here.
    fn label_table(&self) -> [Option<u8>; 256] {
        let mut table = [None; 256];
        for (position, class) in self.description.classes.iter().enumerate() {
            table[usize::from(class.index)] = u8::try_from(position).ok();
        }
        table[usize::from(self.description.ignore)] = Some(IGNORE);
        table
    }
}

/// Brings a photograph to the network's input size: the mean of each 2x2 block (halves up) when that is exactly half
/// the photograph, a triangle filter otherwise.
fn resize(photo: RgbImage, size: InputSize) -> RgbImage {
    let (width, height) = (u32::from(size.width), u32::from(size.height));
    if photo.dimensions() == (width, height) {
        return photo;
    }
    if photo.dimensions() == (2 * width, 2 * height) {
        return RgbImage::from_fn(width, height, |x, y| {
            image::Rgb(std::array::from_fn(|c| {
                let sum: u16 = [(0, 0), (1, 0), (0, 1), (1, 1)]
                    .iter()
                    .map(|(dx, dy)| u16::from(photo.get_pixel(2 * x + dx, 2 * y + dy)[c]))
                    .sum();
                ((sum + 2) / 4) as u8
            }))
        });
    }
    image::imageops::resize(&photo, width, height, FilterType::Triangle)
}

fn open_picture(path: &Path) -> Result<image::DynamicImage, DataError> {
    image::open(path).map_err(|source| DataError::Picture {
        path: path.display().to_string(),
        source,
    })
}

fn read_text(path: &Path) -> Result<String, DataError> {
    std::fs::read_to_string(path).map_err(|source| DataError::Read {
        path: path.display().to_string(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_take_the_nearest() {
        let map = LabelMap {
            width: 4,
            height: 2,
            labels: vec![0, 1, 2, 3, 4, 5, 6, 7],
        };
        assert_eq!(map.resized(4, 2), map);
        assert_eq!(map.resized(2, 1).labels, [5, 7]);
        assert_eq!(
            map.resized(2, 1).resized(4, 2).labels,
            [5, 5, 7, 7, 5, 5, 7, 7]
        );
    }

    #[test]
    fn half_size_is_the_block_mean() {
        let photo = RgbImage::from_fn(4, 2, |x, y| image::Rgb([(x * 10 + y) as u8; 3]));
        let size = InputSize {
            width: 2,
            height: 1,
        };
        assert_eq!(resize(photo, size).into_raw(), [6, 6, 6, 26, 26, 26]);
    }
}
