//! The arithmetic of the layers, one output row (or vector) at a time, behind one trait.
//!
//! [`Portable`] is the specification in code. Every other implementation must return the same bytes.
//!
//! Each of the others is there with its feature on its own targets only, and so is its page here (docs.rs has a list of
//! targets):
//!
//! | type | feature | targets | made with | models |
//! |---|---|---|---|---|
//! | `Dsp` | `dsp` | Cortex-M4, M7, M33 (DSP extension) | `Dsp` | [packed](crate::model::WeightOrder::Quads) |
//! | `Mve` | `mve` | Cortex-M55, M85 (Helium), `-C target-cpu=cortex-m55` | `unsafe { Mve::new() }` | as they are |
//! | `Neon` | `neon` | 64-bit Arm, little-endian with NEON | `Neon::new()`, `Neon::detect()` | as they are |
//! | `X86` | `x86` | x86-64; AVX2 or AVX-512 VNNI are found at run time | `X86::new(&model)` | as they are |
//!
//! [`Executor::with_kernels`](crate::executor::Executor::with_kernels) and
//! [`Scorer::with_kernels`](crate::scorer::Scorer::with_kernels) take them. On a Cortex-M there is nobody to ask what the
//! core can do, so firmware names its kernels:
//!
//! ```ignore
//! use cfm_core::kernels::{Dsp, Mve};
//!
//! // Cortex-M4, M7, M33; a model in rows is refused.
//! let executor = Executor::with_kernels(&MODEL, arena.as_mut_slice(), Dsp)?;
//!
//! // Cortex-M55, M85.
//! // SAFETY: the core has the M-profile vector extension, which cortex-m-rt has switched on, as for every `eabihf`.
//! let kernels = unsafe { Mve::new() };
//! let executor = Executor::with_kernels(&MODEL, arena.as_mut_slice(), kernels)?;
//! ```
//!
//! Where there is an operating system, or the target says enough, [`native`] and [`native_for`] choose: for 64-bit Arm and
//! x86-64.

mod cells;
// What the fast kernels share, in plain Rust: compiled, and tested, on targets without any, too.
#[allow(dead_code)]
mod depthwise;
#[allow(dead_code)]
mod elements;
#[allow(dead_code)]
mod rounder;
#[allow(dead_code)]
mod scratch;
#[allow(dead_code)]
mod window;

#[cfg(all(feature = "dsp", target_arch = "arm"))]
mod dsp;
#[cfg(all(feature = "mve", target_arch = "arm"))]
mod mve;
mod native;
// Targets may be without NEON (aarch64-unknown-none-softfloat) or big-endian, where the kernels would read vectors in another
// order; `native` asks the same.
#[cfg(all(
    feature = "neon",
    target_arch = "aarch64",
    target_feature = "neon",
    target_endian = "little"
))]
mod neon;
mod portable;
#[cfg(all(feature = "x86", target_arch = "x86_64"))]
mod x86;

pub use cells::Cells;
pub(crate) use cells::Mask;
#[cfg(all(feature = "dsp", target_arch = "arm"))]
pub use dsp::Dsp;
#[cfg(all(feature = "mve", target_arch = "arm"))]
pub use mve::Mve;
pub use native::{Native, NativeFor, native, native_for};
#[cfg(all(
    feature = "neon",
    target_arch = "aarch64",
    target_feature = "neon",
    target_endian = "little"
))]
pub use neon::Neon;
pub use portable::Portable;
#[cfg(all(feature = "x86", target_arch = "x86_64"))]
pub use x86::{InstructionSet, X86};

use crate::model::{Conv2d, Parameters, Shape, WeightOrder, Window};
use crate::requantize::OutputScale;

/// The rows of a tensor that are in memory: a ring buffer of the newest ones.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    ring: &'a [i8],
    shape: Shape,
    zero_point: i8,
    exponent: i8,
}

impl<'a> Rows<'a> {
    /// Rows of a tensor of `shape` in `ring`, which holds a whole number of rows; row y is at `y % rows`.
    #[must_use]
    pub const fn new(ring: &'a [i8], shape: Shape, zero_point: i8, exponent: i8) -> Self {
        Self {
            ring,
            shape,
            zero_point,
            exponent,
        }
    }

    /// Row `y` of the tensor, or `None` outside the image (that is: in the padding).
    #[must_use]
    pub fn get(&self, y: i32) -> Option<&'a [i8]> {
        let y = u16::try_from(y).ok().filter(|&y| y < self.shape.height)?;
        let row_len = self.shape.row_len();
        let capacity = self.ring.len().checked_div(row_len)?;
        let slot = usize::from(y).checked_rem(capacity)?;
        self.ring.get(slot * row_len..(slot + 1) * row_len)
    }

    /// Shape of the tensor.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Quantized value of real zero, which is what padding holds.
    #[must_use]
    pub const fn zero_point(&self) -> i8 {
        self.zero_point
    }

    /// One quantization step is `2^exponent`.
    #[must_use]
    pub const fn exponent(&self) -> i8 {
        self.exponent
    }
}

/// Bytes that [`Kernels::conv2d_row`] may work in, for an input of `inputs` channels: dense, the windows and sums of two
/// cells, as 16-bit and 32-bit values, or the windows of four cells as they are; depthwise, the filters, transposed, a cell
/// of padding, and the sums of a cell; and either way what
/// requantization takes. Alignment included.
#[must_use]
pub const fn conv2d_scratch(conv: &Conv2d<'_>, inputs: u16) -> usize {
    let filter_len = conv.parameters.filter_len();
    let outputs = conv.parameters.channels.len();
    // Saturated on 32 bits, where no model may take as much.
    if conv.groups == 1 {
        let windows = filter_len.next_multiple_of(2).saturating_mul(4);
        windows.saturating_add((8 + TABLE_BYTES) * outputs + SCRATCH_ALIGN)
    } else if conv.groups == inputs && outputs == inputs as usize {
        (filter_len + 5 + TABLE_BYTES)
            .saturating_mul(outputs)
            .saturating_add(SCRATCH_ALIGN)
    } else {
        0
    }
}

/// Bytes that [`Kernels::fully_connected`] and [`Kernels::classifier`] may work in for `inputs` inputs: these as 16-bit
/// values. Alignment included.
#[must_use]
pub const fn fully_connected_scratch(inputs: usize) -> usize {
    inputs.next_multiple_of(2) * 2 + SCRATCH_ALIGN
}

/// Bytes for the requantization of an output channel.
const TABLE_BYTES: usize = 12;

/// What it may take to align scratch memory.
const SCRATCH_ALIGN: usize = 4;

/// What a backend computes. Row `y` always means output row `y`; `out` is one row of the output tensor,
/// `[width][channels]`.
///
/// All arguments of a call belong to one layer of one parsed [`Model`](crate::model::Model): its reader's checks on
/// shapes and accumulators are what keeps the arithmetic inside 32 bits.
///
/// `scratch` is memory to work in, as much as [`conv2d_scratch`] and [`fully_connected_scratch`] say; what it holds
/// before a call means nothing.
pub trait Kernels {
    /// The order of the weights that these kernels are written for; a model in another order is refused.
    const WEIGHT_ORDER: WeightOrder = WeightOrder::Rows;

    /// Convolution with fused requantization and clamp.
    fn conv2d_row(
        &self,
        input: &Rows<'_>,
        conv: &Conv2d<'_>,
        y: u16,
        scratch: &mut [i8],
        out: &mut [i8],
    );

    /// Maximum over the window's cells inside the image.
    fn max_pool_row(&self, input: &Rows<'_>, window: &Window, y: u16, out: &mut [i8]);

    /// Mean over the window's cells inside the image, rounded to nearest, ties to even.
    fn avg_pool_row(&self, input: &Rows<'_>, window: &Window, y: u16, out: &mut [i8]);

    /// Sum of two tensors, aligned by shifts.
    fn add_row(
        &self,
        first: &Rows<'_>,
        second: &Rows<'_>,
        output: &OutputScale,
        y: u16,
        out: &mut [i8],
    );

    /// Fully connected layer with fused requantization and clamp.
    fn fully_connected(
        &self,
        input: &[i8],
        parameters: &Parameters<'_>,
        scratch: &mut [i8],
        out: &mut [i8],
    );

    /// The classifier: a fully connected layer that saturates to 16 bits.
    fn classifier(
        &self,
        input: &[i8],
        parameters: &Parameters<'_>,
        scratch: &mut [i8],
        out: &mut [i16],
    );

    /// `out[c] = max(out[c], cell[c])` for every channel.
    fn maximum(&self, out: &mut [i8], cell: &[i8]);

    /// [`maximum`](Self::maximum) with every one of `cells` that is not left out.
    fn maximum_of(&self, out: &mut [i8], cells: &Cells<'_>) {
        for row in 0..cells.height() {
            for column in 0..cells.width() {
                if let Some(cell) = cells.get(row, column) {
                    self.maximum(out, cell);
                }
            }
        }
    }
}

impl<K: Kernels> Kernels for &K {
    const WEIGHT_ORDER: WeightOrder = K::WEIGHT_ORDER;

    fn conv2d_row(
        &self,
        input: &Rows<'_>,
        conv: &Conv2d<'_>,
        y: u16,
        scratch: &mut [i8],
        out: &mut [i8],
    ) {
        K::conv2d_row(self, input, conv, y, scratch, out);
    }

    fn max_pool_row(&self, input: &Rows<'_>, window: &Window, y: u16, out: &mut [i8]) {
        K::max_pool_row(self, input, window, y, out);
    }

    fn avg_pool_row(&self, input: &Rows<'_>, window: &Window, y: u16, out: &mut [i8]) {
        K::avg_pool_row(self, input, window, y, out);
    }

    fn add_row(
        &self,
        first: &Rows<'_>,
        second: &Rows<'_>,
        output: &OutputScale,
        y: u16,
        out: &mut [i8],
    ) {
        K::add_row(self, first, second, output, y, out);
    }

    fn fully_connected(
        &self,
        input: &[i8],
        parameters: &Parameters<'_>,
        scratch: &mut [i8],
        out: &mut [i8],
    ) {
        K::fully_connected(self, input, parameters, scratch, out);
    }

    fn classifier(
        &self,
        input: &[i8],
        parameters: &Parameters<'_>,
        scratch: &mut [i8],
        out: &mut [i16],
    ) {
        K::classifier(self, input, parameters, scratch, out);
    }

    fn maximum(&self, out: &mut [i8], cell: &[i8]) {
        K::maximum(self, out, cell);
    }

    fn maximum_of(&self, out: &mut [i8], cells: &Cells<'_>) {
        K::maximum_of(self, out, cells);
    }
}

/// Where output position `at` starts reading along an axis, in input cells (negative inside the padding).
fn origin(at: usize, stride: u8, padding: u8) -> i32 {
    // Positions are below 2^16 and strides below 2^8.
    at as i32 * i32::from(stride) - i32::from(padding)
}
