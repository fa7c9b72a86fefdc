//! How large the memories of an engine may become.

use serde::{Deserialize, Serialize};

use crate::error::{CompileError, Memory};

/// Most words of every memory. [`Limits::FORMAT`] is what the words of a program can address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Words in every bank of the feature memory.
    pub feature_words: u32,
    /// Words of the weight memory: layers that do not find room read theirs from outside.
    pub weight_words: u32,
    /// Words of the weights outside of the engine.
    pub external_words: u32,
    /// Records of the channel memory.
    pub channels: u32,
    /// Words of the control store.
    pub store_words: u32,
    /// Not a limit: the parameter `SIDE`, unless the feature map needs more.
    pub side: u32,
}

impl Limits {
    /// What addresses can hold: 16 bits for rows, the ends of rings and the control store, 17 for the channels' words. The 19 bits of
    /// the weight memory count words of 32 bits, so [`weight_words`](Self::weight_words) is held to less.
    pub const FORMAT: Self = Self {
        feature_words: (1 << 16) - 1,
        weight_words: 1 << 19,
        external_words: 1 << 24,
        channels: 1 << 16,
        store_words: (1 << 16) - 1,
        side: 256,
    };

    /// No weights in the engine.
    #[must_use]
    pub const fn without_weights(self) -> Self {
        Self {
            weight_words: 0,
            ..self
        }
    }

    pub(crate) fn check(memory: Memory, needed: u64, limit: u32) -> Result<u32, CompileError> {
        match u32::try_from(needed) {
            Ok(words) if words <= limit => Ok(words),
            _ => Err(CompileError::Memory {
                memory,
                needed,
                limit: limit.into(),
            }),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::FORMAT
    }
}
