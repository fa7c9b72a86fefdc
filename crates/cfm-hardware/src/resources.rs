//! What an engine takes of a part: multipliers and block memory by construction, look-up tables by a line through what
//! synthesis found for the foldings of `hls/docs/report.md`.

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
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
/// Multipliers that find a cell's lane and block where the lanes are no power of two: what synthesis for the ECP5 adds at
/// 8x10; for the Zynq it adds 2, at 8x15.
const LANE_MULTIPLIERS: u32 = 5;

/// Look-up tables of four inputs: of an accumulator, of a lane (fetch and requantization), of a channel, and of everything
/// else, with the wrappers for SPI and SDRAM.
const LUTS_PER_PRODUCT: u32 = 110;
const LUTS_PER_LANE: u32 = 1670;
const LUTS_PER_CHANNEL: u32 = 460;
const LUTS_BESIDE: u32 = 5800;
/// Look-up tables of a divider for means, of a lane.
const LUTS_PER_DIVIDER: u32 = 250;

/// Memories this shallow, or of this many bits, are made of look-up tables.
const SHALLOW_WORDS: u64 = 16;
const SMALL_BITS: u64 = 1024;

/// Bins of Design B's finest level, words of the pyramid's table (`hls/rtl/scoring.sv`).
const BINS: u64 = 1024;
const PYRAMID_WORDS: u64 = 128;
/// Words of a port's queue, of the logits' and of a transfer (`hls/rtl/engine_registers.sv`, `hls/rtl/spi_slave.sv`).
const PORT_WORDS: u64 = 128;
const LOGIT_PORT_WORDS: u64 = 256;
const TRANSFER_WORDS: u64 = 64;

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
    /// What an engine takes.
    #[must_use]
    pub fn of(parameters: &Parameters) -> Self {
        let &Parameters {
            folding,
            feature_words,
            weight_words,
            channels,
            store_words,
            side,
            classes,
            general_scale,
            average_pool,
            row_words: _,
        } = parameters;
        let lanes = u64::from(folding.lanes);
        let word = 8 * u64::from(folding.pe);
        let side = u64::from(side);
        let row_of_blocks = side.div_ceil(lanes).next_power_of_two();
        let memory = |name: &str, copies: u64, depth: u64, width: u64| MemoryUse {
            name: name.to_owned(),
            copies,
            depth,
            width,
            blocks: if depth <= SHALLOW_WORDS || depth * width <= SMALL_BITS {
                0
            } else {
                copies * blocks(depth, width)
            },
        };
        let memories = vec![
            memory("feature memory", lanes, feature_words.into(), word),
            memory(
                "weight memory",
                u64::from(folding.pe / 4),
                weight_words.into(),
                32,
            ),
            memory("biases", 1, channels.into(), 32),
            // Shift, and mantissa.
            memory(
                "scales",
                1,
                channels.into(),
                if general_scale { 22 } else { 6 },
            ),
            memory("control store", 1, store_words.into(), 32),
            // First pixel and centre, of columns and of rows.
            memory("geometry", 4, side, 16),
            memory("pyramid", 1, PYRAMID_WORDS, 32),
            memory("pixels of cells", 1, side, 32),
            // Of the segment that is projected and of the one that is pooled, as are those of bins.
            memory("bits of cells", 1, 2 * side * row_of_blocks, lanes),
            memory("pixels of bins", 1, BINS, 32),
            memory("bits of bins", 1, 2 * BINS, 1),
            memory(
                "logits",
                1,
                u64::from(classes).next_power_of_two(),
                16 * lanes,
            ),
            memory("ports", 3, PORT_WORDS, 32),
            memory("port of logits", 1, LOGIT_PORT_WORDS, 32),
            memory("transfer", 1, TRANSFER_WORDS, 32),
        ];
        let general = u32::from(general_scale) * GENERAL_SCALE_MULTIPLIERS * folding.lanes;
        let of_lanes = u32::from(!folding.lanes.is_power_of_two()) * LANE_MULTIPLIERS;
        let dividers = u32::from(average_pool) * LUTS_PER_DIVIDER * folding.lanes;
        Self {
            multipliers: folding.products() + general + of_lanes + SCORING_MULTIPLIERS,
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
