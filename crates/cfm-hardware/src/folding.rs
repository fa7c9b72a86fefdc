//! How many products the engine makes in a cycle, and how tensors lie in its banks.

use serde::{Deserialize, Serialize};

use crate::error::CompileError;

/// Most lanes of an engine.
pub const MAX_LANES: u32 = 16;

/// The size of the multiplier array: `pe` channels of `lanes` cells, or segments, at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Folding {
    /// Channels in a memory word: 4, 8 or 16.
    pub pe: u32,
    /// Lanes: neighbouring cells, or segments.
    pub lanes: u32,
}

impl Folding {
    /// A folding that the engine can be built with.
    ///
    /// # Errors
    /// [`CompileError::Folding`] unless `pe` is 4, 8 or 16 and `lanes` in `1 ..= 16`.
    pub const fn new(pe: u32, lanes: u32) -> Result<Self, CompileError> {
        if !matches!(pe, 4 | 8 | 16) || lanes == 0 || lanes > MAX_LANES {
            return Err(CompileError::Folding { pe, lanes });
        }
        Ok(Self { pe, lanes })
    }

    /// The folding, checked: one that was read from a file need not be any.
    ///
    /// # Errors
    /// As [`Folding::new`].
    pub const fn checked(self) -> Result<Self, CompileError> {
        Self::new(self.pe, self.lanes)
    }

    /// Products in a cycle.
    #[must_use]
    pub const fn products(self) -> u32 {
        self.pe * self.lanes
    }

    /// Words that `channels` channels take.
    #[must_use]
    pub const fn groups(self, channels: u32) -> u32 {
        channels.div_ceil(self.pe)
    }

    /// Blocks of a row of `cells` cells.
    #[must_use]
    pub const fn blocks(self, cells: u32) -> u32 {
        cells.div_ceil(self.lanes)
    }

    /// A position along a row as `q * lanes + r` with `0 <= r < lanes`: the two words of a descriptor.
    pub(crate) const fn split(self, position: i32) -> [u32; 2] {
        let lanes = self.lanes as i32;
        [
            position.div_euclid(lanes).cast_unsigned(),
            position.rem_euclid(lanes).cast_unsigned(),
        ]
    }
}

impl std::fmt::Display for Folding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.pe, self.lanes)
    }
}

/// The shape of a tensor's rows in every bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) blocks: u32,
    pub(crate) groups: u32,
}

impl Layout {
    pub(crate) const fn of(width: u32, channels: u32, folding: Folding) -> Self {
        Self {
            blocks: folding.blocks(width),
            groups: folding.groups(channels),
        }
    }

    /// Words of a row in every bank.
    pub(crate) const fn row_words(self) -> u64 {
        self.blocks as u64 * self.groups as u64
    }
}
