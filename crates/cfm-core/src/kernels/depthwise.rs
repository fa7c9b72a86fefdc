//! Depthwise convolution, for kernels that compute several channels at a time.

use super::rounder::{Round, Rounder, Table};
use super::scratch::bytes;
use super::window::cell;
use super::{Rows, origin};
use crate::model::Conv2d;

/// What a backend adds up, and how it rounds.
pub(super) trait Lanes: Round {
    /// `sums[c] += filters[c] * cell[c]`, bytes as they lie in the words; all three have `sums.len()` channels, a multiple
    /// of four.
    fn one_tap(sums: &mut [u32], filters: &[u32], cell: &[i8]);

    /// The same for three neighbouring cells and the filters of three taps, one after the other.
    fn three_taps(sums: &mut [u32], filters: &[u32], cells: &[i8]);
}

/// A row of a convolution with as many groups as channels, a multiple of four.
pub(super) fn row<L: Lanes>(
    input: &Rows<'_>,
    conv: &Conv2d<'_>,
    y: u16,
    scratch: &mut [u32],
    out: &mut [i8],
) {
    let channels = usize::from(input.shape().channels);
    let (window, parameters) = (&conv.window, &conv.parameters);
    let (table, scratch) = Table::new::<L>(&parameters.channels, scratch);
    let Some((sums, scratch)) = scratch.split_at_mut_checked(channels) else {
        return;
    };
    let Some((padding, filters)) = scratch.split_at_mut_checked(channels / 4) else {
        return;
    };
    let padding = bytes(padding);
    padding.fill(input.zero_point());
    transpose(parameters.weights, channels, filters);
    let (padding, filters) = (&*padding, &*filters);
    let [rows, columns] = window.kernel.map(i32::from);
    let [row_step, step] = window.dilation.map(i32::from);
    let top = origin(usize::from(y), window.stride[0], window.padding[0]);
    for (x, out) in out.chunks_exact_mut(channels.max(1)).enumerate() {
        let left = origin(x, window.stride[1], window.padding[1]);
        sums.fill(0);
        let mut taps = filters;
        for ky in 0..rows {
            let row = input.get(top + ky * row_step);
            let mut kx = 0;
            while kx < columns {
                let at = |kx| row.and_then(|row| cell(row, left + kx * step, channels));
                let three = step == 1 && kx + 3 <= columns;
                // Three neighbouring cells at once, where all are inside the image.
                let neighbours = row.filter(|_| three && at(kx).is_some() && at(kx + 2).is_some());
                let count = if let Some(row) = neighbours {
                    let from = usize::try_from(left + kx).unwrap_or(0) * channels;
                    L::three_taps(sums, taps, row.get(from..).unwrap_or(&[]));
                    3
                } else {
                    L::one_tap(sums, taps, at(kx).unwrap_or(padding));
                    1
                };
                taps = taps.get(count * (channels / 4)..).unwrap_or(&[]);
                kx += count as i32;
            }
        }
        match table {
            Some(table) => L::round(sums, 4, table, &parameters.output, out),
            None => {
                let rounders = Rounder::all(&parameters.channels);
                for ((value, &sum), rounder) in out.iter_mut().zip(&*sums).zip(rounders) {
                    *value = rounder.requantize(sum.cast_signed(), &parameters.output);
                }
            }
        }
    }
}

/// `[channel][tap]` to `[tap][channel]`, four channels in a word.
fn transpose(weights: &[u8], channels: usize, filters: &mut [u32]) {
    let taps = weights.len() / channels.max(1);
    let words = channels / 4;
    for tap in 0..taps {
        let places = filters.get_mut(tap * words..(tap + 1) * words);
        let filters = weights.chunks_exact((4 * taps).max(1));
        for (place, four) in places.unwrap_or(&mut []).iter_mut().zip(filters) {
            let weight = |i: usize| four.get(i * taps + tap).copied().unwrap_or(0);
            *place = u32::from_le_bytes([weight(0), weight(1), weight(2), weight(3)]);
        }
    }
}
