//! Depthwise convolution: each channel is convolved for itself, so a row of cells and channels is one long row of positions.
//!
//! A *plane* holds the cells that one tap of the window sees, one after the other: with stride 1 there is one plane, with
//! stride 2 one of the even cells and one of the odd. Its rows are interleaved, so that a group has a position's
//! activations in several rows of the window, or those of several of its columns in the last row, if that is left over.
//! Positions come in *chunks* of four vectors; the channels of a chunk, and so the weights that it meets, repeat after a
//! *period* of chunks.
#![allow(unsafe_code)]

use std::vec::Vec;

use super::memory::Lines;
use super::scales::{Place, Scale, Scales};
use super::simd::Simd;
use crate::kernels::{Rows, origin};
use crate::model::{Conv2d, Window};

/// Vectors of a chunk.
const VECTORS: usize = 4;

/// Most bytes of packed weights. They are repeated, at worst once for every channel, which large layers of odd channels
/// would take much memory for.
const PACKED_MAX: usize = 64 << 20;

/// Most activations of a group.
const GROUP_MAX: usize = 4;

/// A layer, packed for an instruction set.
#[derive(Debug)]
pub(super) struct Depthwise {
    window: Window,
    channels: usize,
    /// Output positions of a row: cells times channels.
    positions: usize,
    /// The first column of each plane.
    planes: Vec<usize>,
    /// Positions of a row of a plane, of which chunks are read.
    plane_len: usize,
    bands: Vec<Band>,
    /// Positions of a band.
    band_len: usize,
    /// Where each tap starts in the interleaved bands, in bytes.
    taps: Vec<usize>,
    /// Positions that the last tap is shifted by, at most.
    reach: usize,
    period: usize,
    /// Of each chunk of the period, of each tap.
    weights: Lines,
    scales: Scales,
}

/// Interleaved rows of a plane.
#[derive(Debug, Clone, Copy)]
struct Band {
    /// Where each activation of a group starts in the gathered rows, in positions.
    rows: [usize; GROUP_MAX],
}

/// The taps of the window that a group of activations meets: rows and columns of weights, if there are any.
type Tap = [Option<(usize, usize)>; GROUP_MAX];

impl Depthwise {
    /// Packs a convolution of as many groups as inputs and outputs, with rows of `width` cells as output; `None` if that
    /// takes more than `most` bytes, or far more than its weights.
    pub(super) fn new<S: Simd>(conv: &Conv2d<'_>, width: u16, most: usize) -> Option<Self> {
        let Conv2d {
            window, parameters, ..
        } = conv;
        let channels = parameters.channels.len();
        let [rows, columns] = window.kernel.map(usize::from);
        let stride = usize::from(window.stride[1]).max(1);
        let dilation = usize::from(window.dilation[1]);
        let chunk = VECTORS * S::LANES;
        let positions = usize::from(width) * channels;

        let column = |kx: usize| (kx * dilation % stride, kx * dilation / stride);
        let mut planes: Vec<usize> = (0..columns).map(|kx| column(kx).0).collect();
        planes.sort_unstable();
        planes.dedup();
        // What the last tap is shifted by, and the last activation of a group.
        let last = columns.saturating_sub(1) * dilation / stride * channels;
        let reach = last.next_multiple_of(chunk);
        let band_len = positions.next_multiple_of(chunk) + reach;
        let plane_len = (band_len + last).next_multiple_of(chunk);

        let mut bands = Vec::new();
        let (mut taps, mut tap_places) = (Vec::<Tap>::new(), Vec::new());
        for (p, &plane) in planes.iter().enumerate() {
            let row_start = |ky: usize| (p * rows + ky) * plane_len;
            let seen: Vec<usize> = (0..columns).filter(|&kx| column(kx).0 == plane).collect();
            // Rows together; but a single one that is left over, columns together.
            let beside = rows % S::GROUP == 1;
            let below = if beside { rows - 1 } else { rows };
            for first in (0..below).step_by(S::GROUP) {
                let ky = |i: usize| Some(first + i).filter(|&ky| i < S::GROUP && ky < rows);
                let band = bands.len() * band_len;
                bands.push(Band {
                    // Whatever stands for a missing row meets weights of 0.
                    rows: std::array::from_fn(|i| row_start(ky(i).unwrap_or(first))),
                });
                for &kx in &seen {
                    taps.push(std::array::from_fn(|i| ky(i).map(|ky| (ky, kx))));
                    tap_places.push(4 * (band + column(kx).1 * channels));
                }
            }
            if beside {
                let start = row_start(below);
                for together in seen.chunks(S::GROUP) {
                    let shift = |i: usize| together.get(i).map_or(0, |&kx| column(kx).1 * channels);
                    tap_places.push(4 * bands.len() * band_len);
                    bands.push(Band {
                        rows: std::array::from_fn(|i| start + shift(i)),
                    });
                    taps.push(std::array::from_fn(|i| {
                        together.get(i).map(|&kx| (below, kx))
                    }));
                }
            }
        }

        let period = channels / gcd(channels, chunk).max(1);
        let packed = 4 * period * taps.len() * chunk;
        let workspace = 4 * bands.len() * band_len + planes.len() * rows * plane_len;
        let scales = period * chunk * Scales::BYTES;
        if packed > PACKED_MAX || packed + workspace + scales > most {
            return None;
        }
        let channel_of = |position: usize| position % channels.max(1);
        let packed = (0..period).flat_map(|part| taps.iter().map(move |tap| (part, tap)));
        let weights = packed
            .flat_map(|(part, tap)| {
                (part * chunk..(part + 1) * chunk)
                    .flat_map(move |at| tap.iter().take(S::GROUP).map(move |tap| (at, tap)))
            })
            .flat_map(|(at, tap)| {
                let at_weight = |&(ky, kx): &(usize, usize)| ky * columns + kx;
                let weight = tap.as_ref().map(at_weight);
                let weight = weight.map_or(0, |at_tap| parameters.weight(channel_of(at), at_tap));
                S::packed(weight).into_iter().take(S::BYTES)
            })
            .map(|byte| [byte]);
        let scales: Vec<_> = (0..channels)
            .map(|channel| Scale::new(parameters, channel, S::OFFSET))
            .collect();
        let scales: Vec<_> = (0..period * chunk)
            .filter_map(|position| scales.get(channel_of(position)).copied())
            .collect();
        Some(Self {
            window: *window,
            channels,
            positions,
            planes,
            plane_len,
            bands,
            band_len,
            taps: tap_places,
            reach,
            period,
            weights: Lines::of(weights),
            scales: Scales::new(&scales, parameters.output),
        })
    }

    /// Bytes of the packed layer and of its workspace.
    pub(super) fn bytes(&self) -> usize {
        self.weights.bytes().len() + self.scales.len() * Scales::BYTES + self.workspace()
    }

    /// Bytes of all interleaved bands.
    fn interleaved_bytes(&self) -> usize {
        4 * self.bands.len() * self.band_len
    }

    /// Bytes of memory that a row is computed in.
    pub(super) fn workspace(&self) -> usize {
        let rows = self.planes.len() * usize::from(self.window.kernel[0]);
        self.interleaved_bytes() + rows * self.plane_len
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
        let top = origin(
            usize::from(y),
            self.window.stride[0],
            self.window.padding[0],
        );
        let kernel = self.window.kernel[0];
        let mut places = rows.chunks_exact_mut(self.plane_len.max(1));
        for &plane in &self.planes {
            for (ky, place) in (0..i32::from(kernel)).zip(&mut places) {
                let row = input.get(top + ky * i32::from(self.window.dilation[0]));
                // SAFETY: as the caller promises.
                unsafe { self.gather::<S>(row.unwrap_or(&[]), plane, input.zero_point(), place) };
            }
        }
        let (rows, interleaved) = (rows.as_ptr().cast(), interleaved.as_mut_ptr());
        let chunks = self.positions.div_ceil(VECTORS * S::LANES);
        let (mut ready, mut start) = (0, 0);
        while start < chunks {
            // So many periods that the channels of a chunk meet their weights more than once, and all stay in the cache.
            let strip = if S::REGISTERS > 16 { 4 } else { 2 };
            let end = (start + strip * self.period).min(chunks);
            // SAFETY: as the caller promises; lengths were checked, and whatever the chunks read is interleaved before.
            unsafe {
                let needed = end * VECTORS * S::LANES + self.reach;
                self.interleave::<S>(rows, interleaved, ready, needed);
                ready = needed;
                for part in 0..self.period {
                    let mut at = start + part;
                    while at < end {
                        let left = (end - at).div_ceil(self.period);
                        at += self.period
                            * if const { S::REGISTERS > 16 } && left >= 4 {
                                self.chunks::<S, 4>(part, at, interleaved, out)
                            } else if left >= 2 {
                                self.chunks::<S, 2>(part, at, interleaved, out)
                            } else {
                                self.chunks::<S, 1>(part, at, interleaved, out)
                            };
                    }
                }
            }
            start = end;
        }
    }

    /// The cells of a row that belong to a plane, one after the other.
    ///
    /// # Safety
    /// The processor has the instructions.
    #[inline(always)]
    unsafe fn gather<S: Simd>(&self, row: &[i8], first: usize, zero_point: i8, place: &mut [u8]) {
        let channels = self.channels;
        let stride = usize::from(self.window.stride[1]).max(1);
        let padding = usize::from(self.window.padding[1]);
        // Cells of padding, and the first column behind them.
        let before = padding.saturating_sub(first).div_ceil(stride);
        let column = first + before * stride - padding;
        let (left, place) = place.split_at_mut((before * channels).min(place.len()));
        left.fill(zero_point.cast_unsigned());
        let cells = row.get(column * channels..).unwrap_or(&[]);
        let mut copied = 0;
        if stride == 1 {
            copied = cells.len().min(place.len());
            // SAFETY: as the caller promises; both have so many bytes.
            unsafe { copy::<S>(cells.as_ptr().cast(), place.as_mut_ptr(), copied) };
        } else {
            let places = place.chunks_exact_mut(channels.max(1));
            for (place, cell) in places.zip(cells.chunks(stride * channels.max(1))) {
                // SAFETY: as the caller promises; the row has whole cells, and there is room for one.
                unsafe { copy::<S>(cell.as_ptr().cast(), place.as_mut_ptr(), channels) };
                copied += channels;
            }
        }
        if let Some(right) = place.get_mut(copied..) {
            right.fill(zero_point.cast_unsigned());
        }
    }

    /// Interleaves the positions from `start` to `end` of all bands.
    ///
    /// # Safety
    /// The processor has the instructions; `rows` are gathered, there is room for all bands, and `end` is inside them.
    #[inline(always)]
    unsafe fn interleave<S: Simd>(
        &self,
        rows: *const i8,
        interleaved: *mut u8,
        start: usize,
        end: usize,
    ) {
        for (i, band) in self.bands.iter().enumerate() {
            let mut at = start;
            while at < end {
                // SAFETY: as the caller promises; a gathered row is longer than a band by what a row of it is shifted by.
                unsafe {
                    let place = interleaved.add(4 * (i * self.band_len + at));
                    let [a, b, c, d] = band.rows;
                    let at = rows.add(at);
                    S::interleave([at.add(a), at.add(b), at.add(c), at.add(d)], place);
                }
                at += VECTORS * S::LANES;
            }
        }
    }

    /// The outputs of `N` chunks that are a period apart, from chunk `at` on; returns `N`.
    ///
    /// # Safety
    /// The processor has the instructions, for which the layer was packed; the chunks are inside the row, whatever they
    /// read is at `base`, and the output has a row's length.
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
        // SAFETY: a band is as long as the chunks of a row and what its last tap is shifted by; there are weights of each
        // tap for each part of the period.
        unsafe {
            let mut sums = [self.scales.starts::<S, VECTORS>(part * chunk); N];
            let weights = self.weights.bytes().as_ptr();
            let mut weights = weights.add(part * self.taps.len() * chunk_bytes);
            for &tap in &self.taps {
                let first = base.add(tap + at * chunk_bytes);
                let filters = S::load_all::<VECTORS>(weights);
                for (i, sums) in sums.iter_mut().enumerate() {
                    let activations = first.add(i * self.period * chunk_bytes);
                    for (j, (sum, &filter)) in sums.iter_mut().zip(&filters).enumerate() {
                        let activations = S::load(activations.add(j * S::VECTOR_BYTES));
                        *sum = S::add_products(*sum, activations, filter);
                    }
                }
                weights = weights.add(chunk_bytes);
            }
            let out = out.get_mut(at * chunk..).unwrap_or_default();
            let place = Place {
                out: out.as_mut_ptr(),
                len: chunk,
                stride: self.period * chunk,
                room: out.len(),
            };
            self.scales
                .finish::<S, VECTORS, N>(sums, part * chunk, place);
        }
        N
    }
}

/// Copies bytes in line.
///
/// # Safety
/// The processor has the instructions; `count` bytes are readable, and as many writable elsewhere.
#[inline(always)]
unsafe fn copy<S: Simd>(from: *const u8, to: *mut u8, count: usize) {
    // SAFETY: all vectors are inside `count`; the last one ends there.
    unsafe {
        if count < S::VECTOR_BYTES {
            return to.copy_from_nonoverlapping(from, count);
        }
        let mut at = 0;
        while at < count {
            at = at.min(count - S::VECTOR_BYTES);
            S::store_all(S::load(from.add(at)), to.add(at));
            at += S::VECTOR_BYTES;
        }
    }
}

/// Greatest common divisor.
fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
