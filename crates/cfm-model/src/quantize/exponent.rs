//! The exponents of power-of-two scales, from the largest magnitude they must hold.

/// Largest magnitude of a quantized weight.
const WEIGHT_STEPS: f64 = 127.0;
/// Steps above zero of an activation whose zero point is -128.
const RECTIFIED_STEPS: f64 = 255.0;
/// Steps above zero of an activation whose zero point is 0.
const LINEAR_STEPS: f64 = 127.0;
/// Steps above zero of a logit.
const LOGIT_STEPS: f64 = 32767.0;

/// The exponent of a channel without weights: fine enough for its bias, far from every bound.
const NO_WEIGHTS: i32 = -14;
/// The exponent of an activation that is always zero: the image's.
const NO_ACTIVATION: i32 = -7;

/// The smallest k with `max <= steps * 2^k`, for a positive finite f32.
fn smallest(max: f32, steps: f64) -> i32 {
    let max = f64::from(max);
    // An f32 divided by at most 2^15 is far inside the range of f64, so the powers below are exact.
    let mut k = (max / steps).log2().ceil() as i32;
    while max > steps * 2f64.powi(k) {
        k += 1;
    }
    while max <= steps * 2f64.powi(k - 1) {
        k -= 1;
    }
    k
}

/// The exponent of the power-of-two scale of a channel whose largest weight has magnitude `max_abs`: the smallest k
/// with `max_abs <= 127 * 2^k`.
///
/// Quantization-aware training rounds weights with this same rule. A channel without weights (or with weights that are
/// not finite, which [`quantize`](super::quantize) refuses) gets -14.
///
/// ```
/// use cfm_model::quantize::weight_exponent;
/// assert_eq!([127.0, 127.01, 1.0, 0.0].map(weight_exponent), [0, 1, -6, -14]);
/// ```
#[must_use]
pub fn weight_exponent(max_abs: f32) -> i32 {
    if max_abs > 0.0 && max_abs.is_finite() {
        smallest(max_abs, WEIGHT_STEPS)
    } else {
        NO_WEIGHTS
    }
}

/// The exponent of an activation whose largest magnitude is `max`: the finest scale that holds it.
///
/// A rectified activation has 255 steps above zero (zero point -128), another one 127 (zero point 0). Nothing to hold
/// gives the image's exponent, -7. The result is in `-64 ..= 63`, as the format asks.
///
/// `None` for a range that is infinite or not a number: no scale holds what a diverged network computes.
///
/// ```
/// use cfm_model::quantize::activation_exponent;
/// assert_eq!(activation_exponent(6.0, true), Some(-5));
/// assert_eq!(activation_exponent(6.0, false), Some(-4));
/// assert_eq!(activation_exponent(f32::NAN, true), None);
/// ```
#[must_use]
pub fn activation_exponent(max: f32, relu: bool) -> Option<i8> {
    let steps = if relu { RECTIFIED_STEPS } else { LINEAR_STEPS };
    bounded(max, steps, -64, 63)
}

/// The exponent of logits whose largest magnitude is `max`: the finest 16-bit scale that holds it, in `-30 ..= 8`;
/// `None` for a range that is infinite or not a number.
///
/// ```
/// use cfm_model::quantize::logit_exponent;
/// assert_eq!(logit_exponent(16.0), Some(-10));
/// assert_eq!(logit_exponent(f32::INFINITY), None);
/// ```
#[must_use]
pub fn logit_exponent(max: f32) -> Option<i8> {
    bounded(max, LOGIT_STEPS, -30, 8)
}

fn bounded(max: f32, steps: f64, low: i8, high: i8) -> Option<i8> {
    if !max.is_finite() {
        return None;
    }
    let exponent = if max > 0.0 {
        smallest(max, steps)
    } else {
        NO_ACTIVATION
    };
    i8::try_from(exponent.clamp(low.into(), high.into())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn weight_exponents_are_smallest(max in prop::num::f32::POSITIVE | prop::num::f32::SUBNORMAL) {
            let max = max.abs();
            prop_assume!(max.is_finite() && max > 0.0);
            let k = weight_exponent(max);
            let max = f64::from(max);
            prop_assert!(max <= 127.0 * 2f64.powi(k));
            prop_assert!(max > 127.0 * 2f64.powi(k - 1));
        }

        #[test]
        fn activation_exponents_hold_the_range(max in 1e-15_f32..1e15, relu: bool) {
            let steps = if relu { 255.0 } else { 127.0 };
            let step = 2f64.powi(activation_exponent(max, relu).unwrap().into());
            prop_assert!(f64::from(max) <= steps * step);
            prop_assert!(f64::from(max) > steps * step / 2.0);
        }
    }

    #[test]
    fn powers_of_two_land_exactly() {
        for k in -100..100 {
            let max = 127.0 * 2f32.powi(k);
            assert_eq!(weight_exponent(max), k);
            assert_eq!(weight_exponent(max.next_up()), k + 1);
        }
    }

    #[test]
    fn nothing_and_extremes_have_an_exponent() {
        assert_eq!(weight_exponent(0.0), -14);
        assert_eq!(weight_exponent(f32::NAN), -14);
        assert_eq!(activation_exponent(0.0, true), Some(-7));
        assert_eq!(activation_exponent(-3.0, false), Some(-7));
        assert_eq!(activation_exponent(f32::MAX, true), Some(63));
        assert_eq!(activation_exponent(1e-40, true), Some(-64));
        assert_eq!(logit_exponent(f32::MAX), Some(8));
        assert_eq!(logit_exponent(1e-30), Some(-30));
    }

    #[test]
    fn ranges_that_are_not_finite_have_none() {
        for max in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(activation_exponent(max, true), None, "{max}");
            assert_eq!(activation_exponent(max, false), None, "{max}");
            assert_eq!(logit_exponent(max), None, "{max}");
        }
    }
}
