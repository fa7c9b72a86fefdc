//! One output channel: its weights' scale, its weights, its bias and multiplier.

use cfm_core::requantize::{MANTISSA_MAX, MANTISSA_MIN, SHIFT_MAX};

use super::{WeightScales, weight_exponent};
use crate::spec::{Channel, OutputScale};

/// Largest accumulator.
const ACCUMULATOR_MAX: u64 = i32::MAX as u64;

/// A weight's scale `mantissa * 2^exponent`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct WeightScale {
    mantissa: u16,
    exponent: i32,
}

impl WeightScale {
    const fn power_of_two(exponent: i32) -> Self {
        Self {
            mantissa: MANTISSA_MIN,
            exponent: exponent - 14,
        }
    }

    /// `max / 127` with its mantissa rounded up, so that `max` is at most 127 steps.
    fn general(max: f32) -> Self {
        let step = f64::from(max) / 127.0;
        let mut exponent = step.log2().floor() as i32 - 14;
        loop {
            let mantissa = (step * 2f64.powi(-exponent)).ceil();
            if mantissa <= f64::from(MANTISSA_MAX) {
                // A logarithm that was rounded up leaves the mantissa just below its range: the next one is in it.
                return Self {
                    mantissa: (mantissa as u16).max(MANTISSA_MIN),
                    exponent,
                };
            }
            exponent += 1;
        }
    }

    fn step(self) -> f64 {
        f64::from(self.mantissa) * 2f64.powi(self.exponent)
    }
}

/// Why a channel cannot be quantized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChannelError {
    NotFinite,
    Accumulator,
    OutputTooFine(i32),
}

/// The integers of a channel with inputs at scale `input` and outputs at `2^output_exponent`.
pub(super) fn quantize_channel(
    weights: &[f32],
    bias: f32,
    input: OutputScale,
    output_exponent: i8,
    scales: WeightScales,
) -> Result<(Vec<i8>, Channel), ChannelError> {
    if !bias.is_finite() || weights.iter().any(|w| !w.is_finite()) {
        return Err(ChannelError::NotFinite);
    }
    let max = weights.iter().fold(0.0_f32, |max, w| max.max(w.abs()));
    let mut scale = match scales {
        WeightScales::General if max > 0.0 => WeightScale::general(max),
        _ => WeightScale::power_of_two(weight_exponent(max)),
    };
    // The exponent at which the shift is 0; there is no higher one.
    let highest = i32::from(output_exponent) - i32::from(input.exponent);
    let lowest = highest - i32::from(SHIFT_MAX);
    if max == 0.0 {
        scale.exponent = scale.exponent.min(highest);
    }
    if scale.exponent > highest {
        return Err(ChannelError::OutputTooFine(scale.exponent - highest));
    }
    scale.exponent = scale.exponent.max(lowest);
    while scale.exponent <= highest {
        let quantized: Vec<i8> = weights.iter().map(|&w| nearest(w, scale)).collect();
        let sum: i64 = quantized.iter().map(|&q| i64::from(q)).sum();
        let magnitude: u64 = quantized.iter().map(|&q| u64::from(q.unsigned_abs())).sum();
        let steps = f64::from(bias) / (scale.step() * 2f64.powi(input.exponent.into()));
        // Far beyond any accumulator, and far from overflow.
        let steps = steps.round_ties_even().clamp(-1e15, 1e15) as i64;
        let bias = steps - i64::from(input.zero_point) * sum;
        if let Ok(bias) = i32::try_from(bias)
            && magnitude * 255 + u64::from(bias.unsigned_abs()) <= ACCUMULATOR_MAX
            && let Ok(shift) = u8::try_from(highest - scale.exponent)
        {
            let mantissa = scale.mantissa;
            return Ok((
                quantized,
                Channel {
                    bias,
                    mantissa,
                    shift,
                },
            ));
        }
        scale.exponent += 1;
    }
    Err(ChannelError::Accumulator)
}

fn nearest(weight: f32, scale: WeightScale) -> i8 {
    // In -127 ..= 127 by the choice of the scale.
    (f64::from(weight) / scale.step()).round_ties_even() as i8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::IMAGE_SCALE;
    use proptest::prelude::*;

    fn real_scale(channel: Channel, input: OutputScale, output_exponent: i8) -> f64 {
        let k = i32::from(output_exponent) - i32::from(input.exponent) - i32::from(channel.shift);
        f64::from(channel.mantissa) * 2f64.powi(k)
    }

    proptest! {
        #[test]
        fn weights_and_bias_are_off_by_half_a_step(
            weights in prop::collection::vec(-8.0_f32..8.0, 1..60),
            magnitude in -20_i32..10,
            bias in -4.0_f32..4.0,
            zero_point: i8,
            exponent in -10_i8..4,
            output_exponent in -10_i8..4,
            general: bool,
        ) {
            let weights: Vec<f32> = weights.iter().map(|w| w * 2f32.powi(magnitude)).collect();
            let input = OutputScale { zero_point, exponent, ..IMAGE_SCALE };
            let scales = if general { WeightScales::General } else { WeightScales::PowerOfTwo };
            match quantize_channel(&weights, bias, input, output_exponent, scales) {
                Ok((quantized, channel)) => {
                    let step = real_scale(channel, input, output_exponent);
                    for (&w, &q) in weights.iter().zip(&quantized) {
                        prop_assert!((f64::from(w) - step * f64::from(q)).abs() <= step * (0.5 + 1e-9));
                        prop_assert!(q != i8::MIN);
                    }
                    let sum: i64 = quantized.iter().map(|&q| i64::from(q)).sum();
                    let unfolded = i64::from(channel.bias) + i64::from(zero_point) * sum;
                    let accumulator = step * 2f64.powi(exponent.into());
                    let error = (f64::from(bias) - accumulator * unfolded as f64).abs();
                    prop_assert!(error <= accumulator * (0.5 + 1e-6), "{error} {accumulator}");
                    if !general {
                        prop_assert_eq!(channel.mantissa, 1 << 14);
                    }
                }
                Err(error) => {
                    let max = weights.iter().fold(0.0_f32, |m, w| m.max(w.abs()));
                    let shift = i32::from(output_exponent) - i32::from(exponent) - (weight_exponent(max) - 14);
                    prop_assert!(shift < 14, "{error:?} at shift {shift}");
                }
            }
        }

        #[test]
        fn general_scales_use_the_whole_range(max in prop::num::f32::POSITIVE) {
            prop_assume!(max.is_normal());
            let scale = WeightScale::general(max);
            prop_assert!((MANTISSA_MIN..=MANTISSA_MAX).contains(&scale.mantissa));
            let steps = f64::from(max) / scale.step();
            prop_assert!(steps <= 127.0 + 1e-9 && steps > 126.99, "{steps}");
        }
    }

    #[test]
    fn power_of_two_scale_follows_the_weight_exponent() {
        let (q, channel) = quantize_channel(
            &[1.0, -0.5],
            0.25,
            IMAGE_SCALE,
            -5,
            WeightScales::PowerOfTwo,
        )
        .unwrap();
        // k = -6: 1 is 64 steps; the accumulator's step is 2^-13, the output's 2^-5.
        assert_eq!(q, [64, -32]);
        assert_eq!(channel.bias, 2048);
        assert_eq!((channel.mantissa, channel.shift), (1 << 14, 14 + 8));
    }

    #[test]
    fn a_channel_without_weights_is_its_bias() {
        // A quarter in steps of the output; half a step is a tie and goes to the even zero.
        for (output_exponent, expected) in [(-7, 32), (-1, 0), (40, 0)] {
            let (q, channel) = quantize_channel(
                &[0.0; 9],
                0.25,
                IMAGE_SCALE,
                output_exponent,
                WeightScales::General,
            )
            .unwrap();
            assert_eq!(q, [0; 9]);
            assert_eq!(channel.scale(channel.bias), expected, "{output_exponent}");
        }
    }

    #[test]
    fn a_large_bias_raises_the_weights_scale() {
        let (q, channel) =
            quantize_channel(&[1e-6], 100.0, IMAGE_SCALE, 0, WeightScales::PowerOfTwo).unwrap();
        assert!(q[0].abs() < 127);
        assert_eq!(channel.scale(channel.bias), 100);
    }

    #[test]
    fn tiny_weights_round_to_zero_instead_of_shifting_too_far() {
        let (q, channel) =
            quantize_channel(&[1e-30], 0.0, IMAGE_SCALE, 0, WeightScales::PowerOfTwo).unwrap();
        assert_eq!((q[0], channel.shift), (0, SHIFT_MAX));
    }

    #[test]
    fn impossible_channels_are_refused() {
        let refuse = |weights: &[f32], bias, output_exponent| {
            quantize_channel(
                weights,
                bias,
                IMAGE_SCALE,
                output_exponent,
                WeightScales::PowerOfTwo,
            )
            .unwrap_err()
        };
        assert_eq!(refuse(&[f32::NAN], 0.0, 0), ChannelError::NotFinite);
        assert_eq!(refuse(&[0.0], f32::INFINITY, 0), ChannelError::NotFinite);
        assert!(matches!(
            refuse(&[1e9], 0.0, -30),
            ChannelError::OutputTooFine(_)
        ));
        assert_eq!(refuse(&[1.0], 1e9, -20), ChannelError::Accumulator);
    }
}
