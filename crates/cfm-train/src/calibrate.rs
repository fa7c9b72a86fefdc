//! The exponents of the activations, chosen from training images before the fine-tuning.

use cfm_model::float_model::Activation;
use cfm_model::quantize::range::{Histogram, NotFinite, RangeMethod};

use crate::fake_quantize::{Range, to_vec};
use crate::network::{Exponents, Network, image_tensor};
use crate::pooling::FlatFeatures;
use crate::sampling::Sample;

/// Chooses the exponents with which each activation of the (folded) network loses least on the samples.
///
/// # Errors
/// [`NotFinite`] when the network has diverged.
pub fn exponents(
    network: &Network,
    samples: &[Sample],
    width: usize,
    height: usize,
) -> Result<Exponents, NotFinite> {
    let mut activations = vec![Histogram::default(); network.activations()];
    let (mut hidden, mut logits) = (Histogram::default(), Histogram::default());
    let device = network.side.weight.val().device();
    for sample in samples {
        let images = image_tensor(&[&sample.pixels], width, height, &device);
        let mut counted = Ok(());
        let features = network.features_observed(images, None, &mut |index, x| {
            let now = activations[index].add(&to_vec(x.clone()));
            counted = counted.and(now);
        });
        counted?;
        if sample.segments.is_empty() {
            continue;
        }
        let segments = sample.segments.iter().map(|(one, _)| one);
        let pooled = FlatFeatures::new(features)
            .pool_paths(0, segments, network.head.pyramid())
            .map(|path| path.matrix(sample.segments.len(), &device));
        hidden.add(&to_vec(network.head.hidden(pooled.clone(), None)))?;
        logits.add(&to_vec(network.head.logits(pooled, None)))?;
    }
    Ok(Exponents {
        activations: activations
            .iter()
            .zip(network.ranges())
            .map(|(histogram, range)| exponent(histogram, range))
            .collect(),
        hidden: exponent(&hidden, Range::Rectified),
        logits: logits.logit_exponent().into(),
    })
}

/// The scale with the least mean squared error. Where a rectifier clips at 6, no value seen is larger.
fn exponent(histogram: &Histogram, range: Range) -> i32 {
    let activation = match range {
        Range::Rectified => Activation::Relu,
        Range::Signed => Activation::None,
    };
    let scale = histogram.scale(activation, RangeMethod::MeanSquaredError);
    scale.exponent.into()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use cfm_core::mask::CellWindow;

    use super::*;
    use crate::config::{Config, LayerConfig};
    use crate::fake_quantize;
    use crate::projection::Projected;

    const SIDE: usize = 16;

    fn network(device: &Device) -> Network {
        let sum = LayerConfig {
            residual: 1,
            ..LayerConfig::new(8, 1)
        };
        let config = Config {
            backbone: vec![LayerConfig::new(8, 2), LayerConfig::new(8, 2), sum],
            ..Config::default()
        };
        Network::new(&config, 3, device).folded()
    }

    /// Of each sample, a segment that is all of its 4 x 4 cells.
    fn samples() -> Vec<Sample> {
        let segment = Projected {
            window: CellWindow {
                top: 0,
                left: 0,
                bottom: 4,
                right: 4,
            },
            mask: vec![1; 16],
            bins: Vec::new(),
            area: (SIDE * SIDE) as u32,
        };
        let pixels = |seed: usize| (0..3 * SIDE * SIDE).map(move |i| (i * seed % 251) as u8);
        [31, 57]
            .map(|seed| Sample {
                pixels: pixels(seed).collect(),
                cell_shares: Vec::new(),
                segments: vec![(segment.clone(), 0)],
            })
            .to_vec()
    }

    /// The squared error of 8 bits with steps of `2^exponent`.
    fn error(values: &[f32], exponent: i32, range: Range, device: &Device) -> f64 {
        let data = TensorData::new(values.to_vec(), [values.len()]);
        let rounded =
            fake_quantize::activation(Tensor::<1>::from_data(data, device), exponent, range);
        let pairs = values.iter().zip(to_vec(rounded));
        pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum()
    }

    #[test]
    fn every_exponent_loses_least() {
        let device = Device::flex();
        let network = network(&device);
        let samples = samples();
        let chosen = exponents(&network, &samples, SIDE, SIDE).unwrap();

        let ranges = network.ranges();
        let mut seen = vec![Vec::new(); network.activations()];
        let (mut hidden, mut logits) = (Vec::new(), Vec::new());
        for sample in &samples {
            let images = image_tensor(&[&sample.pixels], SIDE, SIDE, &device);
            let mut observe = |at: usize, x: &Tensor<4>| seen[at].extend(to_vec(x.clone()));
            let features = network.features_observed(images, None, &mut observe);
            let segments = sample.segments.iter().map(|(one, _)| one);
            let pooled = FlatFeatures::new(features)
                .pool_paths(0, segments, network.head.pyramid())
                .map(|path| path.matrix(1, &device));
            hidden.extend(to_vec(network.head.hidden(pooled.clone(), None)));
            logits.extend(to_vec(network.head.logits(pooled, None)));
        }
        assert_eq!(chosen.activations.len(), ranges.len());
        let all = seen.iter().zip(&chosen.activations).zip(ranges);
        let all = all.map(|((values, &exponent), range)| (values, exponent, range));
        for (values, exponent, range) in all.chain([(&hidden, chosen.hidden, Range::Rectified)]) {
            let found = error(values, exponent, range, &device);
            let others = (-20..8).map(|other| error(values, other, range, &device));
            let least = others.fold(f64::INFINITY, f64::min);
            // What is chosen counts values in bins.
            assert!(found <= 1.02 * least, "{exponent}: {found} for {least}");
        }
        // 16 bits hold the logits, with steps that are not far too large.
        let largest = logits.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let steps = largest / 2f32.powi(chosen.logits);
        assert!((1024.0..=32767.0).contains(&steps), "{steps} steps");
    }

    #[test]
    fn without_segments_the_backbone_is_calibrated_all_the_same() {
        let device = Device::flex();
        let network = network(&device);
        let with = exponents(&network, &samples(), SIDE, SIDE).unwrap();
        let mut samples = samples();
        samples
            .iter_mut()
            .for_each(|sample| sample.segments.clear());
        let without = exponents(&network, &samples, SIDE, SIDE).unwrap();
        assert_eq!(without.activations, with.activations);
    }

    #[test]
    fn a_network_that_has_diverged_is_refused() {
        let device = Device::flex();
        let mut network = network(&device);
        let first = &mut network.layers[0];
        first.weight = first.weight.clone().map(|weight| weight * f32::NAN);
        assert!(exponents(&network, &samples(), SIDE, SIDE).is_err());
    }
}
