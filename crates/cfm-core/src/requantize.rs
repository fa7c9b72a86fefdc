//! Rounding and re-quantization: the only places where precision is lost.
//!
//! An accumulator `acc` (i32) of output channel `o` becomes the activation
//!
//! ```text
//! clamp(z_out + rne(acc * m[o], s[o]), lo, hi)
//! ```
//!
//! with a 15-bit mantissa `m` in `2^14 ..= 2^15 - 1` and a right shift `s` in `0 ..= 62`, so `m * 2^-s` is the real
//! multiplier `scale_in * scale_weight / scale_out`. A power-of-two weight scale has `m = 2^14`: a rounding shift,
//! no multiplier in hardware. `|acc| < 2^31` and `m < 2^15` keep the product below 2^46.

/// Smallest mantissa of a re-quantization multiplier (exactly a power of two).
pub const MANTISSA_MIN: u16 = 1 << 14;
/// Largest mantissa of a re-quantization multiplier.
pub const MANTISSA_MAX: u16 = (1 << 15) - 1;
/// Largest right shift of a re-quantization.
pub const SHIFT_MAX: u8 = 62;

/// `value / 2^shift`, rounded to nearest, ties to even.
///
/// `shift` is at most 62; a larger one is taken as 62.
///
/// ```
/// use cfm_core::requantize::rne;
/// assert_eq!([rne(1, 1), rne(3, 1), rne(-1, 1), rne(-3, 1), rne(5, 2)], [0, 2, 0, -2, 1]);
/// ```
#[must_use]
#[inline]
pub const fn rne(value: i64, shift: u8) -> i64 {
    let shift = if shift > SHIFT_MAX { SHIFT_MAX } else { shift };
    let floor = value >> shift;
    let remainder = value - (floor << shift);
    let half_up = 2 * (remainder as u64) > (1_u64 << shift);
    let tie = 2 * (remainder as u64) == (1_u64 << shift);
    floor + (half_up || (tie && floor & 1 == 1)) as i64
}

/// `numerator / denominator`, rounded to nearest, ties to even; zero for a denominator below one.
///
/// ```
/// use cfm_core::requantize::rne_div;
/// assert_eq!([rne_div(5, 2), rne_div(7, 2), rne_div(-5, 2), rne_div(-4, 3)], [2, 4, -2, -1]);
/// ```
#[must_use]
#[inline]
pub const fn rne_div(numerator: i32, denominator: i32) -> i32 {
    if denominator < 1 {
        return 0;
    }
    let floor = numerator.div_euclid(denominator);
    // Below `2 * denominator`, which has no more than 32 bits.
    let twice = 2 * numerator.rem_euclid(denominator).cast_unsigned();
    let denominator = denominator.cast_unsigned();
    let up = twice > denominator || (twice == denominator && floor & 1 == 1);
    floor + up as i32
}

/// The output side of a layer: zero point, exponent and the fused activation's range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OutputScale {
    /// Zero point: the quantized value of real zero.
    pub zero_point: i8,
    /// Exponent: one quantization step is `2^exponent`.
    pub exponent: i8,
    /// Smallest output (ReLU: the zero point).
    pub low: i8,
    /// Largest output (ReLU6: `zero_point + 6 / 2^exponent`).
    pub high: i8,
}

impl OutputScale {
    /// `clamp(zero_point + value, low, high)`.
    #[must_use]
    #[inline]
    pub const fn clamp(&self, value: i64) -> i8 {
        let shifted = value.saturating_add(self.zero_point as i64);
        if shifted < self.low as i64 {
            self.low
        } else if shifted > self.high as i64 {
            self.high
        } else {
            shifted as i8
        }
    }
}

/// One output channel's bias and multiplier, as the model file stores them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Channel {
    /// Bias at the accumulator's scale; holds `-z_in * sum(w)` already.
    pub bias: i32,
    /// Multiplier's mantissa, [`MANTISSA_MIN`] `..=` [`MANTISSA_MAX`].
    pub mantissa: u16,
    /// Multiplier's right shift, `0 ..=` [`SHIFT_MAX`].
    pub shift: u8,
}

impl Channel {
    /// `rne(acc * mantissa, shift)`.
    #[must_use]
    #[inline]
    pub const fn scale(&self, acc: i32) -> i64 {
        rne(acc as i64 * self.mantissa as i64, self.shift)
    }

    /// The activation of accumulator `acc`.
    #[must_use]
    #[inline]
    pub const fn requantize(&self, acc: i32, out: &OutputScale) -> i8 {
        out.clamp(self.scale(acc))
    }

    /// The logit of accumulator `acc`: `clamp(rne(acc * m, s), -32768, 32767)`.
    #[must_use]
    #[inline]
    pub const fn logit(&self, acc: i32) -> i16 {
        let value = self.scale(acc);
        if value < i16::MIN as i64 {
            i16::MIN
        } else if value > i16::MAX as i64 {
            i16::MAX
        } else {
            value as i16
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition over rationals: the nearest integer, and of two the even one.
    fn nearest_even(n: i128, d: i128) -> i128 {
        let floor = n.div_euclid(d);
        let twice = 2 * n.rem_euclid(d);
        match twice.cmp(&d) {
            core::cmp::Ordering::Less => floor,
            core::cmp::Ordering::Greater => floor + 1,
            core::cmp::Ordering::Equal => floor + (floor & 1),
        }
    }

    #[test]
    fn rne_is_nearest_even_exhaustively_on_a_small_domain() {
        for shift in 0..12 {
            for value in (-9000_i64..=9000).step_by(STEP) {
                assert_eq!(
                    i128::from(rne(value, shift)),
                    nearest_even(i128::from(value), 1 << shift),
                    "{value} >> {shift}"
                );
            }
        }
    }

    #[test]
    fn rne_div_is_nearest_even_exhaustively_on_a_small_domain() {
        for d in 1..70 {
            for n in (-4000..=4000).step_by(STEP) {
                assert_eq!(
                    i128::from(rne_div(n, d)),
                    nearest_even(i128::from(n), i128::from(d)),
                    "{n} / {d}"
                );
            }
        }
    }

    /// Whether `rounded` is `value / 2^shift` to nearest, ties to even, told by the distance alone.
    fn is_nearest_even(value: i64, shift: u8, rounded: i64) -> bool {
        let twice = 2 * (i128::from(value) - (i128::from(rounded) << shift)).abs();
        twice < 1 << shift || (twice == 1 << shift && rounded & 1 == 0)
    }

    /// Not every number in Miri, which is slow.
    const STEP: usize = if cfg!(miri) { 1999 } else { 1 };

    #[test]
    fn every_16_bit_sum_is_rounded_and_clamped_at_every_shift() {
        let out = OutputScale {
            zero_point: -7,
            exponent: 0,
            low: -100,
            high: 90,
        };
        for mantissa in [MANTISSA_MIN, MANTISSA_MIN + 1, 23_171, MANTISSA_MAX] {
            for shift in 0..=SHIFT_MAX {
                let channel = Channel {
                    bias: 0,
                    mantissa,
                    shift,
                };
                for acc in (i32::from(i16::MIN)..=i16::MAX.into()).step_by(STEP) {
                    let product = i64::from(acc) * i64::from(mantissa);
                    let scaled = channel.scale(acc);
                    assert!(
                        is_nearest_even(product, shift, scaled),
                        "{acc} * {mantissa} >> {shift}: {scaled}"
                    );
                    let activation = (scaled - 7).clamp(-100, 90);
                    assert_eq!(i64::from(channel.requantize(acc, &out)), activation);
                    let logit = scaled.clamp(-32_768, 32_767);
                    assert_eq!(i64::from(channel.logit(acc)), logit);
                }
            }
        }
    }

    #[test]
    fn rne_holds_at_the_ends_of_64_bits_and_beside_every_tie() {
        for shift in 0..=u8::MAX {
            let taken = shift.min(SHIFT_MAX);
            let half = (1_i64 << taken) / 2;
            let ends = [i64::MIN, i64::MIN + half, 0, i64::MAX - half, i64::MAX];
            let ties = [1, 2, 3, 4].map(|odd| half.saturating_mul(odd));
            for value in ends.into_iter().chain(ties).chain(ties.map(|tie| -tie)) {
                for beside in -1..=1 {
                    let value = value.saturating_add(beside);
                    assert!(
                        is_nearest_even(value, taken, rne(value, shift)),
                        "{value} >> {shift}"
                    );
                }
            }
        }
    }

    #[test]
    fn rne_div_holds_at_the_ends_of_32_bits() {
        let corners = [
            i32::MIN,
            i32::MIN + 1,
            -3,
            -1,
            0,
            1,
            2,
            3,
            1 << 30,
            i32::MAX - 1,
            i32::MAX,
        ];
        for n in corners {
            for d in corners {
                let expected = match d {
                    1.. => nearest_even(n.into(), d.into()),
                    _ => 0,
                };
                assert_eq!(i128::from(rne_div(n, d)), expected, "{n} / {d}");
            }
        }
    }

    #[test]
    fn clamping_saturates() {
        for (low, high, zero_point) in [(-128, 127, 127), (-128, 127, -128), (5, 5, 0)] {
            let out = OutputScale {
                zero_point,
                exponent: 0,
                low,
                high,
            };
            assert_eq!([out.clamp(i64::MIN), out.clamp(i64::MAX)], [low, high]);
        }
    }

    proptest::proptest! {
        #[test]
        fn rne_is_nearest_even(value in -(1_i64 << 62)..(1_i64 << 62), shift in 0_u8..=62) {
            proptest::prop_assert_eq!(
                i128::from(rne(value, shift)),
                nearest_even(i128::from(value), 1_i128 << shift)
            );
        }

        #[test]
        fn requantize_clamps_the_rounded_product(
            acc: i32,
            mantissa in MANTISSA_MIN..=MANTISSA_MAX,
            shift in 0_u8..=62,
            zero_point: i8,
            (low, high) in proptest::prelude::any::<(i8, i8)>()
        ) {
            let (low, high) = (low.min(high), low.max(high));
            let out = OutputScale { zero_point, exponent: 0, low, high };
            let exact = nearest_even(i128::from(acc) * i128::from(mantissa), 1_i128 << shift)
                + i128::from(zero_point);
            let expected = exact.clamp(i128::from(low), i128::from(high));
            let channel = Channel { bias: 0, mantissa, shift };
            proptest::prop_assert_eq!(i128::from(channel.requantize(acc, &out)), expected);
        }
    }
}
