//! The kernels as plain loops: the readable specification, and the fallback everywhere.

use super::{Kernels, Rows, elements, origin};
use crate::model::{Conv2d, Parameters, Window};
use crate::requantize::{OutputScale, rne, rne_div};

/// Kernels in portable Rust.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Portable;

impl Kernels for Portable {
    fn conv2d_row(
        &self,
        input: &Rows<'_>,
        conv: &Conv2d<'_>,
        y: u16,
        _scratch: &mut [i8],
        out: &mut [i8],
    ) {
        let Conv2d {
            window,
            groups,
            parameters,
        } = conv;
        let outputs = parameters.channels.len();
        let group_outputs = outputs / usize::from(*groups.max(&1));
        let taps = Taps::new(input, window, *groups);
        if outputs == 0 || group_outputs == 0 || taps.filter_len() == 0 {
            return;
        }
        for (x, cell) in out.chunks_exact_mut(outputs).enumerate() {
            let filters = parameters.weights.chunks_exact(taps.filter_len());
            for ((o, value), (filter, channel)) in cell
                .iter_mut()
                .enumerate()
                .zip(filters.zip(parameters.channels.iter()))
            {
                let acc = channel.bias + taps.sum(filter, o / group_outputs, y, x);
                *value = channel.requantize(acc, &parameters.output);
            }
        }
    }

    fn max_pool_row(&self, input: &Rows<'_>, window: &Window, y: u16, out: &mut [i8]) {
        elements::max_pool_row(self, input, window, y, out);
    }

    fn avg_pool_row(&self, input: &Rows<'_>, window: &Window, y: u16, out: &mut [i8]) {
        let zero_point = input.zero_point();
        let scale = OutputScale {
            zero_point,
            exponent: input.exponent(),
            low: i8::MIN,
            high: i8::MAX,
        };
        let channels = usize::from(input.shape().channels);
        for (x, values) in out.chunks_exact_mut(channels.max(1)).enumerate() {
            for (c, value) in values.iter_mut().enumerate() {
                let (sum, count) = window_cells(input, window, y, x)
                    .filter_map(|cell| cell.get(c))
                    .fold((0, 0), |(sum, count), &q| {
                        (sum + i32::from(q) - i32::from(zero_point), count + 1)
                    });
                *value = scale.clamp(i64::from(rne_div(sum, count)));
            }
        }
    }

    fn add_row(
        &self,
        first: &Rows<'_>,
        second: &Rows<'_>,
        output: &OutputScale,
        y: u16,
        out: &mut [i8],
    ) {
        let (Some(a), Some(b)) = (first.get(i32::from(y)), second.get(i32::from(y))) else {
            return;
        };
        let (e1, e2) = (first.exponent(), second.exponent());
        let finest = e1.min(e2).min(output.exponent);
        // The reader keeps the three exponents within 32 of each other, so nothing here leaves 64 bits.
        let align = |q: i8, zero_point: i8, exponent: i8| {
            (i64::from(q) - i64::from(zero_point)) << (exponent.abs_diff(finest) & 63)
        };
        let shift = output.exponent.abs_diff(finest);
        for (value, (&qa, &qb)) in out.iter_mut().zip(a.iter().zip(b)) {
            let sum = align(qa, first.zero_point(), e1) + align(qb, second.zero_point(), e2);
            *value = output.clamp(rne(sum, shift));
        }
    }

    fn fully_connected(
        &self,
        input: &[i8],
        parameters: &Parameters<'_>,
        _scratch: &mut [i8],
        out: &mut [i8],
    ) {
        let filters = parameters.weights.chunks_exact(input.len().max(1));
        for (value, (filter, channel)) in
            out.iter_mut().zip(filters.zip(parameters.channels.iter()))
        {
            let acc = channel.bias + dot(filter, input);
            *value = channel.requantize(acc, &parameters.output);
        }
    }

    fn classifier(
        &self,
        input: &[i8],
        parameters: &Parameters<'_>,
        _scratch: &mut [i8],
        out: &mut [i16],
    ) {
        let filters = parameters.weights.chunks_exact(input.len().max(1));
        for (value, (filter, channel)) in
            out.iter_mut().zip(filters.zip(parameters.channels.iter()))
        {
            *value = channel.logit(channel.bias + dot(filter, input));
        }
    }

    fn maximum(&self, out: &mut [i8], cell: &[i8]) {
        elements::maximum(out, cell);
    }
}

/// `sum w * q`; the model's accumulator bound keeps every partial sum inside 32 bits.
fn dot(weights: &[u8], values: &[i8]) -> i32 {
    weights
        .iter()
        .zip(values)
        .map(|(&w, &q)| i32::from(w.cast_signed()) * i32::from(q))
        .sum()
}

/// How a convolution walks its window: one filter row at a time, as long contiguous stretches where possible.
struct Taps<'a> {
    input: &'a Rows<'a>,
    window: &'a Window,
    channels: usize,
    group_inputs: usize,
}

impl<'a> Taps<'a> {
    fn new(input: &'a Rows<'a>, window: &'a Window, groups: u16) -> Self {
        let channels = usize::from(input.shape().channels);
        Self {
            input,
            window,
            channels,
            group_inputs: channels / usize::from(groups.max(1)),
        }
    }

    /// Weights per output channel.
    fn filter_len(&self) -> usize {
        usize::from(self.window.kernel[0]) * usize::from(self.window.kernel[1]) * self.group_inputs
    }

    /// `sum q_x * q_w` over the window at output `(y, x)` for group `group`; padding contributes `z * q_w`.
    fn sum(&self, filter: &[u8], group: usize, y: u16, x: usize) -> i32 {
        let window = self.window;
        let top = origin(usize::from(y), window.stride[0], window.padding[0]);
        let left = origin(x, window.stride[1], window.padding[1]);
        let filter_rows =
            filter.chunks_exact((usize::from(window.kernel[1]) * self.group_inputs).max(1));
        let mut acc = 0;
        for (ky, taps) in (0_i32..).zip(filter_rows) {
            acc += match self.input.get(top + ky * i32::from(window.dilation[0])) {
                Some(row) => self.row_sum(taps, row, group, left),
                None => self.padding_sum(taps),
            };
        }
        acc
    }

    fn row_sum(&self, taps: &[u8], row: &[i8], group: usize, left: i32) -> i32 {
        let width = i32::from(self.input.shape().width);
        if self.window.dilation[1] == 1 && self.group_inputs == self.channels {
            // Neighbouring cells are neighbouring bytes: one dot product over those inside the image.
            let kernel = i32::from(self.window.kernel[1]);
            let first = (-left).clamp(0, kernel) as usize * self.channels;
            let end = (width - left).clamp(0, kernel) as usize * self.channels;
            if let (Some(before), Some(inside), Some(after)) =
                (taps.get(..first), taps.get(first..end), taps.get(end..))
            {
                let start = left.max(0) as usize * self.channels;
                let values = row.get(start..).unwrap_or(&[]);
                return dot(inside, values) + self.padding_sum(before) + self.padding_sum(after);
            }
            return self.padding_sum(taps);
        }
        let mut acc = 0;
        for (kx, tap) in (0_i32..).zip(taps.chunks_exact(self.group_inputs.max(1))) {
            let x = left + kx * i32::from(self.window.dilation[1]);
            acc += if (0..width).contains(&x) {
                let start = x as usize * self.channels + group * self.group_inputs;
                dot(tap, row.get(start..).unwrap_or(&[]))
            } else {
                self.padding_sum(tap)
            };
        }
        acc
    }

    fn padding_sum(&self, taps: &[u8]) -> i32 {
        let sum: i32 = taps.iter().map(|&w| i32::from(w.cast_signed())).sum();
        sum * i32::from(self.input.zero_point())
    }
}

/// The cells of a pooling window that lie inside the image, each a slice of all channels.
pub(super) fn window_cells<'a>(
    input: &'a Rows<'a>,
    window: &Window,
    y: u16,
    x: usize,
) -> impl Iterator<Item = &'a [i8]> + use<'a> {
    let channels = usize::from(input.shape().channels);
    let width = i32::from(input.shape().width);
    let top = origin(usize::from(y), window.stride[0], window.padding[0]);
    let left = origin(x, window.stride[1], window.padding[1]);
    let first = left.max(0) as usize;
    let end = (left + i32::from(window.kernel[1])).clamp(0, width) as usize;
    (top..top + i32::from(window.kernel[0]))
        .filter_map(|iy| input.get(iy))
        .filter_map(move |row| row.get(first * channels..end * channels))
        .flat_map(move |cells| cells.chunks_exact(channels.max(1)))
}
