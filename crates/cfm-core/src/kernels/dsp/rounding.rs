//! Requantization of whole cells, four channels at a time, where 32 bits are enough for it.
#![allow(unsafe_code)]

use core::arch::asm;

use super::Dsp;
use crate::kernels::rounder::{Round, Rounder, TABLE_WORDS, Table};
use crate::requantize::OutputScale;

/// The output range and how many quads, for the assembly.
#[repr(C)]
struct Range {
    zero_point: i32,
    /// Four times the same byte.
    low: u32,
    high: u32,
    quads: usize,
    /// Bytes from one quad of sums to the next.
    stride: usize,
}

impl Round for Dsp {
    fn entries(quad: [Rounder; 4]) -> Option<[u32; 4 * TABLE_WORDS]> {
        let mut words = [0; 4 * TABLE_WORDS];
        let (places, _) = words.as_chunks_mut();
        for (place, rounder) in places.iter_mut().zip(quad) {
            let channel = rounder.narrow()?;
            *place = [
                channel.bias.cast_unsigned(),
                channel.shift,
                channel.half.cast_unsigned(),
            ];
        }
        Some(words)
    }

    #[inline(always)]
    fn round(sums: &[u32], stride: usize, table: Table<'_>, output: &OutputScale, out: &mut [i8]) {
        let stride = stride.max(4);
        let quads = (sums.len() + stride - 4) / stride;
        let quads = quads.min(table.quads.len()).min(out.len() / 4);
        if quads == 0 {
            return;
        }
        let splat = |byte: i8| u32::from_le_bytes([byte.cast_unsigned(); 4]);
        let range = Range {
            zero_point: output.zero_point.into(),
            low: splat(output.low),
            high: splat(output.high),
            quads,
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
            );
        }
    }
}

/// Rounds the sum at word `$at` into byte `$at` of lr.
macro_rules! channel {
    ($at:literal, $bit:literal) => {
        concat!(
            "ldm r1!, {{r10, r11, r12}}
             ldr r9, [r0, #",
            $at,
            "]
             add r9, r10
             lsr r10, r9, r11
             and r10, #1
             add r12, r10
             qadd r9, r9, r12
             asr r9, r11
             add r9, r4
             ssat r9, #8, r9
             bfi lr, r9, #",
            $bit,
            ", #8"
        )
    };
}

/// # Safety
/// `sums` is readable for four words at each of the multiples of the stride, `table` for twelve words a quad;
/// `out` is writable for four bytes a quad. There is a quad.
#[inline(never)]
unsafe fn round_asm(sums: *const u32, table: *const u32, range: *const Range, out: *mut i8) {
    // SAFETY: as the caller promises; every other register is saved and restored.
    unsafe {
        asm!(
            "push {{r4-r11, lr}}",
            "ldm r2, {{r4-r8}}",
            "2:",
            channel!("0", "0"),
            channel!("4", "8"),
            channel!("8", "16"),
            channel!("12", "24"),
            // Not below the lowest, not above the highest output.
            "ssub8 r9, lr, r5",
            "sel lr, lr, r5",
            "ssub8 r9, lr, r6",
            "sel lr, r6, lr",
            "str lr, [r3], #4",
            "add r0, r8",
            "subs r7, r7, #1",
            "bne 2b",
            "pop {{r4-r11, lr}}",
            inout("r0") sums => _,
            inout("r1") table => _,
            inout("r2") range => _,
            inout("r3") out => _,
            out("r12") _,
        );
    }
}
