//! The loss of the drawn segments, whose gradient flows through the pyramid pooling into the feature maps.

use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::loss;
use crate::network::{Exponents, Network};
use crate::pooling::{FlatFeatures, Paths, select};
use crate::sampling::Sample;

/// The loss of all segments of a batch; `None` without segments.
#[must_use]
pub fn of_samples(
    network: &Network,
    features: Tensor<4>,
    samples: &[Sample],
    exponents: Option<&Exponents>,
) -> Option<Tensor<1>> {
    let classes: Vec<u8> = samples
        .iter()
        .flat_map(|sample| sample.segments.iter().map(|&(_, class)| class))
        .collect();
    if classes.is_empty() {
        return None;
    }
    let pyramid = network.head.pyramid();
    let view = FlatFeatures::new(features.clone());
    let pooled: Vec<Paths<Vec<i32>>> = samples
        .par_iter()
        .enumerate()
        .map(|(image, sample)| {
            let segments = sample.segments.iter().map(|(one, _)| one);
            view.pool_paths(image, segments, pyramid)
                .map(|path| path.sources)
        })
        .collect();
    let mut sources = Paths {
        segment: Vec::new(),
        region: pyramid.has_region().then(Vec::new),
    };
    for image in pooled {
        sources.segment.extend(image.segment);
        if let Some((all, image)) = sources.region.as_mut().zip(image.region) {
            all.extend(image);
        }
    }
    let pooled = select(features, &sources, classes.len());
    let logits = network.head.logits(pooled, exponents);
    Some(loss::segments(logits, &classes))
}
