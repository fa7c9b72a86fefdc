//! Calibrated scores: a logit as a probability, for people and for thresholds of an application.
//!
//! The one place of the core that wants a float. Labels never depend on it.

use micromath::F32Ext;

/// Platt's sigmoid, fitted on held-out segments: `P = 1 / (1 + exp(-(slope x + intercept)))`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Calibration {
    slope: f32,
    intercept: f32,
}

impl Calibration {
    /// A sigmoid with these coefficients; `None` unless both are finite.
    #[must_use]
    pub const fn new(slope: f32, intercept: f32) -> Option<Self> {
        if slope.is_finite() && intercept.is_finite() {
            Some(Self { slope, intercept })
        } else {
            None
        }
    }

    /// Coefficient of the logit.
    #[must_use]
    pub const fn slope(&self) -> f32 {
        self.slope
    }

    /// Constant term.
    #[must_use]
    pub const fn intercept(&self) -> f32 {
        self.intercept
    }

    /// The probability, in `0.0 ..= 1.0`, of a logit `q * 2^exponent`; the exponent is a model's, `-30 ..= 8`.
    ///
    /// ```
    /// use cfm_core::calibration::Calibration;
    /// let platt = Calibration::new(2.0, 0.0).unwrap();
    /// assert!((platt.probability(0, -8) - 0.5).abs() < 0.01);
    /// assert!(platt.probability(512, -8) > 0.97);
    /// ```
    #[must_use]
    pub fn probability(&self, logit: i16, exponent: i8) -> f32 {
        let x = f32::from(logit) * F32Ext::powi(2.0_f32, i32::from(exponent));
        let z = (self.slope * x + self.intercept).clamp(-80.0, 80.0);
        1.0 / (1.0 + F32Ext::exp(-z))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_close_to_the_sigmoid() {
        let platt = Calibration::new(1.5, -0.25).unwrap();
        for logit in (-2000_i16..2000).step_by(7) {
            let x = f64::from(logit) / 256.0;
            let exact = 1.0 / (1.0 + (-(1.5 * x - 0.25)).exp());
            let got = f64::from(platt.probability(logit, -8));
            assert!((got - exact).abs() < 0.01, "{logit}: {got} {exact}");
        }
    }

    #[test]
    fn absurd_logits_stay_in_range() {
        let platt = Calibration::new(1e30, 0.0).unwrap();
        for logit in [i16::MIN, -1, 0, 1, i16::MAX] {
            for exponent in [-30, 8] {
                let p = platt.probability(logit, exponent);
                assert!((0.0..=1.0).contains(&p));
            }
        }
    }
}
