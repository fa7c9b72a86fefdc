//! The engine over SPI: a CRC on every request and response, and sequence numbers that make repeating safe.

use embedded_hal::spi::{Operation, SpiDevice};

use crate::protocol::{
    BAD_CRC, BUSY, CRC16, GET, OK, PUSH, Port, READ, REPEATED, REQUEST, Register, SEQUENCE,
    TRANSFER_WORDS, WRITE,
};
use crate::transport::{Transport, TransportError};

/// Command, index, sequence, count.
const HEADER: usize = 5;
/// Status and sequence.
const REPLY_HEADER: usize = 3;
const CRC_LEN: usize = 2;
const FRAME: usize = HEADER + 4 * TRANSFER_WORDS + CRC_LEN;

/// The engine behind an SPI bus (mode 0; clock at most half the engine's).
#[derive(Debug)]
pub struct SpiTransport<S> {
    spi: S,
    /// Words that each port has taken, modulo 2^16.
    sequences: [u16; Port::COUNT],
    /// Logits have been read that the engine still keeps.
    unreleased: bool,
}

impl<S: SpiDevice> SpiTransport<S> {
    /// The engine that `spi` selects.
    pub const fn new(spi: S) -> Self {
        Self {
            spi,
            sequences: [0; Port::COUNT],
            unreleased: false,
        }
    }

    /// Gives the bus back.
    pub fn release(self) -> S {
        self.spi
    }

    /// One request with its response; `sent` is the payload there, `received` the payload back. Returns the status.
    fn exchange(
        &mut self,
        command: u8,
        index: u8,
        sequence: u16,
        sent: &[u32],
        received: &mut [u32],
    ) -> Result<(), TransportError<S::Error>> {
        let count = sent.len().max(received.len());
        if count == 0 || count > TRANSFER_WORDS {
            return Err(TransportError::Request);
        }
        let mut request = [0; FRAME];
        let [low, high] = sequence.to_le_bytes();
        // At most 64.
        request[..HEADER].copy_from_slice(&[command, index, low, high, count as u8]);
        for (bytes, word) in request[HEADER..].chunks_exact_mut(4).zip(sent) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let checked = HEADER + 4 * sent.len();
        let crc = CRC16.checksum(request.get(..checked).unwrap_or(&[]));
        let (request, _) = request.split_at_mut(checked + CRC_LEN);
        if let Some(place) = request.last_chunk_mut() {
            *place = crc.to_le_bytes();
        }

        let mut gap = [0];
        let mut reply = [0; REPLY_HEADER + 4 * TRANSFER_WORDS + CRC_LEN];
        let (reply, _) = reply.split_at_mut(REPLY_HEADER + 4 * received.len() + CRC_LEN);
        self.spi
            .transaction(&mut [
                Operation::Write(request),
                Operation::Read(&mut gap),
                Operation::Read(reply),
            ])
            .map_err(TransportError::Bus)?;

        // A response that is not OK has no payload.
        let (status, payload) = match reply.first() {
            Some(&status @ (OK | REPEATED)) => (status, 4 * received.len()),
            Some(&status) => (status, 0),
            None => return Err(TransportError::Disturbed),
        };
        let (checked, crc) = reply
            .split_at_checked(REPLY_HEADER + payload)
            .ok_or(TransportError::Disturbed)?;
        if crc.first_chunk() != Some(&CRC16.checksum(checked).to_le_bytes()) {
            return Err(TransportError::Disturbed);
        }
        match status {
            OK | REPEATED => {
                let words = checked.get(REPLY_HEADER..).unwrap_or(&[]);
                let (words, _) = words.as_chunks::<4>();
                for (value, word) in received.iter_mut().zip(words) {
                    *value = u32::from_le_bytes(*word);
                }
                Ok(())
            }
            BUSY => Err(TransportError::Busy),
            SEQUENCE => Err(TransportError::Sequence),
            REQUEST => Err(TransportError::Request),
            BAD_CRC => Err(TransportError::Disturbed),
            _ => Err(TransportError::Disturbed),
        }
    }

    fn sequence(&mut self, port: Port) -> &mut u16 {
        let [config, image, masks, external, logits] = &mut self.sequences;
        match port {
            Port::Config => config,
            Port::Image => image,
            Port::Masks => masks,
            Port::External => external,
            Port::Logits => logits,
        }
    }
}

impl<S: SpiDevice> Transport for SpiTransport<S> {
    type Error = S::Error;

    fn read_registers(
        &mut self,
        first: Register,
        values: &mut [u32],
    ) -> Result<(), TransportError<S::Error>> {
        self.exchange(READ, first.0, 0, &[], values)
    }

    fn write_register(
        &mut self,
        register: Register,
        value: u32,
    ) -> Result<(), TransportError<S::Error>> {
        self.exchange(WRITE, register.0, 0, &[value], &mut [])
    }

    fn push(&mut self, port: Port, words: &[u32]) -> Result<(), TransportError<S::Error>> {
        let sequence = *self.sequence(port);
        self.exchange(PUSH, port as u8, sequence, words, &mut [])?;
        // At most 64.
        *self.sequence(port) = sequence.wrapping_add(words.len() as u16);
        Ok(())
    }

    fn logits_available(&mut self) -> Result<usize, TransportError<S::Error>> {
        if self.unreleased {
            // Asking for the next word releases those before it, also when there is none yet.
            let sequence = *self.sequence(Port::Logits);
            match self.exchange(GET, Port::Logits as u8, sequence, &[], &mut [0]) {
                Ok(()) | Err(TransportError::Busy) => self.unreleased = false,
                Err(error) => return Err(error),
            }
        }
        let mut space = [0];
        self.read_registers(Register::space(Port::Logits), &mut space)?;
        let [space] = space;
        Ok(space as usize)
    }

    fn take_logits(&mut self, words: &mut [u32]) -> Result<(), TransportError<S::Error>> {
        let sequence = *self.sequence(Port::Logits);
        self.exchange(GET, Port::Logits as u8, sequence, &[], words)?;
        // The engine keeps them until words behind them are asked for.
        self.unreleased = true;
        *self.sequence(Port::Logits) = sequence.wrapping_add(words.len() as u16);
        Ok(())
    }

    fn ports_were_reset(&mut self) {
        self.sequences = [0; Port::COUNT];
        self.unreleased = false;
    }
}
