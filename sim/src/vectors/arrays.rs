//! Arrays as `.npy` files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use npyz::{AutoSerialize, WriterBuilder};
use serde::Serialize;

use crate::output;

/// An array in a file of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArrayFile {
    /// The file, relative to the folder.
    pub file: String,
    /// The element type, as numpy calls it.
    pub dtype: &'static str,
    /// Length of every dimension, the outermost one first.
    pub shape: Vec<usize>,
}

/// An element type of an array.
pub trait Element: AutoSerialize + Copy {
    /// The type as numpy calls it.
    const DTYPE: &'static str;
}

macro_rules! elements {
    ($($rust:ty => $numpy:literal),+ $(,)?) => {
        $(impl Element for $rust {
            const DTYPE: &'static str = $numpy;
        })+
    };
}

elements! {
    i8 => "int8",
    i16 => "int16",
    i32 => "int32",
    u8 => "uint8",
    u16 => "uint16",
    u32 => "uint32",
    bool => "bool",
}

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What went wrong.
    pub error: io::Error,
}

/// A folder of arrays.
#[derive(Debug, Clone, Copy)]
pub struct Folder<'a> {
    path: &'a Path,
}

impl<'a> Folder<'a> {
    /// Makes the folder, if it is not there.
    ///
    /// # Errors
    /// [`FileError`] when it cannot be made.
    pub fn create(path: &'a Path) -> Result<Self, FileError> {
        fs::create_dir_all(path).map_err(|error| FileError {
            path: path.to_owned(),
            error,
        })?;
        Ok(Self { path })
    }

    /// Writes an array to `NAME.npy`.
    ///
    /// # Errors
    /// [`FileError`] when the file cannot be written, or `data` does not have the number of elements of `shape`.
    pub fn array<T: Element>(
        &self,
        name: &str,
        shape: &[usize],
        data: impl IntoIterator<Item = T>,
    ) -> Result<ArrayFile, FileError> {
        let file = format!("{name}.npy");
        let path = self.path.join(&file);
        encode(shape, data)
            .and_then(|bytes| output::write(&path, &bytes))
            .map_err(|error| FileError { path, error })?;
        Ok(ArrayFile {
            file,
            dtype: T::DTYPE,
            shape: shape.to_vec(),
        })
    }

    /// Writes bytes to a file.
    ///
    /// # Errors
    /// [`FileError`] when the file cannot be written.
    pub fn bytes(&self, name: &str, bytes: &[u8]) -> Result<(), FileError> {
        let path = self.path.join(name);
        output::write(&path, bytes).map_err(|error| FileError { path, error })
    }
}

/// The bytes of a `.npy` file.
fn encode<T: Element>(shape: &[usize], data: impl IntoIterator<Item = T>) -> io::Result<Vec<u8>> {
    let shape: Vec<u64> = shape.iter().map(|&length| length as u64).collect();
    let mut bytes = Vec::new();
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&shape)
        .writer(&mut bytes)
        .begin_nd()?;
    writer.extend(data)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        let arrays = Folder::create(&path).unwrap();
        let array = arrays
            .array("a", &[2, 3], [1_i16, -2, 3, -4, 5, -32768])
            .unwrap();
        assert_eq!((array.dtype, array.shape), ("int16", vec![2, 3]));
        let bytes = fs::read(path.join(&array.file)).unwrap();
        let file = npyz::NpyFile::new(&bytes[..]).unwrap();
        assert_eq!(file.shape(), [2, 3]);
        assert_eq!(file.into_vec::<i16>().unwrap(), [1, -2, 3, -4, 5, -32768]);
        arrays.array("bits", &[2], [true, false]).unwrap();
    }

    #[test]
    fn a_wrong_number_of_elements_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let arrays = Folder::create(folder.path()).unwrap();
        let error = arrays.array("a", &[4], [1_u8, 2]).unwrap_err();
        assert!(error.to_string().contains("a.npy"), "{error}");
    }
}
