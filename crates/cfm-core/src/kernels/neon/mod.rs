//! Kernels for 64-bit Arm with NEON, and with the dot product instruction where there is one.
//!
//! Four filters at a time meet four cells (a fully connected layer has but one), so that what is loaded is used four
//! times. Weights need no order of their own: a step reads sixteen neighbouring weights of a filter, and the last one
//! ends where the filter ends.

mod depthwise;
mod products;
mod rounding;

use core::array::from_fn;

use products::{DotProduct, Multiply, QUAD, Widening, lanes, products};
use rounding::Scale;

use super::rounder::{Rounder, TABLE_WORDS, Table};
use super::scratch::{bytes, words};
use super::window::column;
use super::{Kernels, Portable, Rows, elements};
use crate::model::{Conv2d, Parameters, Window};
use crate::requantize::OutputScale;

/// Cells that are computed together.
const CELLS: usize = 4;

/// Kernels for 64-bit Arm.
///
/// Grouped convolutions that are not depthwise, and depthwise ones whose channels are no multiple of four, run on the
/// portable kernels. Pooling and addition are plain loops, of which the compiler makes vectors when it compiles for speed.
///
/// The dot product instruction (`SDOT`, `FEAT_DotProd`) is used where the target has it (`-C target-feature=+dotprod`, or
/// a `target-cpu`), where [`detect`](Self::detect) finds it, or where [the caller](Self::with_dot_product) vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Neon {
    dot_product: Option<DotProduct>,
}

#[allow(unsafe_code)] // who makes the value says which instructions there are
impl Neon {
    /// Kernels with the instructions that every core of the target has.
    #[must_use]
    pub const fn new() -> Self {
        if cfg!(target_feature = "dotprod") {
            // SAFETY: every core of the target has the instruction.
            unsafe { Self::with_dot_product() }
        } else {
            Self { dot_product: None }
        }
    }

    /// Kernels with the dot product instruction, if the core has it: with the feature `std`, the operating system knows;
    /// without, or without a system, as [`new`](Self::new).
    #[must_use]
    pub fn detect() -> Self {
        #[cfg(all(feature = "std", not(target_os = "none")))]
        if std::arch::is_aarch64_feature_detected!("dotprod") {
            // SAFETY: the core has the instruction.
            return unsafe { Self::with_dot_product() };
        }
        Self::new()
    }

    /// Kernels with the dot product instruction, for programs that know their core and have no operating system to ask.
    ///
    /// # Safety
    /// Every core that the kernels run on has `FEAT_DotProd` (`ID_AA64ISAR0_EL1.DP` is not 0).
    #[must_use]
    pub const unsafe fn with_dot_product() -> Self {
        Self {
            // SAFETY: as the caller promises.
            dot_product: Some(unsafe { DotProduct::new() }),
        }
    }

    /// Whether the dot product instruction is used.
    #[must_use]
    pub const fn has_dot_product(&self) -> bool {
        self.dot_product.is_some()
    }
}

impl Default for Neon {
    fn default() -> Self {
        Self::new()
    }
}

impl Kernels for Neon {
    fn conv2d_row(
        &self,
        input: &Rows<'_>,
        conv: &Conv2d<'_>,
        y: u16,
        scratch: &mut [i8],
        out: &mut [i8],
    ) {
        let channels = input.shape().channels;
        if conv.groups == 1 {
            let scratch = words(scratch);
            match self.dot_product {
                Some(multiply) => dense_row(multiply, input, conv, y, scratch, out),
                None => dense_row(Widening, input, conv, y, scratch, out),
            }
        } else if conv.groups == channels
            && conv.parameters.channels.len() == usize::from(channels)
            && channels.is_multiple_of(4)
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
        _scratch: &mut [i8],
        out: &mut [i8],
    ) {
        let mut rounders = Rounder::all(&parameters.channels);
        self.dense(input, parameters, out, |sum| {
            rounders
                .next()
                .map_or(0, |rounder| rounder.requantize(sum, &parameters.output))
        });
    }

    fn classifier(
        &self,
        input: &[i8],
        parameters: &Parameters<'_>,
        _scratch: &mut [i8],
        out: &mut [i16],
    ) {
        let mut rounders = Rounder::all(&parameters.channels);
        self.dense(input, parameters, out, |sum| {
            rounders.next().map_or(0, |rounder| rounder.logit(sum))
        });
    }

    fn maximum(&self, out: &mut [i8], cell: &[i8]) {
        Portable.maximum(out, cell);
    }
}

impl Neon {
    /// The outputs of a fully connected layer, made of its sums.
    fn dense<T>(
        &self,
        input: &[i8],
        parameters: &Parameters<'_>,
        out: &mut [T],
        mut output: impl FnMut(i32) -> T,
    ) {
        let (quads, rest) = whole_quads(parameters.weights, input.len());
        let (quads_out, rest_out) = out.as_chunks_mut::<QUAD>();
        for (weights, out) in quads.zip(quads_out) {
            let sums = self.products(weights, input);
            *out = sums.map(&mut output);
        }
        for (weights, value) in rest.zip(rest_out) {
            let [sum, ..] = self.products(weights, input);
            *value = output(sum);
        }
    }

    fn products(&self, weights: &[u8], input: &[i8]) -> [i32; QUAD] {
        let [sums] = match self.dot_product {
            Some(multiply) => products(multiply, weights, [input]),
            None => products(Widening, weights, [input]),
        };
        lanes(sums)
    }
}

/// Four filters at a time, and the rest one at a time.
fn whole_quads(
    weights: &[u8],
    filter_len: usize,
) -> (impl Iterator<Item = &[u8]>, impl Iterator<Item = &[u8]>) {
    let quads = weights.chunks_exact((QUAD * filter_len).max(1));
    let rest = quads.remainder().chunks_exact(filter_len.max(1));
    (quads, rest)
}

/// A dense convolution, [`CELLS`] cells at a time.
fn dense_row<M: Multiply>(
    multiply: M,
    input: &Rows<'_>,
    conv: &Conv2d<'_>,
    y: u16,
    scratch: &mut [u32],
    out: &mut [i8],
) {
    let outputs = conv.parameters.channels.len();
    let (table, places) = Table::new::<Neon>(&conv.parameters.channels, scratch);
    let row = DenseRow {
        multiply,
        input,
        conv,
        y,
        scales: table.map_or(&[], |table| table.quads),
    };
    let places = bytes(places);
    let mut x = 0;
    for cells in out.chunks_mut((CELLS * outputs).max(1)) {
        if cells.len() == CELLS * outputs {
            row.cells::<CELLS>(x, places, cells);
        } else {
            for (x, cell) in (x..).zip(cells.chunks_exact_mut(outputs.max(1))) {
                row.cells::<1>(x, places, cell);
            }
        }
        x += CELLS;
    }
}

/// An output row of a dense convolution.
struct DenseRow<'a, M> {
    multiply: M,
    input: &'a Rows<'a>,
    conv: &'a Conv2d<'a>,
    y: u16,
    /// Of the whole quads of outputs.
    scales: &'a [[u32; QUAD * TABLE_WORDS]],
}

impl<M: Multiply> DenseRow<'_, M> {
    /// `N` cells from `x` on; `places` has room for as many windows.
    fn cells<const N: usize>(&self, x: usize, places: &mut [i8], out: &mut [i8]) {
        let Conv2d {
            window, parameters, ..
        } = self.conv;
        let filter_len = parameters.filter_len().max(1);
        let mut places = places.chunks_exact_mut(filter_len);
        let columns: [&[i8]; N] = from_fn(|i| {
            let place = places.next().unwrap_or_default();
            column(self.input, window, self.y, x + i, place, |place, values| {
                place.copy_from_slice(values);
            })
        });
        let outputs = parameters.channels.len();
        let (quads, rest) = whole_quads(parameters.weights, filter_len);
        for (quad, (weights, entries)) in quads.zip(self.scales).enumerate() {
            let sums = products(self.multiply, weights, columns);
            let out = out.get_mut(QUAD * quad..).unwrap_or_default();
            Scale::new(entries).round(sums, &parameters.output, outputs, out);
        }
        let first = outputs / QUAD * QUAD;
        let rounders = Rounder::all(&parameters.channels).skip(first);
        for ((at, weights), rounder) in (first..).zip(rest).zip(rounders) {
            let sums = products(self.multiply, weights, columns);
            for (cell, sums) in out.chunks_exact_mut(outputs.max(1)).zip(sums) {
                if let Some(value) = cell.get_mut(at) {
                    *value = rounder.requantize(lanes(sums)[0], &parameters.output);
                }
            }
        }
    }
}
