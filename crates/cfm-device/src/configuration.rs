//! What is loaded into an engine: the file `engine.bin` of an exported project.
//!
//! Little-endian words:
//!
//! | word | |
//! |---|---|
//! | 0 | `0x32464643` ("CFF2") |
//! | 1 | CRC-32 (IEEE) of all words behind this one |
//! | 2 | the model's fingerprint |
//! | 3 | channels of a memory word, lanes << 8 |
//! | 4 | samples per pixel, rows << 16 |
//! | 5 | samples per row |
//! | 6 | classes |
//! | 7 | number of blocks |
//! | 8 to 13 | the instance that they were made for, as registers 21 to 23 and 29 to 31 have an engine's own |
//! | then, for each block | destination (0 configuration bus, 1 memory outside), address, number of words, the words |

use crate::instance::Instance;
use crate::protocol::CRC32;

const MAGIC: u32 = 0x3246_4643;
const HEADER_WORDS: usize = 14;

/// Why bytes are no configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigurationError {
    /// They do not begin as one.
    Magic,
    /// They end too early, or go on behind the last block.
    Length,
    /// They are damaged.
    Checksum,
}

impl core::fmt::Display for ConfigurationError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Magic => "not an engine's configuration",
            Self::Length => "the configuration has the wrong length",
            Self::Checksum => "the configuration is damaged",
        })
    }
}

impl core::error::Error for ConfigurationError {}

/// A checked view of a configuration file.
#[derive(Debug, Clone, Copy)]
pub struct Configuration<'a> {
    words: &'a [[u8; 4]],
}

/// Words that go to consecutive addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// Whether they go to the memory outside instead of the configuration bus.
    pub external: bool,
    /// The first address: of configuration words, or of weight words outside.
    pub address: u32,
    words: &'a [[u8; 4]],
}

impl<'a> Block<'a> {
    /// The words.
    pub fn words(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        self.words.iter().map(|&word| u32::from_le_bytes(word))
    }

    /// The first word, and the others behind it.
    pub(crate) fn split_first(self) -> Option<(Self, Self)> {
        let (first, rest) = self.words.split_at_checked(1)?;
        let behind = Self {
            address: self.address.wrapping_add(1),
            words: rest,
            ..self
        };
        Some((
            Self {
                words: first,
                ..self
            },
            behind,
        ))
    }

    /// CRC-32 of the words, as the engine computes it.
    #[must_use]
    pub fn check(&self) -> u32 {
        CRC32.checksum(self.words.as_flattened())
    }
}

impl<'a> Configuration<'a> {
    /// Checks bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ConfigurationError> {
        let (words, rest) = bytes.as_chunks::<4>();
        let configuration = Self { words };
        if words.first() != Some(&MAGIC.to_le_bytes()) {
            return Err(ConfigurationError::Magic);
        }
        let (Some(behind), true) = (words.get(2..), rest.is_empty()) else {
            return Err(ConfigurationError::Length);
        };
        if configuration.word(1) != CRC32.checksum(behind.as_flattened()) {
            return Err(ConfigurationError::Checksum);
        }
        let mut blocks = configuration.blocks();
        let count = blocks.by_ref().count();
        if words.len() < HEADER_WORDS
            || count != configuration.word(7) as usize
            || !blocks.rest.is_empty()
        {
            return Err(ConfigurationError::Length);
        }
        Ok(configuration)
    }

    fn word(&self, at: usize) -> u32 {
        self.words
            .get(at)
            .map_or(0, |&word| u32::from_le_bytes(word))
    }

    /// Of the model.
    #[must_use]
    pub fn fingerprint(&self) -> u32 {
        self.word(2)
    }

    /// The folding: channels of a memory word, and lanes << 8.
    #[must_use]
    pub fn folding(&self) -> u32 {
        self.word(3)
    }

    /// Samples per pixel.
    #[must_use]
    pub fn channels(&self) -> u16 {
        (self.word(4) & 0xFFFF) as u16
    }

    /// Rows of the image.
    #[must_use]
    pub fn rows(&self) -> u16 {
        (self.word(4) >> 16) as u16
    }

    /// Samples per row.
    #[must_use]
    pub fn row_bytes(&self) -> u32 {
        self.word(5)
    }

    /// Classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.word(6) as usize
    }

    /// The instance that it was made for.
    #[must_use]
    pub fn instance(&self) -> Instance {
        Instance::from_words(core::array::from_fn(|at| self.word(8 + at)))
    }

    /// What goes where.
    #[must_use]
    pub fn blocks(&self) -> Blocks<'a> {
        Blocks {
            rest: self.words.get(HEADER_WORDS..).unwrap_or(&[]),
            left: self.word(7),
        }
    }
}

/// The blocks of a configuration.
#[derive(Debug, Clone)]
pub struct Blocks<'a> {
    rest: &'a [[u8; 4]],
    left: u32,
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        self.left = self.left.checked_sub(1)?;
        let ([destination, address, length], rest) = self.rest.split_first_chunk::<3>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let (words, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(Block {
            external: u32::from_le_bytes(*destination) != 0,
            address: u32::from_le_bytes(*address),
            words,
        })
    }
}
