//! First weights for a backbone: those of a network that has learned from more pictures than the data set has.
//!
//! The paper starts from a network trained on ImageNet (section 4.1), and so can this trainer. A file of pretrained
//! weights is in the safetensors format, all tensors in f32, five for each convolution:
//!
//! | tensor | shape |
//! |---|---|
//! | `NAME.weight` | output channel, input channel of the group, row, column |
//! | `NAME.gamma`, `.beta`, `.mean`, `.variance` | output channel: the batch normalization behind it, epsilon 1e-5 |
//!
//! A layer of the configuration names the convolution that it starts with in [`LayerConfig::from`]; pixels reach the
//! first one as `(pixel - 128) / 128`. One such file comes with this crate, under the name [`EFFICIENTNET_LITE0`]: the
//! stem and the first eleven blocks of EfficientNet-Lite0, made by `pretrained/efficientnet_lite0.py`.
//!
//! [`LayerConfig::from`]: crate::config::LayerConfig::from

use std::borrow::Cow;
use std::path::Path;

use cfm_model::bounded_file;
use cfm_model::reader::MAX_FILE;
use safetensors::{Dtype, SafeTensorError, SafeTensors};

/// Name of the weights that come with this crate.
pub const EFFICIENTNET_LITE0: &str = "efficientnet-lite0";

static EMBEDDED: &[u8] = include_bytes!("../pretrained/efficientnet_lite0.safetensors");

/// Why pretrained weights cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PretrainedError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The file is no safetensors file.
    #[error("{path}: {source}")]
    Format {
        /// The file.
        path: String,
        /// What went wrong.
        source: SafeTensorError,
    },
    /// A tensor is missing or of another kind.
    #[error("{path}: {tensor}: {why}")]
    Tensor {
        /// The file.
        path: String,
        /// The tensor.
        tensor: String,
        /// What is wrong.
        why: String,
    },
}

/// A file of pretrained weights.
#[derive(Debug, Clone)]
pub struct Pretrained {
    name: String,
    bytes: Cow<'static, [u8]>,
}

/// One convolution's weights and normalization.
#[derive(Debug, Clone, PartialEq)]
pub struct PretrainedLayer {
    /// Weights: output channel, input channel of the group, row, column.
    pub weight: Vec<f32>,
    /// The normalization's factor.
    pub gamma: Vec<f32>,
    /// The normalization's offset.
    pub beta: Vec<f32>,
    /// Running mean.
    pub mean: Vec<f32>,
    /// Running variance.
    pub variance: Vec<f32>,
}

impl Pretrained {
    /// Opens the weights that come with this crate by their name, or else a file.
    ///
    /// # Errors
    /// When the file cannot be read or is not in the format.
    pub fn open(name: &str) -> Result<Self, PretrainedError> {
        let bytes = if name == EFFICIENTNET_LITE0 {
            Cow::Borrowed(EMBEDDED)
        } else {
            let read = bounded_file::read_whole(Path::new(name), MAX_FILE);
            Cow::Owned(read.map_err(|source| PretrainedError::Read {
                path: name.to_owned(),
                source,
            })?)
        };
        let opened = Self {
            name: name.to_owned(),
            bytes,
        };
        opened.tensors()?;
        Ok(opened)
    }

    /// The convolution called `layer`, whose weights must have the shape `dims`.
    ///
    /// # Errors
    /// [`PretrainedError::Tensor`] names the first tensor that is missing, has another shape, or is not finite.
    pub fn layer(&self, layer: &str, dims: [usize; 4]) -> Result<PretrainedLayer, PretrainedError> {
        let tensors = self.tensors()?;
        let read =
            |part: &str, dims: &[usize]| self.read(&tensors, &format!("{layer}.{part}"), dims);
        let channels = [dims[0]];
        let read = PretrainedLayer {
            weight: read("weight", &dims)?,
            gamma: read("gamma", &channels)?,
            beta: read("beta", &channels)?,
            mean: read("mean", &channels)?,
            variance: read("variance", &channels)?,
        };
        if read.variance.iter().any(|&v| v < 0.0) {
            return Err(self.refuse(&format!("{layer}.variance"), "holds a negative value"));
        }
        Ok(read)
    }

    fn tensors(&self) -> Result<SafeTensors<'_>, PretrainedError> {
        SafeTensors::deserialize(&self.bytes).map_err(|source| PretrainedError::Format {
            path: self.name.clone(),
            source,
        })
    }

    fn read(
        &self,
        tensors: &SafeTensors<'_>,
        name: &str,
        dims: &[usize],
    ) -> Result<Vec<f32>, PretrainedError> {
        let Ok(tensor) = tensors.tensor(name) else {
            return Err(self.refuse(name, "is missing"));
        };
        if tensor.dtype() != Dtype::F32 || tensor.shape() != dims {
            let why = format!(
                "is {:?} of shape {:?}, not F32 of shape {dims:?}",
                tensor.dtype(),
                tensor.shape()
            );
            return Err(self.refuse(name, &why));
        }
        let values: Vec<f32> = tensor
            .data()
            .chunks_exact(4)
            .filter_map(|bytes| Some(f32::from_le_bytes(bytes.try_into().ok()?)))
            .collect();
        if values.iter().any(|value| !value.is_finite()) {
            return Err(self.refuse(name, "holds a value that is not finite"));
        }
        Ok(values)
    }

    fn refuse(&self, tensor: &str, why: &str) -> PretrainedError {
        PretrainedError::Tensor {
            path: self.name.clone(),
            tensor: tensor.to_owned(),
            why: why.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_file_has_all_its_layers() {
        let file = Pretrained::open(EFFICIENTNET_LITE0).unwrap();
        let stem = file.layer("stem", [32, 3, 3, 3]).unwrap();
        assert_eq!(stem.weight.len(), 864);
        file.layer("block0.depthwise", [32, 1, 3, 3]).unwrap();
        file.layer("block10.expand", [672, 112, 1, 1]).unwrap();
        file.layer("block10.depthwise", [672, 1, 5, 5]).unwrap();
        file.layer("block10.project", [112, 672, 1, 1]).unwrap();
    }

    /// As printed from the package that the file was made from, whose own layout in memory is another.
    #[test]
    #[allow(clippy::unreadable_literal)]
    fn weights_lie_in_the_order_of_their_shape() {
        let file = Pretrained::open(EFFICIENTNET_LITE0).unwrap();
        let stem = file.layer("stem", [32, 3, 3, 3]).unwrap().weight;
        let row = ((5 * 3 + 2) * 3 + 1) * 3;
        assert_eq!(stem[row..][..3], [-0.16491231, -0.04709863, -0.04709863]);
        let project = file.layer("block3.project", [40, 144, 1, 1]).unwrap();
        let weights = &project.weight[7 * 144 + 100..][..3];
        assert_eq!(weights, [0.41484222, 0.03973189, -0.10231968]);
    }

    #[test]
    fn wrong_names_and_shapes_are_named() {
        let file = Pretrained::open(EFFICIENTNET_LITE0).unwrap();
        let error = file.layer("stom", [32, 3, 3, 3]).unwrap_err().to_string();
        assert!(error.contains("stom.weight"), "{error}");
        let error = file.layer("stem", [16, 3, 3, 3]).unwrap_err().to_string();
        assert!(error.contains("[32, 3, 3, 3]"), "{error}");
    }

    #[test]
    fn broken_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        let open = || Pretrained::open(path.to_str().unwrap());
        assert!(matches!(open(), Err(PretrainedError::Read { .. })));
        for bytes in [&b""[..], &b"nonsense"[..], &EMBEDDED[..EMBEDDED.len() / 2]] {
            std::fs::write(&path, bytes).unwrap();
            assert!(matches!(open(), Err(PretrainedError::Format { .. })));
        }
        let mut bytes = EMBEDDED.to_vec();
        for byte in bytes.iter_mut().rev().take(100_000) {
            *byte = 0xff;
        }
        std::fs::write(&path, bytes).unwrap();
        let file = open().unwrap();
        let error = file.layer("block9.project", [112, 672, 1, 1]);
        let other = file.layer("stem", [32, 3, 3, 3]);
        assert!(error.is_err() || other.is_err());
    }
}
