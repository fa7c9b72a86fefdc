//! Requantization in 32 bits, where that is exact.

use crate::model::Channels;
use crate::requantize::{Channel, MANTISSA_MIN, OutputScale};

/// [`Channel::requantize`] for many accumulators of one channel.
///
/// A power-of-two multiplier only shifts, and 32 bits are enough for shifts that leave every sum of 31 bits outside the
/// range of the output once rounding makes it overflow: then saturating and wrapping sums clamp to the same output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rounder {
    channel: Channel,
    /// `shift - 14`, if that is at least 1 and at most [`NARROW`]; otherwise 0.
    shift: u8,
}

/// A requantization that 32 bits are enough for: `(acc + half + odd) >> shift` with `acc = sum + bias`, a saturating sum,
/// and `odd` the lowest bit of `acc >> shift`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Narrow {
    /// Added first.
    pub(super) bias: i32,
    /// Shift to the right, 1 to 23.
    pub(super) shift: u32,
    /// Half a step less one.
    pub(super) half: i32,
}

/// Largest shift by which 32 bits are exact: beyond it, a sum saturated at `2^31 - 1` would round to less than 255.
const NARROW: u8 = 23;

/// `log2` of a mantissa that is a power of two.
const MANTISSA_BITS: u8 = MANTISSA_MIN.trailing_zeros() as u8;

impl Rounder {
    #[inline(always)]
    pub(super) fn new(channel: Channel) -> Self {
        let shift = channel.shift.wrapping_sub(MANTISSA_BITS);
        let narrow = channel.mantissa == MANTISSA_MIN && shift <= NARROW;
        Self {
            channel,
            shift: if narrow { shift } else { 0 },
        }
    }

    /// The channel's own bias and multiplier.
    pub(super) fn channel(&self) -> Channel {
        self.channel
    }

    /// What 32 bits are enough for, if they are.
    #[inline(always)]
    pub(super) fn narrow(&self) -> Option<Narrow> {
        let shift = u32::from(self.shift);
        (shift > 0).then(|| Narrow {
            bias: self.channel.bias,
            shift,
            half: 1_i32.wrapping_shl(shift - 1) - 1,
        })
    }

    /// The rounders of the channels in order.
    pub(super) fn all<'a>(channels: &Channels<'a>) -> impl Iterator<Item = Self> + use<'a> {
        channels.iter().map(Self::new)
    }

    /// The activation of `sum`, to which the bias is still to be added.
    #[inline(always)]
    pub(super) fn requantize(&self, sum: i32, out: &OutputScale) -> i8 {
        let acc = sum.wrapping_add(self.channel.bias);
        let Some(Narrow { shift, half, .. }) = self.narrow() else {
            return self.wide(acc, out);
        };
        // Half a step less one, and one more if the quotient is odd: ties go to the even one.
        let odd = acc.wrapping_shr(shift) & 1;
        let rounded = acc.saturating_add(half + odd).wrapping_shr(shift);
        let shifted = rounded + i32::from(out.zero_point);
        // `low <= high`, so this cannot panic; and it is in range of i8 then.
        shifted.max(i32::from(out.low)).min(i32::from(out.high)) as i8
    }

    /// Out of line, for it needs twice the registers.
    #[cold]
    #[inline(never)]
    fn wide(&self, acc: i32, out: &OutputScale) -> i8 {
        self.channel.requantize(acc, out)
    }

    /// The logit of `sum`, to which the bias is still to be added.
    pub(super) fn logit(&self, sum: i32) -> i16 {
        self.channel.logit(sum.wrapping_add(self.channel.bias))
    }
}

/// Words that a channel takes in a [`Table`].
pub(super) const TABLE_WORDS: usize = 3;

/// The words of four channels, `[bias, ...]` each, with those of the same kind together.
pub(super) fn by_field(quad: [[u32; TABLE_WORDS]; 4]) -> [u32; 4 * TABLE_WORDS] {
    core::array::from_fn(|at| quad[at % 4][at / 4])
}

/// How a backend requantizes whole cells.
pub(super) trait Round {
    /// Words of four channels in a table; `None` if the backend has none for one of them.
    fn entries(quad: [Rounder; 4]) -> Option<[u32; 4 * TABLE_WORDS]>;

    /// Sums of a cell, those of four channels at every multiple of `stride`, become its outputs: for as many whole quads
    /// of channels as sums, table and output have.
    fn round(sums: &[u32], stride: usize, table: Table<'_>, output: &OutputScale, out: &mut [i8]);
}

/// What the output channels of a layer add and shift, as a backend wants it: [`Round::entries`] of each quad.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    pub(super) quads: &'a [[u32; 4 * TABLE_WORDS]],
}

impl<'a> Table<'a> {
    /// Writes the table of a layer's whole quads of channels, and returns it with the rest of the memory; no table if the
    /// backend has no words for one of them, or if the memory is too short.
    pub(super) fn new<R: Round>(
        channels: &Channels<'_>,
        memory: &'a mut [u32],
    ) -> (Option<Self>, &'a mut [u32]) {
        let words = channels.len() * TABLE_WORDS;
        let Some((table, rest)) = memory.split_at_mut_checked(words) else {
            return (None, &mut []);
        };
        let (quads, _) = table.as_chunks_mut();
        let mut rounders = Rounder::all(channels);
        let mut next = || rounders.next();
        for quad in quads.iter_mut() {
            let (Some(a), Some(b), Some(c), Some(d)) = (next(), next(), next(), next()) else {
                return (None, rest);
            };
            let Some(entries) = R::entries([a, b, c, d]) else {
                return (None, rest);
            };
            *quad = entries;
        }
        (Some(Self { quads }), rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requantize::MANTISSA_MAX;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_the_definition(
            acc in prop_oneof![any::<i32>(), -70_000..70_000, i32::MAX - 300..=i32::MAX, -i32::MAX..-i32::MAX + 300],
            mantissa in prop_oneof![Just(MANTISSA_MIN), MANTISSA_MIN..=MANTISSA_MAX],
            shift in 0_u8..=62,
            zero_point: i8,
            (low, high) in any::<(i8, i8)>(),
        ) {
            let out = OutputScale { zero_point, exponent: 0, low: low.min(high), high: low.max(high) };
            let channel = Channel { bias: 0, mantissa, shift };
            prop_assert_eq!(Rounder::new(channel).requantize(acc, &out), channel.requantize(acc, &out));
        }
    }
}
