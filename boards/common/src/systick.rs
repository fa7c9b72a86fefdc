//! Cortex-M: a clock from SysTick, and the stack that `cortex-m-rt` paints (its feature `paint-stack`).

use core::cell::Cell;

use cortex_m::interrupt::{Mutex, free};
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};

use crate::clock::Clock;
use crate::stack::Stack;

/// Ticks between two wraps: all 24 bits.
const PERIOD: u64 = 1 << 24;

static WRAPS: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));

/// To be called from the `SysTick` exception.
pub fn on_wrap() {
    free(|section| {
        let wraps = WRAPS.borrow(section);
        wraps.set(wraps.get() + 1);
    });
}

/// The processor's clock, counted by SysTick and its exception. Interrupts must not be off
/// for a whole turn of the counter: then it would be lost.
#[derive(Debug)]
pub struct SysTick {
    frequency: u32,
}

impl SysTick {
    /// Starts counting at `frequency`, the processor's, in hertz. The program's `SysTick` exception must call
    /// [`on_wrap`].
    #[must_use]
    pub fn start(mut peripheral: SYST, frequency: u32) -> Self {
        peripheral.set_clock_source(SystClkSource::Core);
        peripheral.set_reload((PERIOD - 1) as u32);
        peripheral.clear_current();
        peripheral.enable_interrupt();
        peripheral.enable_counter();
        Self { frequency }
    }
}

impl Clock for SysTick {
    fn ticks(&mut self) -> u64 {
        // The counter runs down, and wraps when it gets to zero. The exception of a wrap waits for the end of this critical
        // section, or of another one: if it does, the counter is read again, now surely after the wrap.
        let (wraps, left) = free(|section| {
            let wraps = WRAPS.borrow(section).get();
            let left = SYST::get_current();
            if SCB::is_pendst_pending() {
                (wraps + 1, SYST::get_current())
            } else {
                (wraps, left)
            }
        });
        wraps * PERIOD + (PERIOD - u64::from(left)) % PERIOD
    }

    fn ticks_per_second(&self) -> u32 {
        self.frequency
    }
}

unsafe extern "C" {
    static _stack_start: u32;
    static _stack_end: u32;
}

/// The stack of the program.
#[must_use]
pub fn stack() -> Stack {
    // SAFETY: these are the bounds between which `cortex-m-rt` paints before `main`, and this project has no heap
    // there; the symbols' addresses are taken, not their values.
    unsafe { Stack::between(&raw const _stack_end, &raw const _stack_start) }
}
