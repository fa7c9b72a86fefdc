//! Bias correction: the mean error that rounding causes in a layer's sums, taken back out of the bias.
//!
//! Rounded weights do not only add noise: over the inputs that really occur, the sum of a channel shifts on average, and
//! so does what clipping upstream left out. Both are constants, and a constant belongs to the bias. After Nagel, van
//! Baalen, Blankevoort, Welling, *Data-Free Quantization Through Weight Equalization and Bias Correction*, ICCV 2019,
//! the empirical form (their appendix D): the sums of a layer, before the activation, are averaged over images for the
//! float network and for the quantized one, in which all earlier layers have been corrected already.

/// The mean of every channel over values that arrive in pieces.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelMeans {
    sums: Vec<f64>,
    count: u64,
}

impl ChannelMeans {
    /// Nothing yet, for `channels` channels.
    #[must_use]
    pub fn new(channels: usize) -> Self {
        Self {
            sums: vec![0.0; channels],
            count: 0,
        }
    }

    /// Adds values, channel last; a piece of a cell at the end is left out.
    pub fn add(&mut self, values: &[f32]) {
        for cell in values.chunks_exact(self.sums.len().max(1)) {
            for (sum, &value) in self.sums.iter_mut().zip(cell) {
                *sum += f64::from(value);
            }
            self.count += 1;
        }
    }

    /// Adds what `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        for (sum, more) in self.sums.iter_mut().zip(&other.sums) {
            *sum += more;
        }
        self.count += other.count;
    }

    /// The means; `None` without any value.
    #[must_use]
    pub fn means(&self) -> Option<Vec<f64>> {
        let count = (self.count > 0).then_some(self.count as f64)?;
        Some(self.sums.iter().map(|sum| sum / count).collect())
    }
}

/// Moves the mean of the quantized sums onto that of the float sums, by the bias.
///
/// Nothing changes when one of the two has seen no value.
pub fn correct_bias(bias: &mut [f32], float: &ChannelMeans, quantized: &ChannelMeans) {
    if let (Some(float), Some(quantized)) = (float.means(), quantized.means()) {
        for (bias, (float, quantized)) in bias.iter_mut().zip(float.iter().zip(quantized)) {
            *bias = (f64::from(*bias) + float - quantized) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// After the correction the mean error of a linear layer is zero, however its weights were changed.
        #[test]
        fn the_mean_error_vanishes(
            inputs in prop::collection::vec(prop::array::uniform4(0.0_f32..2.0), 1..40),
            weights in prop::array::uniform8(-1.0_f32..1.0),
            changed in prop::array::uniform8(-1.0_f32..1.0),
            split in 0_usize..40,
        ) {
            let sums = |weights: &[f32; 8], bias: [f32; 2]| -> Vec<[f32; 2]> {
                inputs.iter().map(|x| [0, 1].map(|o| {
                    bias[o] + (0..4).map(|i| weights[4 * o + i] * x[i]).sum::<f32>()
                })).collect()
            };
            // In two pieces, merged.
            let means = |sums: &[[f32; 2]]| {
                let (first, second) = sums.split_at(split.min(sums.len()));
                let (mut a, mut b) = (ChannelMeans::new(2), ChannelMeans::new(2));
                a.add(first.as_flattened());
                b.add(second.as_flattened());
                a.merge(&b);
                a
            };
            let float = sums(&weights, [0.5, -0.25]);
            let mut bias = [0.5, -0.25];
            let quantized = means(&sums(&changed, bias));
            correct_bias(&mut bias, &means(&float), &quantized);
            let corrected = sums(&changed, bias);
            for o in 0..2 {
                let error: f32 = float.iter().zip(&corrected).map(|(a, b)| a[o] - b[o]).sum();
                prop_assert!(error.abs() < 1e-4 * inputs.len() as f32, "{error}");
            }
        }
    }

    #[test]
    fn without_values_nothing_is_corrected() {
        let mut bias = [1.0, 2.0];
        let (empty, mut seen) = (ChannelMeans::new(2), ChannelMeans::new(2));
        seen.add(&[3.0, 4.0, 5.0]);
        assert_eq!(seen.means(), Some(vec![3.0, 4.0]));
        correct_bias(&mut bias, &seen, &empty);
        correct_bias(&mut bias, &empty, &seen);
        assert_eq!(bias, [1.0, 2.0]);
    }
}
