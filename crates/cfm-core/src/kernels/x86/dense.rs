//! Dense convolutions and fully connected layers: tiles of several cells and several vectors of outputs.
//!
//! The rows of the window are staged, padding included, so that every window is a few *stretches* of neighbouring
//! activations: one for each of its rows, or one for each of its cells if it is dilated. A group of activations is
//! broadcast and meets the weights of many outputs at once; these are packed in the order in which they are met.
#![allow(unsafe_code)]

use std::vec::Vec;

use super::memory::Lines;
use super::scales::{Place, Scale, Scales};
use super::simd::Simd;
use crate::kernels::{Rows, origin};
use crate::model::{Conv2d, Parameters, Shape, Window};

/// Bytes that may be read behind the last activation: the rest of a group.
const SLACK: usize = 4;

/// Evaluates an expression with `$n` as a constant, for a block of so many vectors.
///
/// What the instruction set has no blocks for is not even compiled: with everything in line, that takes half a minute.
macro_rules! for_vectors {
    ($simd:ty, $vectors:expr, $n:ident => $run:expr) => {
        match $vectors {
            1 => for_vectors!(1, $simd, $n => $run),
            2 => for_vectors!(2, $simd, $n => $run),
            3 => for_vectors!(3, $simd, $n => $run),
            _ => for_vectors!(4, $simd, $n => $run),
        }
    };
    ($count:literal, $simd:ty, $n:ident => $run:expr) => {
        if const { $count <= <$simd>::BLOCK } {
            const $n: usize = $count;
            $run;
        }
    };
}

/// A layer, packed for an instruction set.
#[derive(Debug)]
pub(super) struct Dense {
    window: Window,
    /// Activations of a cell of the input.
    channels: usize,
    /// Bytes of a staged row.
    row_bytes: usize,
    /// Where each stretch of the first window starts, in bytes.
    stretches: Vec<usize>,
    /// Groups of a stretch.
    groups: usize,
    /// Bytes from a window to the next.
    step: usize,
    /// Cells of an output row.
    width: usize,
    outputs: usize,
    blocks: Vec<Block>,
    weights: Lines,
    scales: Scales,
}

/// Neighbouring outputs that are computed together.
#[derive(Debug, Clone, Copy)]
struct Block {
    /// Vectors of outputs.
    vectors: usize,
    /// The first output.
    first: usize,
    /// How many there are.
    outputs: usize,
    /// Where the weights start, in bytes.
    weights: usize,
}

impl Dense {
    /// Packs a convolution of one group, with an input of `shape` and rows of `width` cells as output; `None` if that takes
    /// more than `most` bytes.
    pub(super) fn convolution<S: Simd>(
        conv: &Conv2d<'_>,
        shape: Shape,
        width: u16,
        most: usize,
    ) -> Option<Self> {
        let Conv2d {
            window, parameters, ..
        } = conv;
        let [rows, columns] = window.kernel.map(usize::from);
        let channels = usize::from(shape.channels);
        // Neighbouring cells are neighbouring bytes.
        let (stretches, cells) = if window.dilation[1] == 1 {
            (1, columns)
        } else {
            (columns, 1)
        };
        let width = usize::from(width);
        let stride = usize::from(window.stride[1]);
        let staged_cells = width.saturating_sub(1) * stride + usize::from(window.extent(1).max(1));
        let row_bytes = staged_cells * channels * S::BYTES;
        if rows * row_bytes + Self::bytes_of::<S>(parameters, rows * stretches, cells * channels)
            > most
        {
            return None;
        }
        let dilation = usize::from(window.dilation[1]);
        let stretches = (0..rows * stretches)
            .map(|i| {
                let cell = i % stretches * dilation;
                i / stretches * row_bytes + cell * channels * S::BYTES
            })
            .collect();
        Some(Self {
            window: *window,
            channels,
            row_bytes,
            step: stride * channels * S::BYTES,
            width,
            ..Self::pack::<S>(parameters, stretches, cells * channels)
        })
    }

    /// Packs a fully connected layer; `None` if that takes more than `most` bytes.
    pub(super) fn fully_connected<S: Simd>(
        parameters: &Parameters<'_>,
        inputs: usize,
        most: usize,
    ) -> Option<Self> {
        let bytes = inputs * S::BYTES + Self::bytes_of::<S>(parameters, 1, inputs);
        (bytes <= most).then(|| Self {
            row_bytes: inputs * S::BYTES,
            ..Self::pack::<S>(parameters, std::vec![0], inputs)
        })
    }

    /// Bytes that packing takes, of `len` activations in each of some stretches.
    fn bytes_of<S: Simd>(parameters: &Parameters<'_>, stretches: usize, len: usize) -> usize {
        let vectors = parameters.channels.len().div_ceil(S::LANES);
        vectors * (stretches * len.div_ceil(S::GROUP) * S::VECTOR_BYTES + S::LANES * Scales::BYTES)
    }

    /// Bytes of the packed layer and of its workspace.
    pub(super) fn bytes(&self) -> usize {
        self.weights.bytes().len() + self.scales.len() * Scales::BYTES + self.workspace()
    }

    /// Packs weights, of `len` activations in each stretch.
    fn pack<S: Simd>(parameters: &Parameters<'_>, stretches: Vec<usize>, len: usize) -> Self {
        let outputs = parameters.channels.len();
        let groups = len.div_ceil(S::GROUP);
        let vectors = outputs.div_ceil(S::LANES);
        let count = vectors.div_ceil(S::BLOCK).max(1);
        let bytes = stretches.len() * groups * S::VECTOR_BYTES;
        let mut weights = Lines::zeros(vectors * bytes);
        // Blocks as equal as can be.
        let edge = |block: usize| block * vectors / count;
        let blocks: Vec<Block> = (0..count)
            .map(|block| {
                let first = edge(block) * S::LANES;
                let vectors = edge(block + 1) - edge(block);
                Block {
                    vectors,
                    first,
                    outputs: (vectors * S::LANES).min(outputs - first),
                    weights: edge(block) * bytes,
                }
            })
            .collect();
        for block in &blocks {
            let lanes = block.vectors * S::LANES;
            let places = weights
                .bytes_mut()
                .get_mut(block.weights..)
                .unwrap_or_default();
            for (i, place) in places
                .chunks_exact_mut(S::BYTES)
                .take(stretches.len() * groups * lanes * S::GROUP)
                .enumerate()
            {
                let (lane, group) = (i / S::GROUP % lanes, i / S::GROUP / lanes);
                let at = group % groups * S::GROUP + i % S::GROUP;
                if at < len && lane < block.outputs {
                    let at = group / groups * len + at;
                    let weight = S::packed(parameters.weight(block.first + lane, at));
                    place.copy_from_slice(&weight[..S::BYTES]);
                }
            }
        }
        let mut channels: Vec<_> = (0..outputs)
            .map(|output| Scale::new(parameters, output, S::OFFSET))
            .collect();
        channels.resize(vectors * S::LANES, Scale::NONE);
        Self {
            window: Window::UNIT,
            channels: 0,
            row_bytes: 0,
            stretches,
            groups,
            step: 0,
            width: 1,
            outputs,
            blocks,
            weights,
            scales: Scales::new(&channels, parameters.output),
        }
    }

    /// Bytes of memory that a row, or a vector, is computed in.
    pub(super) fn workspace(&self) -> usize {
        usize::from(self.window.kernel[0]) * self.row_bytes + SLACK
    }

    /// Computes row `y` of a convolution.
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
        let top = origin(
            usize::from(y),
            self.window.stride[0],
            self.window.padding[0],
        );
        let rows = memory.chunks_exact_mut(self.row_bytes.max(1));
        for (ky, staged) in (0..i32::from(self.window.kernel[0])).zip(rows) {
            let row = input.get(top + ky * i32::from(self.window.dilation[0]));
            let left = usize::from(self.window.padding[1]) * self.channels;
            // SAFETY: as the caller promises.
            unsafe { stage::<S>(row.unwrap_or(&[]), left, input.zero_point(), staged) };
        }
        // SAFETY: as the caller promises.
        unsafe { self.outputs::<S>(memory, out) };
    }

    /// Computes a fully connected layer.
    ///
    /// # Safety
    /// As for [`row`](Self::row).
    #[inline(always)]
    pub(super) unsafe fn vector<S: Simd>(&self, input: &[i8], memory: &mut [u8], out: &mut [i8]) {
        // SAFETY: as the caller promises; lengths are checked, and the only cell is the first.
        unsafe {
            self.stage_vector::<S>(input, memory);
            if !self.fits(memory, out.len()) {
                return;
            }
            let (base, out) = (memory.as_ptr(), out.as_mut_ptr());
            for block in &self.blocks {
                for_vectors!(S, block.vectors, N => self.tile::<S, N, 1>(block, base, out, 0));
            }
        }
    }

    /// Computes a classifier; `channels` requantize.
    ///
    /// # Safety
    /// As for [`row`](Self::row).
    #[inline(always)]
    pub(super) unsafe fn logits<S: Simd>(
        &self,
        input: &[i8],
        parameters: &Parameters<'_>,
        memory: &mut [u8],
        out: &mut [i16],
    ) {
        // SAFETY: as the caller promises.
        unsafe {
            self.stage_vector::<S>(input, memory);
            if !self.fits(memory, out.len()) {
                return;
            }
            let mut channels = parameters.channels.iter();
            for block in &self.blocks {
                let mut sums = [0; 64];
                const { assert!(S::BLOCK * S::LANES <= 64) };
                let base = memory.as_ptr();
                for_vectors!(S, block.vectors, N => {
                    store::<S, N>(self.sums::<S, N, 1>(block, base), &mut sums);
                });
                let out = out.get_mut(block.first..).unwrap_or_default();
                let sums = sums.iter().take(block.outputs);
                for ((out, &sum), channel) in out.iter_mut().zip(sums).zip(&mut channels) {
                    // The bias is in the sum.
                    *out = channel.logit(sum);
                }
            }
        }
    }

    /// # Safety
    /// As for [`row`](Self::row).
    #[inline(always)]
    unsafe fn stage_vector<S: Simd>(&self, input: &[i8], memory: &mut [u8]) {
        let staged = memory.get_mut(..self.row_bytes).unwrap_or_default();
        // SAFETY: as the caller promises.
        unsafe { stage::<S>(input, 0, 0, staged) };
    }

    /// Whether memory and output have the lengths that the layer reads and writes.
    fn fits(&self, memory: &[u8], out: usize) -> bool {
        memory.len() >= self.workspace() && out == self.width * self.outputs
    }

    /// All outputs of the staged windows.
    ///
    /// # Safety
    /// As for [`row`](Self::row).
    #[inline(always)]
    unsafe fn outputs<S: Simd>(&self, memory: &[u8], out: &mut [i8]) {
        if !self.fits(memory, out.len()) {
            return;
        }
        let (base, out) = (memory.as_ptr(), out.as_mut_ptr());
        for block in &self.blocks {
            // SAFETY: as the caller promises; lengths were checked.
            unsafe {
                for_vectors!(S, block.vectors, N => self.block::<S, N>(block, base, out));
            }
        }
    }

    /// The outputs of a block for all cells, in tiles as large as the registers allow.
    ///
    /// # Safety
    /// As for [`row`](Self::row); memory and output [fit](Self::fits).
    #[inline(always)]
    unsafe fn block<S: Simd, const N: usize>(&self, block: &Block, base: *const u8, out: *mut i8) {
        let mut x = 0;
        while x < self.width {
            let left = self.width - x;
            // SAFETY: as the caller promises; a tile ends where the row ends.
            x += unsafe {
                if const { has_room::<S, N>(12) } && left >= 12 {
                    self.tile::<S, N, 12>(block, base, out, x)
                } else if const { has_room::<S, N>(8) } && left >= 8 {
                    self.tile::<S, N, 8>(block, base, out, x)
                } else if const { has_room::<S, N>(6) } && left >= 6 {
                    self.tile::<S, N, 6>(block, base, out, x)
                } else if left >= 4 {
                    self.tile::<S, N, 4>(block, base, out, x)
                } else if left >= 2 {
                    self.tile::<S, N, 2>(block, base, out, x)
                } else {
                    self.tile::<S, N, 1>(block, base, out, x)
                }
            };
        }
    }

    /// The outputs of a block for `CELLS` cells from `x` on; returns `CELLS`.
    ///
    /// # Safety
    /// As for [`block`](Self::block); there are so many cells.
    #[inline(always)]
    unsafe fn tile<S: Simd, const N: usize, const CELLS: usize>(
        &self,
        block: &Block,
        base: *const u8,
        out: *mut i8,
        x: usize,
    ) -> usize {
        // SAFETY: cells x to x + CELLS are inside the output, and the block's outputs inside a cell.
        unsafe {
            let sums = self.sums::<S, N, CELLS>(block, base.add(x * self.step));
            let place = Place {
                out: out.add(x * self.outputs + block.first),
                len: block.outputs,
                stride: self.outputs,
                room: (self.width - x) * self.outputs - block.first,
            };
            self.scales.finish::<S, N, CELLS>(sums, block.first, place);
        }
        CELLS
    }

    /// The sums of a block for `CELLS` cells, the first of which has its window at `base`.
    ///
    /// # Safety
    /// As for [`block`](Self::block); there are so many cells.
    #[inline(always)]
    unsafe fn sums<S: Simd, const N: usize, const CELLS: usize>(
        &self,
        block: &Block,
        base: *const u8,
    ) -> [[S::Vector; N]; CELLS] {
        // SAFETY: a stretch of the last window ends inside the staged rows, but for the rest of a group, for which there
        // is slack; there are as many weights as groups in all stretches.
        unsafe {
            let mut sums = [self.scales.starts::<S, N>(block.first); CELLS];
            let mut weights = self.weights.bytes().as_ptr().add(block.weights);
            for &stretch in &self.stretches {
                let mut at = base.add(stretch);
                for _ in 0..self.groups {
                    let filters = S::load_all::<N>(weights);
                    for (i, sums) in sums.iter_mut().enumerate() {
                        let activations = S::broadcast(at.add(i * self.step));
                        for (sum, &filter) in sums.iter_mut().zip(&filters) {
                            *sum = S::add_products(*sum, activations, filter);
                        }
                    }
                    at = at.add(4);
                    weights = weights.add(N * S::VECTOR_BYTES);
                }
            }
            sums
        }
    }
}

/// Whether the registers hold the sums of a tile, the weights, a group of activations, and its products where these need
/// one.
const fn has_room<S: Simd, const N: usize>(cells: usize) -> bool {
    cells * N + N + 4 / S::GROUP <= S::REGISTERS
}

/// Writes the vectors of a cell one after the other.
///
/// # Safety
/// The processor has the instructions.
#[inline(always)]
unsafe fn store<S: Simd, const N: usize>([vectors]: [[S::Vector; N]; 1], sums: &mut [i32; 64]) {
    for (vector, sums) in vectors.into_iter().zip(sums.chunks_exact_mut(S::LANES)) {
        // SAFETY: as the caller promises; there is room for a vector.
        unsafe { S::store_all(vector, sums.as_mut_ptr().cast()) };
    }
}

/// Stages a row behind `left` activations of padding, and fills what is left of `staged` with padding.
///
/// # Safety
/// The processor has the instructions.
#[inline(always)]
unsafe fn stage<S: Simd>(row: &[i8], left: usize, zero_point: i8, staged: &mut [u8]) {
    let room = staged.len() / S::BYTES;
    let left = left.min(room);
    let count = row.len().min(room - left);
    let (before, rest) = staged.split_at_mut(left * S::BYTES);
    let (inside, after) = rest.split_at_mut(count * S::BYTES);
    let padding = S::staged(zero_point);
    for place in before
        .chunks_exact_mut(S::BYTES)
        .chain(after.chunks_exact_mut(S::BYTES))
    {
        place.copy_from_slice(&padding[..S::BYTES]);
    }
    // SAFETY: as the caller promises; both have `count` activations.
    unsafe { S::stage(row.as_ptr(), count, inside.as_mut_ptr()) };
}
