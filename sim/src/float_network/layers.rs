//! The backbone's layers in f32, whole tensors, arranged so that the compiler vectorizes the inner loops.

use cfm_core::model::{Shape, Window};
use cfm_model::float_model::{Activation, FloatAdd, FloatConv};

/// A whole tensor, channel last.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Height, width, channels.
    pub shape: Shape,
    /// The values.
    pub data: Vec<f32>,
}

impl Tensor {
    /// An image as the network reads it: `(sample - 128) / 128`.
    #[must_use]
    pub fn image(shape: Shape, samples: &[u8]) -> Self {
        Self {
            shape,
            data: samples
                .iter()
                .map(|&sample| (f32::from(sample) - 128.0) / 128.0)
                .collect(),
        }
    }

    /// The channels of a cell.
    #[must_use]
    pub fn cell(&self, row: usize, column: usize) -> &[f32] {
        let channels = usize::from(self.shape.channels);
        let start = (row * usize::from(self.shape.width) + column) * channels;
        &self.data[start..start + channels]
    }
}

/// A convolution whose filters lie `[group][kernel row][kernel column][in][out]`, so that the innermost loop runs over
/// outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution {
    conv: FloatConv,
    filters: Vec<f32>,
}

impl Convolution {
    /// Rearranges the filters of `conv`.
    #[must_use]
    pub fn new(conv: FloatConv) -> Self {
        let outputs = usize::from(conv.out_channels);
        let per_group = outputs / usize::from(conv.groups);
        let filter_len = conv.weights.len() / outputs.max(1);
        let mut filters = Vec::with_capacity(conv.weights.len());
        for group in conv.weights.chunks_exact((per_group * filter_len).max(1)) {
            for tap in 0..filter_len {
                filters.extend((0..per_group).map(|o| group[o * filter_len + tap]));
            }
        }
        Self { conv, filters }
    }

    /// The tensor it reads.
    #[must_use]
    pub fn input(&self) -> usize {
        self.conv.input
    }

    /// What is applied to the sums.
    #[must_use]
    pub fn activation(&self) -> Activation {
        self.conv.output.activation
    }

    /// The sums of this convolution over `input`, bias included, before the activation.
    #[must_use]
    pub fn sums(&self, input: &Tensor, out: Shape) -> Tensor {
        let conv = &self.conv;
        let groups = usize::from(conv.groups);
        let group_inputs = usize::from(input.shape.channels) / groups;
        let group_outputs = usize::from(conv.out_channels) / groups;
        let columns = usize::from(conv.window.kernel[1]);
        let mut data = Vec::with_capacity(out.len());
        for y in 0..usize::from(out.height) {
            for x in 0..usize::from(out.width) {
                let start = data.len();
                data.extend_from_slice(&conv.bias);
                let sums = &mut data[start..];
                for_each_tap(&conv.window, input.shape, (y, x), |(ky, kx), (iy, ix)| {
                    let cell = input.cell(iy, ix);
                    for group in 0..groups {
                        let first =
                            (group * usize::from(conv.window.kernel[0]) + ky) * columns + kx;
                        let taps = &self.filters[first * group_inputs * group_outputs..];
                        let sums = &mut sums[group * group_outputs..(group + 1) * group_outputs];
                        let values = &cell[group * group_inputs..(group + 1) * group_inputs];
                        for (&value, weights) in values.iter().zip(taps.chunks_exact(group_outputs))
                        {
                            // Half of all activations are zero after a ReLU.
                            if value != 0.0 {
                                for (sum, weight) in sums.iter_mut().zip(weights) {
                                    *sum += value * weight;
                                }
                            }
                        }
                    }
                });
            }
        }
        Tensor { shape: out, data }
    }
}

/// Calls `visit((kernel row, kernel column), (row, column))` for every tap of an output cell inside the input.
fn for_each_tap(
    window: &Window,
    input: Shape,
    (y, x): (usize, usize),
    mut visit: impl FnMut((usize, usize), (usize, usize)),
) {
    let inside = |axis: usize, out: usize, tap: usize, length: u16| {
        let index =
            out * usize::from(window.stride[axis]) + tap * usize::from(window.dilation[axis]);
        let index = index.checked_sub(usize::from(window.padding[axis]))?;
        (index < usize::from(length)).then_some(index)
    };
    for ky in 0..usize::from(window.kernel[0]) {
        let Some(iy) = inside(0, y, ky, input.height) else {
            continue;
        };
        for kx in 0..usize::from(window.kernel[1]) {
            if let Some(ix) = inside(1, x, kx, input.width) {
                visit((ky, kx), (iy, ix));
            }
        }
    }
}

/// The maximum of every channel over the window's cells inside the image.
#[must_use]
pub fn max_pool(window: &Window, input: &Tensor, out: Shape) -> Tensor {
    pool(window, input, out, f32::NEG_INFINITY, f32::max, |max, _| {
        max
    })
}

/// The mean of every channel over the window's cells inside the image.
#[must_use]
pub fn avg_pool(window: &Window, input: &Tensor, out: Shape) -> Tensor {
    pool(
        window,
        input,
        out,
        0.0,
        |a, b| a + b,
        |sum, count| sum / count,
    )
}

fn pool(
    window: &Window,
    input: &Tensor,
    out: Shape,
    start: f32,
    combine: impl Fn(f32, f32) -> f32,
    finish: impl Fn(f32, f32) -> f32,
) -> Tensor {
    let mut data = vec![start; out.len()];
    let width = usize::from(out.width);
    let cells = data.chunks_exact_mut(usize::from(out.channels));
    for (at, cell) in cells.enumerate() {
        let mut count = 0.0;
        for_each_tap(
            window,
            input.shape,
            (at / width, at % width),
            |_, (y, x)| {
                count += 1.0;
                for (value, &other) in cell.iter_mut().zip(input.cell(y, x)) {
                    *value = combine(*value, other);
                }
            },
        );
        for value in cell {
            *value = finish(*value, count);
        }
    }
    Tensor { shape: out, data }
}

/// The sum of two tensors.
#[must_use]
pub fn add(layer: &FloatAdd, first: &Tensor, second: &Tensor) -> Tensor {
    let sums = first.data.iter().zip(&second.data);
    Tensor {
        shape: first.shape,
        data: sums
            .map(|(a, b)| layer.output.activation.apply(a + b))
            .collect(),
    }
}
