//! The float network that a `.cfm` was quantized from.
//!
//! The structure is that of a [`ModelSpec`](crate::spec::ModelSpec); the numbers are f32 weights and biases, with batch
//! normalization folded into them. Beside them stands what quantization cannot find in the weights: the scale chosen
//! for every activation. The network reads the image as `(pixel - 128) / 128`, which is what the integers say, too;
//! any other normalization is folded into the first layer.
//!
//! On disk the network is the `.cfm` plus a [safetensors](FloatModel::to_safetensors) file of the weights.

mod safetensors;

pub use self::safetensors::{FloatFileError, LINK, MAX_HEADER};

use cfm_core::model::Path;
use serde::{Deserialize, Serialize};

use crate::quantize::activation_exponent;
use crate::shape::{HeadShape, LayerShape, bins};
use crate::spec::{
    CalibrationSpec, ClassSpec, Classifier, Design, InputSpec, LabellingRule, MaskRule,
    OutputScale, PoolSpec, Window,
};

/// A float network and everything else that its `.cfm` will hold.
///
/// Sections that this version does not know are not part of it: what they say may be about the integers.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatModel {
    /// The image that the backbone reads.
    pub input: InputSpec,
    /// The backbone: layer `i` writes tensor `i + 1`, tensor 0 is the image, the last is the feature map.
    pub layers: Vec<FloatLayer>,
    /// Masking, pooling and fully connected layers.
    pub head: FloatHead,
    /// One class per output of the classifier.
    pub classes: Vec<ClassSpec>,
    /// How segments become pixels.
    pub labelling: Option<LabellingRule>,
    /// Calibrated scores.
    pub calibration: Option<CalibrationSpec>,
    /// Proposal parameters, in the bytes that `cfm-proposals` defines.
    pub proposals: Option<Vec<u8>>,
    /// How the model was made: keys and values, in order.
    pub provenance: Vec<(String, String)>,
}

/// A layer of the backbone.
#[derive(Debug, Clone, PartialEq)]
pub enum FloatLayer {
    /// Convolution and activation.
    Conv2d(FloatConv),
    /// Maximum over a window.
    MaxPool(PoolSpec),
    /// Mean over the cells of a window that lie inside the image.
    AvgPool(PoolSpec),
    /// Sum of two tensors, and activation.
    Add(FloatAdd),
}

/// A convolution and its activation.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatConv {
    /// The tensor it reads.
    pub input: usize,
    /// Kernel, stride, dilation, padding.
    pub window: Window,
    /// Groups, each of which sees `in / groups` input channels.
    pub groups: u16,
    /// Output channels.
    pub out_channels: u16,
    /// Weights `[out][kernel row][kernel column][in / groups]`.
    pub weights: Vec<f32>,
    /// Bias of every output channel.
    pub bias: Vec<f32>,
    /// Activation and the scale of its output.
    pub output: ActivationScale,
}

/// A sum of two tensors and its activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FloatAdd {
    /// The tensors it reads.
    pub inputs: [usize; 2],
    /// Activation and the scale of its output.
    pub output: ActivationScale,
}

/// The head of the float network.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatHead {
    /// Which pathways there are.
    pub design: Design,
    /// What the logits mean.
    pub classifier: Classifier,
    /// How a segment becomes a mask over the feature map.
    pub mask_rule: MaskRule,
    /// Pyramid levels of the segment path.
    pub segment_levels: Vec<u8>,
    /// Pyramid levels of the region path; empty unless Design A.
    pub region_levels: Vec<u8>,
    /// Fully connected layers of the segment path.
    pub segment_fcs: Vec<FloatFc>,
    /// Fully connected layers of the region path; none unless Design A.
    pub region_fcs: Vec<FloatFc>,
    /// Fully connected layers after the paths; the last one is the classifier.
    pub joint_fcs: Vec<FloatFc>,
    /// A quantized logit's real value is `q * 2^logit_exponent`.
    pub logit_exponent: i8,
}

/// A fully connected layer and its activation.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatFc {
    /// Length of the output vector.
    pub outputs: u16,
    /// Weights `[out][in]`.
    pub weights: Vec<f32>,
    /// Bias of every output.
    pub bias: Vec<f32>,
    /// Activation and the scale of its output; for the classifier, [`ActivationScale::logits`].
    pub output: ActivationScale,
}

/// What is applied to a layer's sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// Nothing.
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
}

impl Activation {
    /// The activation of `x`.
    #[must_use]
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Self::None => x,
            Self::Relu => x.max(0.0),
            Self::Relu6 => x.clamp(0.0, 6.0),
        }
    }
}

/// An activation function and the 8-bit scale chosen for its output: real value `(q - zero_point) * 2^exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ActivationScale {
    /// What is applied.
    pub activation: Activation,
    /// The quantized value of real zero.
    pub zero_point: i8,
    /// One quantization step is `2^exponent`.
    pub exponent: i8,
}

impl ActivationScale {
    /// No activation: zero in the middle of the range.
    #[must_use]
    pub const fn linear(exponent: i8) -> Self {
        Self {
            activation: Activation::None,
            zero_point: 0,
            exponent,
        }
    }

    /// ReLU: zero at the low end, so that all 256 values are of use.
    #[must_use]
    pub const fn relu(exponent: i8) -> Self {
        Self {
            activation: Activation::Relu,
            zero_point: i8::MIN,
            exponent,
        }
    }

    /// ReLU6: zero at the low end.
    #[must_use]
    pub const fn relu6(exponent: i8) -> Self {
        Self {
            activation: Activation::Relu6,
            zero_point: i8::MIN,
            exponent,
        }
    }

    /// A classifier's output: 16-bit logits.
    #[must_use]
    pub const fn logits(exponent: i8) -> Self {
        Self::linear(exponent)
    }

    /// The finest scale that holds an activation of largest magnitude `max`; see [`activation_exponent`].
    ///
    /// `None` when `max` is infinite or not a number, even where the activation would clamp it.
    #[must_use]
    pub fn for_range(activation: Activation, max: f32) -> Option<Self> {
        // `min` would turn what is not a number into a six.
        let clamped = if max.is_finite() { max.min(6.0) } else { max };
        match activation {
            Activation::None => activation_exponent(max, false).map(Self::linear),
            Activation::Relu => activation_exponent(max, true).map(Self::relu),
            Activation::Relu6 => activation_exponent(clamped, true).map(Self::relu6),
        }
    }

    /// The integer form: the clamp range that is the activation function.
    #[must_use]
    pub fn output_scale(&self) -> OutputScale {
        let (low, high) = match self.activation {
            Activation::None => (i8::MIN, i8::MAX),
            Activation::Relu => (self.zero_point, i8::MAX),
            Activation::Relu6 => {
                let six = (6.0 * 2f64.powi(-i32::from(self.exponent))).round_ties_even();
                let high = (f64::from(self.zero_point) + six).min(f64::from(i8::MAX));
                // Between the zero point and 127.
                (self.zero_point, high as i8)
            }
        };
        OutputScale {
            zero_point: self.zero_point,
            exponent: self.exponent,
            low,
            high,
        }
    }
}

impl FloatLayer {
    /// The layer without its numbers.
    #[must_use]
    pub fn shape(&self) -> LayerShape {
        match self {
            Self::Conv2d(conv) => LayerShape::Conv2d {
                input: conv.input,
                window: conv.window,
                groups: conv.groups,
                out_channels: conv.out_channels,
            },
            Self::MaxPool(pool) | Self::AvgPool(pool) => LayerShape::Pool {
                input: pool.input,
                window: pool.window,
            },
            Self::Add(add) => LayerShape::Add { inputs: add.inputs },
        }
    }
}

impl FloatHead {
    /// The fully connected layers of `path`.
    #[must_use]
    pub fn fcs(&self, path: Path) -> &[FloatFc] {
        match path {
            Path::Segment => &self.segment_fcs,
            Path::Region => &self.region_fcs,
            Path::Joint => &self.joint_fcs,
        }
    }

    /// The head without its numbers.
    #[must_use]
    pub fn shape(&self) -> HeadShape {
        HeadShape {
            segment_bins: bins(&self.segment_levels),
            region_bins: bins(&self.region_levels),
            outputs: Path::ALL.map(|path| self.fcs(path).iter().map(|fc| fc.outputs).collect()),
        }
    }
}
