//! The engine as memory-mapped registers.
#![allow(unsafe_code)]

use core::ptr::NonNull;

use crate::protocol::{Port, Register};
use crate::transport::{Transport, TransportError};

/// Byte offset of the ports in the memory map.
const PORTS: usize = 0x100;
/// Bytes of the memory map that a [`MappedBus`] reaches: registers and ports.
const MAP_BYTES: usize = 0x200;

/// Where the model's weights from outside lie: memory that the processor writes and the engine reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightMemory {
    /// Where the engine finds it: a byte address on its bus, a multiple of the folding's channels.
    pub address: u32,
    /// How many 32-bit words it has.
    pub words: usize,
}

/// Single accesses: to the register map, and to the memory for weights from outside.
pub trait Bus {
    /// What can go wrong.
    type Error: core::fmt::Debug;

    /// Reads 32 bits of the register map at this byte offset.
    ///
    /// # Errors
    /// The access was refused.
    fn read(&mut self, offset: usize) -> Result<u32, Self::Error>;

    /// Writes 32 bits of the register map at this byte offset.
    ///
    /// # Errors
    /// The access was refused.
    fn write(&mut self, offset: usize, value: u32) -> Result<(), Self::Error>;

    /// The memory for weights from outside, if there is one.
    fn weights(&self) -> Option<WeightMemory>;

    /// Writes a word of that memory; never called with an index beyond its end. The engine must see it: no cache may keep it.
    ///
    /// # Errors
    /// The access was refused.
    fn write_weight(&mut self, index: usize, value: u32) -> Result<(), Self::Error>;
}

/// An offset or an index that is none of the register map's 32-bit words, or not in the memory for weights. Nothing was accessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NotMapped;

impl core::fmt::Display for NotMapped {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("an access outside of the engine's memory map")
    }
}

impl core::error::Error for NotMapped {}

/// The register map in the processor's own address space.
#[derive(Debug)]
pub struct MappedBus {
    base: NonNull<u32>,
    memory: NonNull<u32>,
    weights: Option<WeightMemory>,
}

impl MappedBus {
    /// A register or a port.
    fn at(&self, offset: usize) -> Result<NonNull<u32>, NotMapped> {
        if offset >= MAP_BYTES || !offset.is_multiple_of(size_of::<u32>()) {
            return Err(NotMapped);
        }
        // SAFETY: who made this value promised a map of so many bytes.
        Ok(unsafe { self.base.byte_add(offset) })
    }
}

impl Bus for MappedBus {
    type Error = NotMapped;

    fn read(&mut self, offset: usize) -> Result<u32, NotMapped> {
        let at = self.at(offset)?;
        // SAFETY: it is a word of the map, which is this value's alone.
        Ok(unsafe { at.read_volatile() })
    }

    fn write(&mut self, offset: usize, value: u32) -> Result<(), NotMapped> {
        let at = self.at(offset)?;
        // SAFETY: as in `read`.
        unsafe { at.write_volatile(value) };
        Ok(())
    }

    fn weights(&self) -> Option<WeightMemory> {
        self.weights
    }

    fn write_weight(&mut self, index: usize, value: u32) -> Result<(), NotMapped> {
        if self.weights.is_none_or(|weights| index >= weights.words) {
            return Err(NotMapped);
        }
        // SAFETY: the index is below the length that `with_weights` was promised.
        unsafe { self.memory.add(index).write_volatile(value) };
        Ok(())
    }
}

/// The engine behind a memory-mapped bus (`engine_axi.sv` with image, masks and logits in its register map).
///
/// The words of the model for the memory outside do not go through the engine: they are written to [`Bus::weights`]. A model
/// that has such words is refused ([`TransportError::Request`]) where there is no such memory, or where it is too small.
#[derive(Debug)]
pub struct MmioTransport<B = MappedBus> {
    bus: B,
    /// Where in the weight memory the next word goes.
    weight: usize,
}

impl MmioTransport {
    /// The engine whose register 0 is at `base`, without a memory for weights from outside.
    ///
    /// # Safety
    /// `base` must be the address of an engine's registers (512 bytes, 32-bit accesses, device memory: not cached, in order), which
    /// nothing else uses as long as this value lives.
    #[must_use]
    pub const unsafe fn new(base: NonNull<u32>) -> Self {
        Self::over(MappedBus {
            base,
            memory: base,
            weights: None,
        })
    }

    /// The engine whose register 0 is at `base`, which reads weights from `memory`; that is `weights` on its own bus.
    ///
    /// # Safety
    /// `base` as for [`new`](Self::new). At `memory` there must be `weights.words` words, device memory too, so that they are there
    /// before a register starts the engine, which nothing else uses as long as this value lives, nor as long as the engine uses what
    /// has been loaded.
    #[must_use]
    pub const unsafe fn with_weights(
        base: NonNull<u32>,
        memory: NonNull<u32>,
        weights: WeightMemory,
    ) -> Self {
        Self::over(MappedBus {
            base,
            memory,
            weights: Some(weights),
        })
    }
}

impl<B: Bus> MmioTransport<B> {
    /// The engine behind this bus.
    #[must_use]
    pub const fn over(bus: B) -> Self {
        Self { bus, weight: 0 }
    }

    /// Gives the bus back.
    pub fn release(self) -> B {
        self.bus
    }

    fn read(&mut self, offset: usize) -> Result<u32, TransportError<B::Error>> {
        self.bus.read(offset).map_err(TransportError::Bus)
    }

    fn write(&mut self, offset: usize, value: u32) -> Result<(), TransportError<B::Error>> {
        self.bus.write(offset, value).map_err(TransportError::Bus)
    }

    fn space(&mut self, port: Port) -> Result<usize, TransportError<B::Error>> {
        Ok(self.read(4 * usize::from(Register::space(port).0))? as usize)
    }

    /// The next words go to this weight word of the memory outside, whose address the engine learns.
    fn seek_weight(&mut self, word: u32) -> Result<(), TransportError<B::Error>> {
        let Some(weights) = self.bus.weights() else {
            return Err(TransportError::Request);
        };
        let channels = self.read(4 * usize::from(Register::FOLDING.0))? & 0xFF;
        let Some(first) = first_word(word, channels) else {
            return Err(TransportError::Request);
        };
        if !weights.address.is_multiple_of(channels) {
            return Err(TransportError::Request);
        }
        self.weight = first;
        self.write(
            4 * usize::from(Register::EXTERNAL_ADDRESS.0),
            weights.address,
        )
    }

    fn push_weights(&mut self, words: &[u32]) -> Result<(), TransportError<B::Error>> {
        let room = self.bus.weights().map_or(0, |weights| weights.words);
        let end = self.weight.checked_add(words.len());
        let Some(end) = end.filter(|&end| end <= room) else {
            return Err(TransportError::Request);
        };
        for (index, &word) in (self.weight..).zip(words) {
            self.bus
                .write_weight(index, word)
                .map_err(TransportError::Bus)?;
        }
        self.weight = end;
        Ok(())
    }
}

/// The 32-bit word of the memory outside at which weight word `word` begins, for a folding of so many channels; `None` for
/// channels that do not fill words, and beyond 32 bits, whatever the processor's own address space.
fn first_word(word: u32, channels: u32) -> Option<usize> {
    if channels == 0 || !channels.is_multiple_of(4) {
        return None;
    }
    word.checked_mul(channels / 4)?.try_into().ok()
}

impl<B: Bus> Transport for MmioTransport<B> {
    type Error = B::Error;

    fn read_registers(
        &mut self,
        first: Register,
        values: &mut [u32],
    ) -> Result<(), TransportError<B::Error>> {
        if usize::from(first.0) + values.len() > 32 {
            return Err(TransportError::Request);
        }
        for (register, value) in (usize::from(first.0)..).zip(values) {
            *value = self.read(4 * register)?;
        }
        Ok(())
    }

    fn write_register(
        &mut self,
        register: Register,
        value: u32,
    ) -> Result<(), TransportError<B::Error>> {
        if register == Register::EXTERNAL_ADDRESS {
            return self.seek_weight(value);
        }
        self.write(4 * usize::from(register.0), value)
    }

    fn push(&mut self, port: Port, words: &[u32]) -> Result<(), TransportError<B::Error>> {
        if port == Port::External {
            return self.push_weights(words);
        }
        if self.space(port)? < words.len() {
            return Err(TransportError::Busy);
        }
        for &word in words {
            // Which words the engine has then is not known: to repeat all of them would not be safe.
            self.bus
                .write(PORTS + 4 * port as usize, word)
                .map_err(|_| TransportError::Sequence)?;
        }
        Ok(())
    }

    fn logits_available(&mut self) -> Result<usize, TransportError<B::Error>> {
        self.space(Port::Logits)
    }

    fn take_logits(&mut self, words: &mut [u32]) -> Result<(), TransportError<B::Error>> {
        if self.space(Port::Logits)? < words.len() {
            return Err(TransportError::Busy);
        }
        for word in words {
            // As in `push`: a word that was lost on its way is gone.
            *word = self
                .bus
                .read(PORTS + 4 * Port::Logits as usize)
                .map_err(|_| TransportError::Sequence)?;
        }
        Ok(())
    }

    fn ports_were_reset(&mut self) {}
}
