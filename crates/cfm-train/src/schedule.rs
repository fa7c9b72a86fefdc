//! Learning rates.

use core::f64::consts::PI;

/// The one-cycle rate at `step` of `steps`: a straight rise from a tenth of `peak` over the share `warmup` of the
/// steps, then half a cosine down to almost nothing.
#[must_use]
pub fn one_cycle(step: usize, steps: usize, peak: f64, warmup: f64) -> f64 {
    let at = step as f64 / steps.max(1) as f64;
    if at < warmup {
        return peak * (0.1 + 0.9 * at / warmup);
    }
    cosine(at - warmup, 1.0 - warmup, peak)
}

/// The rate `peak` falling along half a cosine to a thousandth of it, `at` of `length`.
#[must_use]
pub fn cosine(at: f64, length: f64, peak: f64) -> f64 {
    let share = (at / length.max(f64::MIN_POSITIVE)).min(1.0);
    peak * (0.001 + 0.999 * 0.5 * (1.0 + (PI * share).cos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_and_falls() {
        let rate = |step| one_cycle(step, 100, 0.08, 0.25);
        assert!((rate(0) - 0.008).abs() < 1e-12);
        assert!((rate(25) - 0.08).abs() < 1e-12);
        assert!(rate(99) < 0.0002);
        assert!((1..25).all(|step| rate(step) > rate(step - 1)));
        assert!((26..100).all(|step| rate(step) < rate(step - 1)));
    }
}
