//! Requantization of four channels at a time: in 32 bits where they are enough, otherwise in 64.
//!
//! `SRSHL` rounds halves up. One less before it, if the quotient is even, makes that halves to even.
#![allow(unsafe_code)]

use core::arch::aarch64::{
    int32x4_t, int64x2_t, vaddq_s32, vbicq_s32, vbicq_s64, vcombine_s16, vcombine_s32, vdupq_n_s32,
    vget_lane_s32, vget_low_s32, vld1q_s32, vmaxq_s32, vminq_s32, vmovl_high_s32, vmovl_s32,
    vmovn_s16, vmovn_s32, vmull_high_s32, vmull_s32, vnegq_s32, vqaddq_s32, vqmovn_s64,
    vreinterpret_s32_s8, vrshlq_s32, vrshlq_s64, vshlq_s32, vshlq_s64, vsubq_s32, vsubq_s64,
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

    /// The outputs of four sums.
    #[inline(always)]
    pub(super) fn round(&self, sums: int32x4_t, output: &OutputScale) -> [i8; 4] {
        // SAFETY: NEON is there wherever this module is built; only registers are read and written.
        unsafe {
            let acc = vaddq_s32(sums, self.bias);
            let one = vdupq_n_s32(1);
            let scaled = match self.mantissa {
                None => {
                    let less = vbicq_s32(one, vshlq_s32(acc, self.left));
                    vrshlq_s32(vsubq_s32(acc, less), self.left)
                }
                Some(mantissa) => {
                    // A shift by nothing loses nothing.
                    let one = vminq_s32(one, vnegq_s32(self.left));
                    let low = rne(
                        vmull_s32(vget_low_s32(acc), vget_low_s32(mantissa)),
                        vmovl_s32(vget_low_s32(self.left)),
                        vmovl_s32(vget_low_s32(one)),
                    );
                    let high = rne(
                        vmull_high_s32(acc, mantissa),
                        vmovl_high_s32(self.left),
                        vmovl_high_s32(one),
                    );
                    vcombine_s32(vqmovn_s64(low), vqmovn_s64(high))
                }
            };
            let shifted = vqaddq_s32(scaled, vdupq_n_s32(output.zero_point.into()));
            let above = vmaxq_s32(shifted, vdupq_n_s32(output.low.into()));
            let within = vmovn_s32(vminq_s32(above, vdupq_n_s32(output.high.into())));
            let bytes = vmovn_s16(vcombine_s16(within, within));
            let word = vget_lane_s32::<0>(vreinterpret_s32_s8(bytes));
            word.to_le_bytes().map(u8::cast_signed)
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
        let (out, _) = out.as_chunks_mut::<4>();
        let sums = sums.chunks(stride.max(4));
        for ((out, sums), entries) in out.iter_mut().zip(sums).zip(table.quads) {
            let Some(sums) = sums.first_chunk::<4>() else {
                return;
            };
            // SAFETY: four sums are read, which there are.
            let sums = unsafe { vld1q_s32(sums.as_ptr().cast()) };
            *out = Scale::new(entries).round(sums, output);
        }
    }
}
