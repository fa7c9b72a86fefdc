//! The engine as memory-mapped registers.
#![allow(unsafe_code)]

use core::convert::Infallible;
use core::ptr::NonNull;

use crate::protocol::{Port, Register};
use crate::transport::{Transport, TransportError};

/// Byte offset of the ports in the memory map.
const PORTS: usize = 0x100;

/// The engine's registers in memory.
#[derive(Debug)]
pub struct MmioTransport {
    base: NonNull<u32>,
}

impl MmioTransport {
    /// The engine whose register 0 is at `base`.
    ///
    /// # Safety
    /// `base` must be the address of an engine's registers (512 bytes, 32-bit accesses, not cached), which nothing else uses as
    /// long as this value lives.
    #[must_use]
    pub const unsafe fn new(base: NonNull<u32>) -> Self {
        Self { base }
    }

    fn read(&self, offset: usize) -> u32 {
        // SAFETY: `offset` is one of the register map's, and `new` was promised a whole one.
        unsafe { self.base.byte_add(offset).read_volatile() }
    }

    fn write(&mut self, offset: usize, value: u32) {
        // SAFETY: as in `read`.
        unsafe { self.base.byte_add(offset).write_volatile(value) }
    }

    fn space(&self, port: Port) -> usize {
        self.read(4 * usize::from(Register::space(port).0)) as usize
    }
}

impl Transport for MmioTransport {
    type Error = Infallible;

    fn read_registers(
        &mut self,
        first: Register,
        values: &mut [u32],
    ) -> Result<(), TransportError<Infallible>> {
        if usize::from(first.0) + values.len() > 32 {
            return Err(TransportError::Request);
        }
        for (register, value) in (usize::from(first.0)..).zip(values) {
            *value = self.read(4 * register);
        }
        Ok(())
    }

    fn write_register(
        &mut self,
        register: Register,
        value: u32,
    ) -> Result<(), TransportError<Infallible>> {
        self.write(4 * usize::from(register.0), value);
        Ok(())
    }

    fn push(&mut self, port: Port, words: &[u32]) -> Result<(), TransportError<Infallible>> {
        if self.space(port) < words.len() {
            return Err(TransportError::Busy);
        }
        for &word in words {
            self.write(PORTS + 4 * port as usize, word);
        }
        Ok(())
    }

    fn logits_available(&mut self) -> Result<usize, TransportError<Infallible>> {
        Ok(self.space(Port::Logits))
    }

    fn take_logits(&mut self, words: &mut [u32]) -> Result<(), TransportError<Infallible>> {
        if self.space(Port::Logits) < words.len() {
            return Err(TransportError::Busy);
        }
        for word in words {
            *word = self.read(PORTS + 4 * Port::Logits as usize);
        }
        Ok(())
    }

    fn ports_were_reset(&mut self) {}
}
