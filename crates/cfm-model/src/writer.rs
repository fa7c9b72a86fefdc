//! A [`ModelSpec`] to the bytes of a `.cfm` file.
//!
//! Writing is two steps. The first lays the values out and refuses what a field cannot hold (a list of the wrong
//! length, a number too large for its place). The second hands the bytes to the core's own reader, so that a file that
//! was written is a file that firmware accepts; there is one validator, not two.

use std::io;
use std::path::{Path as FilePath, PathBuf};

use cfm_core::model::format::{
    CHANNEL_LEN, CHECKED_FROM, FC_LEN, HEAD_LEN, HEADER_LEN, LAYER_LEN, MAGIC, MAX_CLASSES, MAX_FC,
    MAX_LAYERS, MAX_LEVELS, SECTION_ALIGN, SECTION_ENTRY_LEN, SECTION_REQUIRED, VERSION_MAJOR,
    VERSION_MINOR, tag,
};
use cfm_core::model::{Model, ModelError, Shape};
use thiserror::Error;

use crate::output;
use crate::place::Place;
use crate::reader::MAX_PROVENANCE;
use crate::shape::ShapeError;
use crate::spec::{
    Channel, ClassKind, ClassSpec, Classifier, Design, FcSpec, HeadSpec, KNOWN_TAGS, LayerSpec,
    MaskRule, ModelSpec, OutputScale, Path, Window,
};

/// Why a model cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The layers do not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A list has more entries than the format allows.
    #[error("{what}: {count}, but the format holds at most {most}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// A layer's weights or channel records do not have the length that its shape asks for.
    #[error("{place}: {what} has {found} entries, but the shape asks for {expected}")]
    Length {
        /// Which layer.
        place: Place,
        /// Weights or channels.
        what: &'static str,
        /// Entries found.
        found: usize,
        /// Entries expected.
        expected: usize,
    },
    /// A provenance key or value that would not read back as it is.
    #[error("provenance entry {0:?} is not a line of `key = value`")]
    Provenance(String),
    /// More provenance than [`MAX_PROVENANCE`], which nothing on a host would read.
    #[error("{0} bytes of provenance; at most {MAX_PROVENANCE} are read")]
    ProvenanceLength(usize),
    /// A section that should be unknown has a tag that this version knows.
    #[error("section {} is known, and not to be written as an unknown one", .0.escape_ascii())]
    KnownSection([u8; 4]),
    /// The core's reader refuses the result.
    #[error("the model is not valid: {0}")]
    Refused(ModelError),
    /// The file cannot be written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
}

impl ModelSpec {
    /// The bytes of the `.cfm` file, validated by the core's reader.
    ///
    /// # Errors
    /// A [`WriteError`]: the format cannot hold the model, or the reader refuses it.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WriteError> {
        let bytes = self.to_unvalidated_bytes()?;
        Model::parse(&bytes).map_err(WriteError::Refused)?;
        Ok(bytes)
    }

    /// The bytes of a `.cfm` file that a reader may refuse: for tests of readers.
    ///
    /// # Errors
    /// A [`WriteError`] when the format has no place for a value.
    pub fn to_unvalidated_bytes(&self) -> Result<Vec<u8>, WriteError> {
        let shapes = self.tensor_shapes()?;
        let mut parameters = ParameterSections::default();
        let layers = layers(self, &shapes, &mut parameters)?;
        let feature = shapes[shapes.len() - 1];
        let head = head(&self.head, feature, &mut parameters)?;

        let mut sections = vec![
            Section::required(tag::INPUT, input(self)),
            Section::required(tag::LAYERS, layers),
            Section::required(tag::CHANNELS, parameters.channels),
            Section::required(tag::WEIGHTS, parameters.weights),
            Section::required(tag::HEAD, head),
            Section::required(tag::CLASSES, classes(&self.classes)?),
        ];
        if let Some(rule) = self.labelling {
            sections.push(Section::optional(tag::LABELLING, rule.to_bytes().to_vec()));
        }
        if let Some(calibration) = self.calibration {
            let mut content = calibration.slope.to_le_bytes().to_vec();
            content.extend(calibration.intercept.to_le_bytes());
            sections.push(Section::optional(tag::CALIBRATION, content));
        }
        if let Some(proposals) = &self.proposals {
            sections.push(Section::optional(tag::PROPOSALS, proposals.clone()));
        }
        if !self.provenance.is_empty() {
            let content = provenance(&self.provenance)?;
            sections.push(Section::optional(tag::PROVENANCE, content));
        }
        for section in &self.unknown {
            if KNOWN_TAGS.contains(&section.tag) {
                return Err(WriteError::KnownSection(section.tag));
            }
            sections.push(Section::optional(section.tag, section.content.clone()));
        }
        assemble(&sections)
    }

    /// Writes the `.cfm` file, under a temporary name first, so that a reader never sees half of it.
    ///
    /// # Errors
    /// As [`ModelSpec::to_bytes`], and when the file cannot be written.
    pub fn write_file(&self, path: &FilePath) -> Result<(), WriteError> {
        output::write(path, &self.to_bytes()?).map_err(|error| WriteError::File {
            path: path.to_owned(),
            error,
        })
    }
}

struct Section {
    tag: [u8; 4],
    flags: u32,
    content: Vec<u8>,
}

impl Section {
    fn required(tag: [u8; 4], content: Vec<u8>) -> Self {
        Self {
            tag,
            flags: SECTION_REQUIRED,
            content,
        }
    }

    fn optional(tag: [u8; 4], content: Vec<u8>) -> Self {
        Self {
            tag,
            flags: 0,
            content,
        }
    }
}

/// `value` in a narrower type, or [`WriteError::TooMany`].
fn fit<T: TryFrom<usize>>(value: usize, what: &'static str, most: usize) -> Result<T, WriteError> {
    let too_many = WriteError::TooMany {
        what,
        count: value,
        most,
    };
    if value > most {
        return Err(too_many);
    }
    T::try_from(value).map_err(|_| too_many)
}

fn fit_u32(value: usize, what: &'static str) -> Result<u32, WriteError> {
    fit(value, what, u32::MAX as usize)
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(SECTION_ALIGN), 0);
}

fn assemble(sections: &[Section]) -> Result<Vec<u8>, WriteError> {
    let mut file = vec![0; HEADER_LEN];
    let mut body_at =
        (HEADER_LEN + sections.len() * SECTION_ENTRY_LEN).next_multiple_of(SECTION_ALIGN);
    for section in sections {
        file.extend(section.tag);
        file.extend(section.flags.to_le_bytes());
        file.extend(fit_u32(body_at, "bytes in the file")?.to_le_bytes());
        file.extend(fit_u32(section.content.len(), "bytes in a section")?.to_le_bytes());
        body_at = (body_at + section.content.len()).next_multiple_of(SECTION_ALIGN);
    }
    for section in sections {
        pad(&mut file);
        file.extend(&section.content);
    }
    pad(&mut file);
    let length = fit_u32(file.len(), "bytes in the file")?;
    file[0..4].copy_from_slice(&MAGIC);
    file[4..6].copy_from_slice(&VERSION_MAJOR.to_le_bytes());
    file[6..8].copy_from_slice(&VERSION_MINOR.to_le_bytes());
    file[8..12].copy_from_slice(&length.to_le_bytes());
    let count = fit_u32(sections.len(), "sections")?;
    file[16..20].copy_from_slice(&count.to_le_bytes());
    let checksum = crc32fast::hash(&file[CHECKED_FROM..]);
    file[12..16].copy_from_slice(&checksum.to_le_bytes());
    Ok(file)
}

fn input(model: &ModelSpec) -> Vec<u8> {
    let input = model.input;
    [input.height, input.width, input.channels, 0]
        .into_iter()
        .flat_map(u16::to_le_bytes)
        .collect()
}

/// The two sections that all layers share.
#[derive(Default)]
struct ParameterSections {
    weights: Vec<u8>,
    channels: Vec<u8>,
}

impl ParameterSections {
    /// Appends a layer's parameters; returns the offset of the weights and the index of the first channel.
    ///
    /// Every layer's weights start at a multiple of 16, for the sake of wide loads and of memory images.
    fn append(
        &mut self,
        place: Place,
        weights: &[i8],
        channels: &[Channel],
        filter_len: usize,
        outputs: u16,
    ) -> Result<(u32, u32), WriteError> {
        let outputs = usize::from(outputs);
        check_len(
            place,
            "the list of weights",
            weights.len(),
            filter_len * outputs,
        )?;
        check_len(place, "the list of channels", channels.len(), outputs)?;
        pad(&mut self.weights);
        let weights_at = fit_u32(self.weights.len(), "bytes of weights")?;
        let channels_at = fit_u32(self.channels.len() / CHANNEL_LEN, "channels")?;
        self.weights
            .extend(weights.iter().map(|w| w.cast_unsigned()));
        for channel in channels {
            self.channels.extend(channel.bias.to_le_bytes());
            self.channels.extend(channel.mantissa.to_le_bytes());
            self.channels.extend([channel.shift, 0]);
        }
        Ok((weights_at, channels_at))
    }
}

fn check_len(
    place: Place,
    what: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), WriteError> {
    if found == expected {
        Ok(())
    } else {
        Err(WriteError::Length {
            place,
            what,
            found,
            expected,
        })
    }
}

/// One record of `LAYR`, with what layers without weights write as the default.
struct LayerRecord {
    kind: u8,
    inputs: [usize; 2],
    out_channels: u16,
    window: Window,
    groups: u16,
    output: OutputScale,
    weights_at: u32,
    channels_at: u32,
}

impl LayerRecord {
    fn to_bytes(&self) -> Result<[u8; LAYER_LEN], WriteError> {
        let tensor = |index| fit::<u16>(index, "index of an input tensor", MAX_LAYERS);
        let window = &self.window;
        let mut record = [0; LAYER_LEN];
        record[0] = self.kind;
        record[2..4].copy_from_slice(&tensor(self.inputs[0])?.to_le_bytes());
        record[4..6].copy_from_slice(&tensor(self.inputs[1])?.to_le_bytes());
        record[6..8].copy_from_slice(&self.out_channels.to_le_bytes());
        record[8..10].copy_from_slice(&window.kernel);
        record[10..12].copy_from_slice(&window.stride);
        record[12..14].copy_from_slice(&window.dilation);
        record[14..18].copy_from_slice(&window.padding);
        record[18..20].copy_from_slice(&self.groups.to_le_bytes());
        record[20..24].copy_from_slice(&output_scale(self.output));
        record[24..28].copy_from_slice(&self.weights_at.to_le_bytes());
        record[28..32].copy_from_slice(&self.channels_at.to_le_bytes());
        Ok(record)
    }
}

fn output_scale(output: OutputScale) -> [u8; 4] {
    [output.zero_point, output.exponent, output.low, output.high].map(i8::cast_unsigned)
}

fn layers(
    model: &ModelSpec,
    shapes: &[Shape],
    parameters: &mut ParameterSections,
) -> Result<Vec<u8>, WriteError> {
    fit::<u8>(model.layers.len(), "layers", MAX_LAYERS)?;
    let scales = model.tensor_scales();
    let mut section = Vec::with_capacity(model.layers.len() * LAYER_LEN);
    for (i, layer) in model.layers.iter().enumerate() {
        let plain = LayerRecord {
            kind: 0,
            inputs: [0; 2],
            out_channels: shapes[i + 1].channels,
            window: Window::UNIT,
            groups: 1,
            output: scales[i + 1],
            weights_at: 0,
            channels_at: 0,
        };
        let record = match layer {
            LayerSpec::Conv2d(conv) => {
                let filter_len = layer.shape().filter_len(shapes).unwrap_or(0);
                let (weights_at, channels_at) = parameters.append(
                    Place::Layer(i),
                    &conv.weights,
                    &conv.channels,
                    filter_len,
                    conv.out_channels,
                )?;
                LayerRecord {
                    inputs: [conv.input, 0],
                    window: conv.window,
                    groups: conv.groups,
                    weights_at,
                    channels_at,
                    ..plain
                }
            }
            LayerSpec::MaxPool(pool) | LayerSpec::AvgPool(pool) => LayerRecord {
                kind: if matches!(layer, LayerSpec::MaxPool(_)) {
                    1
                } else {
                    2
                },
                inputs: [pool.input, 0],
                window: pool.window,
                ..plain
            },
            LayerSpec::Add(add) => LayerRecord {
                kind: 3,
                inputs: add.inputs,
                ..plain
            },
        };
        section.extend(record.to_bytes()?);
    }
    Ok(section)
}

fn head(
    head: &HeadSpec,
    feature: Shape,
    parameters: &mut ParameterSections,
) -> Result<Vec<u8>, WriteError> {
    let (rule, threshold) = match head.mask_rule {
        MaskRule::Average { threshold } => (0, threshold.to_bits()),
        MaskRule::Max => (1, 0),
        MaskRule::Nearest => (2, 0),
        MaskRule::Off => (3, 0),
    };
    let mut section = vec![0; HEAD_LEN];
    section[0] = match head.design {
        Design::Plain => 0,
        Design::A => 1,
        Design::B => 2,
    };
    section[1] = match head.classifier {
        Classifier::Softmax => 0,
        Classifier::Svm => 1,
    };
    section[2] = rule;
    section[3] = levels(&head.segment_levels, &mut section[8..16])?;
    section[4..6].copy_from_slice(&threshold.to_le_bytes());
    section[6] = head.logit_exponent.cast_unsigned();
    section[7] = levels(&head.region_levels, &mut section[16..24])?;
    let total = Path::ALL.iter().map(|&path| head.fcs(path).len()).sum();
    fit::<u8>(total, "fully connected layers", MAX_FC)?;

    let inputs = head.shape().fc_inputs(feature.channels);
    for (p, path) in Path::ALL.into_iter().enumerate() {
        section[24 + p] = fit(head.fcs(path).len(), "fully connected layers", MAX_FC)?;
        for (i, (fc, &inputs)) in head.fcs(path).iter().zip(&inputs[p]).enumerate() {
            let place = Place::FullyConnected(path, i);
            section.extend(fully_connected(fc, place, inputs, parameters)?);
        }
    }
    Ok(section)
}

fn levels(levels: &[u8], to: &mut [u8]) -> Result<u8, WriteError> {
    let len: u8 = fit(levels.len(), "pyramid levels", MAX_LEVELS)?;
    to[..levels.len()].copy_from_slice(levels);
    Ok(len)
}

fn fully_connected(
    fc: &FcSpec,
    place: Place,
    inputs: usize,
    parameters: &mut ParameterSections,
) -> Result<[u8; FC_LEN], WriteError> {
    let (weights_at, channels_at) =
        parameters.append(place, &fc.weights, &fc.channels, inputs, fc.outputs)?;
    let mut record = [0; FC_LEN];
    record[0..2].copy_from_slice(&fc.outputs.to_le_bytes());
    record[2..6].copy_from_slice(&output_scale(fc.output));
    record[8..12].copy_from_slice(&weights_at.to_le_bytes());
    record[12..16].copy_from_slice(&channels_at.to_le_bytes());
    Ok(record)
}

fn classes(classes: &[ClassSpec]) -> Result<Vec<u8>, WriteError> {
    let count: u16 = fit(classes.len(), "classes", MAX_CLASSES)?;
    let mut section = count.to_le_bytes().to_vec();
    for class in classes {
        let kind = match class.kind {
            ClassKind::Stuff => 0,
            ClassKind::Object => 1,
            ClassKind::Background => 2,
        };
        let length = fit(class.name.len(), "bytes in a class name", u8::MAX.into())?;
        section.push(kind);
        section.extend(class.color);
        section.extend([class.label, length]);
        section.extend(class.name.as_bytes());
    }
    Ok(section)
}

fn provenance(entries: &[(String, String)]) -> Result<Vec<u8>, WriteError> {
    let mut text = String::new();
    for (key, value) in entries {
        let is_line = |s: &str| s.trim() == s && !s.contains(['\n', '\r']);
        if key.is_empty() || key.contains('=') || !is_line(key) || !is_line(value) {
            return Err(WriteError::Provenance(key.clone()));
        }
        text.push_str(&format!("{key} = {value}\n"));
    }
    if text.len() > MAX_PROVENANCE {
        return Err(WriteError::ProvenanceLength(text.len()));
    }
    Ok(text.into_bytes())
}
