//! The inner products of four filters in [quads](crate::model::WeightOrder::Quads) with one or two columns of inputs.
//!
//! A word `w` of weights holds the halfwords `256 * b + a` of two filters for two inputs. `SXTB16` makes of it the pair
//! of `a`; `SMLAD` with a pair x of inputs sums `a * x` in one register and, with `w` itself, `(256 b + a) * x` in
//! another, so four products cost a load, an extension and two multiply-accumulates. In the end `b * x` is the
//! difference of the sums divided by 256, exactly: as long as `sum |b * x| < 2^23`, however often the sums wrapped.
//! [`MAX_INPUTS`] products of at most `127 * 128` keep that.
#![allow(unsafe_code)]

use core::arch::asm;

/// Most inputs of one call.
pub(super) const MAX_INPUTS: usize = 512;

/// Pairs of 16-bit inputs: of one column, or of two in turn.
pub(super) type Pair = u32;

/// The products of four filters with two columns, to `sums`, as two's complement: `[column][filter]`.
///
/// `weights` has 4 bytes an input, `columns` for every two inputs a pair of each column; an odd last input lies in the
/// low half of its pair.
#[inline(always)]
pub(super) fn two_columns(
    weights: &[u8],
    columns: &[[Pair; 2]],
    inputs: usize,
    sums: &mut [u32; 8],
) {
    // No more than there is, so that the reads below stay inside.
    let inputs = inputs.min(weights.len() / 4).min(2 * columns.len());
    // SAFETY: reads `4 * inputs` bytes of weights (words, at any alignment) and `inputs / 2` rounded up elements of the
    // columns (aligned, being of their type), which the slices have; writes the eight sums.
    unsafe {
        two_columns_asm(
            sums.as_mut_ptr(),
            weights.as_ptr(),
            columns.as_ptr(),
            inputs,
        );
    }
}

/// The products of four filters with one column.
///
/// As [`two_columns`], with one pair for every two inputs.
#[inline(always)]
pub(super) fn one_column(weights: &[u8], column: &[Pair], inputs: usize) -> [i32; 4] {
    let inputs = inputs.min(weights.len() / 4).min(2 * column.len());
    let mut sums = [0; 4];
    // SAFETY: as in `two_columns`; writes the four sums.
    unsafe {
        one_column_asm(sums.as_mut_ptr(), weights.as_ptr(), column.as_ptr(), inputs);
    }
    sums
}

/// Sums 16 products: one pair of inputs of both columns (r2) and four filters (r1) into r4 to r11.
macro_rules! pair_of_two_columns {
    () => {
        "ldrd r3, r12, [r2], #8
         ldr r0, [r1], #4
         sxtb16 lr, r0
         smlad r4, lr, r3, r4
         smlad r5, r0, r3, r5
         smlad r8, lr, r12, r8
         smlad r9, r0, r12, r9
         ldr r0, [r1], #4
         sxtb16 lr, r0
         smlad r6, lr, r3, r6
         smlad r7, r0, r3, r7
         smlad r10, lr, r12, r10
         smlad r11, r0, r12, r11"
    };
}

/// # Safety
/// `sums` is writable for eight words, `weights` readable for `4 * inputs` bytes, `columns` for `(inputs + 1) / 2`
/// elements.
#[inline(never)]
unsafe fn two_columns_asm(
    sums: *mut u32,
    weights: *const u8,
    columns: *const [Pair; 2],
    inputs: usize,
) {
    // SAFETY: as the caller promises; every other register is saved and restored.
    unsafe {
        asm!(
            "push {{r0, r4-r11, lr}}",
            // The ends of the pairs that come in fours, and of all pairs.
            "lsr r4, r3, #1",
            "add r5, r2, r4, lsl #3",
            "bic r4, r4, #3",
            "add r4, r2, r4, lsl #3",
            "push {{r3, r4, r5}}",
            "movs r4, #0",
            "movs r5, #0",
            "movs r6, #0",
            "movs r7, #0",
            "mov r8, r4",
            "mov r9, r4",
            "mov r10, r4",
            "mov r11, r4",
            "ldr r0, [sp, #4]",
            "cmp r2, r0",
            "beq 3f",
            "2:",
            pair_of_two_columns!(),
            pair_of_two_columns!(),
            pair_of_two_columns!(),
            pair_of_two_columns!(),
            "ldr r0, [sp, #4]",
            "cmp r2, r0",
            "bne 2b",
            "3:",
            "ldr r0, [sp, #8]",
            "cmp r2, r0",
            "beq 5f",
            "4:",
            pair_of_two_columns!(),
            "ldr r0, [sp, #8]",
            "cmp r2, r0",
            "bne 4b",
            "5:",
            "ldr r0, [sp, #0]",
            "lsls r0, r0, #31",
            "beq 6f",
            "ldrd r3, r12, [r2]",
            "ldr r0, [r1]",
            "sxtb16 lr, r0",
            "smlabb r4, lr, r3, r4",
            "smlabb r5, r0, r3, r5",
            "smlatb r6, lr, r3, r6",
            "smlatb r7, r0, r3, r7",
            "smlabb r8, lr, r12, r8",
            "smlabb r9, r0, r12, r9",
            "smlatb r10, lr, r12, r10",
            "smlatb r11, r0, r12, r11",
            "6:",
            "subs r5, r5, r4",
            "asrs r5, r5, #8",
            "subs r7, r7, r6",
            "asrs r7, r7, #8",
            "sub r9, r9, r8",
            "asr r9, r9, #8",
            "sub r11, r11, r10",
            "asr r11, r11, #8",
            "ldr r0, [sp, #12]",
            "stm r0, {{r4-r11}}",
            "add sp, #16",
            "pop {{r4-r11, lr}}",
            inout("r0") sums => _,
            inout("r1") weights => _,
            inout("r2") columns => _,
            inout("r3") inputs => _,
            out("r12") _,
        );
    }
}

/// Sums 8 products: the pair of inputs in register `$inputs` and four filters (r1) into r4 to r7.
macro_rules! pair_of_one_column {
    ($inputs:literal) => {
        concat!(
            "ldr r0, [r1], #4
             ldr r8, [r1], #4
             sxtb16 r9, r0
             sxtb16 r10, r8
             smlad r4, r9, ",
            $inputs,
            ", r4
             smlad r5, r0, ",
            $inputs,
            ", r5
             smlad r6, r10, ",
            $inputs,
            ", r6
             smlad r7, r8, ",
            $inputs,
            ", r7"
        )
    };
}

/// # Safety
/// `sums` is writable for four words, `weights` readable for `4 * inputs` bytes, `column` for `(inputs + 1) / 2` words.
#[inline(never)]
unsafe fn one_column_asm(sums: *mut i32, weights: *const u8, column: *const Pair, inputs: usize) {
    // SAFETY: as the caller promises; every other register is saved and restored.
    unsafe {
        asm!(
            "push {{r0, r3, r4-r11, lr}}",
            // The ends of the pairs that come in fours, and of all pairs.
            "lsr r4, r3, #1",
            "add r11, r2, r4, lsl #2",
            "bic r4, r4, #3",
            "add lr, r2, r4, lsl #2",
            "movs r4, #0",
            "movs r5, #0",
            "movs r6, #0",
            "movs r7, #0",
            "cmp r2, lr",
            "beq 3f",
            "2:",
            "ldrd r3, r12, [r2], #8",
            pair_of_one_column!("r3"),
            pair_of_one_column!("r12"),
            "ldrd r3, r12, [r2], #8",
            pair_of_one_column!("r3"),
            pair_of_one_column!("r12"),
            "cmp r2, lr",
            "bne 2b",
            "3:",
            "cmp r2, r11",
            "beq 5f",
            "4:",
            "ldr r3, [r2], #4",
            pair_of_one_column!("r3"),
            "cmp r2, r11",
            "bne 4b",
            "5:",
            "ldr r0, [sp, #4]",
            "lsls r0, r0, #31",
            "beq 6f",
            "ldr r3, [r2]",
            "ldr r0, [r1]",
            "sxtb16 r9, r0",
            "smlabb r4, r9, r3, r4",
            "smlabb r5, r0, r3, r5",
            "smlatb r6, r9, r3, r6",
            "smlatb r7, r0, r3, r7",
            "6:",
            "subs r5, r5, r4",
            "asrs r5, r5, #8",
            "subs r7, r7, r6",
            "asrs r7, r7, #8",
            "ldr r0, [sp]",
            "stm r0!, {{r4-r7}}",
            "add sp, #8",
            "pop {{r4-r11, lr}}",
            inout("r0") sums => _,
            inout("r1") weights => _,
            inout("r2") column => _,
            inout("r3") inputs => _,
            out("r12") _,
        );
    }
}
