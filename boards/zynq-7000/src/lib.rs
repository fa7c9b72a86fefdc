//! Start, clock and stack of the Cortex-A9, shared by both programs of this board.
//!
//! The caches, the memory management unit, interrupts and the second core stay off: nothing here depends on them, and
//! in the emulator they would change nothing. A program for the board would switch the caches on first.
#![no_std]
#![deny(missing_docs)]

mod critical;
mod start;
mod timer;

use cfm_boards::report::{Event, Report};
use cfm_boards::stack::Stack;

pub use timer::GlobalTimer;

#[cfg(feature = "defmt")]
use defmt_semihosting as _;

unsafe extern "C" {
    static _stack_start: u32;
    static _stack_end: u32;
}

/// Where reports go: text on the host's console, or `defmt` frames.
#[must_use]
pub fn report() -> impl Report {
    #[cfg(feature = "defmt")]
    return cfm_boards::log::Log;
    #[cfg(not(feature = "defmt"))]
    return cfm_boards::text::Text(cfm_boards::host::HostConsole::open());
}

/// Reports how deep the stack became.
pub fn report_stack(report: &mut impl Report) {
    // SAFETY: the linker script reserves what is between these symbols for the stack, and the start code paints it; the
    // symbols' addresses are taken, not their values.
    let stack = unsafe { Stack::between(&raw const _stack_end, &raw const _stack_start) };
    report.event(&Event::Stack {
        used: stack.high_water(),
        size: stack.size(),
    });
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    cfm_boards::host::panicked(info)
}
