//! A `.cfm` file back to a [`ModelSpec`], through the core's own reader.
//!
//! Whatever the core accepts can be written again, and then means the same. It need not be the same bytes: sections
//! come in the writer's order under the writer's minor version, gaps are closed, and provenance becomes clean lines of
//! `key = value`. Sections that this version does not know are kept.
//!
//! A [`ModelSpec`] owns the weights of every layer, while layers of a file may share theirs. A small file could so
//! describe gigabytes; one whose layers take more than [`MAX_SHARED`] bytes *and* more than [`MAX_EXPANSION`] times
//! the file is refused with [`SpecError::Expansion`]. Every line of provenance becomes two strings, so that of more than
//! [`MAX_PROVENANCE`] bytes is refused with [`SpecError::Provenance`]. The core reads both, since it copies nothing.
//! Whole sections never share bytes: the core refuses that itself.

use std::io;
use std::path::{Path as FilePath, PathBuf};

use cfm_core::model::format::{CHANNEL_LEN, HEADER_LEN, SECTION_ENTRY_LEN, tag};
use cfm_core::model::{Conv2d, FullyConnected, Layer, Model, ModelError, Operation, Parameters};
use thiserror::Error;

use crate::bounded_file;
use crate::spec::{
    AddSpec, CalibrationSpec, ClassSpec, ConvSpec, FcSpec, HeadSpec, InputSpec, KNOWN_TAGS,
    LayerSpec, ModelSpec, Path, PoolSpec, UnknownSection,
};

/// Most bytes of a file of a model or of its weights.
pub const MAX_FILE: u64 = 1 << 30;
/// Bytes of weights and channel records that any file may expand to.
pub const MAX_SHARED: u64 = 64 << 20;
/// How many times its own length a file may expand to beyond [`MAX_SHARED`].
pub const MAX_EXPANSION: u64 = 4;
/// Most bytes of provenance, as it stands in a file and as it is written again.
pub const MAX_PROVENANCE: usize = 1 << 20;

/// Why bytes do not become a [`ModelSpec`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SpecError {
    /// They are not a valid model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The layers share so many parameters that the file says far more than it holds.
    #[error("the layers share parameters: {bytes} bytes, but at most {most} are read")]
    Expansion {
        /// Weights and channel records of all layers together, in bytes.
        bytes: u64,
        /// What a file of this length may expand to.
        most: u64,
    },
    /// The provenance is longer than [`MAX_PROVENANCE`].
    #[error("section PROV: {0} bytes, but at most {MAX_PROVENANCE} are read")]
    Provenance(usize),
}

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
    /// The file is not a valid model, or far more is in it than it is long.
    #[error("{}: {error}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: SpecError,
    },
}

impl ModelSpec {
    /// Reads and validates the bytes of a `.cfm` file.
    ///
    /// # Errors
    /// A [`SpecError`]: that of the core's reader, that the layers share too much, or that there is too much provenance.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SpecError> {
        Self::try_from(&Model::parse(bytes)?)
    }

    /// Reads and validates a `.cfm` file.
    ///
    /// # Errors
    /// A [`ReadError`] that names the file.
    pub fn read_file(path: &FilePath) -> Result<Self, ReadError> {
        let bytes = bounded_file::read_whole(path, MAX_FILE).map_err(|error| ReadError::File {
            path: path.to_owned(),
            error,
        })?;
        Self::from_bytes(&bytes).map_err(|error| ReadError::Model {
            path: path.to_owned(),
            error,
        })
    }
}

impl TryFrom<&Model<'_>> for ModelSpec {
    type Error = SpecError;

    /// The values of a model that the core has read.
    ///
    /// # Errors
    /// [`SpecError::Expansion`]: the layers share too much. [`SpecError::Provenance`]: there is too much of it.
    fn try_from(model: &Model<'_>) -> Result<Self, SpecError> {
        check_expansion(model)?;
        check_provenance(model.provenance())?;
        let input = model.input();
        let head = model.head();
        let fcs = |path| head.layers(path).map(|layer| fc(&layer)).collect();
        Ok(Self {
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
            unknown: unknown_sections(model),
        })
    }
}

/// Refuses a model whose layers, each with parameters of its own, would be far larger than the file.
fn check_expansion(model: &Model<'_>) -> Result<(), SpecError> {
    let backbone = model.layers().filter_map(|layer| match layer.operation {
        Operation::Conv2d(conv) => Some(conv.parameters),
        _ => None,
    });
    let head = Path::ALL
        .into_iter()
        .flat_map(|path| model.head().layers(path).map(|layer| layer.parameters));
    let bytes = backbone
        .chain(head)
        .map(|parameters| {
            parameters.weights.len() as u64 + (parameters.channels.len() * CHANNEL_LEN) as u64
        })
        .sum();
    let most = (MAX_EXPANSION * model.bytes().len() as u64).max(MAX_SHARED);
    if bytes > most {
        return Err(SpecError::Expansion { bytes, most });
    }
    Ok(())
}

/// Refuses provenance that is too long.
fn check_provenance(text: &str) -> Result<(), SpecError> {
    // What is read can be written again, with ` = ` and a line's end for every entry.
    let written = entries(text).map(|(key, value)| key.len() + value.len() + 4);
    let bytes = text.len().max(written.sum());
    if bytes > MAX_PROVENANCE {
        return Err(SpecError::Provenance(bytes));
    }
    Ok(())
}

/// The sections that no field of a [`ModelSpec`] stands for, in the order of the section table.
fn unknown_sections(model: &Model<'_>) -> Vec<UnknownSection> {
    // The number of sections, at offset 16 of the header.
    let count = model.bytes()[16..]
        .first_chunk()
        .map_or(0, |count| u32::from_le_bytes(*count) as usize);
    let (entries, _) = model.bytes()[HEADER_LEN..].as_chunks::<SECTION_ENTRY_LEN>();
    entries
        .iter()
        .take(count)
        .map(|&[a, b, c, d, ..]| [a, b, c, d])
        .filter(|tag| !KNOWN_TAGS.contains(tag))
        .filter_map(|tag| {
            let content = model.section(tag)?.to_vec();
            Some(UnknownSection { tag, content })
        })
        .collect()
}

/// The weights one filter after the other, whatever their order in the file.
fn weights(parameters: &Parameters<'_>) -> Vec<i8> {
    (0..parameters.channels.len())
        .flat_map(|output| {
            (0..parameters.filter_len()).map(move |at| parameters.weight(output, at))
        })
        .collect()
}

fn layer(layer: &Layer<'_>) -> LayerSpec {
    let input = layer.input;
    match layer.operation {
        Operation::Conv2d(Conv2d {
            window,
            groups,
            parameters,
        }) => LayerSpec::Conv2d(ConvSpec {
            input,
            window,
            groups,
            // A channel count is a u16 in the file.
            out_channels: u16::try_from(parameters.channels.len()).unwrap_or(u16::MAX),
            output: parameters.output,
            weights: weights(&parameters),
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
        weights: weights(&layer.parameters),
        channels: layer.parameters.channels.iter().collect(),
    }
}

/// The lines of `key = value`, as the writer takes them.
///
/// The core asks for nothing but UTF-8. A line without `=` becomes a key without a value, one without a key is dropped,
/// and a carriage return inside a line becomes a space.
fn provenance(text: &str) -> Vec<(String, String)> {
    let clean = |text: &str| text.replace('\r', " ");
    entries(text)
        .map(|(key, value)| (clean(key), clean(value)))
        .collect()
}

/// Keys and values as they stand in the text, without the space around them.
fn entries(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .map(|line| line.split_once('=').unwrap_or((line, "")))
        .map(|(key, value)| (key.trim(), value.trim()))
        .filter(|(key, _)| !key.is_empty())
}
