//! Requantization of whole cells, four channels at a time, where 32 bits are enough for it.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::Mve;
use crate::kernels::rounder::{Round, Rounder, TABLE_WORDS, Table, by_field};
use crate::requantize::OutputScale;

/// The output range, for the assembly.
#[repr(C)]
struct Range {
    zero_point: i32,
    low: i32,
    high: i32,
    /// Bytes from one quad of sums to the next.
    stride: usize,
}

impl Round for Mve {
    /// Four of each; shifts to the left, negative.
    fn entries(quad: [Rounder; 4]) -> Option<[u32; 4 * TABLE_WORDS]> {
        let mut words = [[0; TABLE_WORDS]; 4];
        for (place, rounder) in words.iter_mut().zip(quad) {
            let channel = rounder.narrow()?;
            *place = [
                channel.bias.cast_unsigned(),
                channel.shift.wrapping_neg(),
                channel.half.cast_unsigned(),
            ];
        }
        Some(by_field(words))
    }

    #[inline(always)]
    fn round(sums: &[u32], stride: usize, table: Table<'_>, output: &OutputScale, out: &mut [i8]) {
        let stride = stride.max(4);
        let quads = (sums.len() + stride - 4) / stride;
        let quads = quads.min(table.quads.len()).min(out.len() / 4);
        if quads == 0 {
            return;
        }
        let range = Range {
            zero_point: output.zero_point.into(),
            low: output.low.into(),
            high: output.high.into(),
            stride: 4 * stride,
        };
        // SAFETY: for every quad the assembly reads four sums, of which the last are inside, and a quad of the table, and
        // writes four bytes; all three have that many, and `range` is what it expects.
        unsafe {
            round_asm(
                sums.as_ptr(),
                table.quads.as_ptr().cast(),
                &range,
                out.as_mut_ptr(),
                quads,
            );
        }
    }
}

/// # Safety
/// `sums` is readable for four words at each of `quads` multiples of the stride, `table` for twelve words a quad; `out`
/// is writable for four bytes a quad. `quads` is not 0.
#[unsafe(naked)]
unsafe extern "C" fn round_asm(
    sums: *const u32,
    table: *const u32,
    range: *const Range,
    out: *mut i8,
    quads: usize,
) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4-r7, r8, lr}}",
        "vpush {{d8-d13}}",
        "ldm r2, {{r4-r7}}",
        "ldr r2, [sp, #72]",
        "vmov.i32 q4, #1",
        "vdup.32 q5, r5",
        "vdup.32 q6, r6",
        "dls lr, r2",
        "2:",
        "vldrw.u32 q0, [r0]",
        "add r0, r7",
        "vldrw.u32 q1, [r1], #16",
        "vldrw.u32 q2, [r1], #16",
        "vldrw.u32 q3, [r1], #16",
        "vadd.i32 q0, q0, q1",
        "vshl.s32 q1, q0, q2",
        "vand q1, q1, q4",
        "vadd.i32 q3, q3, q1",
        "vqadd.s32 q0, q0, q3",
        "vshl.s32 q0, q0, q2",
        "vadd.i32 q0, q0, r4",
        "vmax.s32 q0, q0, q5",
        "vmin.s32 q0, q0, q6",
        "vstrb.32 q0, [r3], #4",
        "le lr, 2b",
        "vpop {{d8-d13}}",
        "pop {{r4-r7, r8, pc}}",
    )
}
