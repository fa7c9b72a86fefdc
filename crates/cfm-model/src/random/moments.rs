//! A guess at how the values of a tensor spread, so that the next layer can be scaled to use its range.
//!
//! Rough on purpose, and in basic arithmetic and square roots alone: those give the same bits on every machine.

use crate::spec::OutputScale;

/// Mean and standard deviation of a tensor's quantized values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moments {
    pub(super) mean: f64,
    pub(super) deviation: f64,
}

impl Moments {
    /// Those of an image whose samples are anything.
    pub(super) const IMAGE: Self = Self {
        mean: 0.0,
        deviation: 70.0,
    };

    /// Values around `centre`, clamped by `output`.
    pub(super) fn clamped(centre: f64, deviation: f64, output: OutputScale) -> Self {
        // An even spread of a few samples stands for the distribution.
        let samples = (-8..=8).map(|i| {
            let value = centre + deviation * 3f64.sqrt() * f64::from(i) / 8.0;
            value.max(output.low.into()).min(output.high.into())
        });
        let count = 17.0;
        let mean = samples.clone().sum::<f64>() / count;
        let variance = samples.map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
        Self {
            mean,
            deviation: variance.sqrt(),
        }
    }

    /// Maxima over a few values.
    pub(super) fn maximum(self) -> Self {
        Self {
            mean: self.mean + self.deviation,
            deviation: self.deviation * 0.7,
        }
    }

    /// Means over `count` values, which are alike where they are neighbours.
    pub(super) fn average(self, count: u16) -> Self {
        Self {
            mean: self.mean,
            deviation: self.deviation / f64::from(count).sqrt().sqrt(),
        }
    }

    /// Values of either, one as often as the other.
    pub(super) fn either(self, other: Self) -> Self {
        Self {
            mean: (self.mean + other.mean) / 2.0,
            deviation: self.deviation.max(other.deviation),
        }
    }
}

/// `2^exponent`, exactly.
pub(super) fn power_of_two(exponent: i32) -> f64 {
    let factor = if exponent < 0 { 0.5 } else { 2.0 };
    (0..exponent.unsigned_abs()).fold(1.0, |power, _| power * factor)
}

/// `log2(value)`, rounded to a near integer; 0 for a value below 1.
pub(super) fn rounded_log2(mut value: f64) -> i64 {
    let mut log = 0;
    // The midpoint on a logarithmic scale.
    while value > 1.414 && log < 1000 {
        value /= 2.0;
        log += 1;
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::IMAGE_SCALE;

    #[test]
    fn logarithms_round() {
        let found = [0.1, 1.0, 1.4, 1.5, 2.0, 2.8, 2.9, 1024.0].map(rounded_log2);
        assert_eq!(found, [0, 0, 0, 1, 1, 1, 2, 10]);
        assert_eq!(rounded_log2(f64::INFINITY), 1000);
    }

    #[test]
    fn powers_are_exact() {
        for exponent in -70..70 {
            assert_eq!(power_of_two(exponent), 2f64.powi(exponent));
        }
    }

    #[test]
    fn clamping_narrows() {
        let wide = Moments::clamped(0.0, 30.0, IMAGE_SCALE);
        assert!(wide.mean.abs() < 1e-9 && (wide.deviation - 30.0).abs() < 3.0);
        let rectified = OutputScale {
            low: 0,
            ..IMAGE_SCALE
        };
        let half = Moments::clamped(0.0, 30.0, rectified);
        assert!(half.mean > 5.0 && half.deviation < 20.0);
        assert_eq!(Moments::clamped(500.0, 30.0, IMAGE_SCALE).deviation, 0.0);
    }
}
