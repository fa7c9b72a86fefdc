//! Engines that answer anything: over SPI and behind memory-mapped registers.

use cfm_device::{Bus, WeightMemory};
use embedded_hal::spi::{ErrorKind, ErrorType, Operation, SpiDevice};

/// Most accesses of one frame: each is followed by an answer, and the driver gives up on what does not change.
const MAX_ACCESSES: usize = 1 << 20;

/// Answers that were made up beforehand; zeros behind the last.
#[derive(Debug)]
pub struct Answers<'a> {
    bytes: &'a [u8],
    accesses: usize,
}

impl<'a> Answers<'a> {
    /// These bytes, from the first on.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, accesses: 0 }
    }

    fn take(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((&byte, rest)) => {
                self.bytes = rest;
                byte
            }
            None => 0,
        }
    }

    /// One more access, or a panic if there is no end to them.
    fn count(&mut self) {
        self.accesses += 1;
        assert!(self.accesses < MAX_ACCESSES, "the driver does not give up");
    }
}

/// An engine behind SPI, whose responses begin with bytes of the answers and have the right checksum, mostly.
#[derive(Debug)]
pub struct ArbitrarySpi<'a>(pub Answers<'a>);

impl ErrorType for ArbitrarySpi<'_> {
    type Error = ErrorKind;
}

impl SpiDevice for ArbitrarySpi<'_> {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), ErrorKind> {
        self.0.count();
        let choice = self.0.take();
        if choice == 0xFF {
            return Err(ErrorKind::Other);
        }
        for operation in operations {
            let Operation::Read(response) = operation else {
                continue;
            };
            response.fill_with(|| self.0.take());
            let ok = [0x5A, 0x69];
            // A busy port, or what was asked for; anything else stays what it is.
            match (choice, response.first_mut()) {
                (0x80.., Some(status)) => *status = 0x5A,
                (0x70..0x80, Some(status)) => *status = 0xA5,
                _ => {}
            }
            let checked = match response.first() {
                Some(status) if ok.contains(status) => response.len().saturating_sub(2),
                _ => 3,
            };
            if choice >= 0x10
                && let Some((checked, crc)) = response.split_at_mut_checked(checked)
                && let Some(crc) = crc.first_chunk_mut()
            {
                *crc = crc16(checked).to_le_bytes();
            }
        }
        Ok(())
    }
}

/// The checksum of the protocol, from its definition: CRC-16 with the polynomial 0x1021, from 0xFFFF on.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
            crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 }
        })
    })
}

/// An engine's registers, each of which reads as the next answer: a byte, or a word behind 0xFE; 0xFF is an error of the
/// bus.
#[derive(Debug)]
pub struct ArbitraryBus<'a> {
    answers: Answers<'a>,
    weights: Option<WeightMemory>,
}

impl<'a> ArbitraryBus<'a> {
    /// Registers with these values, and this memory for weights.
    #[must_use]
    pub const fn new(answers: Answers<'a>, weights: Option<WeightMemory>) -> Self {
        Self { answers, weights }
    }
}

impl Bus for ArbitraryBus<'_> {
    type Error = ();

    fn read(&mut self, offset: usize) -> Result<u32, ()> {
        assert!(offset < 0x200 && offset.is_multiple_of(4), "{offset:#x}");
        self.answers.count();
        match self.answers.take() {
            0xFF => Err(()),
            0xFE => Ok(u32::from_le_bytes([0; 4].map(|_: u8| self.answers.take()))),
            byte => Ok(byte.into()),
        }
    }

    fn write(&mut self, offset: usize, _: u32) -> Result<(), ()> {
        assert!(offset < 0x200 && offset.is_multiple_of(4), "{offset:#x}");
        self.answers.count();
        Ok(())
    }

    fn weights(&self) -> Option<WeightMemory> {
        self.weights
    }

    fn write_weight(&mut self, index: usize, _: u32) -> Result<(), ()> {
        let words = self.weights.map_or(0, |weights| weights.words);
        assert!(index < words, "{index} of {words} words");
        self.answers.count();
        Ok(())
    }
}
