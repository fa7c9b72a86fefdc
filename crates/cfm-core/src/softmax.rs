//! Softmax in integers: the same probabilities on every target.
//!
//! With `d = max - logit` and the logits' exponent e, the weight of a class is `2^-t`, `t = d * 2^e * log2(e)`:
//!
//! ```text
//! t = (d * 1549082005) >> (14 - e)            1549082005 = round(log2(e) * 2^30); t in 1/65536
//! n = t >> 16;  i = (t & 0xFFFF) >> 10;  r = t & 0x3FF
//! v = TABLE[i] - (((TABLE[i] - TABLE[i + 1]) * r) >> 10)      TABLE[i] = round(2^31 * 2^(-i / 64))
//! w = n < 32 ? v >> n : 0
//! p = min(65535, (65536 w + S / 2) / S)       S = sum of all w; p in 1/65536
//! ```
//!
//! Linear interpolation between 65 points stays within 2^-16 of `2^-x`; p stays within 2^-12 of the real softmax and
//! never orders two classes against their logits.

use fixed::types::{I32F32, U0F16};

/// `round(log2(e) * 2^30)`.
const LOG2_E: u64 = 1_549_082_005;

/// `round(2^31 * 2^(-i / 64))`.
const TABLE: [u32; 65] = [
    2_147_483_648,
    2_124_350_982,
    2_101_467_502,
    2_078_830_522,
    2_056_437_387,
    2_034_285_470,
    2_012_372_174,
    1_990_694_927,
    1_969_251_188,
    1_948_038_440,
    1_927_054_196,
    1_906_295_993,
    1_885_761_398,
    1_865_448_001,
    1_845_353_420,
    1_825_475_297,
    1_805_811_301,
    1_786_359_126,
    1_767_116_489,
    1_748_081_133,
    1_729_250_827,
    1_710_623_359,
    1_692_196_547,
    1_673_968_228,
    1_655_936_265,
    1_638_098_541,
    1_620_452_965,
    1_602_997_467,
    1_585_730_000,
    1_568_648_537,
    1_551_751_076,
    1_535_035_634,
    1_518_500_250,
    1_502_142_985,
    1_485_961_921,
    1_469_955_159,
    1_454_120_821,
    1_438_457_051,
    1_422_962_010,
    1_407_633_882,
    1_392_470_869,
    1_377_471_191,
    1_362_633_090,
    1_347_954_824,
    1_333_434_672,
    1_319_070_932,
    1_304_861_917,
    1_290_805_962,
    1_276_901_417,
    1_263_146_652,
    1_249_540_052,
    1_236_080_024,
    1_222_764_986,
    1_209_593_378,
    1_196_563_654,
    1_183_674_286,
    1_170_923_762,
    1_158_310_587,
    1_145_833_280,
    1_133_490_379,
    1_121_280_436,
    1_109_202_018,
    1_097_253_708,
    1_085_434_106,
    1_073_741_824,
];

/// The real value of a logit, `logit * 2^exponent`, exactly; `exponent` is a model's, `-30 ..= 8`.
///
/// ```
/// assert_eq!(cfm_core::softmax::logit_value(-3, -1), -1.5);
/// ```
#[must_use]
pub fn logit_value(logit: i16, exponent: i8) -> I32F32 {
    let shift = (32 + i32::from(exponent)).clamp(0, 40);
    I32F32::from_bits(i64::from(logit) << shift)
}

/// Writes the softmax of `logits` (one step is `2^exponent`, `-30 ..= 8`) to `probabilities`.
///
/// Elements beyond the shorter slice are left alone.
///
/// ```
/// use cfm_core::softmax::softmax;
/// use fixed::types::U0F16;
/// let mut p = [U0F16::ZERO; 2];
/// softmax(&[64, 64], -6, &mut p);
/// assert_eq!(p, [0.5, 0.5]);
/// ```
pub fn softmax(logits: &[i16], exponent: i8, probabilities: &mut [U0F16]) {
    let Some(&max) = logits.iter().max() else {
        return;
    };
    let weight = |&logit: &i16| exp2_negative(max.abs_diff(logit), exponent);
    let sum: u64 = logits.iter().map(weight).sum();
    for (p, logit) in probabilities.iter_mut().zip(logits) {
        let share = ((weight(logit) << 16) + sum / 2)
            .checked_div(sum)
            .unwrap_or(0);
        *p = U0F16::from_bits(u16::try_from(share).unwrap_or(u16::MAX));
    }
}

/// `2^31 * exp(-d * 2^exponent)`, as the module's formula has it.
fn exp2_negative(d: u16, exponent: i8) -> u64 {
    let t = (u64::from(d) * LOG2_E) >> (14 - i32::from(exponent)).clamp(6, 44);
    let n = t >> 16;
    if n >= 32 {
        return 0;
    }
    let i = ((t & 0xFFFF) >> 10) as usize;
    let r = t & 0x3FF;
    let (Some(&high), Some(&low)) = (TABLE.get(i), TABLE.get(i + 1)) else {
        return 0;
    };
    (u64::from(high) - ((u64::from(high - low) * r) >> 10)) >> n
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::model::format::MAX_CLASSES;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn table_is_the_rounded_power() {
        for (i, &value) in TABLE.iter().enumerate() {
            let exact = 2_f64.powf(31.0 - i as f64 / 64.0);
            assert!((f64::from(value) - exact).abs() <= 0.5 + 1e-6, "{i}");
        }
    }

    /// The exponents of a model's logits.
    const EXPONENTS: core::ops::RangeInclusive<i8> = -30..=8;

    /// Differences of two logits; not all of them in Miri, which is slow.
    fn differences() -> impl Iterator<Item = u16> {
        (0..=u16::MAX).step_by(if cfg!(miri) { 2551 } else { 1 })
    }

    #[test]
    fn every_weight_is_close_to_the_power_and_none_is_above_a_smaller_difference() {
        for exponent in EXPONENTS {
            let mut last = 1 << 31;
            assert_eq!(exp2_negative(0, exponent), last);
            for d in differences() {
                let weight = exp2_negative(d, exponent);
                let real = (-f64::from(d) * 2_f64.powi(exponent.into())).exp();
                // The interpolation, and t's last bit.
                let error = (weight as f64 / 2_f64.powi(31) - real).abs();
                assert!(error < 2_f64.powi(-15), "{d} {exponent}: {error}");
                assert!(weight <= last, "{d} {exponent}");
                last = weight;
            }
        }
    }

    #[test]
    fn every_pair_of_logits_has_its_probabilities() {
        for exponent in EXPONENTS {
            for d in differences() {
                let logits = [i16::MAX, i16::MAX.wrapping_sub_unsigned(d)];
                let mut p = [U0F16::ZERO; 2];
                softmax(&logits, exponent, &mut p);
                let real = 1.0 / (1.0 + (-f64::from(d) * 2_f64.powi(exponent.into())).exp());
                let [p, q] = p.map(|p| p.to_num::<f64>());
                assert!((p - real).abs() <= 2_f64.powi(-12), "{d} {exponent}: {p}");
                assert!(
                    (q - (1.0 - real)).abs() <= 2_f64.powi(-12),
                    "{d} {exponent}: {q}"
                );
                assert!(p >= q, "{d} {exponent}");
            }
        }
    }

    #[test]
    fn a_single_class_and_as_many_as_there_can_be() {
        for exponent in EXPONENTS {
            for logit in [i16::MIN, -1, 0, i16::MAX] {
                let mut p = [U0F16::ZERO];
                softmax(&[logit], exponent, &mut p);
                assert_eq!(p, [U0F16::MAX], "there is no 1");
                let mut p = [U0F16::ZERO; MAX_CLASSES];
                softmax(&[logit; MAX_CLASSES], exponent, &mut p);
                assert_eq!(p, [U0F16::from_bits(257); MAX_CLASSES]);
            }
        }
        softmax(&[], 0, &mut []);
    }

    #[test]
    fn logits_have_their_exact_values() {
        for exponent in EXPONENTS {
            for logit in (i16::MIN..=i16::MAX).step_by(if cfg!(miri) { 4095 } else { 1 }) {
                let exact = f64::from(logit) * 2_f64.powi(exponent.into());
                assert_eq!(logit_value(logit, exponent).to_num::<f64>(), exact);
            }
        }
    }

    proptest! {
        #[test]
        fn is_close_to_the_real_softmax_and_keeps_the_order(
            logits in prop::collection::vec(any::<i16>(), 1..40),
            exponent in -30_i8..=8
        ) {
            let mut p = vec![U0F16::ZERO; logits.len()];
            softmax(&logits, exponent, &mut p);
            let max = f64::from(*logits.iter().max().unwrap());
            let weights: Vec<f64> = logits
                .iter()
                .map(|&l| ((f64::from(l) - max) * 2_f64.powi(i32::from(exponent))).exp())
                .collect();
            let sum: f64 = weights.iter().sum();
            for (i, p_i) in p.iter().enumerate() {
                prop_assert!((p_i.to_num::<f64>() - weights[i] / sum).abs() <= 2_f64.powi(-12));
                for (j, p_j) in p.iter().enumerate() {
                    prop_assert!(logits[i] < logits[j] || p_i >= p_j);
                }
            }
        }
    }
}
