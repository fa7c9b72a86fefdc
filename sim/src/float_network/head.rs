//! Pooling and fully connected layers in f32.

use cfm_core::mask::CellWindow;
use cfm_core::model::{Design, Path};
use cfm_core::spatial_pyramid::bin;
use cfm_model::Place;
use cfm_model::float_model::{FloatFc, FloatHead};

use super::Observer;
use super::layers::Tensor;

/// The mask of a segment, which is integer work: that of the window's cells and (Design B) of the finest bins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentMask {
    /// Number of pixels of the segment.
    pub area: u32,
    /// The window in cells.
    pub window: CellWindow,
    /// One value per cell, row-major, not 0 inside.
    pub cells: Vec<i8>,
    /// One value per bin of the finest level, row-major, not 0 inside; empty unless Design B.
    pub bins: Vec<i8>,
}

/// The logits of a segment.
pub fn logits(
    head: &FloatHead,
    features: &Tensor,
    mask: &SegmentMask,
    observer: &mut impl Observer,
) -> Vec<f32> {
    let [segment, region] = pooled(head, features, mask);
    let mut joint = chain(head, Path::Segment, segment, observer);
    joint.extend(chain(head, Path::Region, region, observer));
    chain(head, Path::Joint, joint, observer)
}

/// What the segment path and the region path (empty unless Design A) read.
pub(crate) fn pooled(head: &FloatHead, features: &Tensor, mask: &SegmentMask) -> [Vec<f32>; 2] {
    let cells = match head.design {
        Design::Plain | Design::A => Some(&*mask.cells),
        Design::B => None,
    };
    let mut segment = pool(features, &mask.window, &head.segment_levels, cells);
    if head.design == Design::B {
        mask_finest(&mut segment, head, features, &mask.bins);
    }
    let region = match head.design {
        Design::A => pool(features, &mask.window, &head.region_levels, None),
        Design::Plain | Design::B => Vec::new(),
    };
    [segment, region]
}

/// The maximum of every channel over every bin; a cell outside the mask counts as 0.
fn pool(features: &Tensor, window: &CellWindow, levels: &[u8], mask: Option<&[i8]>) -> Vec<f32> {
    let channels = usize::from(features.shape.channels);
    let mut pooled = Vec::new();
    for &level in levels {
        for (i, j) in (0..level).flat_map(|i| (0..level).map(move |j| (i, j))) {
            let bin = bin(window, level, i, j);
            let start = pooled.len();
            pooled.resize(start + channels, f32::NEG_INFINITY);
            let largest = &mut pooled[start..];
            for row in bin.top..bin.bottom {
                for column in bin.left..bin.right {
                    let at = usize::from(row - window.top) * usize::from(window.width())
                        + usize::from(column - window.left);
                    if mask.is_none_or(|mask| mask[at] != 0) {
                        let cell = features.cell(row.into(), column.into());
                        for (value, &other) in largest.iter_mut().zip(cell) {
                            *value = value.max(other);
                        }
                    } else {
                        for value in largest.iter_mut() {
                            *value = value.max(0.0);
                        }
                    }
                }
            }
        }
    }
    pooled
}

fn mask_finest(pooled: &mut [f32], head: &FloatHead, features: &Tensor, bins: &[i8]) {
    let channels = usize::from(features.shape.channels);
    let finest = head.segment_levels.iter().copied().max().unwrap_or(0);
    let before: usize = head
        .segment_levels
        .iter()
        .take_while(|&&level| level != finest)
        .map(|&level| usize::from(level) * usize::from(level) * channels)
        .sum();
    let vectors = pooled[before..].chunks_exact_mut(channels);
    for (vector, _) in vectors.zip(bins).filter(|&(_, &bit)| bit == 0) {
        vector.fill(0.0);
    }
}

fn chain(head: &FloatHead, path: Path, input: Vec<f32>, observer: &mut impl Observer) -> Vec<f32> {
    let layers = head.fcs(path).iter().enumerate();
    layers.fold(input, |input, (i, layer)| {
        let place = Place::FullyConnected(path, i);
        let mut values = sums(layer, &input);
        observer.sums(place, &values);
        for value in &mut values {
            *value = layer.output.activation.apply(*value);
        }
        observer.output(place, &values);
        values
    })
}

/// The sums of a fully connected layer, bias included, before the activation.
pub(crate) fn sums(layer: &FloatFc, input: &[f32]) -> Vec<f32> {
    let rows = layer.weights.chunks_exact(input.len().max(1));
    rows.zip(&layer.bias)
        .map(|(row, bias)| bias + dot(input, row))
        .collect()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (x, y) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}
