//! A `.cfm` file back to a [`ModelSpec`], through the core's own reader.

use std::io;
use std::path::{Path as FilePath, PathBuf};

use cfm_core::model::format::tag;
use cfm_core::model::{FullyConnected, Layer, Model, ModelError, Operation};
use thiserror::Error;

use crate::spec::{
    AddSpec, CalibrationSpec, ClassSpec, ConvSpec, FcSpec, HeadSpec, InputSpec, LayerSpec,
    ModelSpec, Path, PoolSpec,
};

/// Why a model file cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be read at all.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// The file is not a valid model.
    #[error("{}: {error}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: ModelError,
    },
}

impl ModelSpec {
    /// Reads and validates the bytes of a `.cfm` file.
    ///
    /// # Errors
    /// The [`ModelError`] of the core's reader.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        Model::parse(bytes).map(|model| Self::from(&model))
    }

    /// Reads and validates a `.cfm` file.
    ///
    /// # Errors
    /// A [`ReadError`] that names the file.
    pub fn read_file(path: &FilePath) -> Result<Self, ReadError> {
        let bytes = std::fs::read(path).map_err(|error| ReadError::File {
            path: path.to_owned(),
            error,
        })?;
        Self::from_bytes(&bytes).map_err(|error| ReadError::Model {
            path: path.to_owned(),
            error,
        })
    }
}

impl From<&Model<'_>> for ModelSpec {
    fn from(model: &Model<'_>) -> Self {
        let input = model.input();
        let head = model.head();
        let fcs = |path| head.layers(path).map(|layer| fc(&layer)).collect();
        Self {
            input: InputSpec {
                height: input.height,
                width: input.width,
                channels: input.channels,
            },
            layers: model.layers().map(|l| layer(&l)).collect(),
            head: HeadSpec {
                design: head.design,
                classifier: head.classifier,
                mask_rule: head.mask_rule,
                segment_levels: head.segment_levels.as_slice().to_vec(),
                region_levels: head.region_levels.as_slice().to_vec(),
                segment_fcs: fcs(Path::Segment),
                region_fcs: fcs(Path::Region),
                joint_fcs: fcs(Path::Joint),
                logit_exponent: head.logit_exponent,
            },
            classes: model
                .classes()
                .map(|class| ClassSpec {
                    name: class.name.to_owned(),
                    kind: class.kind,
                    color: class.color,
                    label: class.label,
                })
                .collect(),
            labelling: model.section(tag::LABELLING).map(|_| model.labelling()),
            calibration: model.calibration().map(|calibration| CalibrationSpec {
                slope: calibration.slope(),
                intercept: calibration.intercept(),
            }),
            proposals: model.section(tag::PROPOSALS).map(<[u8]>::to_vec),
            provenance: provenance(model.provenance()),
        }
    }
}

fn signed(weights: &[u8]) -> Vec<i8> {
    weights.iter().map(|w| w.cast_signed()).collect()
}

fn layer(layer: &Layer<'_>) -> LayerSpec {
    let input = layer.input;
    match layer.operation {
        Operation::Conv2d {
            window,
            groups,
            parameters,
        } => LayerSpec::Conv2d(ConvSpec {
            input,
            window,
            groups,
            // A channel count is a u16 in the file.
            out_channels: u16::try_from(parameters.channels.len()).unwrap_or(u16::MAX),
            output: parameters.output,
            weights: signed(parameters.weights),
            channels: parameters.channels.iter().collect(),
        }),
        Operation::MaxPool { window } => LayerSpec::MaxPool(PoolSpec { input, window }),
        Operation::AvgPool { window } => LayerSpec::AvgPool(PoolSpec { input, window }),
        Operation::Add { second, output } => LayerSpec::Add(AddSpec {
            inputs: [input, second],
            output,
        }),
    }
}

fn fc(layer: &FullyConnected<'_>) -> FcSpec {
    FcSpec {
        outputs: u16::try_from(layer.outputs).unwrap_or(u16::MAX),
        output: layer.parameters.output,
        weights: signed(layer.parameters.weights),
        channels: layer.parameters.channels.iter().collect(),
    }
}

/// The lines of `key = value`; a foreign line that is none becomes a key without a value.
fn provenance(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            (key.trim().to_owned(), value.trim().to_owned())
        })
        .collect()
}
