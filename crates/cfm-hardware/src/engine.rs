//! A compiled model: the description of its engine, and what is written into its memories.

use cfm_core::model::crc32;

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

/// "CFF2": first word of the file that the driver loads.
const FILE_MAGIC: u32 = 0x3246_4643;

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

    /// What goes onto the configuration bus before the first image: runs of words, and where each begins.
    fn blocks(&self) -> [(u32, Vec<u32>); 4] {
        let (weights, _) = self.resident.as_chunks::<4>();
        [
            (0, self.control.clone()),
            (
                bus::CHANNELS,
                self.channels.iter().flat_map(|c| c.encode()).collect(),
            ),
            (bus::SCORING, self.scoring.clone()),
            (
                bus::WEIGHTS,
                weights
                    .iter()
                    .map(|word| u32::from_le_bytes(*word))
                    .collect(),
            ),
        ]
    }

    /// Everything that is written before the first image.
    #[must_use]
    pub fn config(&self) -> Vec<ConfigWrite> {
        self.blocks()
            .into_iter()
            .flat_map(|(base, words)| {
                (base..)
                    .zip(words)
                    .map(|(address, data)| ConfigWrite { address, data })
            })
            .collect()
    }

    /// The file that `cfm-device` loads (its `Configuration` says how it is laid out).
    #[must_use]
    pub fn file(&self) -> Vec<u8> {
        let [height, width, channels] = self.description.image.map(u32::from);
        let mut blocks: Vec<(u32, u32, Vec<u32>)> = self
            .blocks()
            .into_iter()
            .filter(|(_, words)| !words.is_empty())
            .map(|(address, words)| (0, address, words))
            .collect();
        let (external, _) = self.external.as_chunks::<4>();
        if !external.is_empty() {
            blocks.push((
                1,
                0,
                external
                    .iter()
                    .map(|word| u32::from_le_bytes(*word))
                    .collect(),
            ));
        }
        let folding = self.folding();
        let mut words = vec![
            self.description.fingerprint,
            folding.pe | folding.lanes << 8,
            channels | height << 16,
            width * channels,
            self.description.parameters.classes,
            blocks.len() as u32,
        ];
        words.extend(self.description.parameters.words());
        for (destination, address, block) in blocks {
            words.extend([destination, address, block.len() as u32]);
            words.extend(block);
        }
        let behind: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut file = FILE_MAGIC.to_le_bytes().to_vec();
        file.extend(crc32(&behind).to_le_bytes());
        file.extend(behind);
        file
    }
}
