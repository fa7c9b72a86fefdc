//! The engine as memory-mapped registers, over ordinary memory in their place.
#![allow(missing_docs)]
#![allow(unsafe_code)] // the constructors take addresses

use core::ptr::NonNull;

use cfm_device::{
    Bus, MmioTransport, NotMapped, Port, Register, Transport, TransportError, WeightMemory,
};

/// Words of the register map, and in the memory for weights.
const REGISTERS: usize = 128;
const WEIGHTS: usize = 64;

const FOLDING: usize = 2;
const EXTERNAL_ADDRESS: usize = 13;
const SPACE: usize = 24;
const PORTS: usize = 64;

/// Ordinary memory: what is written stays there, and nothing else happens.
struct Memory {
    registers: [u32; REGISTERS],
    weights: [u32; WEIGHTS],
}

impl Memory {
    fn new(channels: u32) -> Self {
        let mut memory = Self {
            registers: [0; REGISTERS],
            weights: [0; WEIGHTS],
        };
        memory.registers[FOLDING] = channels | 10 << 8;
        memory
    }

    /// Calls `work` with an engine in this memory, whose weights have this address on the engine's bus.
    fn with<T>(&mut self, address: u32, work: impl FnOnce(&mut MmioTransport) -> T) -> T {
        let registers = NonNull::from(&mut self.registers).cast();
        let memory = NonNull::from(&mut self.weights).cast();
        let weights = WeightMemory {
            address,
            words: WEIGHTS,
        };
        // SAFETY: both are as long as promised, and nothing else uses them until `work` returns.
        let mut transport = unsafe { MmioTransport::with_weights(registers, memory, weights) };
        work(&mut transport)
    }
}

#[test]
fn registers_and_ports_are_where_the_map_has_them() {
    let mut memory = Memory::new(8);
    memory.registers[SPACE + Port::Image as usize] = 2;
    memory.registers[SPACE + Port::Logits as usize] = 1;
    memory.registers[PORTS + Port::Logits as usize] = 0x1234_5678;
    memory.with(0, |engine| {
        let mut values = [0; 2];
        engine
            .read_registers(Register::VERSION, &mut values)
            .unwrap();
        assert_eq!(values, [0, 8 | 10 << 8]);
        let beyond = &mut [0; 32];
        let refused = engine.read_registers(Register::VERSION, beyond);
        assert_eq!(refused, Err(TransportError::Request));
        engine.write_register(Register::CONTROL, 2).unwrap();
        engine.push(Port::Image, &[7, 9]).unwrap();
        let refused = engine.push(Port::Image, &[1, 2, 3]);
        assert_eq!(refused, Err(TransportError::Busy));
        let mut logits = [0];
        engine.take_logits(&mut logits).unwrap();
        assert_eq!(logits, [0x1234_5678]);
        assert_eq!(engine.take_logits(&mut [0; 2]), Err(TransportError::Busy));
    });
    assert_eq!(memory.registers[3], 2);
    assert_eq!(memory.registers[PORTS + Port::Image as usize], 9);
}

#[test]
fn weights_go_to_the_memory_outside() {
    for channels in [4_u8, 8, 16] {
        let words = usize::from(channels) / 4;
        let mut memory = Memory::new(channels.into());
        memory
            .with(0x1000, |engine| {
                engine.write_register(Register::EXTERNAL_ADDRESS, 3)?;
                engine.push(Port::External, &[1, 2, 3])?;
                engine.push(Port::External, &[4])
            })
            .unwrap();
        let first = 3 * words;
        assert_eq!(memory.weights[first..first + 4], [1, 2, 3, 4]);
        assert_eq!(memory.weights.iter().filter(|&&word| word != 0).count(), 4);
        assert_eq!(memory.registers[EXTERNAL_ADDRESS], 0x1000);
    }
}

#[test]
fn addresses_that_are_not_in_the_memory_are_refused() {
    // On 32 bits, the first word of each would wrap around to the beginning of the memory.
    for (channels, word) in [(8, 1 << 31), (16, 1 << 30), (16, u32::MAX), (252, u32::MAX)] {
        let mut memory = Memory::new(channels);
        memory.with(0, |engine| {
            let refused = engine.write_register(Register::EXTERNAL_ADDRESS, word);
            assert_eq!(refused, Err(TransportError::Request), "{channels} {word}");
        });
        assert_eq!(memory.weights, [0; WEIGHTS]);
    }
    let mut memory = Memory::new(16);
    memory.with(0, |engine| {
        let last = WEIGHTS as u32 / 4 - 1;
        engine
            .write_register(Register::EXTERNAL_ADDRESS, last)
            .unwrap();
        let refused = engine.push(Port::External, &[1; 5]);
        assert_eq!(refused, Err(TransportError::Request));
        engine.push(Port::External, &[1; 4]).unwrap();
        let refused = engine.push(Port::External, &[1]);
        assert_eq!(refused, Err(TransportError::Request));
        // As far as 32 bits go, and the sum with the length beyond them.
        engine
            .write_register(Register::EXTERNAL_ADDRESS, u32::MAX / 4)
            .unwrap();
        let refused = engine.push(Port::External, &[1; 5]);
        assert_eq!(refused, Err(TransportError::Request));
    });
    assert_eq!(memory.weights.iter().sum::<u32>(), 4);
}

#[test]
fn foldings_that_no_engine_has_are_refused() {
    for channels in [0, 1, 2, 3, 6, 255] {
        Memory::new(channels).with(0, |engine| {
            let refused = engine.write_register(Register::EXTERNAL_ADDRESS, 0);
            assert_eq!(refused, Err(TransportError::Request), "{channels}");
        });
    }
    // An address that is no multiple of a weight word.
    Memory::new(16).with(8, |engine| {
        let refused = engine.write_register(Register::EXTERNAL_ADDRESS, 0);
        assert_eq!(refused, Err(TransportError::Request));
    });
}

#[test]
fn the_bus_itself_reaches_nothing_but_the_map() {
    let mut memory = Memory::new(8);
    let registers = NonNull::from(&mut memory.registers).cast();
    let weights = NonNull::from(&mut memory.weights).cast();
    let size = WeightMemory {
        address: 0,
        words: WEIGHTS,
    };
    // SAFETY: both are as long as promised, and nothing else uses them until the last access.
    let mut bus = unsafe { MmioTransport::with_weights(registers, weights, size) }.release();
    let end = 4 * REGISTERS;
    assert_eq!(bus.read(4 * FOLDING), Ok(8 | 10 << 8));
    assert_eq!(bus.write(end - 4, 7), Ok(()));
    assert_eq!(bus.read(end - 4), Ok(7));
    assert_eq!(bus.write_weight(WEIGHTS - 1, 9), Ok(()));
    for offset in [1, 2, 3, end - 3, end, end + 4, usize::MAX - 3, usize::MAX] {
        assert_eq!(bus.read(offset), Err(NotMapped), "{offset:#x}");
        assert_eq!(bus.write(offset, 1), Err(NotMapped), "{offset:#x}");
    }
    for index in [WEIGHTS, usize::MAX] {
        assert_eq!(bus.write_weight(index, 1), Err(NotMapped), "{index:#x}");
    }
    // SAFETY: as above; without a memory for weights.
    let mut bus = unsafe { MmioTransport::new(registers) }.release();
    assert_eq!(bus.write_weight(0, 1), Err(NotMapped));
    assert_eq!(bus.read(4 * FOLDING), Ok(8 | 10 << 8));
    assert_eq!(
        memory.registers.iter().filter(|&&word| word != 0).count(),
        2
    );
    assert_eq!(memory.weights.iter().sum::<u32>(), 9);
}
