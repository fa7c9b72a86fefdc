//! Spatial pyramid pooling as a selection, so that its gradient is a scatter.
//!
//! The maximum of a bin is one of its cells' values, or zero where a cell is masked out. The cells are found on the
//! host; the training framework then merely selects them from the flattened feature maps, which end with a zero for
//! "masked out".

use burn::tensor::{Device, Int, Tensor, TensorData};
use cfm_core::model::Design;
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

/// What is pooled: the pathways of a design and the levels of their pyramids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pyramid {
    /// Which pathways there are.
    pub design: Design,
    /// Levels of every pathway's pyramid, in output order.
    pub levels: Vec<u8>,
}

impl Pyramid {
    /// Bins of all levels together.
    #[must_use]
    pub fn bins(&self) -> usize {
        let bins = |&n: &u8| usize::from(n) * usize::from(n);
        self.levels.iter().map(bins).sum()
    }

    /// Whether there is a region path beside the segment path.
    #[must_use]
    pub fn has_region(&self) -> bool {
        self.design == Design::A
    }
}

/// Something of each pathway: the segment path, which every design has, and the region path of Design A.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Paths<T> {
    /// Of the segment path.
    pub segment: T,
    /// Of the region path.
    pub region: Option<T>,
}

impl<T> Paths<T> {
    /// Changes what is of each path.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> Paths<U> {
        Paths {
            segment: change(self.segment),
            region: self.region.map(change),
        }
    }
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

/// Selects pooled vectors, given by where they come from, out of the feature maps of a batch, one row for each of
/// `segments` segments: what was pooled on the host, as a function of the features.
#[must_use]
pub fn select(features: Tensor<4>, sources: &Paths<Vec<i32>>, segments: usize) -> Paths<Tensor<2>> {
    let device = features.device();
    let count: usize = features.dims().iter().product();
    let flat = features.permute([0, 2, 3, 1]).reshape([count]);
    let flat = Tensor::cat(vec![flat, Tensor::zeros([1], &device)], 0);
    sources.clone().map(|sources| {
        let (count, width) = (sources.len(), sources.len() / segments.max(1));
        let sources = Tensor::<1, Int>::from_data(TensorData::new(sources, [count]), &device);
        flat.clone().select(0, sources).reshape([segments, width])
    })
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

    /// Pools segments of image `image` for every pathway of the pyramid: the cells of the segment for the segment path
    /// of the plain design and of Design A, the whole window for the region path of Design A and for Design B, which
    /// then masks the bins of its finest level.
    pub fn pool_paths<'s>(
        &self,
        image: usize,
        segments: impl IntoIterator<Item = &'s Projected>,
        pyramid: &Pyramid,
    ) -> Paths<Pooled> {
        let mut segment = Pooled::default();
        let mut region = pyramid.has_region().then(Pooled::default);
        for one in segments {
            match pyramid.design {
                Design::Plain | Design::A => {
                    self.pool(image, one, &pyramid.levels, true, &mut segment);
                }
                Design::B => {
                    let start = segment.values.len();
                    self.pool(image, one, &pyramid.levels, false, &mut segment);
                    self.mask_bins(start, one, &pyramid.levels, &mut segment);
                }
            }
            if let Some(region) = &mut region {
                self.pool(image, one, &pyramid.levels, false, region);
            }
        }
        Paths { segment, region }
    }

    /// Design B: takes the bins of the finest level that lie outside the segment for masked out, in the vector that
    /// begins at `start`.
    fn mask_bins(&self, start: usize, segment: &Projected, levels: &[u8], out: &mut Pooled) {
        let channels = self.channels;
        let finest = levels.iter().copied().max().unwrap_or(0);
        let mut at = start;
        for &level in levels {
            let bins = usize::from(level) * usize::from(level);
            if level == finest {
                let outside = (0..bins).filter(|&bin| segment.bins.get(bin) == Some(&0));
                for bin in outside {
                    let vector = at + bin * channels..at + (bin + 1) * channels;
                    out.values[vector.clone()].fill(0.0);
                    out.sources[vector].fill(self.values.len() as i32);
                }
            }
            at += bins * channels;
        }
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
            bins: Vec::new(),
            area: 9,
        };
        let pyramid = Pyramid {
            design: Design::A,
            levels: vec![2, 1],
        };
        let Paths {
            segment: pooled,
            region,
        } = features.pool_paths(1, [&segment], &pyramid);
        let region = region.unwrap();
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

        let plain = Pyramid {
            design: Design::Plain,
            ..pyramid.clone()
        };
        let alone = features.pool_paths(1, [&segment], &plain);
        assert_eq!((alone.segment, alone.region), (pooled, None));

        // Design B: the box, but for the bins of the finest level that the mask leaves out.
        let b = Pyramid {
            design: Design::B,
            ..pyramid
        };
        let segment = Projected {
            bins: vec![0, 1, 1, 0],
            ..segment
        };
        let masked = features.pool_paths(1, [&segment], &b).segment;
        for (bin, values) in masked.values.chunks_exact(2).enumerate() {
            let outside = [0, 3].contains(&bin);
            let unmasked = &region.values[2 * bin..][..2];
            assert_eq!(
                values,
                if outside { &[0.0; 2] } else { unmasked },
                "bin {bin}"
            );
            assert_eq!(masked.sources[2 * bin] == 48, outside);
        }
    }

    #[test]
    fn gradients_go_to_the_maxima_and_nowhere_else() {
        let device = Device::flex().autodiff();
        let [images, channels, height, width] = [2, 2, 2, 3];
        let values: Vec<f32> = (0..images * channels * height * width)
            .map(|i| (i * 5 % 13) as f32)
            .collect();
        let count = values.len();
        let data = TensorData::new(values.clone(), [images, channels, height, width]);
        let features = Tensor::<4>::from_data(data, &device).require_grad();
        let segment = Projected {
            window: CellWindow {
                top: 0,
                left: 0,
                bottom: 2,
                right: 3,
            },
            mask: vec![1, 0, 0, 0, 1, 1],
            bins: Vec::new(),
            area: 9,
        };
        let pyramid = Pyramid {
            design: Design::Plain,
            levels: vec![2, 1],
        };
        let flat = FlatFeatures::new(features.clone());
        let pooled = flat.pool_paths(1, [&segment], &pyramid);
        let sources = pooled.clone().map(|pooled| pooled.sources);
        let selected = select(features.clone(), &sources, 1).segment;
        assert_eq!(to_vec(selected.clone()), pooled.segment.values);

        // The k-th output is weighted by k + 1; its cell is found anew, by the definition of the maximum.
        let outputs = pooled.segment.values.len();
        let weights: Vec<f32> = (0..outputs).map(|k| (k + 1) as f32).collect();
        let weight = Tensor::<2>::from_data(TensorData::new(weights, [1, outputs]), &device);
        let gradients = (selected * weight).sum().backward();
        let found = to_vec(features.grad(&gradients).unwrap());
        let mut expected = vec![0.0; count];
        // Bins of a window of two rows and three columns; the middle column belongs to both halves.
        let bins: [(&[usize], &[usize]); 5] = [
            (&[0], &[0, 1]),
            (&[0], &[1, 2]),
            (&[1], &[0, 1]),
            (&[1], &[1, 2]),
            (&[0, 1], &[0, 1, 2]),
        ];
        for (bin, (rows, columns)) in bins.into_iter().enumerate() {
            for channel in 0..channels {
                let cells = rows
                    .iter()
                    .flat_map(|&y| columns.iter().map(move |&x| (y, x)));
                let best = cells
                    .filter(|(y, x)| segment.mask[y * width + x] != 0)
                    .map(|(y, x)| ((channels + channel) * height + y) * width + x)
                    .max_by(|&a, &b| values[a].total_cmp(&values[b]));
                if let Some(at) = best {
                    expected[at] += (bin * channels + channel + 1) as f32;
                }
            }
        }
        assert_eq!(found, expected);
    }
}
