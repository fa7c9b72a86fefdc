//! Activation ranges from data: which values a tensor takes, and the 8-bit scale that suits them.
//!
//! A [`Histogram`] streams over any number of values in constant memory. Its bins are 256 to an octave, so they are
//! never wider than half a step wherever an 8-bit scale does not clip, and their edges lie on the half steps of every
//! power-of-two scale. All values of a bin therefore round to the same integer, and the mean squared error of a scale
//! is that of the bins' centres plus the bins' own spread.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::{activation_exponent, logit_exponent};
use crate::float_model::{Activation, ActivationScale};
use crate::spec::OutputScale;

/// The bits of an f32 below those that number its bin: sign, exponent and 8 bits of the mantissa remain.
const BIN_BITS: u32 = 15;
/// Bins of one sign: all finite magnitudes.
const BINS: usize = 0x7f80_0000 >> BIN_BITS;
/// How many powers of two below the range's own scale the search for the least error tries.
const SEARCH: i8 = 16;
/// Logits of images that calibration has not seen may be this much larger.
const LOGIT_ROOM: f32 = 2.0;

/// How the range of an activation is chosen from the values seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RangeMethod {
    /// The largest magnitude: nothing seen is clipped.
    Max,
    /// The magnitude that this percentage of all values does not exceed.
    Percentile(Percentile),
    /// The scale with the least mean squared error of rounding and clipping together.
    MeanSquaredError,
}

/// A percentage above 0 and at most 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percentile(f64);

impl Percentile {
    /// `None` outside `0 < percent <= 100`.
    #[must_use]
    pub fn new(percent: f64) -> Option<Self> {
        (percent > 0.0 && percent <= 100.0).then_some(Self(percent))
    }
}

/// A text that names no range method.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is none of max, mse, percentile=P with 0 < P <= 100")]
pub struct RangeMethodError(String);

impl FromStr for RangeMethod {
    type Err = RangeMethodError;

    fn from_str(text: &str) -> Result<Self, RangeMethodError> {
        let refused = || RangeMethodError(text.to_owned());
        match text {
            "max" => Ok(Self::Max),
            "mse" => Ok(Self::MeanSquaredError),
            _ => {
                let percent = text.strip_prefix("percentile=").ok_or_else(refused)?;
                let percent = percent.parse().ok().and_then(Percentile::new);
                Ok(Self::Percentile(percent.ok_or_else(refused)?))
            }
        }
    }
}

impl fmt::Display for RangeMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("max"),
            Self::Percentile(Percentile(percent)) => write!(f, "percentile={percent}"),
            Self::MeanSquaredError => f.write_str("mse"),
        }
    }
}

/// A value that is infinite or not a number: no scale holds what a diverged network computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a value is infinite or not a number")]
pub struct NotFinite;

/// How often which values occur.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// Counts by magnitude of the values from zero up; empty until there is one.
    positive: Vec<u64>,
    /// Counts by magnitude of the values below zero; empty until there is one.
    negative: Vec<u64>,
    count: u64,
    max_abs: f32,
}

impl Histogram {
    /// Counts values.
    ///
    /// # Errors
    /// [`NotFinite`]; the values before the first such one have been counted.
    pub fn add(&mut self, values: &[f32]) -> Result<(), NotFinite> {
        for &value in values {
            if !value.is_finite() {
                return Err(NotFinite);
            }
            let magnitude = value.abs();
            let counts = if value < 0.0 {
                &mut self.negative
            } else {
                &mut self.positive
            };
            if counts.is_empty() {
                counts.resize(BINS, 0);
            }
            counts[(magnitude.to_bits() >> BIN_BITS) as usize] += 1;
            self.count += 1;
            self.max_abs = self.max_abs.max(magnitude);
        }
        Ok(())
    }

    /// Counts what `other` has counted, too.
    pub fn merge(&mut self, other: &Self) {
        for (counts, more) in [
            (&mut self.positive, &other.positive),
            (&mut self.negative, &other.negative),
        ] {
            if counts.is_empty() {
                counts.clone_from(more);
            } else {
                for (count, more) in counts.iter_mut().zip(more) {
                    *count += more;
                }
            }
        }
        self.count += other.count;
        self.max_abs = self.max_abs.max(other.max_abs);
    }

    /// How many values were counted.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The largest magnitude; 0 without any value.
    #[must_use]
    pub const fn max_abs(&self) -> f32 {
        self.max_abs
    }

    /// The magnitude that `percent` of the values do not exceed, rounded up to a bin's end (less than half a percent).
    #[must_use]
    pub fn percentile(&self, percent: Percentile) -> f32 {
        let needed = percent.0 / 100.0 * self.count as f64;
        let mut below = 0;
        for bin in 0..BINS {
            below += self.positive.get(bin).unwrap_or(&0) + self.negative.get(bin).unwrap_or(&0);
            if below as f64 >= needed {
                // The last bin's end, 2^128, becomes infinite.
                return (bin_start(bin + 1) as f32).min(self.max_abs);
            }
        }
        self.max_abs
    }

    /// The scale that `method` chooses for the output of `activation`; the image's when nothing was counted.
    #[must_use]
    pub fn scale(&self, activation: Activation, method: RangeMethod) -> ActivationScale {
        let max = match method {
            RangeMethod::Max | RangeMethod::MeanSquaredError => self.max_abs,
            RangeMethod::Percentile(percent) => self.percentile(percent),
        };
        let max = match activation {
            Activation::Relu6 => max.min(6.0),
            Activation::None | Activation::Relu => max,
        };
        let with = |exponent| match activation {
            Activation::None => ActivationScale::linear(exponent),
            Activation::Relu => ActivationScale::relu(exponent),
            Activation::Relu6 => ActivationScale::relu6(exponent),
        };
        // Only finite values were counted.
        let top = activation_exponent(max, activation != Activation::None).unwrap_or(0);
        if method != RangeMethod::MeanSquaredError {
            return with(top);
        }
        let bins = self.bins();
        let candidates = (top.saturating_sub(SEARCH).max(-64)..=top).rev().map(with);
        let errors = candidates.map(|scale| (squared_error(&bins, &scale.output_scale()), scale));
        // The first of several equal ones: the coarsest, which clips least.
        errors
            .min_by(|(a, _), (b, _)| a.total_cmp(b))
            .map_or(with(top), |(_, scale)| scale)
    }

    /// The exponent of logits: the finest that leaves twice the room of the largest magnitude (or of 1, if that is
    /// larger). 16 bits have steps to spare, and an image not seen may have larger logits.
    #[must_use]
    pub fn logit_exponent(&self) -> i8 {
        // Only finite values were counted, and the largest f32 has the coarsest exponent.
        let room = (LOGIT_ROOM * self.max_abs.max(1.0)).min(f32::MAX);
        logit_exponent(room).unwrap_or(0)
    }

    /// The mean squared error of rounding and clipping to `scale`; 0 without any value.
    #[must_use]
    pub fn mean_squared_error(&self, scale: &OutputScale) -> f64 {
        squared_error(&self.bins(), scale) / self.count.max(1) as f64
    }

    /// The share of values that would round to an integer outside `scale`'s clamp range; 0 without any value.
    #[must_use]
    pub fn clipped(&self, scale: &OutputScale) -> f64 {
        let (low, high, step) = limits(scale);
        let outside = self.bins().into_iter().filter(|bin| {
            let steps = (bin.centre / step).round();
            steps < low || steps > high
        });
        // An empty sum of floats would be -0.
        outside.fold(0.0, |sum, bin| sum + bin.count) / self.count.max(1) as f64
    }

    fn bins(&self) -> Vec<Bin> {
        let signs = [(1.0, &self.positive), (-1.0, &self.negative)];
        signs
            .into_iter()
            .flat_map(|(sign, counts)| {
                counts
                    .iter()
                    .enumerate()
                    .filter(|&(_, &count)| count > 0)
                    .map(move |(bin, &count)| {
                        let (start, end) = (bin_start(bin), bin_start(bin + 1));
                        Bin {
                            centre: sign * (start + end) / 2.0,
                            width: end - start,
                            count: count as f64,
                        }
                    })
            })
            .collect()
    }
}

/// A bin that is not empty.
struct Bin {
    centre: f64,
    width: f64,
    count: f64,
}

/// The smallest magnitude of a bin; that after the last one starts at 2^128.
fn bin_start(bin: usize) -> f64 {
    if bin >= BINS {
        return 2f64.powi(128);
    }
    f64::from(f32::from_bits((bin as u32) << BIN_BITS))
}

/// The smallest and the largest number of steps from zero, and the step.
fn limits(scale: &OutputScale) -> (f64, f64, f64) {
    let zero = f64::from(scale.zero_point);
    (
        f64::from(scale.low) - zero,
        f64::from(scale.high) - zero,
        2f64.powi(scale.exponent.into()),
    )
}

/// The sum of the squared errors, the values of a bin taken for evenly spread.
fn squared_error(bins: &[Bin], scale: &OutputScale) -> f64 {
    let (low, high, step) = limits(scale);
    bins.iter()
        .map(|bin| {
            let rounded = (bin.centre / step).round().clamp(low, high) * step;
            bin.count * ((bin.centre - rounded).powi(2) + bin.width.powi(2) / 12.0)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn histogram(values: &[f32]) -> Histogram {
        let mut histogram = Histogram::default();
        histogram.add(values).unwrap();
        histogram
    }

    /// The error from its definition, value by value.
    fn direct_error(values: &[f32], scale: &OutputScale) -> f64 {
        let step = 2f64.powi(scale.exponent.into());
        let zero = f64::from(scale.zero_point);
        let errors = values.iter().map(|&x| {
            let q = ((f64::from(x) / step).round_ties_even() + zero)
                .clamp(scale.low.into(), scale.high.into());
            (f64::from(x) - (q - zero) * step).powi(2)
        });
        errors.sum::<f64>() / values.len() as f64
    }

    /// Mostly small values with a few large ones, which is what makes clipping worth its while.
    fn values() -> impl Strategy<Value = Vec<f32>> {
        let value = (-3.0_f32..3.0, -3.0_f32..3.0, -3.0_f32..3.0);
        (prop::collection::vec(value, 200..600), -12_i32..12).prop_map(|(triples, magnitude)| {
            let cubes = triples.into_iter().map(|(a, b, c)| a * b * c);
            cubes.map(|x| x * 2f32.powi(magnitude)).collect()
        })
    }

    fn activations() -> impl Strategy<Value = Activation> {
        prop::sample::select(vec![Activation::None, Activation::Relu, Activation::Relu6])
    }

    proptest! {
        #[test]
        fn the_error_is_that_of_the_values(values in values(), activation in activations(), finer in 0_i8..6) {
            let values: Vec<f32> = values.iter().map(|&x| activation.apply(x)).collect();
            let histogram = histogram(&values);
            let top = histogram.scale(activation, RangeMethod::Max);
            let scale = ActivationScale { exponent: top.exponent - finer, ..top }.output_scale();
            let (got, exact) = (histogram.mean_squared_error(&scale), direct_error(&values, &scale));
            // A bin is at most 1/256 of its value wide; an even spread within it is what a few hundred values allow.
            let step = 2f64.powi(scale.exponent.into());
            prop_assert!((got - exact).abs() <= 0.05 * exact + 0.05 * step * step, "{got} {exact}");
        }

        #[test]
        fn the_search_finds_a_least_error(values in values(), activation in activations()) {
            let values: Vec<f32> = values.iter().map(|&x| activation.apply(x)).collect();
            let histogram = histogram(&values);
            let best = histogram.scale(activation, RangeMethod::MeanSquaredError);
            let top = histogram.scale(activation, RangeMethod::Max);
            prop_assert!(best.exponent <= top.exponent);
            let found = direct_error(&values, &best.output_scale());
            for finer in 0..10 {
                let other = ActivationScale { exponent: top.exponent - finer, ..top };
                let error = direct_error(&values, &other.output_scale());
                prop_assert!(found <= 1.05 * error + 1e-30, "{found} {error} at 2^-{finer}");
            }
        }

        #[test]
        fn nothing_is_clipped_at_the_maximum(values in values(), activation in activations()) {
            let values: Vec<f32> = values.iter().map(|&x| activation.apply(x)).collect();
            let histogram = histogram(&values);
            let scale = histogram.scale(activation, RangeMethod::Max);
            prop_assert_eq!(histogram.clipped(&scale.output_scale()), 0.0);
            // One power of two finer, and the largest does not fit.
            let finer = ActivationScale { exponent: scale.exponent - 1, ..scale };
            let limit = if activation == Activation::None { 127.5 } else { 255.5 };
            let step = 2f32.powi(finer.exponent.into());
            let beyond = values.iter().filter(|x| x.abs() > (limit + 1.0) * step).count();
            prop_assert!(histogram.clipped(&finer.output_scale()) >= beyond as f64 / values.len() as f64);
        }

        #[test]
        fn a_percentile_is_one_of_the_sorted_values(values in values(), percent in 0.1_f64..100.0) {
            let mut sorted: Vec<f32> = values.iter().map(|x| x.abs()).collect();
            sorted.sort_by(f32::total_cmp);
            let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
            let exact = sorted[rank.saturating_sub(1)];
            let got = histogram(&values).percentile(Percentile::new(percent).unwrap());
            prop_assert!(got >= exact && got <= exact * (1.0 + 1.0 / 128.0) + f32::MIN_POSITIVE, "{got} {exact}");
        }

        #[test]
        fn parts_merge_into_the_whole(values in values(), at in 0_usize..200) {
            let (first, second) = values.split_at(at);
            let mut merged = histogram(first);
            merged.merge(&histogram(second));
            prop_assert_eq!(merged, histogram(&values));
        }
    }

    #[test]
    fn an_outlier_is_clipped_by_all_but_the_maximum() {
        let mut values: Vec<f32> = (0..100_000).map(|i| i as f32 / 50_000.0).collect();
        values.push(40.0);
        let histogram = histogram(&values);
        let exponent = |method: &str| {
            let method = method.parse().unwrap();
            histogram.scale(Activation::Relu, method).exponent
        };
        // 40 <= 255 * 2^-2 and 2 <= 255 * 2^-6.
        assert_eq!(exponent("max"), -2);
        assert_eq!(exponent("percentile=99.9"), -6);
        assert_eq!(exponent("percentile=100"), -2);
        assert!(histogram.clipped(&ActivationScale::relu(-6).output_scale()) < 2e-5);
        assert!(histogram.clipped(&ActivationScale::relu(-6).output_scale()) > 0.0);
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut histogram = Histogram::default();
            assert_eq!(histogram.add(&[1.0, value]), Err(NotFinite), "{value}");
        }
    }

    #[test]
    fn nothing_and_extremes_have_a_scale() {
        let methods = ["max", "mse", "percentile=1"].map(|text| text.parse().unwrap());
        for method in methods {
            let empty = Histogram::default().scale(Activation::Relu, method);
            assert_eq!(empty, ActivationScale::relu(-7));
            assert_eq!(
                histogram(&[0.0; 3])
                    .scale(Activation::None, method)
                    .exponent,
                -7
            );
            let largest = histogram(&[f32::MAX, f32::MIN]);
            assert_eq!(largest.scale(Activation::None, method).exponent, 63);
            let tiny = histogram(&[1e-44]);
            assert_eq!(tiny.scale(Activation::Relu, method).exponent, -64);
        }
        assert_eq!(histogram(&[f32::MAX]).logit_exponent(), 8);
        assert_eq!(histogram(&[-8.0, 3.0]).logit_exponent(), -10);
        assert_eq!(Histogram::default().logit_exponent(), -13);
    }

    #[test]
    fn methods_are_read_and_written() {
        for text in ["max", "mse", "percentile=99.9"] {
            assert_eq!(text.parse::<RangeMethod>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "percentile",
            "percentile=0",
            "percentile=101",
            "percentile=NaN",
            "MSE",
        ] {
            let error = text.parse::<RangeMethod>().unwrap_err().to_string();
            assert!(error.contains("none of max, mse, percentile=P"), "{error}");
        }
    }
}
