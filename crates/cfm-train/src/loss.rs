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

/// What a step descends: the loss of the segments with `dense_weight` times the dense one, or the latter alone as long as
/// segments are not `wanted`. A batch in which none was found has no loss of segments; the weights stay.
#[must_use]
pub fn total(
    segments: Option<Tensor<1>>,
    dense: Tensor<1>,
    wanted: bool,
    dense_weight: f32,
) -> Tensor<1> {
    if !wanted {
        return dense;
    }
    let dense = dense.mul_scalar(dense_weight);
    match segments {
        Some(segments) => segments + dense,
        None => dense,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_quantize::to_vec;
    use burn::tensor::Device;

    #[test]
    fn the_dense_loss_is_a_weighted_cross_entropy() {
        // Two images of two cells, two classes: image, class, cell. The last cell has no label.
        let logits: [f32; 8] = [0.5, -1.0, 2.0, 0.25, -0.5, 1.5, 0.0, 3.0];
        let shares: [[f32; 4]; 2] = [[1.0, 0.25, 0.0, 0.75], [0.5, 0.0, 0.5, 0.0]];
        let weights = [1.0, 3.0];
        let samples = shares.map(|shares| Sample {
            pixels: Vec::new(),
            cell_shares: shares.to_vec(),
            segments: Vec::new(),
        });

        let at = |image: usize, class: usize, cell: usize| 4 * image + 2 * class + cell;
        let target =
            |image: usize, class, cell| f64::from(shares[image][2 * class + cell] * weights[class]);
        let (mut sum, mut total) = (0.0, 0.0);
        let mut gradient = [0.0; 8];
        for (image, cell) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let exponentials = [0, 1].map(|class| f64::from(logits[at(image, class, cell)]).exp());
            let probability =
                |class: usize| exponentials[class] / (exponentials[0] + exponentials[1]);
            let weight = target(image, 0, cell) + target(image, 1, cell);
            for class in [0, 1] {
                sum -= target(image, class, cell) * probability(class).ln();
                gradient[at(image, class, cell)] =
                    probability(class) * weight - target(image, class, cell);
            }
            total += weight;
        }

        let device = Device::flex().autodiff();
        let data = TensorData::new(logits.to_vec(), [2, 2, 1, 2]);
        let logits = Tensor::<4>::from_data(data, &device);
        let logits = logits.require_grad();
        let loss = dense(logits.clone(), &samples, &weights);
        let value = f64::from(loss.clone().into_scalar::<f32>());
        assert!(
            (value - sum / total).abs() < 1e-6,
            "{value} {}",
            sum / total
        );
        let found = to_vec(logits.grad(&loss.backward()).unwrap());
        for (found, expected) in found.iter().zip(gradient) {
            let expected = expected / total;
            assert!(
                (f64::from(*found) - expected).abs() < 1e-6,
                "{found} {expected}"
            );
        }
        // Downhill is where a cell's only class gains.
        assert!(found[at(0, 0, 0)] < 0.0 && found[at(0, 1, 0)] > 0.0);
        // What has no label has no gradient.
        assert_eq!([found[at(1, 0, 1)], found[at(1, 1, 1)]], [0.0; 2]);
    }

    #[test]
    fn the_dense_loss_has_its_weight_without_segments_too() {
        let device = Device::flex();
        let scalar = |value: f32| Tensor::<1>::from_data([value], &device);
        let total = |segments: Option<f32>, wanted| {
            total(segments.map(scalar), scalar(4.0), wanted, 0.25).into_scalar::<f32>()
        };
        assert_eq!(total(None, false), 4.0);
        assert_eq!(total(Some(2.0), true), 3.0);
        assert_eq!(total(None, true), 1.0);
    }
}
