//! Depthwise convolution: four channels in a word.
#![allow(unsafe_code)]

use core::arch::asm;

use super::Dsp;
use crate::kernels::depthwise::Lanes;

impl Lanes for Dsp {
    #[inline(always)]
    fn one_tap(sums: &mut [u32], filters: &[u32], cell: &[i8]) {
        let channels = sums.len() / 4 * 4;
        if channels == 0 || filters.len() < channels / 4 || cell.len() < channels {
            return;
        }
        // SAFETY: the assembly reads and writes `channels` sums, and reads `channels` bytes of filters and of the cell,
        // which there are; `channels` is a multiple of four and not zero.
        unsafe { one_tap(sums.as_mut_ptr(), filters.as_ptr(), cell.as_ptr(), channels) }
    }

    #[inline(always)]
    fn three_taps(sums: &mut [u32], filters: &[u32], cells: &[i8]) {
        let channels = sums.len() / 4 * 4;
        if channels == 0 || filters.len() < 3 * channels / 4 || cells.len() < 3 * channels {
            return;
        }
        // SAFETY: as in `one_tap`, for `3 * channels` bytes of filters and cells.
        unsafe {
            three_taps(
                sums.as_mut_ptr(),
                filters.as_ptr(),
                cells.as_ptr(),
                channels,
            )
        }
    }
}

/// Adds the products of the words in r9 (filters) and r10 (cells) to r4 to r7.
macro_rules! products {
    () => {
        "sxtb16 r11, r9
         sxtb16 r12, r10
         sxtb16 r9, r9, ror #8
         sxtb16 r10, r10, ror #8
         smlabb r4, r11, r12, r4
         smlabb r5, r9, r10, r5
         smlatt r6, r11, r12, r6
         smlatt r7, r9, r10, r7"
    };
}

/// # Safety
/// `sums` is readable and writable for `channels` words, `filters` and `cells` are readable for `channels` bytes;
/// `channels` is a multiple of four and not zero.
#[inline(never)]
unsafe fn one_tap(sums: *mut u32, filters: *const u32, cells: *const i8, channels: usize) {
    // SAFETY: as the caller promises; every other register is saved and restored.
    unsafe {
        asm!(
            "push {{r4-r12, lr}}",
            "add r8, r1, r3",
            "2:",
            "ldm r0, {{r4-r7}}",
            "ldr r9, [r1], #4",
            "ldr r10, [r2], #4",
            products!(),
            "stm r0!, {{r4-r7}}",
            "cmp r1, r8",
            "bne 2b",
            "pop {{r4-r12, lr}}",
            inout("r0") sums => _,
            inout("r1") filters => _,
            inout("r2") cells => _,
            inout("r3") channels => _,
            out("r12") _,
        );
    }
}

/// # Safety
/// As [`one_tap`], but `filters` and `cells` are readable for `3 * channels` bytes.
#[inline(never)]
unsafe fn three_taps(sums: *mut u32, filters: *const u32, cells: *const i8, channels: usize) {
    // SAFETY: as the caller promises; every other register is saved and restored.
    unsafe {
        asm!(
            "push {{r4-r12, lr}}",
            "add r8, r1, r3",
            "lsl lr, r3, #1",
            "2:",
            "ldm r0, {{r4-r7}}",
            "ldr r9, [r1, r3]",
            "ldr r10, [r2, r3]",
            products!(),
            "ldr r9, [r1, lr]",
            "ldr r10, [r2, lr]",
            products!(),
            "ldr r9, [r1], #4",
            "ldr r10, [r2], #4",
            products!(),
            "stm r0!, {{r4-r7}}",
            "cmp r1, r8",
            "bne 2b",
            "pop {{r4-r12, lr}}",
            inout("r0") sums => _,
            inout("r1") filters => _,
            inout("r2") cells => _,
            inout("r3") channels => _,
            out("r12") _,
        );
    }
}
