//! Depthwise convolution: four channels in a vector.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::Mve;
use crate::kernels::depthwise::Lanes;

impl Lanes for Mve {
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

/// # Safety
/// `sums` is readable and writable for `channels` words, `filters` and `cells` are readable for `channels` bytes;
/// `channels` is a multiple of four and not zero.
#[unsafe(naked)]
unsafe extern "C" fn one_tap(
    sums: *mut u32,
    filters: *const u32,
    cells: *const i8,
    channels: usize,
) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4, lr}}",
        "lsr r3, r3, #2",
        "dls lr, r3",
        "2:",
        "vldrw.u32 q0, [r0]",
        "vldrb.s32 q1, [r1], #4",
        "vldrb.s32 q2, [r2], #4",
        "vmul.i32 q1, q1, q2",
        "vadd.i32 q0, q0, q1",
        "vstrw.32 q0, [r0], #16",
        "le lr, 2b",
        "pop {{r4, pc}}",
    )
}

/// # Safety
/// As [`one_tap`], but `filters` and `cells` are readable for `3 * channels` bytes.
#[unsafe(naked)]
unsafe extern "C" fn three_taps(
    sums: *mut u32,
    filters: *const u32,
    cells: *const i8,
    channels: usize,
) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4-r7, r8, lr}}",
        "add r4, r1, r3",
        "add r5, r2, r3",
        "add r6, r4, r3",
        "add r7, r5, r3",
        "lsr r3, r3, #2",
        "dls lr, r3",
        "2:",
        "vldrw.u32 q0, [r0]",
        "vldrb.s32 q1, [r1], #4",
        "vldrb.s32 q2, [r2], #4",
        "vmul.i32 q1, q1, q2",
        "vadd.i32 q0, q0, q1",
        "vldrb.s32 q1, [r4], #4",
        "vldrb.s32 q2, [r5], #4",
        "vmul.i32 q1, q1, q2",
        "vadd.i32 q0, q0, q1",
        "vldrb.s32 q1, [r6], #4",
        "vldrb.s32 q2, [r7], #4",
        "vmul.i32 q1, q1, q2",
        "vadd.i32 q0, q0, q1",
        "vstrw.32 q0, [r0], #16",
        "le lr, 2b",
        "pop {{r4-r7, r8, pc}}",
    )
}
