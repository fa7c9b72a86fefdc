//! What an engine takes of a part: multipliers and block memory by construction, look-up tables by a line through what
//! synthesis found for the foldings of `hls/docs/report.md`.

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::description::Description;
use crate::parameters::Parameters;

/// Words and bits of a block of 18 Kbit in its shapes, on both families of parts.
const SHAPES: [(u64, u64); 6] = [
    (512, 36),
    (1024, 18),
    (2048, 9),
    (4096, 4),
    (8192, 2),
    (16384, 1),
];

/// Multipliers of 18 x 18 bits that a general requantization takes for a lane: 32 bits by 16.
const GENERAL_SCALE_MULTIPLIERS: u32 = 2;
/// Multipliers for shares of cells and for bounds of bins.
const SCORING_MULTIPLIERS: u32 = 6;

/// Look-up tables of four inputs: of an accumulator, of a lane (fetch and requantization), of a channel, and of everything
/// else, with the wrappers for SPI and SDRAM.
const LUTS_PER_PRODUCT: u32 = 110;
const LUTS_PER_LANE: u32 = 1670;
const LUTS_PER_CHANNEL: u32 = 460;
const LUTS_BESIDE: u32 = 5800;
/// Look-up tables of a divider for means, of a lane.
const LUTS_PER_DIVIDER: u32 = 250;

/// Blocks of 18 Kbit that a memory of `depth` words of `width` bits takes.
#[must_use]
pub fn blocks(depth: u64, width: u64) -> u64 {
    let of = |(d, w): (u64, u64)| depth.div_ceil(d).saturating_mul(width.div_ceil(w));
    SHAPES.into_iter().map(of).min().unwrap_or(0)
}

/// The deepest memory of `width` bits that fits into `blocks` blocks.
#[must_use]
pub fn deepest(blocks_free: u64, width: u64) -> u64 {
    let of = |(d, w): (u64, u64)| (blocks_free / width.div_ceil(w).max(1)).saturating_mul(d);
    SHAPES.into_iter().map(of).max().unwrap_or(0)
}

/// A memory of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// Which.
    pub name: String,
    /// How many of them.
    pub copies: u64,
    /// Words.
    pub depth: u64,
    /// Bits of a word.
    pub width: u64,
    /// Blocks of 18 Kbit, of all copies.
    pub blocks: u64,
}

/// What an engine takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Multipliers.
    pub multipliers: u32,
    /// The memories.
    pub memories: Vec<MemoryUse>,
    /// Blocks of 18 Kbit, of all memories.
    pub block_rams: u64,
    /// Look-up tables of four inputs, roughly.
    pub luts: u32,
}

impl Resources {
    /// What the engine of a description takes.
    #[must_use]
    pub fn of(description: &Description) -> Self {
        let Parameters {
            folding,
            feature_words,
            weight_words,
            channels,
            store_words,
            side,
            classes,
            general_scale,
            average_pool,
        } = description.parameters;
        let lanes = u64::from(folding.lanes);
        let word = 8 * u64::from(folding.pe);
        let [rows, columns, _] = description.feature_map.map(u64::from);
        let memory = |name: &str, copies: u64, depth: u64, width: u64| MemoryUse {
            name: name.to_owned(),
            copies,
            depth,
            width,
            blocks: copies * blocks(depth, width),
        };
        let memories = vec![
            memory("feature memory", lanes, feature_words.into(), word),
            memory("weight memory", 1, weight_words.into(), word),
            // Bias, mantissa, shift; or bias and shift.
            memory(
                "channel memory",
                1,
                channels.into(),
                if general_scale { 54 } else { 38 },
            ),
            memory("control store", 1, store_words.into(), 32),
            memory("scoring memory", 1, 2 * u64::from(side) + 64, 32),
            // Pixels in every cell of the map, and its bit.
            memory("cells", 1, rows * columns, 27),
            memory("logits", 1, lanes * u64::from(classes), 16),
        ];
        let general = u32::from(general_scale) * GENERAL_SCALE_MULTIPLIERS * folding.lanes;
        let dividers = u32::from(average_pool) * LUTS_PER_DIVIDER * folding.lanes;
        Self {
            multipliers: folding.products() + general + SCORING_MULTIPLIERS,
            block_rams: memories.iter().map(|memory| memory.blocks).sum(),
            memories,
            luts: LUTS_BESIDE
                + LUTS_PER_PRODUCT * folding.products()
                + LUTS_PER_LANE * folding.lanes
                + LUTS_PER_CHANNEL * folding.pe
                + dividers,
        }
    }

    /// Whether a budget covers it.
    #[must_use]
    pub fn fits(&self, budget: &Budget) -> bool {
        self.multipliers <= budget.multipliers
            && self.block_rams <= u64::from(budget.block_rams)
            && self.luts <= budget.luts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_in_shapes() {
        assert_eq!(blocks(512, 36), 1);
        assert_eq!(blocks(513, 36), 2);
        assert_eq!(blocks(4096, 64), 16);
        assert_eq!(blocks(16384, 1), 1);
        assert_eq!(blocks(0, 64), 0);
    }

    #[test]
    fn the_deepest_memory_fits() {
        for free in 0..60 {
            for width in [32, 64, 128] {
                let depth = deepest(free, width);
                assert!(blocks(depth, width) <= free, "{free} {width}");
                assert!(blocks(depth + 1, width) > free, "{free} {width}");
            }
        }
    }
}
