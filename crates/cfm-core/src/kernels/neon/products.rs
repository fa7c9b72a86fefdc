//! The inner products of four filters with one or more columns of inputs, sixteen at a time.
#![allow(unsafe_code)]

use core::arch::aarch64::{
    int8x16_t, int32x4_t, vandq_s8, vdupq_n_s32, vget_low_s8, vld1q_s8, vmlal_high_s8, vmull_s8,
    vpadalq_s16, vpaddq_s32, vst1q_s32,
};
use core::arch::asm;
use core::array::from_fn;
use core::ptr::copy_nonoverlapping;

/// Filters that are computed together.
pub(super) const QUAD: usize = 4;

/// Inputs of a step.
const STEP: usize = 16;

/// A way to multiply and add; whoever has a value of the type has the instructions.
pub(super) trait Multiply: Copy {
    /// Adds the sixteen products to the sums, some of them to each.
    fn add(self, sums: int32x4_t, weights: int8x16_t, values: int8x16_t) -> int32x4_t;
}

/// `SMULL`, `SMLAL` and `SADALP`, which every core has.
///
/// Two products fit into 16 bits because no weight is -128: `2 * 127 * 128 < 2^15`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Widening;

impl Multiply for Widening {
    #[inline(always)]
    fn add(self, sums: int32x4_t, weights: int8x16_t, values: int8x16_t) -> int32x4_t {
        // SAFETY: NEON is there wherever this module is built; only registers are read and written.
        unsafe {
            let products = vmull_s8(vget_low_s8(weights), vget_low_s8(values));
            vpadalq_s16(sums, vmlal_high_s8(products, weights, values))
        }
    }
}

/// `SDOT`, an optional part of Armv8.2, mandatory from Armv8.4 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct DotProduct(());

impl DotProduct {
    /// # Safety
    /// Every core that uses the value has the instruction.
    pub(super) const unsafe fn new() -> Self {
        Self(())
    }
}

impl Multiply for DotProduct {
    #[inline(always)]
    fn add(self, sums: int32x4_t, weights: int8x16_t, values: int8x16_t) -> int32x4_t {
        let mut sums = sums;
        // `vdotq_s32` is not stable. The extension is named here and not by a `target_feature`, for those cannot depend
        // on a type parameter.
        // SAFETY: who made `self` vouches for the instruction; only registers are read and written.
        unsafe {
            asm!(
                ".arch_extension dotprod",
                "sdot {0:v}.4s, {1:v}.16b, {2:v}.16b",
                inout(vreg) sums,
                in(vreg) weights,
                in(vreg) values,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sums
    }
}

/// The products of four filters, one after the other in `weights`, with each column: lane f of vector c is that of filter
/// f and column c. With fewer weights, all lanes are those of the first filter.
#[inline(always)]
pub(super) fn products<M: Multiply, const COLUMNS: usize>(
    multiply: M,
    weights: &[u8],
    columns: [&[i8]; COLUMNS],
) -> [int32x4_t; COLUMNS] {
    // All columns are as long; and no more than there is, so that the reads below stay inside.
    let len = columns.iter().map(|c| c.len()).min().unwrap_or(0);
    let len = len.min(weights.len());
    let stride = if weights.len() / QUAD >= len { len } else { 0 };
    let weights = weights.as_ptr().cast::<i8>();
    let columns = columns.map(<[i8]>::as_ptr);
    // SAFETY: four times `len` weights are there if filters are `len` apart, and once otherwise; every column has at least
    // as many values.
    unsafe {
        if len < STEP {
            return short(multiply, weights, stride, columns, len);
        }
        let filters = from_fn(|f| weights.add(f * stride));
        sums(multiply, filters, columns, len)
    }
}

/// [`sums`] for less than a step.
///
/// # Safety
/// Four filters, `stride` apart, and all columns are readable for `len` bytes, which are at most [`STEP`].
#[inline(never)]
unsafe fn short<M: Multiply, const COLUMNS: usize>(
    multiply: M,
    weights: *const i8,
    stride: usize,
    columns: [*const i8; COLUMNS],
    len: usize,
) -> [int32x4_t; COLUMNS] {
    let mut filters = [[0; STEP]; QUAD];
    let mut values = [[0; STEP]; COLUMNS];
    // SAFETY: as the caller promises; and a step has room for `len` bytes.
    unsafe {
        for (f, step) in filters.iter_mut().enumerate() {
            copy_nonoverlapping(weights.add(f * stride), step.as_mut_ptr(), len);
        }
        for (step, column) in values.iter_mut().zip(columns) {
            copy_nonoverlapping(column, step.as_mut_ptr(), len);
        }
        let filters = filters.each_ref().map(|step| step.as_ptr());
        let values = values.each_ref().map(|step| step.as_ptr());
        sums(multiply, filters, values, STEP)
    }
}

/// Sixteen zeros and sixteen times all ones.
static MASKS: [[i8; STEP]; 2] = [[0; STEP], [-1; STEP]];

/// # Safety
/// Filters and columns are readable for `len` bytes, which are at least [`STEP`].
#[inline(always)]
unsafe fn sums<M: Multiply, const COLUMNS: usize>(
    multiply: M,
    filters: [*const i8; QUAD],
    columns: [*const i8; COLUMNS],
    len: usize,
) -> [int32x4_t; COLUMNS] {
    // SAFETY: whole steps lie inside `len`; so does the last one, which ends there and starts no earlier than 0, and
    // the mask starts less than 16 bytes after the first of 32.
    unsafe {
        let mut sums = [[vdupq_n_s32(0); QUAD]; COLUMNS];
        let mut add = |at: usize, mask: Option<int8x16_t>| {
            let weights = filters.map(|filter| {
                let weights = vld1q_s8(filter.add(at));
                mask.map_or(weights, |mask| vandq_s8(weights, mask))
            });
            for (sums, column) in sums.iter_mut().zip(columns) {
                let values = vld1q_s8(column.add(at));
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    *sum = multiply.add(*sum, weights, values);
                }
            }
        };
        let mut at = 0;
        // With more columns there are no registers left for two steps a turn.
        while COLUMNS == 1 && at + 2 * STEP <= len {
            add(at, None);
            add(at + STEP, None);
            at += 2 * STEP;
        }
        while at + STEP <= len {
            add(at, None);
            at += STEP;
        }
        if at < len {
            // The last sixteen, of which some have had their turn.
            let mask = MASKS.as_ptr().cast::<i8>().add(len - at);
            add(len - STEP, Some(vld1q_s8(mask)));
        }
        sums.map(|[a, b, c, d]| vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)))
    }
}

/// The four sums of a vector.
#[inline(always)]
pub(super) fn lanes(sums: int32x4_t) -> [i32; QUAD] {
    let mut lanes = [0; QUAD];
    // SAFETY: four values are written.
    unsafe { vst1q_s32(lanes.as_mut_ptr(), sums) };
    lanes
}
