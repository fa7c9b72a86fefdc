//! Columns: the inputs of an output cell, unrolled and widened to the 16 bits that `SMLAD` takes.

use super::instructions::{sxtb16, sxtb16_odd};
use super::quads::Pair;
use crate::kernels::Rows;
use crate::kernels::window::{Stretch, for_each_stretch};
use crate::model::Window;

/// Column `AT` of `OF` (one or two), whose pairs take turns.
#[derive(Debug)]
pub(super) struct Column<'a, const AT: usize, const OF: usize> {
    pairs: &'a mut [Pair],
    /// Inputs so far.
    len: usize,
}

impl<'a, const AT: usize, const OF: usize> Column<'a, AT, OF> {
    pub(super) fn new(pairs: &'a mut [Pair]) -> Self {
        Self { pairs, len: 0 }
    }

    /// Appends values.
    pub(super) fn extend(&mut self, values: &[i8]) {
        let mut values = values;
        if !self.len.is_multiple_of(2)
            && let Some((&value, rest)) = values.split_first()
        {
            self.push(value);
            values = rest;
        }
        let (words, rest) = values.as_chunks::<4>();
        let places = self.pairs.get_mut(self.len / 2 * OF..).unwrap_or(&mut []);
        let widened = words.iter().map(|word| {
            let word = u32::from_le_bytes(word.map(i8::cast_unsigned));
            let (even, odd) = (sxtb16(word), sxtb16_odd(word));
            [
                (even & 0xffff) | (odd << 16),
                (even >> 16) | (odd & 0xffff_0000),
            ]
        });
        if OF == 1 {
            let (places, _) = places.as_chunks_mut::<2>();
            for (place, pairs) in places.iter_mut().zip(widened) {
                *place = pairs;
            }
        } else {
            let (places, _) = places.as_chunks_mut::<4>();
            for (place, pairs) in places.iter_mut().zip(widened) {
                (place[AT], place[2 + AT]) = pairs.into();
            }
        }
        self.len += words.len() * 4;
        for &value in rest {
            self.push(value);
        }
    }

    /// Appends the inputs of the window of output `(y, x)`.
    pub(super) fn window(&mut self, input: &Rows<'_>, window: &Window, y: u16, x: usize) {
        for_each_stretch(input, window, y, x, |stretch| match stretch {
            Stretch::Values(values) => self.extend(values),
            Stretch::Padding(count) => self.repeat(input.zero_point(), count),
        });
    }

    /// Appends `count` times the same value.
    pub(super) fn repeat(&mut self, value: i8, count: usize) {
        for _ in 0..count {
            self.push(value);
        }
    }

    fn push(&mut self, value: i8) {
        let half = u32::from(i16::from(value).cast_unsigned());
        if let Some(pair) = self.pairs.get_mut(self.len / 2 * OF + AT) {
            *pair = if self.len.is_multiple_of(2) {
                half
            } else {
                (*pair & 0xffff) | (half << 16)
            };
        }
        self.len += 1;
    }
}
