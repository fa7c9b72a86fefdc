//! The two losses: a dense one on the feature map, and the segments' one.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

use crate::data::{IGNORE, Photo};
use crate::sampling::Sample;

/// Cross-entropy between the classes' shares in every feature cell and the side classifier's opinion, weighted by
/// class; the mean over the weight.
#[must_use]
pub fn dense(logits: Tensor<4>, samples: &[Sample], weights: &[f32]) -> Tensor<1> {
    let dims = logits.dims();
    let cells = dims[2] * dims[3];
    let targets: Vec<f32> = samples
        .iter()
        .flat_map(|sample| {
            sample
                .cell_shares
                .chunks_exact(cells)
                .zip(weights)
                .flat_map(|(class, &weight)| class.iter().map(move |share| share * weight))
        })
        .collect();
    let total: f32 = targets.iter().sum();
    let targets = Tensor::<4>::from_data(TensorData::new(targets, dims), &logits.device());
    (log_softmax(logits, 1) * targets)
        .sum()
        .mul_scalar(-1.0 / total.max(1e-6))
}

/// Mean cross-entropy of the segments' classes.
#[must_use]
pub fn segments(logits: Tensor<2>, classes: &[u8]) -> Tensor<1> {
    let classes: Vec<i32> = classes.iter().map(|&class| class.into()).collect();
    let count = classes.len();
    let device = logits.device();
    let classes = Tensor::<2, Int>::from_data(TensorData::new(classes, [count, 1]), &device);
    log_softmax(logits, 1).gather(1, classes).mean().neg()
}

/// Weights of the classes in the dense loss, `1 / ln(1.05 + share of the pixels)`: rare classes count up to nine
/// times as much as a class that fills half of the image.
#[must_use]
pub fn class_weights(photos: &[Photo], classes: usize) -> Vec<f32> {
    let mut counts = vec![0u64; classes];
    for &label in photos.iter().flat_map(|photo| photo.classes.labels()) {
        if label != IGNORE {
            counts[usize::from(label)] += 1;
        }
    }
    let total = counts.iter().sum::<u64>().max(1) as f32;
    counts
        .iter()
        .map(|&count| (1.05 + count as f32 / total).ln().recip())
        .collect()
}
