//! Why a model file is refused.

use crate::error::display_error;

/// What is wrong with a model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ModelErrorKind {
    /// The file is shorter than a header, or shorter or longer than its header says.
    Length,
    /// The first four bytes are not `CFMM`.
    Magic,
    /// The major version is not the one this crate reads.
    Version,
    /// The CRC-32 does not match.
    Checksum,
    /// A section leaves the file, is not aligned, occurs twice or shares bytes with another, or there are too many.
    SectionTable,
    /// A required section is not known to this reader.
    UnknownSection,
    /// A required section is missing.
    MissingSection,
    /// A section's length does not fit its content.
    SectionLength,
    /// Reserved bytes, or fields that a layer kind does not use, are not what the format fixes them to.
    Reserved,
    /// A height, width or channel count is zero or too large, or the channels of pooling or an addition are
    /// not its input's.
    Dimension,
    /// A kernel, stride or dilation is zero, or no window fits into the padded input.
    Window,
    /// A pooling window lies in the padding alone.
    PoolPadding,
    /// Groups are zero or do not divide the channels.
    Groups,
    /// There are no layers, or too many.
    LayerCount,
    /// A kind (of layer, design, classifier, mask rule, class or labelling rule) is unknown.
    Kind,
    /// A layer reads a tensor that is not computed before it.
    Input,
    /// The inputs of an addition differ in shape or in the spacing of their receptive fields, or the exponents of
    /// inputs and output are too far apart.
    AddInputs,
    /// A tensor other than the last is read by no layer.
    DeadTensor,
    /// An exponent or clamp range is out of range, or a pooling layer's scale is not its input's.
    OutputScale,
    /// Weights or channel records leave their section.
    ParameterRange,
    /// A weight is -128.
    WeightValue,
    /// A mantissa or shift is out of range.
    Multiplier,
    /// `sum |w| * 255 + |bias|` of a channel exceeds 2^31 - 1: the accumulator could overflow.
    Accumulator,
    /// The receptive fields' spacing or offset is absurd.
    Geometry,
    /// The threshold of the average rule is 0, or another rule has one.
    Threshold,
    /// A pyramid has no levels, too many, a level of 0 or above 32, or a level twice.
    Levels,
    /// The head has no classifier or too many fully connected layers.
    FullyConnectedCount,
    /// The two paths of Design A end with different scales.
    PathScales,
    /// The classifier's exponent is not the logits', or out of range.
    LogitScale,
    /// The class list does not fit the classifier, two classes have one label or one has 255, or no class can
    /// label a pixel.
    Classes,
    /// A power, the area factor or the superpixel map of the labelling rule is out of range.
    Labelling,
    /// A class name or the provenance is not UTF-8.
    Text,
    /// Line buffers, feature map and scratch would exceed 1 GiB.
    Memory,
    /// A coefficient of the calibration is no finite number.
    Calibration,
}

display_error!(ModelErrorKind {
    Length => "the file's length is not the one in its header",
    Magic => "not a .cfm file",
    Version => "unsupported major version",
    Checksum => "the checksum does not match: the file is corrupted",
    SectionTable => "the section table is broken",
    UnknownSection => "a required section is unknown to this version",
    MissingSection => "a required section is missing",
    SectionLength => "a section's length does not fit its content",
    Reserved => "a reserved or unused field is set",
    Dimension => "a height, width or channel count is zero or too large",
    Window => "kernel, stride or dilation is zero, or the window exceeds the padded input",
    PoolPadding => "a pooling window lies in the padding alone",
    Groups => "groups are zero or do not divide the channels",
    LayerCount => "there are no layers, or too many",
    Kind => "an unknown kind",
    Input => "an input is not computed before it is read",
    AddInputs => "the inputs of an addition differ in shape or spacing, or too much in scale",
    DeadTensor => "a tensor is read by no layer",
    OutputScale => "the output scale or clamp range is out of range, or not the pooled input's",
    ParameterRange => "weights or channel records leave their section",
    WeightValue => "a weight is -128",
    Multiplier => "a mantissa or shift is out of range",
    Accumulator => "the accumulator could overflow",
    Geometry => "the spacing or offset of the receptive fields is out of range",
    Threshold => "the mask threshold is 0, or set for a rule without one",
    Levels => "the levels of a pyramid are out of range or repeated",
    FullyConnectedCount => "there is no classifier, or there are too many fully connected layers",
    PathScales => "the two paths end with different scales",
    LogitScale => "the exponent of the logits is out of range or contradictory",
    Classes => "the class list does not fit the classifier",
    Labelling => "a power, the area factor or the superpixel map is out of range",
    Text => "a name is not UTF-8",
    Memory => "line buffers, feature map and scratch would exceed 1 GiB",
    Calibration => "a coefficient of the calibration is no finite number",
});

/// Which part of the file an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Part {
    /// The file as a whole.
    File,
    /// A section, by tag.
    Section([u8; 4]),
    /// A layer of the backbone, from 0.
    Layer(u16),
    /// A fully connected layer of the head, from 0 in file order.
    FullyConnected(u16),
    /// A class, from 0.
    Class(u16),
}

/// A refused model file: what is wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ModelError {
    /// What is wrong.
    pub kind: ModelErrorKind,
    /// Where.
    pub part: Part,
}

impl ModelError {
    pub(super) const fn new(kind: ModelErrorKind, part: Part) -> Self {
        Self { kind, part }
    }

    /// What is wrong, in words (without the place, so that it can be used in a `const` panic).
    #[must_use]
    pub const fn message(self) -> &'static str {
        self.kind.message()
    }
}

impl core::fmt::Display for ModelError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.part {
            Part::File => write!(f, "{}", self.kind),
            Part::Section(tag) => match core::str::from_utf8(&tag) {
                Ok(name) => write!(f, "section {name}: {}", self.kind),
                Err(_) => write!(f, "section {tag:02x?}: {}", self.kind),
            },
            Part::Layer(i) => write!(f, "layer {i}: {}", self.kind),
            Part::FullyConnected(i) => write!(f, "fully connected layer {i}: {}", self.kind),
            Part::Class(i) => write!(f, "class {i}: {}", self.kind),
        }
    }
}

impl core::error::Error for ModelError {}

/// `?` for `const fn`.
macro_rules! attempt {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}

/// Returns an error unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $kind:ident, $part:expr) => {
        if !$condition {
            return Err(ModelError::new(ModelErrorKind::$kind, $part));
        }
    };
}

pub(super) use attempt;
pub(super) use ensure;
