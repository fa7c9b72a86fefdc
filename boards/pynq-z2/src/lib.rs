//! Where the engine is on a PYNQ-Z2 (`design.tcl`, with `STREAMS 0`), and how to reach it.
#![no_std]
#![deny(missing_docs)]

use core::ptr::NonNull;

use cfm_boards::clock::Clock;
use cfm_device::{MmioTransport, WeightMemory};
use embedded_hal::delay::DelayNs;
use zynq_7000::GlobalTimer;

/// The engine's registers on the processor's general purpose port.
pub const ENGINE: usize = 0x43c0_0000;

/// DDR memory for the weights from outside: behind the program's (`memory.x` of the board zynq-7000 ends at 64 MiB). The engine's
/// high performance port sees it at the same address.
pub const WEIGHTS: WeightMemory = WeightMemory {
    address: 0x0400_0000,
    words: (16 << 20) / 4,
};

/// Ticks of the global timer in a microsecond: half of the board's 650 MHz.
const TICKS_PER_US: u64 = 325;

/// The engine.
///
/// # Safety
/// At most one of these may be in use. The bitstream of `design.tcl` must be loaded: on the board, an access where nothing is
/// never ends. The memory at [`WEIGHTS`] must not be cached, which it is not while the caches are off.
#[must_use]
pub unsafe fn engine() -> MmioTransport {
    let registers = NonNull::without_provenance(nonzero(ENGINE));
    let memory = NonNull::without_provenance(nonzero(WEIGHTS.address as usize));
    // SAFETY: the caller has promised that the engine is there and belongs to nobody else; `memory.x` gives the program memory
    // below WEIGHTS, so nothing of it is there.
    unsafe { MmioTransport::with_weights(registers, memory, WEIGHTS) }
}

const fn nonzero(address: usize) -> core::num::NonZeroUsize {
    match core::num::NonZeroUsize::new(address) {
        Some(address) => address,
        None => core::num::NonZeroUsize::MIN,
    }
}

/// Waits by the global timer.
#[derive(Debug)]
pub struct Delay(GlobalTimer);

impl Delay {
    /// Starts the timer.
    #[must_use]
    pub fn start() -> Self {
        Self(GlobalTimer::start())
    }
}

impl DelayNs for Delay {
    fn delay_ns(&mut self, ns: u32) {
        let ticks = (u64::from(ns) * TICKS_PER_US).div_ceil(1000);
        let start = self.0.ticks();
        while self.0.ticks() - start < ticks {}
    }
}
