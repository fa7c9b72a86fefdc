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
