//! Depthwise convolution: each channel is convolved for itself, so a row of cells and channels is one long row of positions.
//!
//! A *plane* holds the cells that one tap of the window sees, one after the other: with stride 1 there is one plane, with
//! stride 2 one of the even cells and one of the odd. Its rows are interleaved, so that a group has a position's
//! activations in several rows of the window. Positions come in *chunks* of four vectors; the channels of a chunk, and so
//! the weights that it meets, repeat after a *period* of chunks.
#![allow(unsafe_code)]

use core::array::from_fn;
use std::vec::Vec;

use super::memory::Lines;
use super::scales::Scales;
use super::simd::Simd;
use crate::kernels::{Rows, origin};
use crate::model::{Conv2d, Window};

/// Vectors of a chunk.
const VECTORS: usize = 4;

/// A layer, packed for an instruction set.
#[derive(Debug)]
pub(super) struct Depthwise {
    window: Window,
    channels: usize,
    /// Output positions of a row: cells times channels.
    positions: usize,
    /// The first column of each plane.
    planes: Vec<usize>,
    /// Positions of a plane, a multiple of a chunk's.
    plane_len: usize,
    /// Groups of rows.
    groups: usize,
    /// Where each tap starts in the interleaved planes, in bytes.
    taps: Vec<usize>,
    period: usize,
    /// Of each chunk of the period, of each tap.
    weights: Lines,
    scales: Scales,
}

impl Depthwise {
    /// Packs a convolution of as many groups as inputs and outputs, with rows of `width` cells as output.
    pub(super) fn new<S: Simd>(conv: &Conv2d<'_>, width: u16) -> Self {
        let Conv2d {
            window, parameters, ..
        } = conv;
        let channels = parameters.channels.len();
        let [rows, columns] = window.kernel.map(usize::from);
        let (stride, dilation) = (
            usize::from(window.stride[1]).max(1),
            usize::from(window.dilation[1]),
        );
        let chunk = VECTORS * S::LANES;
        let positions = usize::from(width) * channels;
        let groups = rows.div_ceil(S::GROUP);
        let mut planes: Vec<usize> = (0..columns).map(|kx| kx * dilation % stride).collect();
        planes.sort_unstable();
        planes.dedup();
        let last = columns.saturating_sub(1) * dilation / stride;
        let plane_len =
            (positions.next_multiple_of(chunk) + last * channels).next_multiple_of(chunk);
        // Which rows and which column a tap has.
        let columns_of_taps: Vec<(usize, usize)> = (0..groups)
            .flat_map(|group| (0..columns).map(move |kx| (group, kx)))
            .collect();
        let taps = columns_of_taps
            .iter()
            .map(|&(group, kx)| {
                let column = kx * dilation;
                let plane = planes.iter().position(|&p| p == column % stride);
                let row = plane.unwrap_or(0) * groups + group;
                4 * (row * plane_len + column / stride * channels)
            })
            .collect();

        let period = channels / gcd(channels, chunk).max(1);
        let all: Vec<_> = parameters.channels.iter().collect();
        let (mut repeated, mut starts) = (Vec::new(), Vec::new());
        for channel in (0..period * chunk).map(|position| position % channels.max(1)) {
            let weights = (0..rows * columns).map(|at| i32::from(parameters.weight(channel, at)));
            let offset = S::OFFSET.wrapping_mul(weights.sum());
            if let Some(&record) = all.get(channel) {
                starts.push(record.bias.wrapping_sub(offset));
                repeated.push(record);
            }
        }
        let mut weights = Lines::zeros(period * columns_of_taps.len() * chunk * 4);
        let mut places = weights.bytes_mut().chunks_exact_mut(S::BYTES);
        for part in 0..period {
            for &(group, kx) in &columns_of_taps {
                for position in 0..chunk {
                    let channel = (part * chunk + position) % channels.max(1);
                    for ky in (0..S::GROUP).map(|row| group * S::GROUP + row) {
                        let weight = if ky < rows {
                            parameters.weight(channel, ky * columns + kx)
                        } else {
                            0
                        };
                        if let Some(place) = places.next() {
                            place.copy_from_slice(&S::packed(weight)[..S::BYTES]);
                        }
                    }
                }
            }
        }
        Self {
            window: *window,
            channels,
            positions,
            planes,
            plane_len,
            groups,
            taps,
            period,
            weights,
            scales: Scales::new(&repeated, &starts, parameters.output),
        }
    }

    /// Bytes of a plane's interleaved rows.
    fn interleaved_bytes(&self) -> usize {
        4 * self.planes.len() * self.groups * self.plane_len
    }

    /// Bytes of memory that a row is computed in.
    pub(super) fn workspace(&self) -> usize {
        self.interleaved_bytes() + usize::from(self.window.kernel[0]) * self.plane_len
    }

    /// Computes row `y`.
    ///
    /// # Safety
    /// The processor has the instructions, for which the layer was packed.
    #[inline(always)]
    pub(super) unsafe fn row<S: Simd>(
        &self,
        input: &Rows<'_>,
        y: u16,
        memory: &mut [u8],
        out: &mut [i8],
    ) {
        if memory.len() < self.workspace() || out.len() != self.positions {
            return;
        }
        let (interleaved, rows) = memory.split_at_mut(self.interleaved_bytes());
        let rows = bytes(rows);
        // SAFETY: as the caller promises; lengths were checked, and the planes are interleaved before they are read.
        unsafe {
            for plane in 0..self.planes.len() {
                self.gather(input, y, plane, rows);
                self.interleave::<S>(plane, rows, interleaved);
            }
            let base = interleaved.as_ptr();
            let chunks = self.positions.div_ceil(VECTORS * S::LANES);
            for part in 0..self.period {
                let mut at = part;
                while at < chunks {
                    let left = (chunks - at).div_ceil(self.period);
                    at += self.period
                        * if S::REGISTERS > 16 && left >= 4 {
                            self.chunks::<S, 4>(part, at, base, out)
                        } else if left >= 2 {
                            self.chunks::<S, 2>(part, at, base, out)
                        } else {
                            self.chunks::<S, 1>(part, at, base, out)
                        };
                }
            }
        }
    }

    /// The cells of a plane, row by row of the window.
    fn gather(&self, input: &Rows<'_>, y: u16, plane: usize, rows: &mut [i8]) {
        let window = &self.window;
        let stride = usize::from(window.stride[1]).max(1);
        let padding = usize::from(window.padding[1]);
        let first = self.planes.get(plane).copied().unwrap_or(0);
        // Cells of padding, and the first column behind them.
        let before = padding.saturating_sub(first).div_ceil(stride);
        let column = first + before * stride - padding;
        let top = origin(usize::from(y), window.stride[0], window.padding[0]);
        for (ky, place) in
            (0..i32::from(window.kernel[0])).zip(rows.chunks_exact_mut(self.plane_len))
        {
            let row = input.get(top + ky * i32::from(window.dilation[0]));
            let (left, place) = place.split_at_mut((before * self.channels).min(self.plane_len));
            left.fill(input.zero_point());
            let cells = row.and_then(|row| row.get(column * self.channels..));
            let cells = cells.unwrap_or(&[]);
            let copied = if stride == 1 {
                let len = cells.len().min(place.len());
                place[..len].copy_from_slice(&cells[..len]);
                len
            } else {
                let pitch = (stride * self.channels).max(1);
                let mut copied = 0;
                let places = place.chunks_exact_mut(self.channels.max(1));
                for (place, cell) in places.zip(cells.chunks(pitch)) {
                    place.copy_from_slice(&cell[..self.channels]);
                    copied += self.channels;
                }
                copied
            };
            place[copied..].fill(input.zero_point());
        }
    }

    /// # Safety
    /// The processor has the instructions.
    #[inline(always)]
    unsafe fn interleave<S: Simd>(&self, plane: usize, rows: &[i8], interleaved: &mut [u8]) {
        let chunk = VECTORS * S::LANES;
        let kernel_rows = usize::from(self.window.kernel[0]);
        for group in 0..self.groups {
            let row = |i: usize| {
                // A row beyond the last has weights of 0.
                let ky = group * S::GROUP + i;
                let ky = if i < S::GROUP && ky < kernel_rows {
                    ky
                } else {
                    0
                };
                rows[ky * self.plane_len..][..self.plane_len].as_ptr()
            };
            let rows: [*const i8; 4] = from_fn(row);
            let start = 4 * (plane * self.groups + group) * self.plane_len;
            let place = interleaved[start..][..4 * self.plane_len].as_mut_ptr();
            for at in (0..self.plane_len).step_by(chunk) {
                // SAFETY: as the caller promises; a plane is a multiple of a chunk.
                unsafe { S::interleave(rows.map(|row| row.add(at)), place.add(4 * at)) };
            }
        }
    }

    /// The outputs of `N` chunks that are a period apart, from chunk `at` on; returns `N`.
    ///
    /// # Safety
    /// The processor has the instructions, for which the layer was packed; the chunks are inside the row, all planes are
    /// at `base`, and the output has a row's length.
    #[inline(always)]
    unsafe fn chunks<S: Simd, const N: usize>(
        &self,
        part: usize,
        at: usize,
        base: *const u8,
        out: &mut [i8],
    ) -> usize {
        let chunk = VECTORS * S::LANES;
        let chunk_bytes = VECTORS * S::VECTOR_BYTES;
        debug_assert!((part + 1) * chunk <= self.scales.len());
        // SAFETY: a plane is as long as the chunks of a row and what its last tap is shifted by; there are weights of each
        // tap for each part of the period.
        unsafe {
            let mut sums = [self.scales.starts::<S, VECTORS>(part * chunk); N];
            let weights = self.weights.bytes().as_ptr();
            let mut weights = weights.add(part * self.taps.len() * chunk_bytes);
            for &tap in &self.taps {
                let first = base.add(tap + at * chunk_bytes);
                let filters: [S::Vector; VECTORS] =
                    from_fn(|i| S::load(weights.add(i * S::VECTOR_BYTES)));
                for (i, sums) in sums.iter_mut().enumerate() {
                    let activations = first.add(i * self.period * chunk_bytes);
                    for (j, (sum, filter)) in sums.iter_mut().zip(filters).enumerate() {
                        let activations = S::load(activations.add(j * S::VECTOR_BYTES));
                        *sum = S::add_products(*sum, activations, filter);
                    }
                }
                weights = weights.add(chunk_bytes);
            }
            for (i, sums) in sums.into_iter().enumerate() {
                let first = (at + i * self.period) * chunk;
                let out = &mut out[first..];
                let len = out.len().min(chunk);
                self.scales
                    .finish::<S, VECTORS>(sums, part * chunk, out.as_mut_ptr(), len);
            }
        }
        N
    }
}

/// Bytes as numbers.
fn bytes(bytes: &mut [u8]) -> &mut [i8] {
    // SAFETY: both are bytes of any value.
    unsafe { core::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len()) }
}

/// Greatest common divisor.
fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
