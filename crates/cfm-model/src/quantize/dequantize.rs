//! Back from the integers to the real numbers that they stand for.

use cfm_core::model::Path;

use crate::float_model::{FloatFc, FloatLayer, FloatModel};
use crate::spec::{Channel, LayerSpec, ModelSpec, OutputScale};

/// `float` with the weights and biases that the integers of `spec`, its quantized form, stand for.
///
/// Weights are exact; biases are rounded to f32. Activations are not quantized by this.
#[must_use]
pub fn dequantized(spec: &ModelSpec, float: &FloatModel) -> FloatModel {
    let mut float = float.clone();
    let scales = spec.tensor_scales();
    for (layer, quantized) in float.layers.iter_mut().zip(&spec.layers) {
        if let (FloatLayer::Conv2d(conv), LayerSpec::Conv2d(quantized)) = (layer, quantized) {
            let input = scales[quantized.input.min(scales.len() - 1)];
            (conv.weights, conv.bias) = real_parameters(
                &quantized.weights,
                &quantized.channels,
                input,
                quantized.output,
            );
        }
    }
    let feature = scales[scales.len() - 1];
    let head = &mut float.head;
    let path = |path, fcs: &mut [FloatFc], mut input: OutputScale| {
        for (fc, quantized) in fcs.iter_mut().zip(spec.head.fcs(path)) {
            (fc.weights, fc.bias) = real_parameters(
                &quantized.weights,
                &quantized.channels,
                input,
                quantized.output,
            );
            input = quantized.output;
        }
        input
    };
    let joined = path(Path::Segment, &mut head.segment_fcs, feature);
    path(Path::Region, &mut head.region_fcs, feature);
    path(Path::Joint, &mut head.joint_fcs, joined);
    float
}

/// Weights `[out][...]` and biases as the real numbers that integers of these scales stand for.
pub(crate) fn real_parameters(
    weights: &[i8],
    channels: &[Channel],
    input: OutputScale,
    output: OutputScale,
) -> (Vec<f32>, Vec<f32>) {
    let filters = weights.chunks_exact((weights.len() / channels.len().max(1)).max(1));
    let mut real = (Vec::with_capacity(weights.len()), Vec::new());
    for (filter, channel) in filters.zip(channels) {
        let k = i32::from(output.exponent) - i32::from(input.exponent) - i32::from(channel.shift);
        let step = f64::from(channel.mantissa) * 2f64.powi(k);
        let sum: i64 = filter.iter().map(|&q| i64::from(q)).sum();
        let bias = i64::from(channel.bias) + i64::from(input.zero_point) * sum;
        real.0
            .extend(filter.iter().map(|&q| (f64::from(q) * step) as f32));
        real.1
            .push((bias as f64 * step * 2f64.powi(input.exponent.into())) as f32);
    }
    real
}
