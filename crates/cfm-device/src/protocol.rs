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

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;

    const PAGE: &str = include_str!("../../../hls/REGISTERS.md");

    /// The text between two others.
    fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
        let (_, rest) = text.split_once(before).expect(before);
        rest.split_once(after).expect(after).0
    }

    /// The numbers of a list like `A = 1, B = 8'h2F`.
    fn assignments(list: &str) -> impl Iterator<Item = (&str, u32)> {
        list.split(',').map(|assignment| {
            let (name, value) = assignment.split_once('=').expect(assignment);
            let value = value.trim();
            let number = match value.rsplit_once("'h") {
                Some((_, hex)) => u32::from_str_radix(hex, 16),
                None => value.rsplit("'d").next().unwrap_or(value).parse(),
            };
            (name.trim(), number.expect(value))
        })
    }

    #[test]
    fn registers_are_those_of_the_page() {
        let registers = [
            ("ID", Register::ID),
            ("VERSION", Register::VERSION),
            ("FOLDING", Register::FOLDING),
            ("CONTROL", Register::CONTROL),
            ("STATUS", Register::STATUS),
            ("FINGERPRINT", Register::FINGERPRINT),
            ("FRAMES", Register::FRAMES),
            ("CONFIG_ADDRESS", Register::CONFIG_ADDRESS),
            ("CONFIG_CHECK", Register::CONFIG_CHECK),
            ("EXTERNAL_ADDRESS", Register::EXTERNAL_ADDRESS),
            ("IMAGE_CHANNELS", Register::IMAGE_CHANNELS),
            ("IMAGE_ROW_BYTES", Register::IMAGE_ROW_BYTES),
        ];
        for (name, register) in registers {
            let row = format!("\n| {} | {name} | r", register.0);
            assert!(PAGE.contains(&row), "{row}");
        }
        let cycles = format!("\n| {} to 10 | CYCLES, BUSY, ", Register::CYCLES.0);
        assert!(PAGE.contains(&cycles));
        assert!(PAGE.contains(&format!("| 0 | ID | r | `0x{:08X}`", Register::ENGINE_ID)));
        assert!(PAGE.contains("\n| 16 + p | SEQUENCE |") && PAGE.contains("\n| 24 + p | SPACE |"));
    }

    #[test]
    fn ports_are_those_of_the_page_and_of_the_hardware() {
        let hardware = include_str!("../../../hls/rtl/engine_registers.sv");
        let hardware = between(hardware, "localparam CONFIG", ";");
        let ports = [
            ("CONFIG", Port::Config),
            ("IMAGE", Port::Image),
            ("MASKS", Port::Masks),
            ("EXTERNAL", Port::External),
            ("LOGITS", Port::Logits),
        ];
        let hardware = format!("CONFIG{hardware}");
        let numbers = ports.map(|(name, port)| (name, port as u32));
        assert!(assignments(&hardware).eq(numbers));
        for (name, number) in numbers {
            assert!(
                PAGE.contains(&format!("\n| {number} | {name} | ")),
                "{name}"
            );
            assert_eq!(
                u32::from(Register::sequence(ports[number as usize].1).0),
                16 + number
            );
            assert_eq!(
                u32::from(Register::space(ports[number as usize].1).0),
                24 + number
            );
        }
        assert_eq!(ports.len(), Port::COUNT);
    }

    #[test]
    fn bytes_of_the_spi_protocol_are_those_of_the_hardware() {
        let hardware = include_str!("../../../hls/rtl/spi_slave.sv");
        let answers = format!("OK{}", between(hardware, "localparam OK", ";"));
        let ours = [
            ("OK", OK),
            ("REPEATED", REPEATED),
            ("BAD_CRC", BAD_CRC),
            ("BUSY", BUSY),
            ("SEQUENCE", SEQUENCE),
            ("REQUEST", REQUEST),
        ];
        assert!(assignments(&answers).eq(ours.map(|(name, byte)| (name, byte.into()))));
        let requests = format!("W{}", between(hardware, "localparam W", ";"));
        let ours = [("W", WRITE), ("R", READ), ("P", PUSH), ("G", GET)];
        assert!(assignments(&requests).eq(ours.map(|(name, byte)| (name, byte.into()))));
    }
}
