//! The loss of the drawn segments, whose gradient flows through the pyramid pooling into the feature maps.

use burn::tensor::{Int, Tensor, TensorData};
use rayon::prelude::*;

use crate::loss;
use crate::network::{Exponents, Network};
use crate::pooling::FlatFeatures;
use crate::sampling::Sample;

/// The loss of all segments of a batch; `None` without segments.
#[must_use]
pub fn of_samples(
    network: &Network,
    features: Tensor<4>,
    samples: &[Sample],
    exponents: Option<&Exponents>,
    levels: &[u8],
) -> Option<Tensor<1>> {
    let device = features.device();
    let [images, channels, height, width] = features.dims();
    let view = FlatFeatures::new(features.clone());
    let flat = features
        .permute([0, 2, 3, 1])
        .reshape([images * height * width * channels]);
    let pooled: Vec<(Vec<i32>, Vec<i32>)> = samples
        .par_iter()
        .enumerate()
        .map(|(image, sample)| {
            let segments = sample.segments.iter().map(|(one, _)| one);
            let (segment, region) = view.pool_paths(image, segments, levels);
            (segment.sources, region.sources)
        })
        .collect();
    let classes: Vec<u8> = samples
        .iter()
        .flat_map(|sample| sample.segments.iter().map(|&(_, class)| class))
        .collect();
    if classes.is_empty() {
        return None;
    }
    let flat = Tensor::cat(vec![flat, Tensor::zeros([1], &device)], 0);
    let select = |sources: Vec<i32>| {
        let dims = [classes.len(), sources.len() / classes.len()];
        let count = sources.len();
        let sources = Tensor::<1, Int>::from_data(TensorData::new(sources, [count]), &device);
        flat.clone().select(0, sources).reshape(dims)
    };
    let (segment, region): (Vec<_>, Vec<_>) = pooled.into_iter().unzip();
    let logits = network
        .head
        .logits(select(segment.concat()), select(region.concat()), exponents);
    Some(loss::segments(logits, &classes))
}
