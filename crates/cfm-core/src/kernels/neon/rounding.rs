//! Requantization of four channels at a time: in 32 bits where they are enough, otherwise in 64.
//!
//! `SRSHL` rounds halves up. One less before it, if the quotient is even, makes that halves to even.
#![allow(unsafe_code)]

use core::arch::aarch64::{
    int32x4_t, int64x2_t, vaddq_s32, vbicq_s32, vbicq_s64, vdupq_n_s8, vdupq_n_s16, vdupq_n_s32,
    vget_low_s32, vgetq_lane_s32, vld1q_s32, vmaxq_s8, vminq_s8, vminq_s32, vmovl_high_s32,
    vmovl_s32, vmull_high_s32, vmull_s32, vnegq_s32, vqaddq_s16, vqmovn_high_s16, vqmovn_high_s32,
    vqmovn_high_s64, vqmovn_s16, vqmovn_s32, vqmovn_s64, vreinterpretq_s32_s8, vrshlq_s32,
    vrshlq_s64, vshlq_s32, vshlq_s64, vsubq_s32, vsubq_s64,
};

use super::Neon;
use crate::kernels::rounder::{Round, Rounder, TABLE_WORDS, Table, by_field};
use crate::requantize::OutputScale;

/// How four channels are requantized.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    bias: int32x4_t,
    /// Shifts to the left: negative, or 0.
    left: int32x4_t,
    /// Mantissas; none if all are powers of two, which the shifts have in them then.
    mantissa: Option<int32x4_t>,
}

impl Scale {
    /// What [`Round::entries`] has written.
    #[inline(always)]
    pub(super) fn new(entries: &[u32; 4 * TABLE_WORDS]) -> Self {
        let fields = entries.as_ptr().cast();
        // SAFETY: three times four words are read, which there are.
        let [bias, left, mantissa] = unsafe {
            [
                vld1q_s32(fields),
                vld1q_s32(fields.add(4)),
                vld1q_s32(fields.add(8)),
            ]
        };
        Self {
            bias,
            left,
            mantissa: (entries[8] != 0).then_some(mantissa),
        }
    }

    /// Writes the outputs of `N` cells, which are `stride` apart: of four sums each.
    #[inline(always)]
    pub(super) fn round<const N: usize>(
        &self,
        sums: [int32x4_t; N],
        output: &OutputScale,
        stride: usize,
        out: &mut [i8],
    ) {
        const { assert!(N == 1 || N == 4, "one cell, or as many as there are lanes") };
        if out.len() < (N - 1) * stride + 4 {
            return;
        }
        // SAFETY: NEON is there wherever this module is built; four bytes are written for each cell, which there are, and
        // need not be aligned: a cell begins wherever `stride`, and the caller's memory, has it.
        unsafe {
            let scaled = self.scale(sums);
            let cell = |at: usize| scaled[at % N];
            let zero_point = vdupq_n_s16(output.zero_point.into());
            // What does not fit is beyond the range of the output, with and without the zero point.
            let halves = |at| vqmovn_high_s32(vqmovn_s32(cell(at)), cell(at + 1));
            let shifted = |at| vqaddq_s16(halves(at), zero_point);
            let bytes = vqmovn_high_s16(vqmovn_s16(shifted(0)), shifted(2));
            let above = vmaxq_s8(bytes, vdupq_n_s8(output.low));
            let words = vreinterpretq_s32_s8(vminq_s8(above, vdupq_n_s8(output.high)));
            let out = out.as_mut_ptr();
            let place = |at: usize| out.add(at * stride).cast::<i32>();
            place(0).write_unaligned(vgetq_lane_s32::<0>(words));
            if N == 4 {
                place(1).write_unaligned(vgetq_lane_s32::<1>(words));
                place(2).write_unaligned(vgetq_lane_s32::<2>(words));
                place(3).write_unaligned(vgetq_lane_s32::<3>(words));
            }
        }
    }

    /// `rne(sum * mantissa, shift)`, or the nearest number of 32 bits.
    #[inline(always)]
    fn scale<const N: usize>(&self, sums: [int32x4_t; N]) -> [int32x4_t; N] {
        let left = self.left;
        // SAFETY: NEON is there wherever this module is built; only registers are read and written.
        unsafe {
            let one = vdupq_n_s32(1);
            let acc = sums.map(|sums| vaddq_s32(sums, self.bias));
            let Some(mantissa) = self.mantissa else {
                return acc.map(|acc| {
                    let less = vbicq_s32(one, vshlq_s32(acc, left));
                    vrshlq_s32(vsubq_s32(acc, less), left)
                });
            };
            // A shift by nothing loses nothing.
            let one = vminq_s32(one, vnegq_s32(left));
            let (low_left, low_one) = (vmovl_s32(vget_low_s32(left)), vmovl_s32(vget_low_s32(one)));
            let (high_left, high_one) = (vmovl_high_s32(left), vmovl_high_s32(one));
            acc.map(|acc| {
                let low = vmull_s32(vget_low_s32(acc), vget_low_s32(mantissa));
                let high = vmull_high_s32(acc, mantissa);
                vqmovn_high_s64(
                    vqmovn_s64(rne(low, low_left, low_one)),
                    rne(high, high_left, high_one),
                )
            })
        }
    }
}

/// `value << left`, for a `left` that is not positive, to nearest, ties to even; `one` is 0 where `left` is.
///
/// # Safety
/// None: NEON is there wherever this module is built.
#[inline(always)]
unsafe fn rne(value: int64x2_t, left: int64x2_t, one: int64x2_t) -> int64x2_t {
    // SAFETY: only registers are read and written.
    unsafe {
        let less = vbicq_s64(one, vshlq_s64(value, left));
        vrshlq_s64(vsubq_s64(value, less), left)
    }
}

impl Round for Neon {
    /// As [`Scale`] has them.
    fn entries(quad: [Rounder; 4]) -> Option<[u32; 4 * TABLE_WORDS]> {
        let narrow = quad.each_ref().map(Rounder::narrow);
        Some(if let [Some(a), Some(b), Some(c), Some(d)] = narrow {
            by_field(
                [a, b, c, d]
                    .map(|narrow| [narrow.bias.cast_unsigned(), narrow.shift.wrapping_neg(), 0]),
            )
        } else {
            by_field(quad.map(|rounder| {
                let channel = rounder.channel();
                [
                    channel.bias.cast_unsigned(),
                    u32::from(channel.shift).wrapping_neg(),
                    channel.mantissa.into(),
                ]
            }))
        })
    }

    fn round(sums: &[u32], stride: usize, table: Table<'_>, output: &OutputScale, out: &mut [i8]) {
        let outputs = out.chunks_exact_mut(4);
        for ((out, sums), entries) in outputs.zip(sums.chunks(stride.max(4))).zip(table.quads) {
            let Some(sums) = sums.first_chunk::<4>() else {
                return;
            };
            // SAFETY: four sums are read, which there are.
            let sums = unsafe { vld1q_s32(sums.as_ptr().cast()) };
            Scale::new(entries).round([sums], output, 4, out);
        }
    }
}
