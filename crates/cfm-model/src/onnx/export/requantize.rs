//! The exact re-quantization in f64, and when float operators need none.
//!
//! An accumulator has at most 31 bits and a mantissa 15, so their product is exact in f64, and so is its product with
//! `2^-shift`; `Round` goes to the nearest integer, ties to even, as the contract does. Nothing else rounds.
//!
//! Float operators (`Conv` between `DequantizeLinear` and `QuantizeLinear`, and the fused kernels of runtimes, which
//! multiply an integer accumulator with an f32) agree with that for a power-of-two multiplier as long as no partial sum
//! leaves the 24 bits of an f32: products and sums are then exact, and so is the division by the output's scale. A channel
//! whose output is constant agrees, too, as far as rounding does not move it over an edge. A general multiplier makes
//! products and sums round; where that cannot be half a step together, the result is off by one at most, and rarely.
//! Channels for which none of this can be shown make their layer one of the integer form.

use cfm_core::requantize::{Channel, OutputScale, rne};

use super::graph::{Attribute, Graph, Value};
use crate::onnx::proto::DataType;

/// A value of i8 as the files have it.
pub(super) const fn unsigned(q: i8) -> u8 {
    q.cast_unsigned() ^ 0x80
}

/// `2^exponent`.
pub(super) fn power_of_two(exponent: i32) -> f64 {
    f64::from(exponent).exp2()
}

/// `mantissa * 2^-shift`.
pub(super) fn multiplier(channel: &Channel) -> f64 {
    f64::from(channel.mantissa) * power_of_two(-i32::from(channel.shift))
}

/// From accumulators (real i32) to the u8 tensor `name`: `Cast`, `Mul`, then as [`round_to_u8`].
pub(super) fn requantize(
    graph: &mut Graph,
    accumulators: &str,
    multiplier: &str,
    output: &OutputScale,
    name: &str,
) -> Value {
    let scaled = scale(graph, accumulators, multiplier);
    round_to_u8(graph, &scaled, output, name)
}

/// `Cast` to f64, `Mul`.
pub(super) fn scale(graph: &mut Graph, accumulators: &str, multiplier: &str) -> Value {
    let real = graph.cast(accumulators, DataType::Double);
    graph.apply("Mul", &[&real, multiplier])
}

/// From steps in f64 to the u8 tensor `name`: `Round`, `Add` (zero point), `Clip`, `Cast`.
pub(super) fn round_to_u8(
    graph: &mut Graph,
    steps: &str,
    output: &OutputScale,
    name: &str,
) -> Value {
    let rounded = graph.apply("Round", &[steps]);
    let zero_point = graph.scalar(f64::from(unsigned(output.zero_point)));
    let moved = graph.apply("Add", &[&rounded, &zero_point]);
    let bounds = [output.low, output.high].map(|bound| graph.scalar(f64::from(unsigned(bound))));
    let clipped = graph.apply("Clip", &[&moved, &bounds[0], &bounds[1]]);
    let to = [("to", Attribute::to(DataType::Uint8))];
    graph.named(name, "Cast", &[&clipped], &to)
}

/// Integers that an f32 holds exactly reach up to here.
const EXACT: i64 = 1 << 24;

/// What the accumulator of a channel can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    low: i64,
    high: i64,
    /// Bound of every partial sum, in any order.
    partial: i64,
    /// Number of products.
    terms: i64,
}

impl Reach {
    /// That of `bias + sum w x`, with a real bias and real activations x in `low ..= high`, an interval around 0.
    pub(super) fn new(weights: &[i8], bias: i32, low: i32, high: i32) -> Self {
        let (low, high, bias) = (i64::from(low), i64::from(high), i64::from(bias));
        let sum = |sign: i64| -> i64 {
            let weights = weights.iter().map(|&w| i64::from(w) * sign);
            weights.filter(|&w| w > 0).sum()
        };
        let (positive, negative) = (sum(1), -sum(-1));
        Self {
            low: bias + positive * low + negative * high,
            high: bias + positive * high + negative * low,
            partial: (positive - negative) * high.max(-low) + bias.abs(),
            terms: weights.len() as i64,
        }
    }

    /// Whether float operators give what the contract does, or at most one more or less for a general multiplier.
    pub(super) fn allows_float(&self, channel: &Channel, output: &OutputScale) -> bool {
        // What summing in f32, in any order, and scaling can be off by: `terms + 1` roundings, each by 2^-24 of at most the
        // partial sums, twice that to be safe.
        let error = self.partial.saturating_mul(self.terms + 2) / (EXACT >> 1) + 1;
        let at = |acc: i64| output.clamp(rne(acc * i64::from(channel.mantissa), channel.shift));
        let is_constant = at(self.low - error) == at(self.high + error);
        let is_close =
            channel.mantissa.is_power_of_two() || error as f64 * multiplier(channel) < 0.5;
        is_constant || self.partial <= EXACT && is_close
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: OutputScale = OutputScale {
        zero_point: -128,
        exponent: -5,
        low: -128,
        high: 64,
    };

    fn channel(shift: u8) -> Channel {
        Channel {
            bias: 0,
            mantissa: 1 << 14,
            shift,
        }
    }

    #[test]
    fn general_multipliers_must_not_make_large_steps_of_rounding() {
        let reach = Reach::new(&[127, -127, 100], 0, -128, 127);
        let general = |shift| Channel {
            mantissa: 20_000,
            ..channel(shift)
        };
        assert!(reach.allows_float(&general(22), &OUTPUT));
        assert!(!reach.allows_float(&general(14), &OUTPUT));
        assert!(reach.allows_float(&channel(14), &OUTPUT));
    }

    #[test]
    fn the_reach_is_what_the_extremes_give() {
        let reach = Reach::new(&[3, -5, 0], 7, -2, 10);
        assert_eq!((reach.low, reach.high), (7 - 6 - 50, 7 + 30 + 10));
        assert_eq!(reach.partial, 8 * 10 + 7);
    }

    #[test]
    fn long_accumulators_are_exact_only_where_nothing_depends_on_them() {
        let weights = [127; 600];
        assert!(!Reach::new(&weights, 0, 0, 255).allows_float(&channel(26), &OUTPUT));
        assert!(Reach::new(&weights[..500], 0, 0, 255).allows_float(&channel(26), &OUTPUT));
        // So far below the zero point that every output is clamped.
        let dead = Reach::new(&[1, -1], -2_000_000_000, 0, 255);
        assert!(dead.allows_float(&channel(30), &OUTPUT));
        // 2^30 / 2^16 = 2^14 steps: clamped above.
        assert!(Reach::new(&[1], 1 << 30, 0, 255).allows_float(&channel(30), &OUTPUT));
        // 2^30 / 2^24 = 64 steps, and 64.5 is within reach of the rounding.
        let edge = Reach::new(&[1], (1 << 30) + (1 << 23), 0, 255);
        assert!(!edge.allows_float(&channel(38), &OUTPUT));
    }
}
