//! Kernels for Arm cores with the DSP extension: Cortex-M4, M7 and M33.
//!
//! `SMLAD` multiplies and sums two pairs of halfwords at once. Inputs are unrolled into columns of halfwords, two cells
//! at a time, and weights come in [quads](crate::model::WeightOrder::Quads), which spares half of their extensions.

mod columns;
mod depthwise;
mod instructions;
mod quads;
mod rounding;

use columns::Column;
use instructions::max_bytes;
use quads::{MAX_INPUTS, Pair};

use super::rounder::{Round, Rounder, Table};
use super::scratch::words;
use super::{Kernels, Portable, Rows, elements};
use crate::model::{Conv2d, Parameters, WeightOrder, Window};
use crate::requantize::OutputScale;

/// Filters in a quad.
const QUAD: usize = 4;

/// Kernels for the DSP extension.
///
/// They read models packed with [`reorder`](crate::model::reorder::reorder). What cannot be in quads (grouped convolutions that
/// are not depthwise, outputs that are no multiple of four) runs on the portable kernels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Dsp;

impl Kernels for Dsp {
    const WEIGHT_ORDER: WeightOrder = WeightOrder::Quads;

    fn conv2d_row(
        &self,
        input: &Rows<'_>,
        conv: &Conv2d<'_>,
        y: u16,
        scratch: &mut [i8],
        out: &mut [i8],
    ) {
        let channels = input.shape().channels;
        match conv.parameters.order {
            WeightOrder::Quads => dense_row(input, conv, y, words(scratch), out),
            WeightOrder::Rows
                if conv.groups == channels
                    && conv.parameters.channels.len() == usize::from(channels)
                    && channels.is_multiple_of(4) =>
            {
                super::depthwise::row::<Self>(input, conv, y, words(scratch), out);
            }
            WeightOrder::Rows => Portable.conv2d_row(input, conv, y, scratch, out),
        }
    }

    fn max_pool_row(&self, input: &Rows<'_>, window: &Window, y: u16, out: &mut [i8]) {
        elements::max_pool_row(self, input, window, y, out);
    }

    fn avg_pool_row(&self, input: &Rows<'_>, window: &Window, y: u16, out: &mut [i8]) {
        elements::avg_pool_row(input, window, y, out);
    }

    fn add_row(
        &self,
        first: &Rows<'_>,
        second: &Rows<'_>,
        output: &OutputScale,
        y: u16,
        out: &mut [i8],
    ) {
        elements::add_row(first, second, output, y, out);
    }

    fn fully_connected(
        &self,
        input: &[i8],
        parameters: &Parameters<'_>,
        scratch: &mut [i8],
        out: &mut [i8],
    ) {
        match parameters.order {
            WeightOrder::Rows => Portable.fully_connected(input, parameters, scratch, out),
            WeightOrder::Quads => {
                let (out, _) = out.as_chunks_mut::<QUAD>();
                let mut rounders = Rounder::all(&parameters.channels);
                dense(input, parameters, words(scratch), |quad, sums| {
                    let outputs = out.get_mut(quad).into_iter().flatten();
                    for ((value, sum), rounder) in outputs.zip(sums).zip(&mut rounders) {
                        *value = rounder.requantize(sum, &parameters.output);
                    }
                });
            }
        }
    }

    fn classifier(
        &self,
        input: &[i8],
        parameters: &Parameters<'_>,
        scratch: &mut [i8],
        out: &mut [i16],
    ) {
        match parameters.order {
            WeightOrder::Rows => Portable.classifier(input, parameters, scratch, out),
            WeightOrder::Quads => {
                let (out, _) = out.as_chunks_mut::<QUAD>();
                let mut rounders = Rounder::all(&parameters.channels);
                dense(input, parameters, words(scratch), |quad, sums| {
                    let outputs = out.get_mut(quad).into_iter().flatten();
                    for ((value, sum), rounder) in outputs.zip(sums).zip(&mut rounders) {
                        *value = rounder.logit(sum);
                    }
                });
            }
        }
    }

    fn maximum(&self, out: &mut [i8], cell: &[i8]) {
        let (words, rest) = out.as_chunks_mut::<4>();
        let (cells, cell_rest) = cell.as_chunks::<4>();
        for (word, cell) in words.iter_mut().zip(cells) {
            let [a, b] = [*word, *cell].map(|w| u32::from_le_bytes(w.map(i8::cast_unsigned)));
            *word = max_bytes(a, b).to_le_bytes().map(u8::cast_signed);
        }
        Portable.maximum(rest, cell_rest);
    }
}

/// A dense convolution, two cells at a time.
fn dense_row(input: &Rows<'_>, conv: &Conv2d<'_>, y: u16, scratch: &mut [u32], out: &mut [i8]) {
    let parameters = &conv.parameters;
    let outputs = parameters.channels.len();
    let filter_len = parameters.filter_len();
    let (table, scratch) = Table::new::<Dsp>(&parameters.channels, scratch);
    let Some((sums, columns)) = scratch.split_at_mut_checked(2 * outputs) else {
        return;
    };
    let mut x = 0;
    for cells in out.chunks_mut((2 * outputs).max(1)) {
        let (first, second) = cells.split_at_mut_checked(outputs).unwrap_or_default();
        Column::<0, 2>::new(columns).window(input, &conv.window, y, x);
        if !second.is_empty() {
            Column::<1, 2>::new(columns).window(input, &conv.window, y, x + 1);
        }
        let (columns, _) = columns.as_chunks::<2>();
        let quads = parameters.weights.chunks_exact((QUAD * filter_len).max(1));
        let (sums_of_quads, _) = sums.as_chunks_mut::<{ 2 * QUAD }>();
        for (sums, weights) in sums_of_quads.iter_mut().zip(quads) {
            two_columns(weights, columns, filter_len, sums);
        }
        for (cell, at) in [(first, 0), (second, QUAD)] {
            let sums = sums.get(at..).unwrap_or(&[]);
            match table {
                Some(table) => {
                    // The last quad lacks the other cell's sums behind it.
                    Dsp::round(sums, 2 * QUAD, table, &parameters.output, cell);
                }
                None => {
                    let sums = sums
                        .chunks(2 * QUAD)
                        .flat_map(|quad| quad.iter().take(QUAD));
                    let rounders = Rounder::all(&parameters.channels);
                    for ((value, &sum), rounder) in cell.iter_mut().zip(sums).zip(rounders) {
                        *value = rounder.requantize(sum.cast_signed(), &parameters.output);
                    }
                }
            }
        }
        x += 2;
    }
}

/// The products of a quad with two columns, however long.
#[inline(always)]
fn two_columns(weights: &[u8], columns: &[[Pair; 2]], inputs: usize, sums: &mut [u32; 2 * QUAD]) {
    if inputs <= MAX_INPUTS {
        quads::two_columns(weights, columns, inputs, sums);
        return;
    }
    sums.fill(0);
    let parts = weights
        .chunks(QUAD * MAX_INPUTS)
        .zip(columns.chunks(MAX_INPUTS / 2));
    for (weights, columns) in parts {
        let mut part = [0; 2 * QUAD];
        quads::two_columns(weights, columns, weights.len() / QUAD, &mut part);
        for (sum, part) in sums.iter_mut().zip(part) {
            *sum = sum.wrapping_add(part);
        }
    }
}

/// All sums of a fully connected layer, a quad at a time.
fn dense(
    input: &[i8],
    parameters: &Parameters<'_>,
    scratch: &mut [Pair],
    mut emit: impl FnMut(usize, [i32; QUAD]),
) {
    Column::<0, 1>::new(scratch).extend(input);
    let quads = parameters.weights.chunks_exact((QUAD * input.len()).max(1));
    for (quad, weights) in quads.enumerate() {
        let mut sums = [0; QUAD];
        let parts = weights
            .chunks(QUAD * MAX_INPUTS)
            .zip(scratch.chunks(MAX_INPUTS / 2));
        for (weights, column) in parts {
            let part = quads::one_column(weights, column, weights.len() / QUAD);
            for (sum, part) in sums.iter_mut().zip(part) {
                *sum += part;
            }
        }
        emit(quad, sums);
    }
}
