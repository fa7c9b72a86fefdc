//! Spatial pyramid pooling as a selection, so that its gradient is a scatter.
//!
//! The maximum of a bin is one of its cells' values, or zero where a cell is masked out. The cells are found on the
//! host; the training framework then merely selects them from the flattened feature maps, which end with a zero for
//! "masked out".

use burn::tensor::{Device, Tensor, TensorData};
use cfm_core::spatial_pyramid::bin;

use crate::fake_quantize::to_vec;
use crate::projection::Projected;

/// Feature maps of a batch, flattened: image, row, column, channel.
#[derive(Debug, Clone)]
pub struct FlatFeatures {
    /// The values; none is negative.
    values: Vec<f32>,
    /// Rows of a map.
    height: usize,
    /// Columns of a map.
    width: usize,
    /// Channels of a cell.
    channels: usize,
}

/// Pooled vectors of some segments, one after the other, as values and as where they come from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pooled {
    /// The maxima: segment; then level, bin row, bin column, channel.
    pub values: Vec<f32>,
    /// Index of each maximum in the flattened features; their number for a zero that stands for masked cells.
    pub sources: Vec<i32>,
}

impl Pooled {
    /// The values as a matrix, one row for each of `segments` segments.
    #[must_use]
    pub fn matrix(self, segments: usize, device: &Device) -> Tensor<2> {
        let width = self.values.len() / segments.max(1);
        Tensor::from_data(TensorData::new(self.values, [segments, width]), device)
    }
}

impl FlatFeatures {
    /// Flattens the feature maps of a batch: image, channel, row, column.
    #[must_use]
    pub fn new(features: Tensor<4>) -> Self {
        let [_, channels, height, width] = features.dims();
        Self {
            values: to_vec(features.permute([0, 2, 3, 1])),
            height,
            width,
            channels,
        }
    }

    /// Pools segments of image `image` for both paths: masked for the segment path, their whole windows for the region
    /// path.
    pub fn pool_paths<'s>(
        &self,
        image: usize,
        segments: impl IntoIterator<Item = &'s Projected>,
        levels: &[u8],
    ) -> (Pooled, Pooled) {
        let (mut segment, mut region) = (Pooled::default(), Pooled::default());
        for one in segments {
            self.pool(image, one, levels, true, &mut segment);
            self.pool(image, one, levels, false, &mut region);
        }
        (segment, region)
    }

    /// Pools one segment of image `image` and appends the result; `masked` leaves only the cells of the segment,
    /// otherwise the whole window counts.
    fn pool(
        &self,
        image: usize,
        segment: &Projected,
        levels: &[u8],
        masked: bool,
        out: &mut Pooled,
    ) {
        let channels = self.channels;
        let window = segment.window;
        for &level in levels {
            for (i, j) in (0..level).flat_map(|i| (0..level).map(move |j| (i, j))) {
                let start = out.values.len();
                out.values.resize(start + channels, 0.0);
                out.sources
                    .resize(start + channels, self.values.len() as i32);
                let (best, from) = (&mut out.values[start..], &mut out.sources[start..]);
                let bin = bin(&window, level, i, j);
                for row in bin.top..bin.bottom {
                    for column in bin.left..bin.right {
                        let cell = usize::from(row - window.top) * usize::from(window.width())
                            + usize::from(column - window.left);
                        if masked && segment.mask[cell] == 0 {
                            continue;
                        }
                        let at = ((image * self.height + usize::from(row)) * self.width
                            + usize::from(column))
                            * channels;
                        let values = &self.values[at..at + channels];
                        for (c, ((best, from), &value)) in
                            best.iter_mut().zip(from.iter_mut()).zip(values).enumerate()
                        {
                            let better = value > *best;
                            *best = if better { value } else { *best };
                            *from = if better { (at + c) as i32 } else { *from };
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cfm_core::mask::CellWindow;

    #[test]
    fn masked_cells_count_as_zero_and_sources_point_at_maxima() {
        let values: Vec<f32> = (0..2 * 3 * 4 * 2).map(|i| (i * 7 % 11) as f32).collect();
        let features = FlatFeatures {
            values: values.clone(),
            height: 3,
            width: 4,
            channels: 2,
        };
        let segment = Projected {
            window: CellWindow {
                top: 1,
                left: 1,
                bottom: 3,
                right: 4,
            },
            mask: vec![1, 0, 0, 0, 0, 1],
            area: 9,
        };
        let (pooled, region) = features.pool_paths(1, [&segment], &[2, 1]);
        assert_eq!(pooled.values.len(), 5 * 2);
        for (&value, &source) in pooled.values.iter().zip(&pooled.sources) {
            let there = values.get(source as usize).copied().unwrap_or(0.0);
            assert_eq!(value, there);
        }
        // The bin of the second row and first column has no cell of the segment.
        assert_eq!(pooled.sources[4..6], [48, 48]);
        let cell = |row: usize, column: usize| &values[((3 + row) * 4 + column) * 2..][..2];
        let both: Vec<f32> = cell(1, 1)
            .iter()
            .zip(cell(2, 3))
            .map(|(a, b)| a.max(*b))
            .collect();
        assert_eq!(pooled.values[8..], both);
        let largest = (1..3)
            .flat_map(|row| (1..4).map(move |column| (row, column)))
            .fold(0.0f32, |m, (row, column)| m.max(cell(row, column)[0]));
        assert_eq!(region.values[8], largest);
    }
}
