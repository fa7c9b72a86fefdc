//! Kernels for Arm cores with the M-profile vector extension (Helium): Cortex-M55 and M85.
//!
//! `VMLADAVA` sums sixteen products at once, and loops that end in a part of a vector are predicated, so weights need no
//! order of their own. Build with `-C target-cpu=cortex-m55`.

mod depthwise;
mod filters;
mod rounding;

use super::rounder::{Round, Rounder, Table};
use super::scratch::{bytes, words};
use super::{Kernels, Portable, Rows, elements, window};
use crate::model::{Conv2d, Parameters, Window};
use crate::requantize::OutputScale;

/// Filters that are computed together.
const QUAD: usize = 4;

/// Kernels for the M-profile vector extension.
///
/// Grouped convolutions that are not depthwise, and layers whose outputs are no multiple of four, run on the portable
/// kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Mve(());

#[allow(unsafe_code)] // who makes the value says that there are the instructions
impl Mve {
    /// The kernels.
    ///
    /// # Safety
    /// The core that they run on has the M-profile vector extension (integers are enough), and it is switched on: `CPACR`
    /// allows coprocessors 10 and 11, as `cortex-m-rt` has it for targets with floating point (`eabihf`). Stable Rust cannot tell
    /// this from the target.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

impl Kernels for Mve {
    fn conv2d_row(
        &self,
        input: &Rows<'_>,
        conv: &Conv2d<'_>,
        y: u16,
        scratch: &mut [i8],
        out: &mut [i8],
    ) {
        let channels = input.shape().channels;
        let outputs = conv.parameters.channels.len();
        if outputs.is_multiple_of(QUAD) && conv.groups == 1 {
            dense_row(input, conv, y, words(scratch), out);
        } else if outputs.is_multiple_of(QUAD)
            && conv.groups == channels
            && outputs == usize::from(channels)
        {
            super::depthwise::row::<Self>(input, conv, y, words(scratch), out);
        } else {
            Portable.conv2d_row(input, conv, y, scratch, out);
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
        let (outputs, rest) = out.as_chunks_mut::<QUAD>();
        if !rest.is_empty() {
            return Portable.fully_connected(input, parameters, scratch, out);
        }
        let mut rounders = Rounder::all(&parameters.channels);
        each_quad(input, parameters, outputs, |sum, value| {
            if let Some(rounder) = rounders.next() {
                *value = rounder.requantize(sum, &parameters.output);
            }
        });
    }

    fn classifier(
        &self,
        input: &[i8],
        parameters: &Parameters<'_>,
        scratch: &mut [i8],
        out: &mut [i16],
    ) {
        let (outputs, rest) = out.as_chunks_mut::<QUAD>();
        if !rest.is_empty() {
            return Portable.classifier(input, parameters, scratch, out);
        }
        let mut rounders = Rounder::all(&parameters.channels);
        each_quad(input, parameters, outputs, |sum, value| {
            if let Some(rounder) = rounders.next() {
                *value = rounder.logit(sum);
            }
        });
    }

    fn maximum(&self, out: &mut [i8], cell: &[i8]) {
        filters::maximum(out, cell);
    }
}

/// A dense convolution, one cell at a time: its window side by side, then all filters.
fn dense_row(input: &Rows<'_>, conv: &Conv2d<'_>, y: u16, scratch: &mut [u32], out: &mut [i8]) {
    let parameters = &conv.parameters;
    let outputs = parameters.channels.len();
    let (table, scratch) = Table::new::<Mve>(&parameters.channels, scratch);
    let Some((sums, columns)) = scratch.split_at_mut_checked(outputs) else {
        return;
    };
    let column = bytes(columns);
    let filter_len = parameters.filter_len();
    for (x, cell) in out.chunks_exact_mut(outputs.max(1)).enumerate() {
        let Some(place) = column.get_mut(..filter_len) else {
            return;
        };
        let values = window::column(input, &conv.window, y, x, place, filters::copy);
        filters::products(sums, parameters.weights, values);
        match table {
            Some(table) => Mve::round(sums, QUAD, table, &parameters.output, cell),
            None => {
                let rounders = Rounder::all(&parameters.channels);
                for ((value, &sum), rounder) in cell.iter_mut().zip(&*sums).zip(rounders) {
                    *value = rounder.requantize(sum.cast_signed(), &parameters.output);
                }
            }
        }
    }
}

/// The sums of a fully connected layer, with their outputs.
fn each_quad<T>(
    input: &[i8],
    parameters: &Parameters<'_>,
    outputs: &mut [[T; QUAD]],
    mut emit: impl FnMut(i32, &mut T),
) {
    let quads = parameters.weights.chunks_exact((QUAD * input.len()).max(1));
    for (weights, outputs) in quads.zip(outputs) {
        let mut sums = [0; QUAD];
        filters::products(&mut sums, weights, input);
        for (sum, value) in sums.into_iter().zip(outputs) {
            emit(sum.cast_signed(), value);
        }
    }
}
