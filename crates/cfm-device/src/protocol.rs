//! Registers, ports and the bytes of the SPI protocol, as `hls/REGISTERS.md` lists them.

use crc::{CRC_16_IBM_3740, CRC_32_ISO_HDLC, Crc};

/// A register, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Register(pub(crate) u8);

impl Register {
    /// [`ID`](Self::ID) of an engine.
    pub const ENGINE_ID: u32 = 0x314D_4643;
    /// Says that an engine is there.
    pub const ID: Self = Self(0);
    /// Major and minor version of the register map.
    pub const VERSION: Self = Self(1);
    /// Channels of a memory word, and lanes.
    pub const FOLDING: Self = Self(2);
    /// Bit 0: enable; bit 1: reset.
    pub const CONTROL: Self = Self(3);
    /// Bit 0: idle; 1: feature map complete; 2: configured; 3: a full port was written; 4: weights could not be read.
    pub const STATUS: Self = Self(4);
    /// CRC-32 of the loaded model.
    pub const FINGERPRINT: Self = Self(5);
    /// Frames finished since reset.
    pub const FRAMES: Self = Self(6);
    /// Cycles of the frame; behind it those with a product, waiting for the image, and waiting for weights.
    pub const CYCLES: Self = Self(7);
    /// Where the next word of the configuration goes.
    pub const CONFIG_ADDRESS: Self = Self(11);
    /// CRC-32 of the configuration since the address was written.
    pub const CONFIG_CHECK: Self = Self(12);
    /// Where the next external weight word goes.
    pub const EXTERNAL_ADDRESS: Self = Self(13);
    /// Samples per pixel.
    pub const IMAGE_CHANNELS: Self = Self(14);
    /// Samples per row.
    pub const IMAGE_ROW_BYTES: Self = Self(15);

    /// Words in every bank of the feature memory; behind it those of the weight memory, and records of the channel memory.
    pub const FEATURE_WORDS: Self = Self(21);
    /// Words of the control store; behind it `SIDE`, and [`UNITS`](Self::UNITS).
    pub const STORE_WORDS: Self = Self(29);
    /// Outputs of the classifier; bit 16: multipliers may be anything; 17: there is average pooling.
    pub const UNITS: Self = Self(31);

    /// How many words a port has taken.
    #[must_use]
    pub const fn sequence(port: Port) -> Self {
        Self(16 + port as u8)
    }

    /// For how many words a port has room, or how many it has.
    #[must_use]
    pub const fn space(port: Port) -> Self {
        Self(24 + port as u8)
    }
}

/// A stream of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Port {
    /// Words for the configuration bus.
    Config = 0,
    /// Samples of the image, four to a word.
    Image = 1,
    /// Segments.
    Masks = 2,
    /// Weights for the memory outside.
    External = 3,
    /// Logits, to read.
    Logits = 4,
}

impl Port {
    /// All of them.
    pub(crate) const COUNT: usize = 5;
}

pub(crate) const CONTROL_ENABLE: u32 = 1;
pub(crate) const CONTROL_RESET: u32 = 2;
pub(crate) const STATUS_IDLE: u32 = 1;
pub(crate) const STATUS_CONFIGURED: u32 = 4;
pub(crate) const STATUS_OVERFLOW: u32 = 8;
pub(crate) const STATUS_WEIGHTS_FAILED: u32 = 16;

/// Words in a transfer, at most.
pub(crate) const TRANSFER_WORDS: usize = 64;

pub(crate) const WRITE: u8 = 0x57;
pub(crate) const READ: u8 = 0x52;
pub(crate) const PUSH: u8 = 0x50;
pub(crate) const GET: u8 = 0x47;

pub(crate) const OK: u8 = 0x5A;
pub(crate) const REPEATED: u8 = 0x69;
pub(crate) const BAD_CRC: u8 = 0x96;
pub(crate) const BUSY: u8 = 0xA5;
pub(crate) const SEQUENCE: u8 = 0xC3;
pub(crate) const REQUEST: u8 = 0x3C;

/// Of every SPI request and response.
pub(crate) const CRC16: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_3740);
/// Of a configuration, and of the file it comes from.
pub(crate) const CRC32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
