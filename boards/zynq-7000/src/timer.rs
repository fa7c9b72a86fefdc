//! The global timer of the Cortex-A9: 64 bits, one tick every other cycle of the processor.

use cfm_boards::clock::Clock;

/// Private memory of the cores on Zynq-7000, plus the timer's offset.
const BASE: usize = 0xf8f0_0200;
const LOWER: *const u32 = BASE as *const u32;
const UPPER: *const u32 = (BASE + 4) as *const u32;
const CONTROL: *mut u32 = (BASE + 8) as *mut u32;
const ENABLE: u32 = 1;

/// Ticks of a second, which is what the emulator counts: half of 800 MHz would be right for most boards.
const FREQUENCY: u32 = 100_000_000;

/// The timer.
#[derive(Debug)]
pub struct GlobalTimer(());

impl GlobalTimer {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        // SAFETY: the register exists on this chip, and enabling the timer affects no memory. No other code writes it.
        unsafe { CONTROL.write_volatile(ENABLE) };
        Self(())
    }
}

impl Clock for GlobalTimer {
    fn ticks(&mut self) -> u64 {
        loop {
            // SAFETY: these are the timer's counters; reading them has no effect.
            let (before, lower, after) = unsafe {
                (
                    UPPER.read_volatile(),
                    LOWER.read_volatile(),
                    UPPER.read_volatile(),
                )
            };
            if before == after {
                return u64::from(before) << 32 | u64::from(lower);
            }
        }
    }

    fn ticks_per_second(&self) -> u32 {
        FREQUENCY
    }
}
