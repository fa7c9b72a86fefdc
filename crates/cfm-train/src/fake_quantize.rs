//! The fake quantizer: the rounding of the integer network inside float training.
//!
//! Forward, a value becomes the nearest number the integers can hold (ties to even, as in the arithmetic contract).
//! Backward, the rounding is taken for the identity (the straight-through estimator); a clamp keeps its own gradient,
//! which is zero outside. All scales are powers of two, so every quantized value is exact in a float.

use burn::tensor::{Tensor, TensorData};
use cfm_model::quantize::weight_exponent;

/// Steps of a rectified activation above zero: its zero point is -128.
pub const ACTIVATION_STEPS: f32 = 255.0;
/// Exponent of the input image: `(pixel - 128) * 2^-7`.
pub const IMAGE_EXPONENT: i32 = -7;

/// Rounds to a multiple of `2^exponent`, with the gradient of the identity.
fn round<const D: usize>(x: Tensor<D>, exponent: i32) -> Tensor<D> {
    let step = 2f32.powi(exponent);
    let rounded = x
        .clone()
        .detach()
        .mul_scalar(step.recip())
        .round()
        .mul_scalar(step);
    straight_through(x, rounded)
}

/// `value` forward, the gradient of `x` backward. Exact: `x - x` is zero.
fn straight_through<const D: usize>(x: Tensor<D>, value: Tensor<D>) -> Tensor<D> {
    value.detach() + (x.clone() - x.detach())
}

/// What an activation's 256 values stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// 0 to 255 steps: the zero point is -128.
    Rectified,
    /// -128 to 127 steps: the zero point is 0.
    Signed,
}

impl Range {
    /// The range of values that may be negative, or may not.
    #[must_use]
    pub const fn of(signed: bool) -> Self {
        if signed {
            Self::Signed
        } else {
            Self::Rectified
        }
    }

    /// The 8-bit value of zero.
    #[must_use]
    pub const fn zero_point(self) -> i8 {
        match self {
            Self::Rectified => i8::MIN,
            Self::Signed => 0,
        }
    }

    /// Smallest and largest number of steps.
    const fn steps(self) -> (f32, f32) {
        match self {
            Self::Rectified => (0.0, ACTIVATION_STEPS),
            Self::Signed => (-128.0, 127.0),
        }
    }
}

/// An activation in 8 bits: steps of `2^exponent`.
#[must_use]
pub fn activation<const D: usize>(x: Tensor<D>, exponent: i32, range: Range) -> Tensor<D> {
    let (low, high) = range.steps();
    let step = 2f32.powi(exponent);
    round(x.clamp(low * step, high * step), exponent)
}

/// The logits: 16-bit, steps of `2^exponent`.
#[must_use]
pub fn logits<const D: usize>(x: Tensor<D>, exponent: i32) -> Tensor<D> {
    let step = 2f32.powi(exponent);
    round(x.clamp(-32768.0 * step, 32767.0 * step), exponent)
}

/// The exponents of all channels of a weight tensor whose first axis is the output channel.
#[must_use]
pub fn weight_exponents(weights: &[f32], channels: usize) -> Vec<i32> {
    weights
        .chunks_exact(weights.len() / channels)
        .map(|channel| weight_exponent(channel.iter().fold(0.0, |m, w| m.max(w.abs()))))
        .collect()
}

/// Weights in 8 bits and their bias at the scale of the accumulator (`input_exponent` plus the weight's own).
///
/// The first axis is the output channel, each with its own power-of-two scale, chosen anew from the weights as they
/// are now by the exporter's own rule.
#[must_use]
pub fn weights<const D: usize>(
    weight: Tensor<D>,
    bias: Tensor<1>,
    input_exponent: i32,
) -> (Tensor<D>, Tensor<1>) {
    let dims = weight.dims();
    let device = weight.device();
    let values: Vec<f32> = to_vec(weight.clone());
    let biases: Vec<f32> = to_vec(bias.clone());
    let exponents = weight_exponents(&values, dims[0]);
    let per_channel = values.len() / dims[0];
    let quantized: Vec<f32> = values
        .chunks_exact(per_channel)
        .zip(&exponents)
        .flat_map(|(channel, &exponent)| channel.iter().map(move |&w| nearest(w, exponent)))
        .collect();
    let biases: Vec<f32> = biases
        .iter()
        .zip(&exponents)
        .map(|(&b, &exponent)| nearest(b, exponent + input_exponent))
        .collect();
    let quantized = Tensor::from_data(TensorData::new(quantized, dims), &device);
    let channels = biases.len();
    let biases = Tensor::from_data(TensorData::new(biases, [channels]), &device);
    (
        straight_through(weight, quantized),
        straight_through(bias, biases),
    )
}

/// The multiple of `2^exponent` nearest `x`, ties to the even one.
#[must_use]
pub fn nearest(x: f32, exponent: i32) -> f32 {
    // In double precision: the reciprocal of a step that a dead channel's tiny weights have is beyond single precision.
    let steps = (f64::from(x) * 2f64.powi(-exponent)).round_ties_even();
    (steps * 2f64.powi(exponent)) as f32
}

/// The values of a tensor, in row-major order.
pub(crate) fn to_vec<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .detach()
        .try_into_vec_as()
        .expect("float tensors convert to floats")
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    /// `rne(t, s)` of the contract, on integers.
    fn rne(t: i64, s: u32) -> i64 {
        if s == 0 {
            return t;
        }
        let floor = t >> s;
        let rest = t - (floor << s);
        let half = 1 << (s - 1);
        floor + i64::from(rest > half || (rest == half && floor & 1 == 1))
    }

    #[test]
    fn activation_is_the_contracts_requantization() {
        // Accumulators at scale 2^-10 against outputs at 2^-5: a shift by 5, every residue and both ends of the range.
        let accumulators: Vec<i64> = (-600..9000).collect();
        let real: Vec<f32> = accumulators.iter().map(|&a| a as f32 / 1024.0).collect();
        let count = real.len();
        let x = Tensor::<1>::from_data(TensorData::new(real, [count]), &Device::flex());
        let quantized = to_vec(activation(x, -5, Range::Rectified));
        for (&a, &value) in accumulators.iter().zip(&quantized) {
            let q = (-128 + rne(a, 5)).clamp(-128, 127);
            assert_eq!(value, (q + 128) as f32 / 32.0, "accumulator {a}");
        }
    }

    #[test]
    fn signed_activation_is_the_contracts_requantization() {
        let accumulators: Vec<i64> = (-6000..6000).collect();
        let real: Vec<f32> = accumulators.iter().map(|&a| a as f32 / 1024.0).collect();
        let count = real.len();
        let x = Tensor::<1>::from_data(TensorData::new(real, [count]), &Device::flex());
        let quantized = to_vec(activation(x, -5, Range::Signed));
        for (&a, &value) in accumulators.iter().zip(&quantized) {
            let q = rne(a, 5).clamp(-128, 127);
            assert_eq!(value, q as f32 / 32.0, "accumulator {a}");
        }
    }

    #[test]
    fn channels_of_tiny_weights_stay_numbers() {
        let device = Device::flex();
        let tiny = [1e-35, f32::MIN_POSITIVE, 1e-38, 1e-40];
        let rows: Vec<f32> = tiny.iter().flat_map(|&w| [w, -w / 3.0]).collect();
        let weight = Tensor::<2>::from_data(TensorData::new(rows.clone(), [4, 2]), &device);
        let bias = Tensor::<1>::from_data([0.25; 4], &device);
        let (weight, bias) = weights(weight, bias, -20);
        for (quantized, given) in to_vec(weight).chunks(2).zip(rows.chunks(2)) {
            let step = 2f64.powi(weight_exponent(given[0]));
            for (&q, &w) in quantized.iter().zip(given) {
                let error = (f64::from(q) - f64::from(w)).abs();
                assert!(error <= step / 2.0, "{w:e} became {q:e}");
            }
        }
        assert_eq!(to_vec(bias), [0.25; 4]);
    }

    #[test]
    fn gradient_passes_inside_and_stops_outside() {
        let device = Device::flex().autodiff();
        let x = Tensor::<1>::from_data([-1.0, 0.3, 7.0, 9.0], &device).require_grad();
        let grads = activation(x.clone(), -5, Range::Rectified).sum().backward();
        assert_eq!(to_vec(x.grad(&grads).unwrap()), [0.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn weights_and_bias_land_on_their_grids() {
        let device = Device::flex();
        let weight = Tensor::<2>::from_data([[0.5, -1.0], [0.1, 0.01]], &device);
        let bias = Tensor::<1>::from_data([0.30001, -0.2], &device);
        let (weight, bias) = weights(weight, bias, -4);
        let exponents = [-6, -10];
        for (row, exponent) in to_vec(weight).chunks_exact(2).zip(exponents) {
            for w in row {
                let q = w * 2f32.powi(-exponent);
                assert!(q == q.round() && q.abs() <= 127.0, "{w}");
            }
        }
        for (b, exponent) in to_vec(bias).iter().zip(exponents) {
            let q = b * 2f32.powi(4 - exponent);
            assert_eq!(q, q.round());
        }
    }
}
