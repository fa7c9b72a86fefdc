//! Inputs side by side, the inner products of four filters with them, and maxima: 16 at a time.
#![allow(unsafe_code)]

use core::arch::naked_asm;

/// `sums[o]` becomes the product of filter `o`, `len` weights each, with `values`, as two's complement: for whole quads
/// of filters, as many as there are sums and weights.
#[inline(always)]
pub(super) fn products(sums: &mut [u32], weights: &[u8], values: &[i8]) {
    let quads = (sums.len() / 4).min(weights.len() / (4 * values.len()).max(1));
    if quads == 0 || values.is_empty() {
        return;
    }
    // SAFETY: the assembly reads all values, and `4 * quads` filters of as many weights, which the slice has; loads past
    // the end of a filter are predicated off. It writes `4 * quads` sums, which there are.
    unsafe {
        products_asm(
            sums.as_mut_ptr(),
            weights.as_ptr(),
            values.as_ptr(),
            values.len(),
            quads,
        );
    }
}

/// Copies `from` to the start of `to`, as much as fits: without the call to `memcpy`, which takes its time for so little.
#[inline(always)]
pub(super) fn copy(to: &mut [i8], from: &[i8]) {
    let len = to.len().min(from.len());
    if len > 0 {
        // SAFETY: both are at least that long, and they do not overlap, since one is borrowed for writing.
        unsafe { copy_asm(to.as_mut_ptr(), from.as_ptr(), len) }
    }
}

/// `out[c] = max(out[c], cell[c])`, for as many as both have.
#[inline(always)]
pub(super) fn maximum(out: &mut [i8], cell: &[i8]) {
    let len = out.len().min(cell.len());
    if len > 0 {
        // SAFETY: both are at least that long, and they do not overlap, since one is borrowed for writing.
        unsafe { maximum_asm(out.as_mut_ptr(), cell.as_ptr(), len) }
    }
}

/// # Safety
/// `to` is writable and `from` readable for `len` bytes, not 0; they do not overlap.
#[unsafe(naked)]
unsafe extern "C" fn copy_asm(to: *mut i8, from: *const i8, len: usize) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r7, lr}}",
        "dlstp.8 lr, r2",
        "2:",
        "vldrb.u8 q0, [r1], #16",
        "vstrb.8 q0, [r0], #16",
        "letp lr, 2b",
        "pop {{r7, pc}}",
    )
}

/// # Safety
/// `out` is readable and writable, `cell` readable for `len` bytes, not 0; they do not overlap.
#[unsafe(naked)]
unsafe extern "C" fn maximum_asm(out: *mut i8, cell: *const i8, len: usize) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r7, lr}}",
        "dlstp.8 lr, r2",
        "2:",
        "vldrb.u8 q0, [r0]",
        "vldrb.u8 q1, [r1], #16",
        "vmax.s8 q0, q0, q1",
        "vstrb.8 q0, [r0], #16",
        "letp lr, 2b",
        "pop {{r7, pc}}",
    )
}

/// # Safety
/// `weights` is readable for `4 * quads * len` bytes, `values` for `len`; `sums` is writable for `4 * quads` words.
/// Neither `len` nor `quads` is 0.
#[unsafe(naked)]
unsafe extern "C" fn products_asm(
    sums: *mut u32,
    weights: *const u8,
    values: *const i8,
    len: usize,
    quads: usize,
) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4-r11, lr}}",
        "ldr r12, [sp, #36]",
        "push {{r12}}",
        "mov r12, r1",
        "2:",
        // The four filters and the values; sums are in even registers, as VMLADAVA wants them.
        "mov r1, r12",
        "add r5, r1, r3",
        "add r7, r5, r3",
        "add r9, r7, r3",
        "add r12, r9, r3",
        "mov r11, r2",
        "movs r4, #0",
        "movs r6, #0",
        "mov r8, #0",
        "mov r10, #0",
        "dlstp.8 lr, r3",
        "3:",
        "vldrb.u8 q0, [r11], #16",
        "vldrb.u8 q1, [r1], #16",
        "vmladava.s8 r4, q0, q1",
        "vldrb.u8 q2, [r5], #16",
        "vmladava.s8 r6, q0, q2",
        "vldrb.u8 q3, [r7], #16",
        "vmladava.s8 r8, q0, q3",
        "vldrb.u8 q1, [r9], #16",
        "vmladava.s8 r10, q0, q1",
        "letp lr, 3b",
        "strd r4, r6, [r0], #8",
        "strd r8, r10, [r0], #8",
        "ldr r1, [sp]",
        "subs r1, r1, #1",
        "str r1, [sp]",
        "bne 2b",
        "add sp, #4",
        "pop {{r4-r11, pc}}",
    )
}
