//! Instructions of the DSP extension, which stable Rust has no functions for.
//!
//! Register to register, without memory or traps: they are only ever unavailable, which building for a core without
//! the extension makes an error of the assembler.
#![allow(unsafe_code)]

use core::arch::asm;

/// The bytes 0 and 2 as signed halfwords.
#[inline(always)]
pub(super) fn sxtb16(word: u32) -> u32 {
    let halves;
    // SAFETY: only registers are read and written.
    unsafe {
        asm!("sxtb16 {0}, {1}", lateout(reg) halves, in(reg) word, options(pure, nomem, nostack, preserves_flags));
    }
    halves
}

/// The bytes 1 and 3 as signed halfwords.
#[inline(always)]
pub(super) fn sxtb16_odd(word: u32) -> u32 {
    let halves;
    // SAFETY: only registers are read and written.
    unsafe {
        asm!("sxtb16 {0}, {1}, ror #8", lateout(reg) halves, in(reg) word, options(pure, nomem, nostack, preserves_flags));
    }
    halves
}

/// The larger of each of the four signed bytes.
#[inline(always)]
pub(super) fn max_bytes(a: u32, b: u32) -> u32 {
    let larger;
    // SAFETY: only registers and the GE flags are written; the GE flags belong to the flags that are clobbered.
    unsafe {
        asm!("ssub8 {0}, {1}, {2}", "sel {0}, {1}, {2}", out(reg) larger, in(reg) a, in(reg) b, options(pure, nomem, nostack));
    }
    larger
}
