//! Model files: read from disk or built in, with the float network beside them.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use cfm_core::model::reorder::reorder;
use cfm_core::model::{Model, ModelError, WeightOrder};
use cfm_model::float_model::{FloatFileError, FloatModel};
pub use cfm_model::reader::{MAX_FILE, MAX_PROVENANCE};

use crate::built_in::{self, BuiltIn};
use cfm_model::bounded_file;

/// The bytes of a model and where they come from.
#[derive(Debug, Clone)]
pub struct ModelFile(Source);

#[derive(Debug, Clone)]
enum Source {
    BuiltIn(BuiltIn),
    File { path: PathBuf, bytes: Vec<u8> },
}

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelFileError {
    /// The file cannot be read.
    #[error("{name}: {source}")]
    Read {
        /// The file.
        name: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The file is longer than [`MAX_FILE`].
    #[error("{0}: the file is longer than {max} MiB", max = MAX_FILE >> 20)]
    TooLong(String),
    /// The model is refused.
    #[error("{name}: {source}")]
    Model {
        /// The file.
        name: String,
        /// What is wrong.
        source: ModelError,
    },
    /// The provenance, which is for people to read, is longer than [`MAX_PROVENANCE`].
    #[error("{0}: section PROV: it is longer than {max} KiB", max = MAX_PROVENANCE >> 10)]
    Provenance(String),
    /// The float network is refused.
    #[error("{name}: {source}")]
    Float {
        /// The file.
        name: String,
        /// What is wrong.
        source: FloatFileError,
    },
}

impl ModelFile {
    /// The built-in model of that name, or the one at that path; `street` without either. The weights of a packed model
    /// are put back into rows, which is what all host code reads.
    ///
    /// # Errors
    /// [`ModelFileError::Read`] or [`ModelFileError::TooLong`].
    pub fn open(path: Option<&Path>) -> Result<Self, ModelFileError> {
        let mut file = Self::open_in_any_order(path)?;
        if let Source::File { bytes, .. } = &mut file.0
            && let Ok(model) = Model::parse(bytes)
        {
            let mut rows = vec![0; bytes.len()];
            // Weights that could be packed can be unpacked; a broken model is for `parse` to report.
            if reorder(&model, WeightOrder::Rows, &mut rows).is_ok() {
                *bytes = rows;
            }
        }
        Ok(file)
    }

    /// [`open`](Self::open), with the weights as they are.
    ///
    /// # Errors
    /// [`ModelFileError::Read`] or [`ModelFileError::TooLong`].
    pub fn open_in_any_order(path: Option<&Path>) -> Result<Self, ModelFileError> {
        let path = path.unwrap_or(Path::new(built_in::STREET.name));
        Ok(Self(match BuiltIn::named(path) {
            Some(model) => Source::BuiltIn(model),
            None => Source::File {
                path: path.to_owned(),
                bytes: read(path)?,
            },
        }))
    }

    /// The file's path; `None` for a built-in model.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Source::File { path, .. } => Some(path),
            Source::BuiltIn(_) => None,
        }
    }

    /// The files that the model is read from, with that of its float network, which may be missing; none for a built-in
    /// model.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let path = self.path();
        path.map_or_else(Vec::new, |path| {
            vec![path.to_owned(), path.with_extension("safetensors")]
        })
    }

    /// The file's path, or the name of the built-in model.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.0 {
            Source::File { path, .. } => path.display().to_string(),
            Source::BuiltIn(model) => format!("{} (built in)", model.name),
        }
    }

    /// The file's name without folder and ending, or the name of the built-in model.
    #[must_use]
    pub fn stem(&self) -> String {
        match &self.0 {
            Source::File { path, .. } => path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_default(),
            Source::BuiltIn(model) => model.name.to_owned(),
        }
    }

    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Source::File { bytes, .. } => bytes,
            Source::BuiltIn(model) => model.cfm,
        }
    }

    /// The validated model.
    ///
    /// # Errors
    /// [`ModelFileError::Model`] or [`ModelFileError::Provenance`].
    pub fn parse(&self) -> Result<Model<'_>, ModelFileError> {
        let model = Model::parse(self.bytes()).map_err(|source| ModelFileError::Model {
            name: self.name(),
            source,
        })?;
        if model.provenance().len() > MAX_PROVENANCE {
            return Err(ModelFileError::Provenance(self.name()));
        }
        Ok(model)
    }

    /// The bytes of the float network that the model was quantized from: those of `M.safetensors` beside `M.cfm`.
    ///
    /// # Errors
    /// [`ModelFileError::Read`] or [`ModelFileError::TooLong`].
    pub fn float_bytes(&self) -> Result<Cow<'_, [u8]>, ModelFileError> {
        Ok(match &self.0 {
            Source::BuiltIn(model) => Cow::Borrowed(model.safetensors),
            Source::File { path, .. } => Cow::Owned(read(&path.with_extension("safetensors"))?),
        })
    }

    /// The float network that the model was quantized from.
    ///
    /// # Errors
    /// [`ModelFileError::Read`], [`ModelFileError::TooLong`] or [`ModelFileError::Float`].
    pub fn float(&self) -> Result<FloatModel, ModelFileError> {
        let weights = self.float_bytes()?;
        FloatModel::from_safetensors(self.bytes(), &weights).map_err(|source| {
            let name = match &self.0 {
                Source::BuiltIn(_) => self.name(),
                Source::File { path, .. } => {
                    path.with_extension("safetensors").display().to_string()
                }
            };
            ModelFileError::Float { name, source }
        })
    }

    /// The float network with this model's structure and the weights of a safetensors file, which may have been written
    /// beside another `.cfm`.
    ///
    /// # Errors
    /// As [`ModelFile::float`].
    pub fn float_from(&self, weights: &Path) -> Result<FloatModel, ModelFileError> {
        FloatModel::from_safetensors_like(self.bytes(), &read(weights)?).map_err(|source| {
            ModelFileError::Float {
                name: weights.display().to_string(),
                source,
            }
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ModelFileError> {
    let name = || path.display().to_string();
    bounded_file::read(path, MAX_FILE)
        .map_err(|source| ModelFileError::Read {
            name: name(),
            source,
        })?
        .ok_or_else(|| ModelFileError::TooLong(name()))
}
