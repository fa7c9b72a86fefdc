//! Between integers and the real numbers they stand for. Every conversion here is exact in f64, but for the one
//! rounding that the contract asks for.

use cfm_core::model::{Parameters, Shape, Tensor};
use cfm_core::requantize::OutputScale;

/// `2^exponent`, exactly.
pub(crate) fn power_of_two(exponent: i32) -> f64 {
    debug_assert!((-1000..=1000).contains(&exponent));
    // The biased exponent field of an f64 with an empty mantissa.
    f64::from_bits(u64::from((1023 + exponent).unsigned_abs()) << 52)
}

/// What the integers of a tensor mean: `(q - zero_point) * 2^exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// The integer that stands for real zero.
    pub zero_point: i8,
    /// One step is `2^exponent`.
    pub exponent: i8,
}

impl Scale {
    /// The real value of `q`.
    #[must_use]
    pub fn real(self, q: i8) -> f64 {
        (f64::from(q) - f64::from(self.zero_point)) * power_of_two(i32::from(self.exponent))
    }

    /// The integer that stands for `real`, rounded to nearest with ties to even, clamped to `low ..= high`.
    #[must_use]
    pub fn quantize(self, real: f64, low: i8, high: i8) -> i8 {
        let steps = (real / power_of_two(i32::from(self.exponent))).round_ties_even();
        let q = (steps + f64::from(self.zero_point)).clamp(f64::from(low), f64::from(high));
        q as i8
    }
}

impl From<Tensor> for Scale {
    fn from(tensor: Tensor) -> Self {
        Self {
            zero_point: tensor.zero_point,
            exponent: tensor.exponent,
        }
    }
}

impl From<OutputScale> for Scale {
    fn from(output: OutputScale) -> Self {
        Self {
            zero_point: output.zero_point,
            exponent: output.exponent,
        }
    }
}

/// A whole tensor in integers, with its scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// Height, width, channels.
    pub shape: Shape,
    /// What the integers mean.
    pub scale: Scale,
    /// The integers, channel last.
    pub data: Vec<i8>,
}

impl Activation {
    /// All real values, in the same layout.
    #[must_use]
    pub fn real(&self) -> Vec<f64> {
        self.data.iter().map(|&q| self.scale.real(q)).collect()
    }
}

/// Filters and biases of a layer as real numbers.
#[derive(Debug, Clone)]
pub struct RealParameters {
    /// Weights, in the layout of the model file.
    pub weights: Vec<f64>,
    /// One bias per output.
    pub biases: Vec<f64>,
    /// Exponent of each output's accumulator before its mantissa: accumulators are whole multiples of `2^unit`.
    units: Vec<i32>,
}

impl RealParameters {
    /// Dequantizes the parameters of a layer that reads `input` and writes steps of `2^exponent_out`.
    ///
    /// A weight is `q * m * 2^k` with `k = exponent_out - exponent_in - s`; a bias is stored at the accumulator's
    /// scale and already holds `- zero_point_in * sum(w)`, which is taken out again here.
    #[must_use]
    pub fn new(parameters: &Parameters<'_>, input: Scale, exponent_out: i8) -> Self {
        let filter_len = parameters.weights.len() / parameters.channels.len().max(1);
        let mut weights = Vec::with_capacity(parameters.weights.len());
        let mut biases = Vec::with_capacity(parameters.channels.len());
        let mut units = Vec::with_capacity(parameters.channels.len());
        let filters = parameters.weights.chunks_exact(filter_len.max(1));
        for (filter, channel) in filters.zip(parameters.channels.iter()) {
            let unit = i32::from(exponent_out) - i32::from(channel.shift);
            let mantissa = f64::from(channel.mantissa);
            let weight_step = mantissa * power_of_two(unit - i32::from(input.exponent));
            weights.extend(filter.iter().map(|&w| f64::from(w as i8) * weight_step));
            let sum: i64 = filter.iter().map(|&w| i64::from(w as i8)).sum();
            let bias = i64::from(channel.bias) + i64::from(input.zero_point) * sum;
            biases.push(bias as f64 * mantissa * power_of_two(unit));
            units.push(unit);
        }
        Self {
            weights,
            biases,
            units,
        }
    }

    /// Checks the claim of exactness: `value`, a result of output `o`, is a whole number of units below 2^53.
    pub(crate) fn debug_check(&self, o: usize, value: f64) {
        if cfg!(debug_assertions) {
            let units = value / power_of_two(self.units[o]);
            assert!(
                units.fract() == 0.0 && units.abs() < power_of_two(53),
                "the f64 sum of output {o} is not exact"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_are_exact() {
        for exponent in -200..200 {
            assert_eq!(power_of_two(exponent), 2_f64.powi(exponent), "{exponent}");
        }
    }

    #[test]
    fn quantization_rounds_to_even_and_clamps() {
        let scale = Scale {
            zero_point: 3,
            exponent: -1,
        };
        assert_eq!(scale.real(5), 1.0);
        // 0.25 is half a step: 0 is even; 0.75 is one and a half: 2 is even.
        assert_eq!(scale.quantize(0.25, -128, 127), 3);
        assert_eq!(scale.quantize(0.75, -128, 127), 5);
        assert_eq!(scale.quantize(-0.75, -128, 127), 1);
        assert_eq!(scale.quantize(-0.75, 3, 127), 3);
        assert_eq!(scale.quantize(1e30, -128, 127), 127);
    }
}
