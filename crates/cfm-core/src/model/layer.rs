//! The backbone's layers as the executor sees them: checked views into the model's bytes.

use super::bytes::{i8_at, u8_at, u16_at, u32_at};
use super::format::CHANNEL_LEN;
use super::weight_order::{QUAD, WeightOrder, halfword, split};
use crate::requantize::{Channel, OutputScale};

/// Height, width and channels of a tensor, in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shape {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
    /// Channels.
    pub channels: u16,
}

impl Shape {
    /// Bytes in one row (`width * channels`).
    #[must_use]
    pub const fn row_len(&self) -> usize {
        (self.width as usize).saturating_mul(self.channels as usize)
    }

    /// Bytes in the whole tensor.
    #[must_use]
    pub const fn len(&self) -> usize {
        (self.height as usize).saturating_mul(self.row_len())
    }

    /// Whether the tensor has no elements (never so in a parsed model).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An activation tensor: its shape, its scale and the memory that streaming gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tensor {
    /// Shape in cells.
    pub shape: Shape,
    /// Quantized value of real zero.
    pub zero_point: i8,
    /// One quantization step is `2^exponent`.
    pub exponent: i8,
    /// Rows held in memory at once (all of them for the feature map).
    pub rows: u16,
}

/// A sliding window: kernel, stride, dilation and padding, in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Window {
    /// Kernel height and width.
    pub kernel: [u8; 2],
    /// Vertical and horizontal stride.
    pub stride: [u8; 2],
    /// Vertical and horizontal dilation.
    pub dilation: [u8; 2],
    /// Padding: top, left, bottom, right.
    pub padding: [u8; 4],
}

impl Window {
    /// A window of one cell.
    pub const UNIT: Self = Self {
        kernel: [1, 1],
        stride: [1, 1],
        dilation: [1, 1],
        padding: [0; 4],
    };

    /// Cells from the first to the last tap along `axis` (0 rows, 1 columns): `dilation * (kernel - 1) + 1`.
    #[must_use]
    pub const fn extent(&self, axis: usize) -> u16 {
        let a = axis & 1;
        self.dilation[a] as u16 * (self.kernel[a] as u16).saturating_sub(1) + 1
    }

    /// Output length along `axis`: `floor((n + pad - extent) / stride) + 1`, or `None` if there is no output.
    #[must_use]
    pub const fn output_len(&self, axis: usize, n: u16) -> Option<u16> {
        let a = axis & 1;
        let padded = n as u32 + self.padding[a] as u32 + self.padding[a + 2] as u32;
        let extent = self.extent(axis) as u32;
        if padded < extent || self.stride[a] == 0 {
            return None;
        }
        let len = (padded - extent) / self.stride[a] as u32 + 1;
        if len > u16::MAX as u32 {
            return None;
        }
        Some(len as u16)
    }

    /// The input rows `first .. end` that output row `y` reads, clipped to an input of `height` rows.
    #[must_use]
    pub const fn input_rows(&self, y: u16, height: u16) -> (u16, u16) {
        let start = y as i64 * self.stride[0] as i64 - self.padding[0] as i64;
        (
            clip(start, height),
            clip(start + self.extent(0) as i64, height),
        )
    }
}

const fn clip(value: i64, high: u16) -> u16 {
    if value < 0 {
        0
    } else if value > high as i64 {
        high
    } else {
        value as u16
    }
}

/// Per-channel records of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channels<'a> {
    bytes: &'a [u8],
}

impl<'a> Channels<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The records as the file has them.
    #[cfg(all(feature = "x86", target_arch = "x86_64"))]
    pub(crate) const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Number of output channels.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len() / CHANNEL_LEN
    }

    /// Whether there is no channel (never so in a parsed model).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bias and multiplier of output channel `o`; all zeros beyond the last.
    #[must_use]
    pub const fn get(&self, o: usize) -> Channel {
        let at = if o < self.len() {
            o * CHANNEL_LEN
        } else {
            // Every byte from here on reads as zero.
            self.bytes.len()
        };
        Channel {
            bias: u32_at(self.bytes, at) as i32,
            mantissa: u16_at(self.bytes, at + 4),
            shift: u8_at(self.bytes, at + 6),
        }
    }

    pub(super) const fn reserved_is_zero(&self, o: usize) -> bool {
        u8_at(self.bytes, o * CHANNEL_LEN + 7) == 0
    }

    /// The records in order.
    pub fn iter(&self) -> impl Iterator<Item = Channel> + use<'a> {
        self.bytes.chunks_exact(CHANNEL_LEN).map(|record| Channel {
            bias: u32_at(record, 0) as i32,
            mantissa: u16_at(record, 4),
            shift: u8_at(record, 6),
        })
    }
}

/// Weights and channel records of a convolution or a fully connected layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters<'a> {
    /// Weights as two's-complement bytes, `-127 ..= 127`, in [`order`](Self::order).
    pub weights: &'a [u8],
    /// The order of the weights.
    pub order: WeightOrder,
    /// Bias and multiplier per output channel.
    pub channels: Channels<'a>,
    /// Output scale and fused activation.
    pub output: OutputScale,
}

impl Parameters<'_> {
    /// Weights of one output channel.
    #[must_use]
    pub const fn filter_len(&self) -> usize {
        match self.weights.len().checked_div(self.channels.len()) {
            Some(len) => len,
            None => 0,
        }
    }

    /// Weight `at` of output channel `output`, in whatever order they are; 0 beyond the last.
    ///
    /// `at` counts `[kernel row][kernel column][in / groups]`.
    #[must_use]
    pub const fn weight(&self, output: usize, at: usize) -> i8 {
        let filter_len = self.filter_len();
        if at >= filter_len || output >= self.channels.len() {
            return 0;
        }
        match self.order {
            WeightOrder::Rows => i8_at(self.weights, output * filter_len + at),
            WeightOrder::Quads => {
                let place =
                    output / QUAD * QUAD * filter_len + halfword(output % QUAD / 2, at, filter_len);
                let (low, high) = (u8_at(self.weights, place), u8_at(self.weights, place + 1));
                let (first, second) = split(low, high);
                if output.is_multiple_of(2) {
                    first
                } else {
                    second
                }
            }
        }
    }
}

/// A convolution, dense, grouped or depthwise, with a fused clamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2d<'a> {
    /// Kernel, stride, dilation, padding.
    pub window: Window,
    /// Groups: each sees `channels_in / groups` inputs.
    pub groups: u16,
    /// Weights, biases, multipliers, output scale.
    pub parameters: Parameters<'a>,
}

/// What a layer computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Convolution.
    Conv2d(Conv2d<'a>),
    /// Maximum over a window; padding never wins.
    MaxPool {
        /// Kernel, stride, padding; dilation 1.
        window: Window,
    },
    /// Mean over the window's cells inside the image, ties to even.
    AvgPool {
        /// Kernel, stride, padding; dilation 1.
        window: Window,
    },
    /// Sum of two tensors of the same shape (residual connection).
    Add {
        /// The second input tensor.
        second: usize,
        /// Output scale and fused activation.
        output: OutputScale,
    },
}

impl Operation<'_> {
    /// The window along which the operation slides; one cell for an addition.
    #[must_use]
    pub const fn window(&self) -> Window {
        match self {
            Self::Conv2d(conv) => conv.window,
            Self::MaxPool { window } | Self::AvgPool { window } => *window,
            Self::Add { .. } => Window::UNIT,
        }
    }

    /// The second input tensor, if the operation has one.
    #[must_use]
    pub const fn second(&self) -> Option<usize> {
        match self {
            Self::Add { second, .. } => Some(*second),
            _ => None,
        }
    }
}

/// A layer: its input tensor and what it computes. Layer `i` writes tensor `i + 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer<'a> {
    /// The (first) input tensor; 0 is the image.
    pub input: usize,
    /// What is computed.
    pub operation: Operation<'a>,
}

pub(super) const fn window_at(record: &[u8]) -> Window {
    Window {
        kernel: [u8_at(record, 8), u8_at(record, 9)],
        stride: [u8_at(record, 10), u8_at(record, 11)],
        dilation: [u8_at(record, 12), u8_at(record, 13)],
        padding: [
            u8_at(record, 14),
            u8_at(record, 15),
            u8_at(record, 16),
            u8_at(record, 17),
        ],
    }
}

/// The four bytes zero point, exponent, low, high at `at`.
pub(super) const fn output_scale_at(record: &[u8], at: usize) -> OutputScale {
    OutputScale {
        zero_point: i8_at(record, at),
        exponent: i8_at(record, at + 1),
        low: i8_at(record, at + 2),
        high: i8_at(record, at + 3),
    }
}
