//! The weights of a float network as safetensors, linked with the `.cfm` that holds the structure.
//!
//! Tensors are f32: `layers.{i}.weight` `[out, kernel row, kernel column, in / groups]` and `layers.{i}.bias` `[out]`
//! for every convolution `i`, `segment.{i}.weight` `[out, in]` and `segment.{i}.bias` for every fully connected layer,
//! likewise `region` and `joint`.
//!
//! One metadata entry, [`LINK`], holds JSON: the checksum of the `.cfm` (`crc32`, as in its header) and the activation
//! functions, which the integers know only as clamp ranges (`layers`, null for pooling; `segment`, `region`, `joint`).
//!
//! The header, which takes many times its length once it is parsed, is at most [`MAX_HEADER`] bytes long: names and shapes
//! of the most layers that a model can have take a twentieth of that.

use std::collections::HashMap;
use std::io;
use std::path::{Path as FilePath, PathBuf};

use cfm_core::model::{Model, Path, Shape};
use safetensors::tensor::{Metadata, TensorView};
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    Activation, ActivationScale, FloatAdd, FloatConv, FloatFc, FloatHead, FloatLayer, FloatModel,
};
use crate::bounded_file;
use crate::output;
use crate::reader::{MAX_FILE, SpecError};
use crate::shape::{self, ShapeError};
use crate::spec::{FcSpec, LayerSpec, ModelSpec, OutputScale};

/// Name of the metadata entry that links the weights with their `.cfm`.
pub const LINK: &str = "cfm";
/// Most bytes of the header of a safetensors file.
pub const MAX_HEADER: u64 = 1 << 20;
/// Bytes before the header: its length.
const HEADER_AT: usize = 8;

/// Why float weights cannot be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FloatFileError {
    /// The layers do not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The `.cfm` is not valid.
    #[error("the .cfm is not valid: {0}")]
    Model(SpecError),
    /// The safetensors file is broken, or a tensor's data does not have the length of its shape.
    #[error(transparent)]
    Safetensors(#[from] SafeTensorError),
    /// The header is longer than [`MAX_HEADER`].
    #[error("the header of the safetensors file has {0} bytes; at most {MAX_HEADER} are read")]
    Header(u64),
    /// The metadata entry [`LINK`] is missing or unreadable.
    #[error("the safetensors file has no readable `{LINK}` metadata: {0}")]
    Link(String),
    /// The weights belong to another `.cfm`.
    #[error("the weights belong to a .cfm with checksum {found:08x}, not {expected:08x}")]
    OtherModel {
        /// Checksum of the `.cfm` given.
        expected: u32,
        /// Checksum in the metadata.
        found: u32,
    },
    /// The structure has no place for a tensor.
    #[error("tensor {0} has no place in the .cfm's structure")]
    Surplus(String),
    /// A tensor does not have the shape or type that the structure asks for.
    #[error("tensor {name} is {found}, not f32 {expected:?}")]
    Tensor {
        /// The tensor.
        name: String,
        /// Its type and shape.
        found: String,
        /// The shape expected.
        expected: Vec<usize>,
    },
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
}

/// The metadata entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Link {
    crc32: u32,
    layers: Vec<Option<Activation>>,
    segment: Vec<Activation>,
    region: Vec<Activation>,
    joint: Vec<Activation>,
}

impl Link {
    fn path(&self, path: Path) -> &[Activation] {
        match path {
            Path::Segment => &self.segment,
            Path::Region => &self.region,
            Path::Joint => &self.joint,
        }
    }
}

const fn path_name(path: Path) -> &'static str {
    match path {
        Path::Segment => "segment",
        Path::Region => "region",
        Path::Joint => "joint",
    }
}

/// The checksum that the header of a `.cfm` holds.
fn checksum(cfm: &[u8]) -> Result<u32, FloatFileError> {
    Model::parse(cfm).map_err(|error| FloatFileError::Model(error.into()))?;
    match *cfm {
        [_, _, _, _, _, _, _, _, _, _, _, _, a, b, c, d, ..] => {
            Ok(u32::from_le_bytes([a, b, c, d]))
        }
        _ => unreachable!("a parsed model has a header"),
    }
}

impl FloatModel {
    /// The weights as a safetensors file, linked with `cfm`, the bytes of the quantized model.
    ///
    /// # Errors
    /// A [`FloatFileError`] when the `.cfm` is not valid or a weight list does not have the length of its shape.
    pub fn to_safetensors(&self, cfm: &[u8]) -> Result<Vec<u8>, FloatFileError> {
        let shapes = self.tensor_shapes()?;
        let mut tensors = Tensors::default();
        for (i, layer) in self.layers.iter().enumerate() {
            if let FloatLayer::Conv2d(conv) = layer {
                let shape = conv_shape(
                    conv.out_channels,
                    conv.window.kernel,
                    conv.groups,
                    shapes[conv.input],
                );
                tensors.push(format!("layers.{i}.weight"), &shape, &conv.weights);
                tensors.push(format!("layers.{i}.bias"), &shape[..1], &conv.bias);
            }
        }
        let inputs = self
            .head
            .shape()
            .fc_inputs(shapes[shapes.len() - 1].channels);
        for (path, inputs) in Path::ALL.into_iter().zip(&inputs) {
            let name = path_name(path);
            for (i, (fc, &inputs)) in self.head.fcs(path).iter().zip(inputs).enumerate() {
                let shape = [usize::from(fc.outputs), inputs];
                tensors.push(format!("{name}.{i}.weight"), &shape, &fc.weights);
                tensors.push(format!("{name}.{i}.bias"), &shape[..1], &fc.bias);
            }
        }
        let link = serde_json::to_string(&self.link(checksum(cfm)?))
            .map_err(|error| FloatFileError::Link(error.to_string()))?;
        // One entry only: a map of several would be written in an order that changes from run to run.
        let metadata = HashMap::from([(LINK.to_owned(), link)]);
        Ok(safetensors::serialize(tensors.views()?, Some(metadata))?)
    }

    /// The float network of the `.cfm` file `cfm` with the weights of the safetensors file `weights`.
    ///
    /// # Errors
    /// A [`FloatFileError`] when one of the files is broken or the two do not belong together.
    pub fn from_safetensors(cfm: &[u8], weights: &[u8]) -> Result<Self, FloatFileError> {
        let expected = checksum(cfm)?;
        let spec = ModelSpec::from_bytes(cfm).map_err(FloatFileError::Model)?;
        let reader = Reader::new(weights)?;
        if reader.link.crc32 != expected {
            return Err(FloatFileError::OtherModel {
                expected,
                found: reader.link.crc32,
            });
        }
        reader.model(spec)
    }

    /// The float network with the structure of the `.cfm` file `like` and the weights of the safetensors file
    /// `weights`, which may have been written beside another `.cfm`.
    ///
    /// # Errors
    /// A [`FloatFileError`] when one of the files is broken, or a tensor is missing, too many or of another shape.
    pub fn from_safetensors_like(like: &[u8], weights: &[u8]) -> Result<Self, FloatFileError> {
        let spec = ModelSpec::from_bytes(like).map_err(FloatFileError::Model)?;
        let reader = Reader::new(weights)?;
        let layers = spec.layers.len();
        let model = reader.model(spec)?;
        let convolutions = model.layers.iter().enumerate();
        let convolutions = convolutions.filter(|(_, layer)| matches!(layer, FloatLayer::Conv2d(_)));
        let mut names: Vec<String> = convolutions.map(|(i, _)| format!("layers.{i}")).collect();
        for path in Path::ALL {
            let fcs = 0..model.head.fcs(path).len();
            names.extend(fcs.map(|i| format!("{}.{i}", path_name(path))));
        }
        let mut found = reader.header.offset_keys();
        found.sort_unstable();
        let surplus = found.into_iter().find(|tensor| {
            let layer = tensor
                .strip_suffix(".weight")
                .or_else(|| tensor.strip_suffix(".bias"));
            !layer.is_some_and(|layer| names.iter().any(|name| name == layer))
        });
        if let Some(name) = surplus {
            return Err(FloatFileError::Surplus(name));
        }
        if reader.link.layers.len() != layers {
            return Err(FloatFileError::Link(format!(
                "it lists {} layers, the .cfm has {layers}",
                reader.link.layers.len()
            )));
        }
        Ok(model)
    }

    /// Writes the weights beside `cfm`, the bytes of the quantized model.
    ///
    /// # Errors
    /// As [`FloatModel::to_safetensors`], and when the file cannot be written.
    pub fn write_safetensors(&self, cfm: &[u8], path: &FilePath) -> Result<(), FloatFileError> {
        output::write(path, &self.to_safetensors(cfm)?).map_err(|error| FloatFileError::File {
            path: path.to_owned(),
            error,
        })
    }

    /// Reads the float network of `cfm`, the bytes of the quantized model, from a safetensors file.
    ///
    /// # Errors
    /// As [`FloatModel::from_safetensors`], and when the file cannot be read.
    pub fn read_safetensors(cfm: &[u8], path: &FilePath) -> Result<Self, FloatFileError> {
        let weights =
            bounded_file::read_whole(path, MAX_FILE).map_err(|error| FloatFileError::File {
                path: path.to_owned(),
                error,
            })?;
        Self::from_safetensors(cfm, &weights)
    }

    /// The shapes of all tensors: the image, then every layer's output; the last is the feature map's.
    ///
    /// # Errors
    /// A [`ShapeError`] when the layers do not fit together.
    pub fn tensor_shapes(&self) -> Result<Vec<Shape>, ShapeError> {
        shape::tensors(self.input, self.layers.iter().map(FloatLayer::shape))
    }

    fn link(&self, crc32: u32) -> Link {
        let path = |path| {
            let fcs = self.head.fcs(path).iter();
            fcs.map(|fc| fc.output.activation).collect()
        };
        Link {
            crc32,
            layers: self
                .layers
                .iter()
                .map(|layer| match layer {
                    FloatLayer::Conv2d(conv) => Some(conv.output.activation),
                    FloatLayer::Add(add) => Some(add.output.activation),
                    FloatLayer::MaxPool(_) | FloatLayer::AvgPool(_) => None,
                })
                .collect(),
            segment: path(Path::Segment),
            region: path(Path::Region),
            joint: path(Path::Joint),
        }
    }
}

fn conv_shape(out_channels: u16, kernel: [u8; 2], groups: u16, input: Shape) -> [usize; 4] {
    [
        usize::from(out_channels),
        usize::from(kernel[0]),
        usize::from(kernel[1]),
        usize::from(input.channels / groups),
    ]
}

/// Tensors on their way into a file.
#[derive(Default)]
struct Tensors(Vec<(String, Vec<usize>, Vec<u8>)>);

impl Tensors {
    fn push(&mut self, name: String, shape: &[usize], values: &[f32]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.0.push((name, shape.to_vec(), bytes.collect()));
    }

    fn views(&self) -> Result<Vec<(&str, TensorView<'_>)>, SafeTensorError> {
        self.0
            .iter()
            .map(|(name, shape, bytes)| {
                let view = TensorView::new(Dtype::F32, shape.clone(), bytes)?;
                Ok((name.as_str(), view))
            })
            .collect()
    }
}

/// A file being read.
struct Reader<'a> {
    header: Metadata,
    /// What is behind the header.
    data: &'a [u8],
    link: Link,
}

impl<'a> Reader<'a> {
    fn new(weights: &'a [u8]) -> Result<Self, FloatFileError> {
        if let Some(length) = weights.first_chunk().copied().map(u64::from_le_bytes)
            && length > MAX_HEADER
        {
            return Err(FloatFileError::Header(length));
        }
        let (length, header) = SafeTensors::read_metadata(weights)?;
        let link = header
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(LINK))
            .ok_or_else(|| FloatFileError::Link("the entry is missing".to_owned()))?;
        let link =
            serde_json::from_str(link).map_err(|error| FloatFileError::Link(error.to_string()))?;
        Ok(Self {
            header,
            data: &weights[HEADER_AT + length..],
            link,
        })
    }

    fn tensor(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, FloatFileError> {
        let info = self.header.info(name);
        let info = info.ok_or_else(|| SafeTensorError::TensorNotFound(name.to_owned()))?;
        if info.dtype != Dtype::F32 || info.shape != expected {
            return Err(FloatFileError::Tensor {
                name: name.to_owned(),
                found: format!("{:?} {:?}", info.dtype, info.shape),
                expected: expected.to_vec(),
            });
        }
        // The offsets have been held against the file's length.
        let (start, end) = info.data_offsets;
        let (values, _) = self.data[start..end].as_chunks();
        Ok(values.iter().copied().map(f32::from_le_bytes).collect())
    }

    fn layer_scale(
        &self,
        layer: usize,
        output: OutputScale,
    ) -> Result<ActivationScale, FloatFileError> {
        let activation = self.link.layers.get(layer).copied().flatten();
        scale(activation, output, || format!("layer {layer}"))
    }

    fn layer(
        &self,
        index: usize,
        layer: LayerSpec,
        shapes: &[Shape],
    ) -> Result<FloatLayer, FloatFileError> {
        Ok(match layer {
            LayerSpec::Conv2d(conv) => {
                let shape = conv_shape(
                    conv.out_channels,
                    conv.window.kernel,
                    conv.groups,
                    shapes[conv.input],
                );
                FloatLayer::Conv2d(FloatConv {
                    input: conv.input,
                    window: conv.window,
                    groups: conv.groups,
                    out_channels: conv.out_channels,
                    weights: self.tensor(&format!("layers.{index}.weight"), &shape)?,
                    bias: self.tensor(&format!("layers.{index}.bias"), &shape[..1])?,
                    output: self.layer_scale(index, conv.output)?,
                })
            }
            LayerSpec::Add(add) => FloatLayer::Add(FloatAdd {
                inputs: add.inputs,
                output: self.layer_scale(index, add.output)?,
            }),
            LayerSpec::MaxPool(pool) => FloatLayer::MaxPool(pool),
            LayerSpec::AvgPool(pool) => FloatLayer::AvgPool(pool),
        })
    }

    fn path(
        &self,
        path: Path,
        fcs: &[FcSpec],
        inputs: &[usize],
    ) -> Result<Vec<FloatFc>, FloatFileError> {
        let name = path_name(path);
        fcs.iter()
            .zip(inputs)
            .enumerate()
            .map(|(i, (fc, &inputs))| {
                let shape = [usize::from(fc.outputs), inputs];
                let activation = self.link.path(path).get(i).copied();
                Ok(FloatFc {
                    outputs: fc.outputs,
                    weights: self.tensor(&format!("{name}.{i}.weight"), &shape)?,
                    bias: self.tensor(&format!("{name}.{i}.bias"), &shape[..1])?,
                    output: scale(activation, fc.output, || format!("{name} {i}"))?,
                })
            })
            .collect()
    }

    fn model(&self, spec: ModelSpec) -> Result<FloatModel, FloatFileError> {
        let shapes = spec.tensor_shapes()?;
        let [segment, region, joint] = &spec
            .head
            .shape()
            .fc_inputs(shapes[shapes.len() - 1].channels);
        let layers = spec.layers.into_iter().enumerate();
        let head = spec.head;
        Ok(FloatModel {
            input: spec.input,
            layers: layers
                .map(|(i, layer)| self.layer(i, layer, &shapes))
                .collect::<Result<_, _>>()?,
            head: FloatHead {
                design: head.design,
                classifier: head.classifier,
                mask_rule: head.mask_rule,
                segment_fcs: self.path(Path::Segment, &head.segment_fcs, segment)?,
                region_fcs: self.path(Path::Region, &head.region_fcs, region)?,
                joint_fcs: self.path(Path::Joint, &head.joint_fcs, joint)?,
                segment_levels: head.segment_levels,
                region_levels: head.region_levels,
                logit_exponent: head.logit_exponent,
            },
            classes: spec.classes,
            labelling: spec.labelling,
            calibration: spec.calibration,
            proposals: spec.proposals,
            provenance: spec.provenance,
        })
    }
}

fn scale(
    activation: Option<Activation>,
    output: OutputScale,
    name: impl Fn() -> String,
) -> Result<ActivationScale, FloatFileError> {
    let Some(activation) = activation else {
        return Err(FloatFileError::Link(format!(
            "no activation for {}",
            name()
        )));
    };
    Ok(ActivationScale {
        activation,
        zero_point: output.zero_point,
        exponent: output.exponent,
    })
}
