//! Cross-layer equalization: channels of very different magnitude, made alike without changing the function.
//!
//! When an activation is positively homogeneous, `f(s x) = s f(x)` for `s > 0`, a channel between two convolutions can
//! be divided by s in the first one (weights and bias) and multiplied by s in the second: nothing else changes. After
//! Nagel, van Baalen, Blankevoort, Welling, *Data-Free Quantization Through Weight Equalization and Bias Correction*,
//! ICCV 2019: with `r1` the range of the channel in the first convolution and `r2` the range of the weights that read
//! it, `s = sqrt(r1 / r2)` gives both the range `sqrt(r1 r2)`. Chains, depthwise convolutions among them, are swept
//! until nothing moves any more.
//!
//! The integers here have a weight scale per output channel, so the first convolution's weights do not suffer from
//! unequal channels; the activation between the two, with its one scale, does, and the second one's filters do. Hence
//! [`Ranges::Outputs`] takes the range that the channel's activation was seen to have for `r1`, instead of the weights'.

use crate::float_model::{Activation, FloatConv, FloatLayer, FloatModel};
use crate::shape::ShapeError;
use crate::spec::Window;

/// Most sweeps over all pairs.
const SWEEPS: usize = 50;
/// A sweep that moves no channel by more than this factor is the last one.
const SETTLED: f64 = 1e-3;
/// Bound of a channel's factor in one sweep, up or down: channels that are all but dead stay far from the ends of f32.
const MAX_FACTOR: f64 = 1024.0;

/// Two convolutions of which the second alone reads what the first writes, perhaps through poolings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// The layer that writes.
    pub first: usize,
    /// The layer that reads.
    pub second: usize,
}

/// What counts as the range of a channel in the first convolution of a pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ranges<'a> {
    /// The largest magnitude of its weights.
    Weights,
    /// The largest magnitude of its output, by layer and channel; what is missing counts as zero.
    Outputs(&'a [Vec<f32>]),
}

/// The pairs of convolutions whose channels can be scaled against each other.
///
/// The first one's activation is ReLU or none (ReLU6 is not homogeneous), and nobody else reads what lies between: not
/// an addition, not a third layer, not the head. A layer that only moves the image's zero is left as it is: its weights
/// are 1, so its integers are exact, and scaled they would not be.
#[must_use]
pub fn pairs(model: &FloatModel) -> Vec<Pair> {
    let mut readers = vec![Vec::new(); model.layers.len() + 1];
    for (i, layer) in model.layers.iter().enumerate() {
        for tensor in layer.shape().inputs() {
            if let Some(readers) = readers.get_mut(tensor) {
                readers.push(i);
            }
        }
    }
    // The feature map is the head's.
    let only_reader = |tensor: usize| match readers[tensor][..] {
        [reader] if tensor < model.layers.len() => Some(reader),
        _ => None,
    };
    let second = |first: usize| {
        let mut reader = only_reader(first + 1)?;
        loop {
            match &model.layers[reader] {
                FloatLayer::Conv2d(_) => return Some(reader),
                // Maximum and mean are homogeneous, channel by channel.
                FloatLayer::MaxPool(_) | FloatLayer::AvgPool(_) => {
                    reader = only_reader(reader + 1)?
                }
                FloatLayer::Add(_) => return None,
            }
        }
    };
    let firsts = model
        .layers
        .iter()
        .enumerate()
        .filter(|(_, layer)| match layer {
            FloatLayer::Conv2d(conv) => {
                conv.output.activation != Activation::Relu6 && !moves_zero(conv)
            }
            FloatLayer::MaxPool(_) | FloatLayer::AvgPool(_) | FloatLayer::Add(_) => false,
        });
    firsts
        .filter_map(|(first, _)| {
            let second = second(first)?;
            Some(Pair { first, second })
        })
        .collect()
}

/// Whether a layer adds a constant to every channel of the image and does nothing else.
fn moves_zero(conv: &FloatConv) -> bool {
    conv.input == 0
        && conv.window == Window::UNIT
        && conv.groups == conv.out_channels
        && conv.weights.len() == usize::from(conv.out_channels)
        && conv.weights.iter().all(|&weight| weight == 1.0)
}

/// Equalizes all [`pairs`] of `model`, which computes the same as before up to the rounding of f32, and returns them.
///
/// A channel without weights or range on one side is left alone. The activations' scales no longer fit afterwards.
///
/// # Errors
/// A [`ShapeError`] when the layers do not fit together.
pub fn equalize(model: &mut FloatModel, ranges: Ranges<'_>) -> Result<Vec<Pair>, ShapeError> {
    model.tensor_shapes()?;
    let pairs = pairs(model);
    let mut outputs = match ranges {
        Ranges::Weights => None,
        Ranges::Outputs(outputs) => Some(outputs.to_vec()),
    };
    for _ in 0..SWEEPS {
        let mut moved = 0.0_f64;
        for &Pair { first, second } in &pairs {
            let [FloatLayer::Conv2d(writer), .., FloatLayer::Conv2d(reader)] =
                &mut model.layers[first..=second]
            else {
                continue;
            };
            let channels = usize::from(writer.out_channels);
            let filter_len = writer.weights.len() / channels.max(1);
            for channel in 0..channels {
                let filter = channel * filter_len..(channel + 1) * filter_len;
                let output = outputs.as_mut().map(|outputs| {
                    let layer = outputs.get_mut(first);
                    layer.and_then(|channels| channels.get_mut(channel))
                });
                let written = match &output {
                    None => writer
                        .weights
                        .get(filter.clone())
                        .map_or(0.0, |filter| largest(filter.iter())),
                    Some(output) => output.as_deref().copied().unwrap_or(0.0),
                };
                let columns = columns(reader, channels, channel);
                let read = largest(columns.clone().filter_map(|at| reader.weights.get(at)));
                let factor = (f64::from(written) / f64::from(read)).sqrt();
                if !(factor.is_finite() && factor > 0.0) {
                    continue;
                }
                let factor = factor.clamp(MAX_FACTOR.recip(), MAX_FACTOR);
                moved = moved.max((factor.ln()).abs());
                let scaled = |value: &mut f32, by: f64| *value = (f64::from(*value) * by) as f32;
                let filter = writer.weights.get_mut(filter).into_iter().flatten();
                for value in filter.chain(writer.bias.get_mut(channel)) {
                    scaled(value, factor.recip());
                }
                for at in columns {
                    if let Some(value) = reader.weights.get_mut(at) {
                        scaled(value, factor);
                    }
                }
                if let Some(Some(range)) = output {
                    scaled(range, factor.recip());
                }
            }
        }
        if moved < SETTLED {
            break;
        }
    }
    Ok(pairs)
}

fn largest<'a>(values: impl Iterator<Item = &'a f32>) -> f32 {
    values.fold(0.0, |max, value| max.max(value.abs()))
}

/// Where the weights of `conv` lie that read its input channel `channel` of `channels`.
fn columns(
    conv: &FloatConv,
    channels: usize,
    channel: usize,
) -> impl Iterator<Item = usize> + Clone + use<> {
    let groups = usize::from(conv.groups).max(1);
    let inputs = (channels / groups).max(1);
    let outputs = usize::from(conv.out_channels) / groups;
    let group = channel / inputs;
    let taps = usize::from(conv.window.kernel[0]) * usize::from(conv.window.kernel[1]);
    let first = group * outputs * taps * inputs + channel % inputs;
    (0..outputs * taps).map(move |at| first + at * inputs)
}
