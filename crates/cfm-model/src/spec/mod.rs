//! A `.cfm` file as plain Rust values: what [`cfm_core::model::format`] lays out in bytes.
//!
//! Where the core has a type for something, that type is used; offsets, counts and whatever else follows from the rest
//! are left to the [writer](crate::writer). A [`ModelSpec`] may describe nonsense; writing it is what validates it.

mod one_layer;
pub(crate) mod serde_core;

pub use one_layer::one_layer;

pub use cfm_core::model::{
    AreaFactor, ClassKind, Classifier, Combination, Design, LabellingRule, MaskRule, Path, Window,
};
pub use cfm_core::requantize::{Channel, OutputScale};

use cfm_core::model::format::tag;
use serde::{Deserialize, Serialize};

/// A model: image, backbone, head, classes and the optional sections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// The image that the backbone reads.
    pub input: InputSpec,
    /// The backbone: layer `i` writes tensor `i + 1`, tensor 0 is the image, the last is the feature map.
    pub layers: Vec<LayerSpec>,
    /// Masking, pooling and fully connected layers.
    pub head: HeadSpec,
    /// One class per output of the classifier.
    pub classes: Vec<ClassSpec>,
    /// How segments become pixels; `None` leaves it to the readers' default.
    #[serde(with = "serde_core::labelling")]
    pub labelling: Option<LabellingRule>,
    /// Calibrated scores.
    pub calibration: Option<CalibrationSpec>,
    /// Proposal parameters, in the bytes that `cfm-proposals` defines.
    pub proposals: Option<Vec<u8>>,
    /// How the model was made: keys and values, in order.
    pub provenance: Vec<(String, String)>,
    /// Optional sections that this version does not know, in file order: kept, but not understood.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<UnknownSection>,
}

/// An optional section whose tag is none of [`tag`]'s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownSection {
    /// Its tag.
    pub tag: [u8; 4],
    /// Its bytes, without padding.
    pub content: Vec<u8>,
}

/// Tags of the sections that a [`ModelSpec`] has a field for.
pub(crate) const KNOWN_TAGS: [[u8; 4]; 11] = [
    tag::INPUT,
    tag::LAYERS,
    tag::CHANNELS,
    tag::WEIGHTS,
    tag::WEIGHT_QUADS,
    tag::HEAD,
    tag::CLASSES,
    tag::LABELLING,
    tag::CALIBRATION,
    tag::PROPOSALS,
    tag::PROVENANCE,
];

/// The output scale that a pooling layer passes on: zero point and exponent of `input`, and no clamp.
const fn pooled(input: OutputScale) -> OutputScale {
    OutputScale {
        low: i8::MIN,
        high: i8::MAX,
        ..input
    }
}

impl ModelSpec {
    /// The scale of every tensor: the image's, then every layer's output.
    ///
    /// A pooling layer takes over its input's; one that reads a tensor out of order counts as reading the image.
    #[must_use]
    pub fn tensor_scales(&self) -> Vec<OutputScale> {
        let mut scales = vec![IMAGE_SCALE];
        for layer in &self.layers {
            scales.push(match layer {
                LayerSpec::Conv2d(conv) => conv.output,
                LayerSpec::Add(add) => add.output,
                LayerSpec::MaxPool(pool) | LayerSpec::AvgPool(pool) => {
                    pooled(scales.get(pool.input).copied().unwrap_or(IMAGE_SCALE))
                }
            });
        }
        scales
    }
}

/// The image as a tensor: `(pixel - 128) * 2^-7`.
pub const IMAGE_SCALE: OutputScale = OutputScale {
    zero_point: 0,
    exponent: -7,
    low: i8::MIN,
    high: i8::MAX,
};

/// The size of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Height in pixels.
    pub height: u16,
    /// Width in pixels.
    pub width: u16,
    /// Samples per pixel: 3 for RGB.
    pub channels: u16,
}

/// A layer of the backbone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LayerSpec {
    /// Convolution with a fused clamp.
    Conv2d(ConvSpec),
    /// Maximum over a window.
    MaxPool(PoolSpec),
    /// Mean over the cells of a window that lie inside the image.
    AvgPool(PoolSpec),
    /// Sum of two tensors.
    Add(AddSpec),
}

/// A convolution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConvSpec {
    /// The tensor it reads.
    pub input: usize,
    /// Kernel, stride, dilation, padding.
    #[serde(with = "serde_core::WindowDef")]
    pub window: Window,
    /// Groups, each of which sees `in / groups` input channels.
    pub groups: u16,
    /// Output channels.
    pub out_channels: u16,
    /// Output scale and fused activation.
    #[serde(with = "serde_core::OutputScaleDef")]
    pub output: OutputScale,
    /// Weights `[out][kernel row][kernel column][in / groups]`, `-127 ..= 127`.
    pub weights: Vec<i8>,
    /// Bias and multiplier of every output channel.
    #[serde(with = "serde_core::channels")]
    pub channels: Vec<Channel>,
}

/// A pooling layer. Channels and scale pass through; the window's dilation is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSpec {
    /// The tensor it reads.
    pub input: usize,
    /// Kernel, stride, padding.
    #[serde(with = "serde_core::WindowDef")]
    pub window: Window,
}

/// A sum of two tensors of the same shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddSpec {
    /// The tensors it reads.
    pub inputs: [usize; 2],
    /// Output scale and fused activation.
    #[serde(with = "serde_core::OutputScaleDef")]
    pub output: OutputScale,
}

/// The head: how segments are masked, pooled and classified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadSpec {
    /// Which pathways there are.
    #[serde(with = "serde_core::DesignDef")]
    pub design: Design,
    /// What the logits mean.
    #[serde(with = "serde_core::ClassifierDef")]
    pub classifier: Classifier,
    /// How a segment becomes a mask over the feature map.
    #[serde(with = "serde_core::mask_rule")]
    pub mask_rule: MaskRule,
    /// Pyramid levels of the segment path.
    pub segment_levels: Vec<u8>,
    /// Pyramid levels of the region path; empty unless Design A.
    pub region_levels: Vec<u8>,
    /// Fully connected layers of the segment path.
    pub segment_fcs: Vec<FcSpec>,
    /// Fully connected layers of the region path; none unless Design A.
    pub region_fcs: Vec<FcSpec>,
    /// Fully connected layers after the paths; the last one is the classifier.
    pub joint_fcs: Vec<FcSpec>,
    /// A logit's real value is `q * 2^logit_exponent`.
    pub logit_exponent: i8,
}

impl HeadSpec {
    /// The fully connected layers of `path`.
    #[must_use]
    pub fn fcs(&self, path: Path) -> &[FcSpec] {
        match path {
            Path::Segment => &self.segment_fcs,
            Path::Region => &self.region_fcs,
            Path::Joint => &self.joint_fcs,
        }
    }
}

/// A fully connected layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FcSpec {
    /// Length of the output vector.
    pub outputs: u16,
    /// Output scale and fused activation; the classifier's is [`classifier_output`].
    #[serde(with = "serde_core::OutputScaleDef")]
    pub output: OutputScale,
    /// Weights `[out][in]`, `-127 ..= 127`.
    pub weights: Vec<i8>,
    /// Bias and multiplier of every output.
    #[serde(with = "serde_core::channels")]
    pub channels: Vec<Channel>,
}

/// The output record of a classifier: it saturates to i16, so only the exponent says anything.
#[must_use]
pub const fn classifier_output(logit_exponent: i8) -> OutputScale {
    OutputScale {
        zero_point: 0,
        exponent: logit_exponent,
        low: 0,
        high: 0,
    }
}

/// One output of the classifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassSpec {
    /// Name, at most 255 bytes.
    pub name: String,
    /// Stuff, object or background.
    #[serde(with = "serde_core::ClassKindDef")]
    pub kind: ClassKind,
    /// RGB colour in pictures.
    pub color: [u8; 3],
    /// Value in label images; distinct and below 255 unless the class is background.
    pub label: u8,
}

/// Platt's sigmoid over the real value x of a logit: `1 / (1 + exp(-(slope x + intercept)))`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CalibrationSpec {
    /// Coefficient of the logit.
    pub slope: f32,
    /// Constant term.
    pub intercept: f32,
}
