//! The arithmetic of the layers, one output row (or vector) at a time, behind one trait.
//!
//! [`Portable`] is the specification in code. Every other implementation must return the same bytes.

mod portable;

pub use portable::Portable;

use crate::model::{Parameters, Shape, Window};
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

/// What a backend computes. Row `y` always means output row `y`; `out` is one row of the output tensor,
/// `[width][channels]`.
///
/// All arguments of a call belong to one layer of one parsed [`Model`](crate::model::Model): its reader's checks on
/// shapes and accumulators are what keeps the arithmetic inside 32 bits.
pub trait Kernels {
    /// Convolution with fused requantization and clamp. `groups` divides input and output channels.
    fn conv2d_row(
        &self,
        input: &Rows<'_>,
        window: &Window,
        groups: u16,
        parameters: &Parameters<'_>,
        y: u16,
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
    fn fully_connected(&self, input: &[i8], parameters: &Parameters<'_>, out: &mut [i8]);

    /// The classifier: a fully connected layer that saturates to 16 bits.
    fn classifier(&self, input: &[i8], parameters: &Parameters<'_>, out: &mut [i16]);

    /// `out[c] = max(out[c], cell[c])` for every channel.
    fn maximum(&self, out: &mut [i8], cell: &[i8]);
}
