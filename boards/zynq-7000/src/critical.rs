//! Critical sections: one core runs, so keeping interrupts off is enough.

use core::arch::asm;

use critical_section::{Impl, RawRestoreState, set_impl};

struct InterruptsOff;

set_impl!(InterruptsOff);

// SAFETY: with interrupts off on the only core that runs, nothing else does until `release`.
unsafe impl Impl for InterruptsOff {
    unsafe fn acquire() -> RawRestoreState {
        let status: u32;
        // SAFETY: reads the status register and switches interrupts off; no memory is accessed before.
        unsafe { asm!("mrs {}, cpsr", "cpsid i", out(reg) status) };
        status & 1 << 7 == 0
    }

    unsafe fn release(were_on: RawRestoreState) {
        if were_on {
            // SAFETY: they were on when the section began.
            unsafe { asm!("cpsie i") };
        }
    }
}
