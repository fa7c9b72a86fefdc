//! The softmax of the contract, straight from its definition.
//!
//! With `d = max - logit`, `L = round(log2(e) * 2^30)` and `e` the logits' exponent, the exponent of two in Q16 is
//! `t = floor(d * L / 2^(14 - e))`. Its integer part shifts, its upper six fraction bits choose an entry of
//! `T[i] = round(2^31 * 2^(-i / 64))` and its lower ten interpolate. Probabilities are rounded to U0F16.

/// Bits of the fraction of `t` that interpolate between two entries.
const INTERPOLATED_BITS: u32 = 10;

/// Probabilities as U0F16 bits, one per logit; `logit_exponent` is in `-30 ..= 8`.
#[must_use]
pub fn softmax(logits: &[i16], logit_exponent: i8) -> Vec<u16> {
    let log2_e = (std::f64::consts::LOG2_E * f64::from(1 << 30)).round() as u128;
    let Some(max) = logits.iter().copied().max() else {
        return Vec::new();
    };
    let weights: Vec<u128> = logits
        .iter()
        .map(|&logit| {
            let distance = u128::from(max.abs_diff(logit));
            let divisor = 1_u128 << (14 - i32::from(logit_exponent));
            let t = distance * log2_e / divisor;
            let (integer, fraction) = (t / 65536, t % 65536);
            let (low, rest) = (fraction >> INTERPOLATED_BITS, fraction % 1024);
            let (a, b) = (entry(low), entry(low + 1));
            let value = a - (a - b) * rest / 1024;
            if integer >= 32 {
                0
            } else {
                value / (1 << integer)
            }
        })
        .collect();
    let sum: u128 = weights.iter().sum();
    weights
        .iter()
        .map(|weight| ((weight * 65536 + sum / 2) / sum).min(65535) as u16)
        .collect()
}

/// `round(2^31 * 2^(-i / 64))`.
fn entry(i: u128) -> u128 {
    (31.0 - i as f64 / 64.0).exp2().round() as u128
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_share_equally() {
        assert_eq!(softmax(&[7; 4], -8), [16384; 4]);
        assert_eq!(softmax(&[-32768], 0), [65535]);
    }

    #[test]
    fn one_bit_of_logit_at_exponent_zero() {
        // 1 / (1 + e^-1) = 0.731059: 47910.7 of 65536, within the 16 units that the contract allows.
        let p = softmax(&[1, 0], 0);
        assert!(
            p[0].abs_diff(47911) <= 16 && p[1].abs_diff(17625) <= 16,
            "{p:?}"
        );
    }

    #[test]
    fn close_to_the_real_softmax_at_every_exponent() {
        let logits = [-32768, 32767, 32000, 31000, 1000, 0, -5, 32766];
        for exponent in -30..=8 {
            let step = 2_f64.powi(i32::from(exponent));
            let powers: Vec<f64> = logits
                .iter()
                .map(|&q| ((f64::from(q) - 32767.0) * step).exp())
                .collect();
            let sum: f64 = powers.iter().sum();
            for (p, real) in softmax(&logits, exponent).iter().zip(&powers) {
                let error = (f64::from(*p) / 65536.0 - real / sum).abs();
                assert!(
                    error < 2_f64.powi(-12),
                    "exponent {exponent}: error {error}"
                );
            }
        }
    }
}
