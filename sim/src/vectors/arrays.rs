//! Arrays as `.npy` files.

use std::io;
use std::path::Path;

use npyz::{AutoSerialize, WriterBuilder};
use serde::Serialize;

use crate::output::{Batch, FileError};

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

/// A folder of arrays that appear together, with the last file by which readers know that the folder is complete.
#[derive(Debug)]
pub struct Folder<'a> {
    path: &'a Path,
    files: Batch,
}

impl<'a> Folder<'a> {
    /// A folder, which is made with the first file if it is not there.
    #[must_use]
    pub fn new(path: &'a Path) -> Self {
        Self {
            path,
            files: Batch::new(),
        }
    }

    /// Refuses to replace any of `inputs` from now on, by whatever name.
    pub fn keep(&mut self, inputs: impl IntoIterator<Item: AsRef<Path>>) {
        self.files.keep(inputs);
    }

    /// Adds an array as `NAME.npy`.
    ///
    /// # Errors
    /// [`FileError`] when the file cannot be written, or `data` does not have the number of elements of `shape`.
    pub fn array<T: Element>(
        &mut self,
        name: &str,
        shape: &[usize],
        data: impl IntoIterator<Item = T>,
    ) -> Result<ArrayFile, FileError> {
        let file = format!("{name}.npy");
        let path = self.path.join(&file);
        let bytes = encode(shape, data).map_err(|error| FileError {
            path: path.clone(),
            error,
        })?;
        self.files.add(&path, &bytes)?;
        Ok(ArrayFile {
            file,
            dtype: T::DTYPE,
            shape: shape.to_vec(),
        })
    }

    /// Adds a file of these bytes.
    ///
    /// # Errors
    /// [`FileError`] when the file cannot be written.
    pub fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), FileError> {
        self.files.add(&self.path.join(name), bytes)
    }

    /// Makes the files appear, the one that was added last after all others.
    ///
    /// # Errors
    /// As [`Batch::commit`].
    pub fn commit(self) -> Result<(), FileError> {
        self.files.commit()
    }
}

/// The bytes of a `.npy` file.
fn encode<T: Element>(shape: &[usize], data: impl IntoIterator<Item = T>) -> io::Result<Vec<u8>> {
    // At once what it takes: an array that grew would take up to three times as much. The header has less than 256 bytes.
    let length: usize = shape.iter().product();
    let mut bytes = Vec::with_capacity(256 + length * size_of::<T>());
    let shape: Vec<u64> = shape.iter().map(|&length| length as u64).collect();
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
    use std::fs;

    use super::*;

    #[test]
    fn arrays_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        let mut arrays = Folder::new(&path);
        let array = arrays
            .array("a", &[2, 3], [1_i16, -2, 3, -4, 5, -32768])
            .unwrap();
        arrays.array("bits", &[2], [true, false]).unwrap();
        arrays.commit().unwrap();
        assert_eq!((array.dtype, array.shape), ("int16", vec![2, 3]));
        let bytes = fs::read(path.join(&array.file)).unwrap();
        let file = npyz::NpyFile::new(&bytes[..]).unwrap();
        assert_eq!(file.shape(), [2, 3]);
        assert_eq!(file.into_vec::<i16>().unwrap(), [1, -2, 3, -4, 5, -32768]);
    }

    #[test]
    fn a_wrong_number_of_elements_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut arrays = Folder::new(folder.path());
        let error = arrays.array("a", &[4], [1_u8, 2]).unwrap_err();
        assert!(error.to_string().contains("a.npy"), "{error}");
    }
}
