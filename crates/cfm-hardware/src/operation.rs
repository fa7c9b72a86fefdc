//! Operations: what a layer becomes, and the descriptor that says so.

use serde::{Deserialize, Serialize};

use crate::folding::Folding;

/// Words of a descriptor.
pub const DESCRIPTOR_WORDS: usize = 32;

/// What an operation computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Every output channel sums over all input channels.
    Dense,
    /// Every output channel sums over the input channel of its number.
    Depthwise,
    /// Sum of two tensors.
    Add,
    /// Maximum over a window.
    MaxPool,
    /// Mean over a window.
    AvgPool,
}

impl Kind {
    /// The number in a descriptor.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Dense => 0,
            Self::Depthwise => 1,
            Self::Add => 2,
            Self::MaxPool => 3,
            Self::AvgPool => 4,
        }
    }
}

/// Zero points and clamp of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scale {
    /// Zero point of the input.
    pub z_in: i8,
    /// Zero point of the output.
    pub z_out: i8,
    /// Smallest output.
    pub low: i8,
    /// Largest output.
    pub high: i8,
}

/// An operation; a descriptor is its encoding. Counts are in cells, channels and words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// What it computes.
    pub kind: Kind,
    /// Input channels.
    pub inputs: u32,
    /// Words of an input cell.
    pub in_groups: u32,
    /// Words of an output cell.
    pub out_groups: u32,
    /// Output channels.
    pub out_channels: u32,
    /// Blocks of the output row.
    pub blocks: u32,
    /// Kernel rows and columns.
    pub kernel: [u32; 2],
    /// Horizontal stride.
    pub stride: u32,
    /// Cells of the input row.
    pub width: u32,
    /// Where the first output cell starts reading: minus the padding.
    pub start: i32,
    /// Horizontal dilation.
    pub dilation: u32,
    /// Words from one kernel row to the next.
    pub row_step: u32,
    /// The ring of the input's rows: address and words; no words: no ring.
    pub ring: [u32; 2],
    /// Address of the first weight word.
    pub weights: u32,
    /// Weight words of a block.
    pub weight_words: u32,
    /// The weights come from outside.
    pub external: bool,
    /// The output is logits.
    pub logits: bool,
    /// Address of the first channel record.
    pub channels: u32,
    /// Zero points and clamp.
    pub scale: Scale,
    /// Weights of an addition's two inputs.
    pub add_weights: [u16; 2],
}

impl Operation {
    /// Lanes that a pass of a fetch serves.
    #[must_use]
    pub const fn lanes_per_pass(&self, folding: Folding) -> u32 {
        folding.lanes.div_ceil(self.stride)
    }

    /// The descriptor.
    #[must_use]
    pub fn encode(&self, folding: Folding) -> [u32; DESCRIPTOR_WORDS] {
        let Scale {
            z_in,
            z_out,
            low,
            high,
        } = self.scale;
        let [start_q, start_r] = folding.split(self.start);
        let [tap_q, tap_r] = folding.split(self.dilation.cast_signed());
        let pass = self.lanes_per_pass(folding) * self.stride;
        let [pass_q, pass_r] = folding.split(pass.cast_signed());
        let mut words = [0; DESCRIPTOR_WORDS];
        words[..24].copy_from_slice(&[
            self.kind.code(),
            self.inputs,
            self.in_groups,
            self.out_groups,
            self.blocks,
            self.kernel[0],
            self.kernel[1],
            self.stride,
            self.width,
            start_q,
            start_r,
            tap_q,
            tap_r,
            pass_q,
            pass_r,
            self.row_step,
            self.ring[0],
            self.ring[1],
            self.weights,
            u32::from(self.external) | u32::from(self.logits) << 1,
            self.channels,
            u32::from_le_bytes([z_in, z_out, low, high].map(i8::cast_unsigned)),
            u32::from(self.add_weights[0]) | u32::from(self.add_weights[1]) << 16,
            self.out_channels,
        ]);
        words
    }
}

/// A step of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// Run an operation.
    Run {
        /// Which.
        operation: u32,
        /// First kernel row inside the tensor.
        first_row: u32,
        /// Kernel rows inside the tensor.
        rows: u32,
        /// Address of the row to write.
        write: u32,
        /// Address of the first row to read that is inside the tensor.
        read: u32,
        /// Addition: address of the row of the second tensor.
        second: u32,
    },
    /// Wait until the next row of the image has been stored.
    Wait,
}

/// Words of a record.
pub const RECORD_WORDS: usize = 3;

impl Record {
    /// The words in the control store.
    #[must_use]
    pub const fn encode(self) -> [u32; RECORD_WORDS] {
        match self {
            Self::Run {
                operation,
                first_row,
                rows,
                write,
                read,
                second,
            } => [
                rows << 16 | first_row << 8 | operation,
                write << 16 | read,
                second,
            ],
            Self::Wait => [1 << 24, 0, 0],
        }
    }
}
