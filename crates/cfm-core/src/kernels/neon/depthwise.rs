//! Depthwise convolution: sixteen channels at a time, then eight, then four.
#![allow(unsafe_code)]

use core::arch::aarch64::{
    int8x8_t, int8x16_t, int32x4_t, vaddw_high_s16, vaddw_s16, vcreate_s8, vdupq_n_s32,
    vget_high_s8, vget_low_s8, vget_low_s16, vld1_s8, vld1q_s8, vld1q_s32, vmlal_s8, vmull_s8,
    vst1q_s32,
};
use core::array::from_fn;

use super::Neon;
use crate::kernels::depthwise::Lanes;

impl Lanes for Neon {
    fn one_tap(sums: &mut [u32], filters: &[u32], cell: &[i8]) {
        taps::<1>(sums, filters, cell);
    }

    fn three_taps(sums: &mut [u32], filters: &[u32], cells: &[i8]) {
        taps::<3>(sums, filters, cells);
    }
}

/// Adds the products of `N` neighbouring cells with the filters of as many taps.
#[inline(always)]
fn taps<const N: usize>(sums: &mut [u32], filters: &[u32], cells: &[i8]) {
    // No more than there is, so that the reads below stay inside.
    let channels = sums.len().min(filters.len() * 4 / N).min(cells.len() / N) / 4 * 4;
    let sums = sums.as_mut_ptr().cast::<i32>();
    let (filters, cells) = (filters.as_ptr().cast::<i8>(), cells.as_ptr());
    let mut at = 0;
    // SAFETY: `channels` sums and `N * channels` bytes of filters and of cells are there; every step stays below
    // `channels`, of which it takes sixteen, eight or four.
    unsafe {
        while at + 16 <= channels {
            let load = |from: *const i8| from_fn(|tap| vld1q_s8(from.add(tap * channels + at)));
            let (w, x): ([int8x16_t; N], [int8x16_t; N]) = (load(filters), load(cells));
            let sums = sums.add(at);
            let low = eight(
                [vld1q_s32(sums), vld1q_s32(sums.add(4))],
                w.map(|w| vget_low_s8(w)),
                x.map(|x| vget_low_s8(x)),
            );
            let high = eight(
                [vld1q_s32(sums.add(8)), vld1q_s32(sums.add(12))],
                w.map(|w| vget_high_s8(w)),
                x.map(|x| vget_high_s8(x)),
            );
            vst1q_s32(sums, low[0]);
            vst1q_s32(sums.add(4), low[1]);
            vst1q_s32(sums.add(8), high[0]);
            vst1q_s32(sums.add(12), high[1]);
            at += 16;
        }
        if at + 8 <= channels {
            let load = |from: *const i8| from_fn(|tap| vld1_s8(from.add(tap * channels + at)));
            let sums = sums.add(at);
            let [a, b] = eight::<N>(
                [vld1q_s32(sums), vld1q_s32(sums.add(4))],
                load(filters),
                load(cells),
            );
            vst1q_s32(sums, a);
            vst1q_s32(sums.add(4), b);
            at += 8;
        }
        if at < channels {
            let load = |from: *const i8| {
                from_fn(|tap| {
                    let word = from.add(tap * channels + at).cast::<u32>();
                    vcreate_s8(word.read_unaligned().into())
                })
            };
            let sums = sums.add(at);
            let [a, _] = eight::<N>(
                [vld1q_s32(sums), vdupq_n_s32(0)],
                load(filters),
                load(cells),
            );
            vst1q_s32(sums, a);
        }
    }
}

/// Adds the products of eight channels to their sums.
#[inline(always)]
fn eight<const N: usize>(
    mut sums: [int32x4_t; 2],
    filters: [int8x8_t; N],
    cells: [int8x8_t; N],
) -> [int32x4_t; 2] {
    // Two products fit into 16 bits, since no weight is -128.
    for (w, x) in filters.chunks(2).zip(cells.chunks(2)) {
        // SAFETY: NEON is there wherever this module is built; only registers are read and written.
        unsafe {
            let products = match (w, x) {
                (&[w0, w1], &[x0, x1]) => vmlal_s8(vmull_s8(w0, x0), w1, x1),
                (&[w0, ..], &[x0, ..]) => vmull_s8(w0, x0),
                _ => continue,
            };
            sums = [
                vaddw_s16(sums[0], vget_low_s16(products)),
                vaddw_high_s16(sums[1], products),
            ];
        }
    }
    sums
}
