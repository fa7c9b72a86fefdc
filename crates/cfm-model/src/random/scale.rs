//! Random output scales: zero points, exponents and fused activations.

use super::moments::power_of_two;
use super::source::Source;
use crate::spec::OutputScale;

/// Exponents of the backbone's tensors: any two of them may meet in an addition.
const EXPONENTS: std::ops::RangeInclusive<i8> = -20..=8;
/// How far apart the reader lets the exponents of an addition be.
const ADD_DISTANCE: i8 = 32;

/// The scale of a convolution's output.
pub(super) fn convolution(source: &mut Source) -> OutputScale {
    let exponent = if source.chance(3, 4) {
        source.range(-9..=-1)
    } else {
        source.range(EXPONENTS)
    };
    with_exponent(source, exponent)
}

/// The scale of a hidden fully connected layer's output; its exponent may be any that the format holds.
pub(super) fn fully_connected(source: &mut Source) -> OutputScale {
    let exponent = match source.range(0..=9) {
        0 => source.pick(&[-64, 63]),
        1 => source.range(-64..=63),
        _ => source.range(-9..=0),
    };
    with_exponent(source, exponent)
}

/// One term of a sum: the exponent of its scale, and how far its values are from zero, in steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    pub(super) exponent: i8,
    pub(super) offset: f64,
    pub(super) deviation: f64,
}

/// The scale of the sum of two tensors, and the sum's expected centre and deviation on it.
pub(super) fn addition(source: &mut Source, terms: [Term; 2]) -> (OutputScale, f64, f64) {
    let [a, b] = terms.map(|term| term.exponent);
    // The reader's bounds, within the exponents that other additions can take.
    let low = (a.max(b) - ADD_DISTANCE).max(*EXPONENTS.start());
    let high = (a.min(b) + ADD_DISTANCE).min(*EXPONENTS.end());
    let exponent = if source.chance(7, 8) {
        let fits = |&exponent: &i8| sum(terms, exponent).1 <= 60.0;
        (low..=high).find(fits).unwrap_or(high)
    } else {
        source.range(low..=high)
    };
    let (offset, deviation) = sum(terms, exponent);
    let output = if source.chance(3, 4) {
        let zero_point = if offset > 30.0 {
            i8::MIN
        } else if offset < -30.0 {
            i8::MAX
        } else {
            source.range(-20..=20)
        };
        with_zero_point(source, zero_point, exponent)
    } else {
        with_exponent(source, exponent)
    };
    (output, offset + f64::from(output.zero_point), deviation)
}

/// Offset and deviation of a sum, in steps of `2^exponent`.
fn sum(terms: [Term; 2], exponent: i8) -> (f64, f64) {
    let (mut offset, mut variance) = (0.0, 0.0);
    for term in terms {
        let steps = power_of_two(i32::from(term.exponent) - i32::from(exponent));
        offset += term.offset * steps;
        variance += term.deviation * term.deviation * steps * steps;
    }
    (offset, variance.sqrt())
}

/// A scale with a given exponent.
pub(super) fn with_exponent(source: &mut Source, exponent: i8) -> OutputScale {
    let any = source.any_i8();
    let zero_point = source.weighted(&[(4, i8::MIN), (2, i8::MAX), (3, 0), (3, any)]);
    with_zero_point(source, zero_point, exponent)
}

/// A scale with a given zero point and exponent, and a random clamp.
pub(super) fn with_zero_point(source: &mut Source, zero_point: i8, exponent: i8) -> OutputScale {
    // A layer that leaves nothing but one or two values hides all layers before it: that is to be rare.
    let few_are_welcome = source.chance(1, 16);
    let drawn = match source.range(0..=19) {
        // No activation.
        0..=5 => (i8::MIN, i8::MAX),
        // ReLU.
        6..=11 => (zero_point, i8::MAX),
        // ReLU6.
        12..=14 => {
            let six = (6.0 * power_of_two(-i32::from(exponent))).round_ties_even();
            (zero_point, (f64::from(zero_point) + six).min(127.0) as i8)
        }
        // Only what is not above zero.
        15 => (i8::MIN, zero_point),
        // Most of the range.
        16 | 17 => (source.range(-128..=-60), source.range(60..=127)),
        // A single value.
        18 if few_are_welcome => {
            let value = source.any_i8();
            (value, value)
        }
        // Any range.
        _ => {
            let (a, b) = (source.any_i8(), source.any_i8());
            (a.min(b), a.max(b))
        }
    };
    let (low, high) = if drawn.0.abs_diff(drawn.1) >= 40 || few_are_welcome {
        drawn
    } else {
        (i8::MIN, i8::MAX)
    };
    OutputScale {
        zero_point,
        exponent,
        low,
        high,
    }
}
