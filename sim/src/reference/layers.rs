//! The backbone's layers on whole tensors, in real numbers.

use cfm_core::model::{Conv2d, Layer, Operation, Parameters, Shape, Tensor, Window};
use cfm_core::requantize::OutputScale;

use super::real::{Activation, RealParameters, Scale};

/// Computes the output `tensor` of a layer from the tensors before it.
#[must_use]
pub fn forward(layer: &Layer<'_>, tensor: Tensor, before: &[Activation]) -> Activation {
    let input = &before[layer.input];
    let data = match layer.operation {
        Operation::Conv2d(Conv2d {
            window,
            groups,
            ref parameters,
        }) => convolution(input, window, usize::from(groups), parameters, tensor.shape),
        Operation::MaxPool { window } => pool(input, window, tensor.shape, |cells| {
            cells.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        }),
        // The quotient of a 25-bit and a 16-bit integer times a power of two: f64's own rounding is far finer than
        // the distance from any such quotient to the nearest tie that it is not.
        Operation::AvgPool { window } => pool(input, window, tensor.shape, |cells| {
            cells.iter().sum::<f64>() / cells.len() as f64
        }),
        Operation::Add { second, output } => add(input, &before[second], output),
    };
    Activation {
        shape: tensor.shape,
        scale: tensor.into(),
        data,
    }
}

/// The image as a tensor: `q = sample - 128`.
#[must_use]
pub fn image(tensor: Tensor, samples: &[u8]) -> Activation {
    Activation {
        shape: tensor.shape,
        scale: tensor.into(),
        data: samples
            .iter()
            .map(|&sample| (i16::from(sample) - 128) as i8)
            .collect(),
    }
}

/// The index of tap `tap` of output `out` along axis `axis`, or `None` in the padding.
fn tap_index(window: &Window, axis: usize, out: usize, tap: usize, len: u16) -> Option<usize> {
    let index = (out * usize::from(window.stride[axis]) + tap * usize::from(window.dilation[axis]))
        .checked_sub(usize::from(window.padding[axis]))?;
    (index < usize::from(len)).then_some(index)
}

fn convolution(
    input: &Activation,
    window: Window,
    groups: usize,
    parameters: &Parameters<'_>,
    out: Shape,
) -> Vec<i8> {
    let output = parameters.output;
    let real = RealParameters::new(parameters, input.scale, output.exponent);
    let x = input.real();
    let (in_width, in_channels) = (
        usize::from(input.shape.width),
        usize::from(input.shape.channels),
    );
    let (out_height, out_width, out_channels) = (
        usize::from(out.height),
        usize::from(out.width),
        usize::from(out.channels),
    );
    let (kernel_height, kernel_width) =
        (usize::from(window.kernel[0]), usize::from(window.kernel[1]));
    let group_inputs = in_channels / groups;
    let group_outputs = out_channels / groups;
    let scale = Scale::from(output);
    let mut data = Vec::with_capacity(out.len());
    for oy in 0..out_height {
        for ox in 0..out_width {
            for o in 0..out_channels {
                let first_input = o / group_outputs * group_inputs;
                let mut sum = real.biases[o];
                for ky in 0..kernel_height {
                    let Some(iy) = tap_index(&window, 0, oy, ky, input.shape.height) else {
                        continue;
                    };
                    for kx in 0..kernel_width {
                        let Some(ix) = tap_index(&window, 1, ox, kx, input.shape.width) else {
                            continue;
                        };
                        let cell = (iy * in_width + ix) * in_channels + first_input;
                        let weight = ((o * kernel_height + ky) * kernel_width + kx) * group_inputs;
                        sum += dot(
                            &x[cell..cell + group_inputs],
                            &real.weights[weight..weight + group_inputs],
                        );
                    }
                }
                real.debug_check(o, sum);
                data.push(scale.quantize(sum, output.low, output.high));
            }
        }
    }
    data
}

/// Sum of products; the order does not matter, since every partial sum is exact.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut lanes = [0.0; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f64 = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    lanes.iter().sum::<f64>() + tail
}

fn pool(
    input: &Activation,
    window: Window,
    out: Shape,
    combine: impl Fn(&[f64]) -> f64,
) -> Vec<i8> {
    let (width, channels) = (
        usize::from(input.shape.width),
        usize::from(input.shape.channels),
    );
    let x = input.real();
    let mut cells = Vec::new();
    let mut data = Vec::with_capacity(out.len());
    for oy in 0..usize::from(out.height) {
        for ox in 0..usize::from(out.width) {
            for c in 0..channels {
                cells.clear();
                for ky in 0..usize::from(window.kernel[0]) {
                    for kx in 0..usize::from(window.kernel[1]) {
                        if let (Some(iy), Some(ix)) = (
                            tap_index(&window, 0, oy, ky, input.shape.height),
                            tap_index(&window, 1, ox, kx, input.shape.width),
                        ) {
                            cells.push(x[(iy * width + ix) * channels + c]);
                        }
                    }
                }
                data.push(input.scale.quantize(combine(&cells), i8::MIN, i8::MAX));
            }
        }
    }
    data
}

fn add(first: &Activation, second: &Activation, output: OutputScale) -> Vec<i8> {
    let scale = Scale::from(output);
    first
        .real()
        .into_iter()
        .zip(second.real())
        .map(|(a, b)| scale.quantize(a + b, output.low, output.high))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(height: u16, width: u16, zero_point: i8, exponent: i8, data: &[i8]) -> Activation {
        let shape = Shape {
            height,
            width,
            channels: 1,
        };
        Activation {
            shape,
            scale: Scale {
                zero_point,
                exponent,
            },
            data: data.to_vec(),
        }
    }

    const THREE_BY_THREE: Window = Window {
        kernel: [2, 2],
        stride: [2, 2],
        dilation: [1, 1],
        padding: [1, 0, 0, 1],
    };

    #[test]
    fn pooling_ignores_the_padding() {
        // Windows: row -1..1 (only row 0 is inside) and row 1..3; columns 0..2 and 2..4 (only column 2 is inside).
        let x = tensor(3, 3, 5, 0, &[1, 2, -3, 4, 5, -6, 7, 8, -9]);
        let out = Shape {
            height: 2,
            width: 2,
            channels: 1,
        };
        let max = pool(&x, THREE_BY_THREE, out, |cells| {
            cells.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        });
        assert_eq!(max, [2, -3, 8, -6]);
        // (1 + 2) / 2 - 5 = -3.5: -4 is even, so 1. (4 + 5 + 7 + 8) / 4 = 6. (-6 - 9) / 2 - 5 = -12.5: -12, so -7.
        let mean = pool(&x, THREE_BY_THREE, out, |cells| {
            cells.iter().sum::<f64>() / cells.len() as f64
        });
        assert_eq!(mean, [1, -3, 6, -7]);
    }

    #[test]
    fn addition_aligns_the_scales() {
        let a = tensor(1, 3, 0, 0, &[1, 2, 100]);
        let b = tensor(1, 3, -2, -1, &[-1, 1, 127]);
        let output = OutputScale {
            zero_point: 10,
            exponent: 0,
            low: 10,
            high: 120,
        };
        // 1 + 0.5 = 1.5 -> 2; 2 + 1.5 = 3.5 -> 4; 100 + 64.5 clamps.
        assert_eq!(add(&a, &b, output), [12, 14, 120]);
    }

    #[test]
    fn dot_products_have_every_term() {
        let a: Vec<f64> = (0..21).map(f64::from).collect();
        let b = vec![2.0; 21];
        assert_eq!(dot(&a, &b), 420.0);
    }
}
