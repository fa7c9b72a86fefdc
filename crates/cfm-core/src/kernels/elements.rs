//! Pooling and addition for kernels that have no instructions of their own for them.

use super::portable::window_cells;
use super::{Cells, Kernels, Portable, Rows};
use crate::model::Window;
use crate::requantize::{OutputScale, rne_div};

/// [`Kernels::max_pool_row`] by [`Kernels::maximum`].
pub(super) fn max_pool_row<K: Kernels>(
    kernels: &K,
    input: &Rows<'_>,
    window: &Window,
    y: u16,
    out: &mut [i8],
) {
    out.fill(i8::MIN);
    let channels = usize::from(input.shape().channels);
    for (x, values) in out.chunks_exact_mut(channels.max(1)).enumerate() {
        for cell in window_cells(input, window, y, x) {
            kernels.maximum(values, cell);
        }
    }
}

/// Channels whose maxima are computed together: as many as a register of AVX-512 holds.
const BLOCK: usize = 64;

/// Channels whose means are computed together.
const LANES: usize = 16;

/// [`Kernels::maximum`].
#[inline(always)]
pub(super) fn maximum(out: &mut [i8], cell: &[i8]) {
    for (value, &q) in out.iter_mut().zip(cell) {
        *value = (*value).max(q);
    }
}

/// [`Kernels::maximum_of`], with the maxima of several channels in registers.
#[inline(always)]
pub(super) fn maximum_of(out: &mut [i8], cells: &Cells<'_>) {
    let mut first = 0;
    let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
    for block in blocks {
        let mut maxima = *block;
        for row in 0..cells.height() {
            for column in 0..cells.width() {
                if let Some(cell) = cells.get(row, column)
                    && let Some(values) = cell.get(first..)
                    && let Some(values) = values.first_chunk::<BLOCK>()
                {
                    maximum(&mut maxima, values);
                }
            }
        }
        *block = maxima;
        first += BLOCK;
    }
    if rest.is_empty() {
        return;
    }
    for row in 0..cells.height() {
        for column in 0..cells.width() {
            if let Some(cell) = cells.get(row, column)
                && let Some(values) = cell.get(first..)
            {
                maximum(rest, values);
            }
        }
    }
}

/// [`Kernels::avg_pool_row`], several channels at a time.
#[inline(always)]
pub(super) fn avg_pool_row(input: &Rows<'_>, window: &Window, y: u16, out: &mut [i8]) {
    let zero_point = i32::from(input.zero_point());
    let channels = usize::from(input.shape().channels);
    for (x, values) in out.chunks_exact_mut(channels.max(1)).enumerate() {
        for (first, values) in (0..).step_by(LANES).zip(values.chunks_mut(LANES)) {
            let (mut sums, mut count) = ([0; LANES], 0);
            for cell in window_cells(input, window, y, x) {
                for (sum, &q) in sums.iter_mut().zip(cell.get(first..).unwrap_or(&[])) {
                    *sum += i32::from(q);
                }
                count += 1;
            }
            for (value, sum) in values.iter_mut().zip(sums) {
                let mean = zero_point + rne_div(sum - count * zero_point, count);
                // A mean of values is between them.
                *value = mean as i8;
            }
        }
    }
}

/// Largest shift that keeps the sum of two tensors inside 32 bits: `2 * 255 * 2^20 < 2^30`.
const NARROW: u8 = 20;

/// [`Kernels::add_row`] in 32 bits, where these are enough.
#[inline(always)]
pub(super) fn add_row(
    first: &Rows<'_>,
    second: &Rows<'_>,
    output: &OutputScale,
    y: u16,
    out: &mut [i8],
) {
    let exponents = [first.exponent(), second.exponent(), output.exponent];
    let finest = exponents.into_iter().fold(i8::MAX, i8::min);
    let shifts = exponents.map(|exponent| exponent.abs_diff(finest));
    if shifts.into_iter().any(|shift| shift > NARROW) {
        return Portable.add_row(first, second, output, y, out);
    }
    let (Some(a), Some(b)) = (first.get(i32::from(y)), second.get(i32::from(y))) else {
        return;
    };
    let [left_a, left_b, right] = shifts.map(u32::from);
    let align = |q: i8, left: u32| i32::from(q).wrapping_shl(left);
    let zero = align(first.zero_point(), left_a) + align(second.zero_point(), left_b);
    // Half a step less one, and one more if the quotient is odd: ties go to the even one. A step of one has no half.
    let one = i32::from(right > 0);
    let half = (1_i32.wrapping_shl(right) >> 1) - one;
    for (value, (&qa, &qb)) in out.iter_mut().zip(a.iter().zip(b)) {
        let sum = align(qa, left_a) + align(qb, left_b) - zero;
        let odd = sum.wrapping_shr(right) & one;
        let shifted = (sum + half + odd).wrapping_shr(right) + i32::from(output.zero_point);
        // `low <= high`, so this cannot panic; and it is in range of i8 then.
        *value = shifted
            .max(i32::from(output.low))
            .min(i32::from(output.high)) as i8;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::Mask;
    use super::*;
    use crate::mask::CellWindow;
    use crate::model::Shape;
    use core::cmp::Ordering;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// A map of cells, at most 5 x 5, with as many values as channels ask for; the bits of a mask; a starting value.
    fn map() -> impl Strategy<Value = (u16, u16, usize, Vec<i8>, Vec<i8>, i8)> {
        let shape = (1_u16..=5, 1_u16..=5, 1_usize..200);
        shape.prop_flat_map(|(height, width, channels)| {
            let cells = usize::from(height) * usize::from(width);
            (
                Just(height),
                Just(width),
                Just(channels),
                prop::collection::vec(any::<i8>(), cells * channels),
                prop::collection::vec(0_i8..=1, cells),
                any::<i8>(),
            )
        })
    }

    /// How far apart the exponents of an addition may be, as the format has it.
    const FARTHEST: u8 = 32;

    /// `sum / 2^shift`, to nearest, ties to even.
    fn nearest_even(sum: i128, shift: u32) -> i128 {
        let (floor, rest) = (sum >> shift, sum & ((1 << shift) - 1));
        match (2 * rest).cmp(&(1 << shift)) {
            Ordering::Less => floor,
            Ordering::Equal => floor + (floor & 1),
            Ordering::Greater => floor + 1,
        }
    }

    #[test]
    fn sums_are_exact_at_every_distance_of_the_exponents() {
        let ends = [-128, -127, -1, 0, 1, 2, 63, 127_i8];
        let a: Vec<i8> = ends.into_iter().flat_map(|q| [q; 8]).collect();
        let b = ends.repeat(8);
        let shape = Shape {
            height: 1,
            width: 64,
            channels: 1,
        };
        let distances = || 0..=FARTHEST;
        let all = distances()
            .flat_map(|a| distances().flat_map(move |b| distances().map(move |out| [a, b, out])));
        let all = all.filter(|distances| distances.contains(&0));
        for (i, [left_a, left_b, right]) in
            all.enumerate().step_by(if cfg!(miri) { 331 } else { 1 })
        {
            let finest = -64 + (i % 90) as i8;
            let exponent = |distance: u8| finest + distance as i8;
            for [za, zb, zero_point] in [[0, 0, 0], [-128, 127, -128], [127, -128, 127], [5, -3, 7]]
            {
                let output = OutputScale {
                    zero_point,
                    exponent: exponent(right),
                    low: -120,
                    high: 127,
                };
                let first = Rows::new(&a, shape, za, exponent(left_a));
                let second = Rows::new(&b, shape, zb, exponent(left_b));
                let mut sums = [77; 64];
                add_row(&first, &second, &output, 0, &mut sums);
                let mut portable = [77; 64];
                Portable.add_row(&first, &second, &output, 0, &mut portable);
                let exact = a.iter().zip(&b).map(|(&qa, &qb)| {
                    let real = |q: i8, z: i8, left: u8| (i128::from(q) - i128::from(z)) << left;
                    let sum = real(qa, za, left_a) + real(qb, zb, left_b);
                    (nearest_even(sum, right.into()) + i128::from(zero_point)).clamp(-120, 127)
                        as i8
                });
                let exact: Vec<i8> = exact.collect();
                assert_eq!(sums[..], exact, "{left_a} {left_b} {right}");
                assert_eq!(portable[..], exact, "{left_a} {left_b} {right}");
            }
        }
    }

    proptest! {
        #[test]
        fn blocks_of_channels_have_the_maxima_of_single_cells(
            (height, width, channels, values, bits, start) in map(),
            from in (0.0..1.0, 0.0..1.0),
        ) {
            let window = CellWindow { top: 0, left: 0, bottom: height, right: width };
            let part = CellWindow {
                top: (f64::from(height) * from.0) as u16,
                left: (f64::from(width) * from.1) as u16,
                ..window
            };
            for mask in [None, Some(Mask { bits: &bits, window })] {
                let cells = Cells::new(&values, width.into(), channels, &part, mask);
                let mut blocks = std::vec![start; channels];
                let mut single = blocks.clone();
                maximum_of(&mut blocks, &cells);
                Portable.maximum_of(&mut single, &cells);
                prop_assert_eq!(blocks, single);
            }
        }
    }
}
