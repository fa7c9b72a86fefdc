//! Which cell a pixel belongs to, found by looking: the receptive field of every cell is followed back through the
//! layers to the image, and every pixel is compared with every centre.

use cfm_core::model::{Model, Window};

/// One axis (rows or columns) of the map from pixels to feature cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AxisMap {
    /// The centre of each cell, in half pixels.
    centres2: Vec<i64>,
    /// The cell of each pixel.
    cells: Vec<usize>,
    /// Number of pixels of each cell.
    totals: Vec<u64>,
}

impl AxisMap {
    /// The vertical (`axis` 0) or horizontal (1) map of a model.
    #[must_use]
    pub fn new(model: &Model<'_>, axis: usize) -> Self {
        // The layers between the image and the feature map; an addition is where its first input is.
        let mut windows = Vec::new();
        let mut tensor = model.layer_count();
        while let Some(layer) = tensor.checked_sub(1).and_then(|i| model.layer(i)) {
            windows.push(layer.operation.window());
            tensor = layer.input;
        }
        let (pixels, cells) = match axis {
            0 => (model.input().height, model.feature().shape.height),
            _ => (model.input().width, model.feature().shape.width),
        };
        Self::through(&windows, axis, usize::from(pixels), usize::from(cells))
    }

    /// The map through `windows`, the last layer's first.
    pub(super) fn through(windows: &[Window], axis: usize, pixels: usize, cells: usize) -> Self {
        let centres2: Vec<i64> = (0..cells as i64)
            .map(|cell| {
                let (mut first, mut last) = (cell, cell);
                for window in windows {
                    let stride = i64::from(window.stride[axis]);
                    let padding = i64::from(window.padding[axis]);
                    let reach =
                        i64::from(window.dilation[axis]) * (i64::from(window.kernel[axis]) - 1);
                    first = first * stride - padding;
                    last = last * stride - padding + reach;
                }
                first + last
            })
            .collect();
        let nearest: Vec<usize> = (0..pixels as i64)
            .map(|pixel| nearest(&centres2, 2 * pixel))
            .collect();
        let mut totals = vec![0; cells];
        for &cell in &nearest {
            totals[cell] += 1;
        }
        Self {
            centres2,
            cells: nearest,
            totals,
        }
    }

    /// The cell of pixel `x`.
    #[must_use]
    pub fn cell(&self, x: u16) -> usize {
        self.cells[usize::from(x)]
    }

    /// How many pixels belong to `cell`.
    #[must_use]
    pub fn total(&self, cell: usize) -> u64 {
        self.totals[cell]
    }

    /// The pixel nearest the midpoint between the centres of cells `first` and `last`, ties to the smaller.
    #[must_use]
    pub fn centre_pixel(&self, first: usize, last: usize) -> u16 {
        let centre4 = self.centres2[first] + self.centres2[last];
        let pixels: Vec<i64> = (0..self.cells.len() as i64)
            .map(|pixel| 4 * pixel)
            .collect();
        nearest(&pixels, centre4) as u16
    }
}

/// The index of the position nearest `target`, ties to the smaller index.
fn nearest(positions: &[i64], target: i64) -> usize {
    let mut best = 0;
    for (index, position) in positions.iter().enumerate() {
        if (position - target).abs() < (positions[best] - target).abs() {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(kernel: u8, dilation: u8, stride: u8, leading: u8) -> Window {
        Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [dilation; 2],
            padding: [leading; 4],
        }
    }

    #[test]
    fn a_strided_convolution_by_hand() {
        // Kernel 3, stride 2, padding 1 on 10 pixels: centres 0 2 4 6 8; odd pixels are ties.
        let axis = AxisMap::through(&[window(3, 1, 2, 1)], 0, 10, 5);
        assert_eq!(axis.centres2, [0, 4, 8, 12, 16]);
        assert_eq!(axis.cells, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
        assert_eq!(axis.totals, [2; 5]);
        assert_eq!(axis.centre_pixel(1, 2), 3);
    }

    #[test]
    fn two_layers_compose() {
        // 2x2 stride 2 twice, no padding: cells are centred on 1.5, 5.5.
        let windows = [window(2, 1, 2, 0), window(2, 1, 2, 0)];
        let axis = AxisMap::through(&windows, 1, 8, 2);
        assert_eq!(axis.centres2, [3, 11]);
        assert_eq!(axis.cells, [0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(axis.centre_pixel(0, 0), 1);
        assert_eq!(axis.centre_pixel(0, 1), 3);
    }

    #[test]
    fn centres_outside_the_image_own_nothing() {
        // Padding 4 with kernel 1: centres -4 -2 0 2.
        let axis = AxisMap::through(&[window(1, 1, 2, 4)], 0, 2, 5);
        assert_eq!(axis.totals, [0, 0, 2, 0, 0]);
        assert_eq!(axis.centre_pixel(0, 0), 0);
        assert_eq!(axis.centre_pixel(4, 4), 1);
    }
}
