//! The exponents of the activations, chosen from training images before the fine-tuning.

use crate::fake_quantize::{Range, best_activation_exponent, logit_exponent, to_vec};
use crate::network::{Exponents, Network, image_tensor};
use crate::pooling::FlatFeatures;
use crate::sampling::Sample;

/// Values kept of each activation and image.
const KEPT: usize = 20_000;

/// Chooses the exponents with which each activation of the (folded) network loses least on the samples.
#[must_use]
pub fn exponents(network: &Network, samples: &[Sample], width: usize, height: usize) -> Exponents {
    let mut activations = vec![Vec::new(); network.activations()];
    let (mut hidden, mut logits) = (Vec::new(), Vec::new());
    let device = network.side.weight.val().device();
    for sample in samples {
        let images = image_tensor(&[&sample.pixels], width, height, &device);
        let features = network.features_observed(images, None, &mut |index, x| {
            let values = to_vec(x.clone());
            let stride = values.len().div_ceil(KEPT);
            activations[index].extend(values.into_iter().step_by(stride));
        });
        if sample.segments.is_empty() {
            continue;
        }
        let segments = sample.segments.iter().map(|(one, _)| one);
        let pooled = FlatFeatures::new(features)
            .pool_paths(0, segments, network.head.pyramid())
            .map(|path| path.matrix(sample.segments.len(), &device));
        hidden.extend(to_vec(network.head.hidden(pooled.clone(), None)));
        logits.extend(to_vec(network.head.logits(pooled, None)));
    }
    Exponents {
        activations: activations
            .iter()
            .zip(network.ranges())
            .map(|(samples, range)| best_activation_exponent(samples, range))
            .collect(),
        hidden: best_activation_exponent(&hidden, Range::Rectified),
        logits: logit_exponent(&logits),
    }
}
