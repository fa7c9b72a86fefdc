//! A compiled model: the description of its engine, and what is written into its memories.

use crate::description::Description;
use crate::filter::ChannelRecord;
use crate::folding::Folding;

/// A write on the configuration bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigWrite {
    /// 20 bits.
    pub address: u32,
    /// The word.
    pub data: u32,
}

/// Where the memories lie on the configuration bus.
pub mod bus {
    /// Channel memory.
    pub const CHANNELS: u32 = 1 << 17;
    /// Scoring memory.
    pub const SCORING: u32 = 2 << 17;
    /// Weight memory.
    pub const WEIGHTS: u32 = 4 << 17;
}

/// A model, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Everything but the contents of the memories.
    pub description: Description,
    /// The control store.
    pub control: Vec<u32>,
    /// The channel memory.
    pub channels: Vec<ChannelRecord>,
    /// The scoring memory.
    pub scoring: Vec<u32>,
    /// The weight memory, a byte a channel.
    pub resident: Vec<u8>,
    /// The weights outside, likewise.
    pub external: Vec<u8>,
}

impl Engine {
    /// The folding that it was compiled for.
    #[must_use]
    pub const fn folding(&self) -> Folding {
        self.description.parameters.folding
    }

    /// The words of the weights outside.
    pub fn external_words(&self) -> impl Iterator<Item = &[u8]> {
        self.external.chunks_exact(self.folding().pe as usize)
    }

    /// Everything that is written before the first image.
    #[must_use]
    pub fn config(&self) -> Vec<ConfigWrite> {
        let channels: Vec<u32> = self.channels.iter().flat_map(|c| c.encode()).collect();
        let (weights, _) = self.resident.as_chunks::<4>();
        let weights: Vec<u32> = weights
            .iter()
            .map(|word| u32::from_le_bytes(*word))
            .collect();
        [
            (0, &self.control),
            (bus::CHANNELS, &channels),
            (bus::SCORING, &self.scoring),
            (bus::WEIGHTS, &weights),
        ]
        .into_iter()
        .flat_map(|(base, words)| {
            (base..)
                .zip(words)
                .map(|(address, &data)| ConfigWrite { address, data })
        })
        .collect()
    }
}
