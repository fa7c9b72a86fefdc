//! Real scales as mantissas and shifts, and as exponents.

use cfm_core::requantize::{MANTISSA_MAX, MANTISSA_MIN, SHIFT_MAX};

use super::super::error::Reason;

/// `mantissa * 2^-shift`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Multiplier {
    pub mantissa: u16,
    pub shift: u8,
    /// How far it is from the real multiplier, as a share of that; at most 2^-15.
    pub error: f64,
}

impl Multiplier {
    /// The multiplier nearest to `real`.
    pub fn nearest(real: f64) -> Result<Self, Reason> {
        if !real.is_normal() || real < 0.0 {
            return Err(format!("the multiplier {real} is no positive number"));
        }
        let mut shift = 14 - exponent(real);
        let mut mantissa = (real * f64::from(shift).exp2()).round_ties_even();
        if mantissa > f64::from(MANTISSA_MAX) {
            mantissa /= 2.0;
            shift -= 1;
        }
        let error = (mantissa * f64::from(-shift).exp2() / real - 1.0).abs();
        match u8::try_from(shift) {
            Ok(shift) if shift <= SHIFT_MAX => Ok(Self {
                // From 2^14 to 2^15 - 1.
                mantissa: (mantissa as u16).max(MANTISSA_MIN),
                shift,
                error,
            }),
            _ => Err(format!(
                "the multiplier {real:e} is not m * 2^-s with a 15-bit m and s in 0 ..= {SHIFT_MAX}"
            )),
        }
    }
}

/// The largest e with `2^e <= real`, for a normal positive number.
fn exponent(real: f64) -> i32 {
    let bits = real.to_bits() >> 52;
    // Eleven bits.
    bits as i32 - 1023
}

/// The exponent that stands for a scale: `2^e <= scale < 2^(e + 1)`.
pub fn nominal(scale: f32) -> Result<i8, Reason> {
    if !scale.is_normal() || scale < 0.0 {
        return Err(format!("the scale {scale} is no positive number"));
    }
    i8::try_from(exponent(scale.into()))
        .ok()
        .filter(|e| (-64..=63).contains(e))
        .ok_or_else(|| format!("the scale {scale:e} is not in 2^-64 .. 2^64"))
}

/// Whether a scale is a power of two, as the format has it.
pub fn is_power_of_two(scale: f32) -> bool {
    scale.to_bits() & 0x007f_ffff == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn multipliers_of_the_format_come_back(mantissa in MANTISSA_MIN..=MANTISSA_MAX, shift in 0..=SHIFT_MAX) {
            let real = f64::from(mantissa) * f64::from(-i32::from(shift)).exp2();
            prop_assert_eq!(Multiplier::nearest(real).unwrap(), Multiplier { mantissa, shift, error: 0.0 });
        }

        #[test]
        fn any_other_is_off_by_less_than_half_a_step(real in 1e-14_f64..1e4) {
            let found = Multiplier::nearest(real).unwrap();
            let value = f64::from(found.mantissa) * f64::from(-i32::from(found.shift)).exp2();
            prop_assert!((value / real - 1.0).abs() <= f64::from(-15).exp2());
            prop_assert!((value / real - 1.0).abs() == found.error);
        }
    }

    #[test]
    fn absurd_multipliers_are_refused() {
        for real in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9, 1e-30] {
            assert!(Multiplier::nearest(real).is_err(), "{real}");
        }
        assert_eq!(
            Multiplier::nearest(0.999_999).unwrap().mantissa,
            MANTISSA_MIN
        );
    }

    #[test]
    fn exponents_are_those_below() {
        assert_eq!(
            [1.0, 1.99, 0.5, 0.49].map(|s| nominal(s).unwrap()),
            [0, 0, -1, -2]
        );
        assert!(nominal(0.0).is_err() && nominal(f32::MAX).is_err());
        assert!(is_power_of_two(0.125) && !is_power_of_two(1.0 / 255.0));
    }
}
