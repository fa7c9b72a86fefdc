//! From the float network to integers.
//!
//! # The scheme, from first principles
//!
//! A quantized number is an integer q that stands for a real number through an affine map, `real = scale * (q - zero)`.
//! The zero point is an integer, so that real zero, which padding and ReLU are full of, is represented exactly. For
//! one output channel of a convolution or a fully connected layer over inputs `x_i` and weights `w_i`,
//!
//! ```text
//! y = b + sum_i w_i x_i        w_i = S_w q_i,   x_i = S_in (p_i - z_in),   y = S_out (r - z_out)
//! ```
//!
//! Weights need no zero point: they are spread around zero. Put together,
//!
//! ```text
//! r = z_out + (S_in S_w / S_out) * (b / (S_in S_w) + sum_i q_i (p_i - z_in))
//!   = z_out + M                  * (bias           + sum_i q_i p_i)
//!
//! bias = round(b / (S_in S_w)) - z_in * sum_i q_i
//! ```
//!
//! The sum is exact in 32-bit integers; `z_in` has moved into the bias and costs nothing at run time. What is left is
//! one real factor M per output channel. Activation scales are powers of two, `S_in = 2^e_in` and `S_out = 2^e_out`,
//! and a weight's scale is a 15-bit mantissa times a power of two, `S_w = m * 2^k`. So M is `m * 2^-s` with
//!
//! ```text
//! s = e_out - e_in - k         0 <= s <= 62
//! ```
//!
//! and the output is `clamp(z_out + rne((bias + sum) * m, s), low, high)`, as in [`cfm_core::requantize`]. An activation
//! function is nothing but the clamp: ReLU has `low = z_out`, ReLU6 also `high = z_out + 6 / S_out`.
//!
//! # Choosing scales
//!
//! - **Weights** have a scale per output channel, since channels differ widely once batch normalization is folded.
//!   [`WeightScales::PowerOfTwo`] takes the smallest power of two with which the channel's largest weight is at most
//!   127 steps ([`weight_exponent`]); m is then `2^14` and the product with it is a shift.
//!   [`WeightScales::General`] takes `max |w| / 127` with a 15-bit mantissa, rounded up.
//! - **Activations** have one power-of-two scale per tensor. The range comes from the caller, who has seen data;
//!   [`activation_exponent`] is the finest scale that holds it. Rectified tensors put zero at -128, others at 0.
//! - **Biases** take the accumulator's scale; there is nothing to choose.
//!
//! Rounding is to nearest, ties to even, everywhere, as in training's fake quantizer. A weight is off by half a step at
//! most, `|w - S_w q| <= S_w / 2`.
//!
//! # When a scale does not fit
//!
//! The reader refuses a channel whose accumulator could leave 32 bits, `sum |q| * 255 + |bias| > 2^31 - 1`. The
//! quantizer then doubles the weight scale until it fits: this happens when the weights of a channel are tiny beside its
//! bias. It also raises the scale when s would exceed 62, where every sum that fits into the accumulator rounds to
//! zero. A negative s cannot be helped: one step of the accumulator would be 2^14 steps of the output or more. That, like
//! a channel that ran out of shifts while doubling, is an error which names the layer and the channel.
//!
//! An addition aligns its inputs by shifts; exponents more than 32 apart are an error which names the layer.
//!
//! # Without training
//!
//! A float network that never saw the integers loses less when its activations' [`range`]s come from images, its
//! channels are brought to like magnitudes ([`mod@equalize`]) and the mean error of every layer goes into its bias
//! ([`bias_correction`]). `docs/quantization.md` has measurements.

pub mod bias_correction;
mod channel;
mod dequantize;
pub mod equalize;
mod exponent;
pub mod range;

pub use dequantize::dequantized;
pub(crate) use dequantize::real_parameters;
pub use exponent::{activation_exponent, logit_exponent, weight_exponent};

use cfm_core::model::Path;
use thiserror::Error;

use crate::Place;
use crate::float_model::{Activation, FloatFc, FloatLayer, FloatModel};
use crate::shape::ShapeError;
use crate::spec::{
    AddSpec, Channel, ConvSpec, Design, FcSpec, HeadSpec, IMAGE_SCALE, LayerSpec, ModelSpec,
    OutputScale, classifier_output,
};
use channel::{ChannelError, quantize_channel};

/// How far apart the exponents of an addition's inputs and output may be, as the format says.
const MAX_ADD_DISTANCE: u32 = 32;

/// How the scale of a channel's weights is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WeightScales {
    /// The smallest sufficient power of two: re-quantization is a rounding shift.
    #[default]
    PowerOfTwo,
    /// `max |w| / 127` with a 15-bit mantissa: the whole range is used, re-quantization multiplies.
    General,
}

/// Why a float network cannot be quantized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// The layers do not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A layer's weights or biases do not have the length that its shape asks for.
    #[error("{place}: {what} has {found} entries, but the shape asks for {expected}")]
    Length {
        /// Which layer.
        place: Place,
        /// Weights or biases.
        what: &'static str,
        /// Entries found.
        found: usize,
        /// Entries expected.
        expected: usize,
    },
    /// The head has no joint layer, and so no classifier.
    #[error("the head has no classifier")]
    NoClassifier,
    /// The paths of Design A are concatenated, but end with different scales.
    #[error("the two paths of the head end with different scales")]
    PathScales,
    /// A path of Design A ends without an activation, at the scale of values that are never negative: those of a feature map
    /// behind an activation, which the other path passes on.
    #[error(
        "{place}: its values below zero have no place at the scale of the other path, which has none"
    )]
    PathRange {
        /// The path's last layer.
        place: Place,
    },
    /// The scales of an addition's inputs and output are too far apart to be aligned by shifts.
    #[error(
        "layer {layer}: the scales of the addition are 2^{distance} apart, more than 2^{MAX_ADD_DISTANCE}"
    )]
    AddScales {
        /// The layer.
        layer: usize,
        /// Difference between the largest and the smallest of the three exponents.
        distance: u32,
    },
    /// A weight or bias is infinite or not a number.
    #[error("{place}, channel {channel}: a weight or the bias is not finite")]
    NotFinite {
        /// Which layer.
        place: Place,
        /// Which output channel.
        channel: usize,
    },
    /// The output's scale is so fine beside the accumulator's that the multiplier exceeds `m * 2^0`.
    #[error(
        "{place}, channel {channel}: the output is scaled 2^{steps} times too fine for the weights"
    )]
    OutputTooFine {
        /// Which layer.
        place: Place,
        /// Which output channel.
        channel: usize,
        /// By how many powers of two the output's scale would have to be coarser.
        steps: i32,
    },
    /// The accumulator could overflow, whatever the scale of the weights.
    #[error("{place}, channel {channel}: the accumulator could overflow 32 bits")]
    Accumulator {
        /// Which layer.
        place: Place,
        /// Which output channel.
        channel: usize,
    },
}

/// Refuses a network with a weight or bias that is infinite or not a number.
///
/// # Errors
/// [`QuantizeError::NotFinite`], which names the layer and the channel.
pub fn check_finite(model: &FloatModel) -> Result<(), QuantizeError> {
    let check = |place, weights: &[f32], bias: &[f32]| {
        let filters = weights.chunks((weights.len() / bias.len().max(1)).max(1));
        let broken = |values: &[f32]| values.iter().any(|value| !value.is_finite());
        let weight = filters.into_iter().position(broken);
        let channel = weight.or_else(|| bias.iter().position(|value| !value.is_finite()));
        match channel {
            Some(channel) => Err(QuantizeError::NotFinite { place, channel }),
            None => Ok(()),
        }
    };
    for (i, layer) in model.layers.iter().enumerate() {
        if let FloatLayer::Conv2d(conv) = layer {
            check(Place::Layer(i), &conv.weights, &conv.bias)?;
        }
    }
    for path in Path::ALL {
        for (i, fc) in model.head.fcs(path).iter().enumerate() {
            check(Place::FullyConnected(path, i), &fc.weights, &fc.bias)?;
        }
    }
    Ok(())
}

/// The structure of `model` with all weights and biases zero: a valid model for what has to know the structure before
/// the numbers can be quantized, such as calibration of a network whose activations have no scales yet.
///
/// # Errors
/// A [`QuantizeError`] that names the layer.
pub fn blank(model: &FloatModel) -> Result<ModelSpec, QuantizeError> {
    let mut zeros = model.clone();
    for layer in &mut zeros.layers {
        if let FloatLayer::Conv2d(conv) = layer {
            conv.weights.fill(0.0);
            conv.bias.fill(0.0);
        }
    }
    let head = &mut zeros.head;
    for fc in [
        &mut head.segment_fcs,
        &mut head.region_fcs,
        &mut head.joint_fcs,
    ]
    .into_iter()
    .flatten()
    {
        fc.weights.fill(0.0);
        fc.bias.fill(0.0);
    }
    quantize(&zeros)
}

/// The integer network of `model`, with power-of-two weight scales.
///
/// # Errors
/// A [`QuantizeError`] that names the layer, and the channel if it is about one.
pub fn quantize(model: &FloatModel) -> Result<ModelSpec, QuantizeError> {
    quantize_with(model, WeightScales::PowerOfTwo)
}

/// The integer network of `model`.
///
/// # Errors
/// A [`QuantizeError`] that names the layer, and the channel if it is about one.
pub fn quantize_with(model: &FloatModel, scales: WeightScales) -> Result<ModelSpec, QuantizeError> {
    let shapes = model.tensor_shapes()?;
    let mut outputs = vec![IMAGE_SCALE];
    let mut layers = Vec::with_capacity(model.layers.len());
    for (i, layer) in model.layers.iter().enumerate() {
        let (quantized, output) = match layer {
            FloatLayer::Conv2d(conv) => {
                let output = conv.output.output_scale();
                let (weights, channels) = Parameters {
                    place: Place::Layer(i),
                    weights: &conv.weights,
                    bias: &conv.bias,
                    filter_len: layer.shape().filter_len(&shapes).unwrap_or(0),
                    outputs: conv.out_channels,
                    input: outputs[conv.input],
                    output,
                }
                .quantize(scales)?;
                let conv = ConvSpec {
                    input: conv.input,
                    window: conv.window,
                    groups: conv.groups,
                    out_channels: conv.out_channels,
                    output,
                    weights,
                    channels,
                };
                (LayerSpec::Conv2d(conv), output)
            }
            FloatLayer::MaxPool(pool) => (LayerSpec::MaxPool(*pool), outputs[pool.input]),
            FloatLayer::AvgPool(pool) => (LayerSpec::AvgPool(*pool), outputs[pool.input]),
            FloatLayer::Add(add) => {
                let output = add.output.output_scale();
                let inputs = add.inputs;
                let distance = spread(inputs.map(|t| outputs[t]), output);
                if distance > MAX_ADD_DISTANCE {
                    return Err(QuantizeError::AddScales { layer: i, distance });
                }
                (LayerSpec::Add(AddSpec { inputs, output }), output)
            }
        };
        layers.push(quantized);
        outputs.push(output);
    }
    let feature = outputs[outputs.len() - 1];
    let channels = shapes[shapes.len() - 1].channels;
    Ok(ModelSpec {
        input: model.input,
        layers,
        head: quantize_head(model, feature, channels, scales)?,
        classes: model.classes.clone(),
        labelling: model.labelling,
        calibration: model.calibration,
        proposals: model.proposals.clone(),
        provenance: model.provenance.clone(),
        unknown: Vec::new(),
    })
}

/// Difference between the largest and the smallest exponent of an addition.
fn spread(inputs: [OutputScale; 2], output: OutputScale) -> u32 {
    let [a, b] = inputs.map(|input| input.exponent);
    let low = a.min(b).min(output.exponent);
    let high = a.max(b).max(output.exponent);
    high.abs_diff(low).into()
}

fn quantize_head(
    model: &FloatModel,
    feature: OutputScale,
    channels: u16,
    scales: WeightScales,
) -> Result<HeadSpec, QuantizeError> {
    let head = &model.head;
    let classifier = head
        .joint_fcs
        .len()
        .checked_sub(1)
        .ok_or(QuantizeError::NoClassifier)?;
    let [segment_inputs, region_inputs, joint_inputs] = head.shape().fc_inputs(channels);
    let path = |path, inputs: &[usize], first: OutputScale| {
        let mut input = first;
        let mut quantized = Vec::new();
        for (i, (fc, &inputs)) in head.fcs(path).iter().zip(inputs).enumerate() {
            let output = if path == Path::Joint && i == classifier {
                classifier_output(head.logit_exponent)
            } else {
                fc.output.output_scale()
            };
            let place = Place::FullyConnected(path, i);
            quantized.push(quantize_fc(fc, place, inputs, input, output, scales)?);
            input = output;
        }
        Ok::<_, QuantizeError>((quantized, input))
    };
    let (segment_fcs, joined) = path(Path::Segment, &segment_inputs, feature)?;
    let (region_fcs, region_end) = path(Path::Region, &region_inputs, feature)?;
    let same = joined.zero_point == region_end.zero_point && joined.exponent == region_end.exponent;
    if head.design == Design::A && !same {
        return Err(QuantizeError::PathScales);
    }
    for path in [Path::Segment, Path::Region] {
        if head.design == Design::A
            && let Some((last, fc)) = head.fcs(path).iter().enumerate().next_back()
            && fc.output.activation == Activation::None
            && fc.output.zero_point == i8::MIN
        {
            let place = Place::FullyConnected(path, last);
            return Err(QuantizeError::PathRange { place });
        }
    }
    let (joint_fcs, _) = path(Path::Joint, &joint_inputs, joined)?;
    Ok(HeadSpec {
        design: head.design,
        classifier: head.classifier,
        mask_rule: head.mask_rule,
        segment_levels: head.segment_levels.clone(),
        region_levels: head.region_levels.clone(),
        segment_fcs,
        region_fcs,
        joint_fcs,
        logit_exponent: head.logit_exponent,
    })
}

fn quantize_fc(
    fc: &FloatFc,
    place: Place,
    inputs: usize,
    input: OutputScale,
    output: OutputScale,
    scales: WeightScales,
) -> Result<FcSpec, QuantizeError> {
    let (weights, channels) = Parameters {
        place,
        weights: &fc.weights,
        bias: &fc.bias,
        filter_len: inputs,
        outputs: fc.outputs,
        input,
        output,
    }
    .quantize(scales)?;
    Ok(FcSpec {
        outputs: fc.outputs,
        output,
        weights,
        channels,
    })
}

/// The parameters of one layer, and the scales on both sides of it.
struct Parameters<'a> {
    place: Place,
    weights: &'a [f32],
    bias: &'a [f32],
    filter_len: usize,
    outputs: u16,
    input: OutputScale,
    output: OutputScale,
}

impl Parameters<'_> {
    fn quantize(&self, scales: WeightScales) -> Result<(Vec<i8>, Vec<Channel>), QuantizeError> {
        let place = self.place;
        let outputs = usize::from(self.outputs);
        self.check_len(
            "the list of weights",
            self.weights.len(),
            self.filter_len * outputs,
        )?;
        self.check_len("the list of biases", self.bias.len(), outputs)?;
        let mut weights = Vec::with_capacity(self.weights.len());
        let mut channels = Vec::with_capacity(outputs);
        for (channel, &bias) in self.bias.iter().enumerate() {
            let filter = &self.weights[channel * self.filter_len..][..self.filter_len];
            let (quantized, record) =
                quantize_channel(filter, bias, self.input, self.output.exponent, scales).map_err(
                    |error| match error {
                        ChannelError::NotFinite => QuantizeError::NotFinite { place, channel },
                        ChannelError::Accumulator => QuantizeError::Accumulator { place, channel },
                        ChannelError::OutputTooFine(steps) => QuantizeError::OutputTooFine {
                            place,
                            channel,
                            steps,
                        },
                    },
                )?;
            weights.extend(quantized);
            channels.push(record);
        }
        Ok((weights, channels))
    }

    fn check_len(
        &self,
        what: &'static str,
        found: usize,
        expected: usize,
    ) -> Result<(), QuantizeError> {
        if found == expected {
            return Ok(());
        }
        Err(QuantizeError::Length {
            place: self.place,
            what,
            found,
            expected,
        })
    }
}
