//! The orders in which the weights of a layer can lie in a file.

use super::format::tag;

/// The order of weights.
///
/// [`Rows`](Self::Rows) is how a model is made. Kernels that gain from another order say which; `cfm pack` and
/// [`reorder`](super::reorder::reorder) put a model's weights into it, once, ahead of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum WeightOrder {
    /// One filter after the other: `[out][kernel row][kernel column][in / groups]`.
    Rows,
    /// Four filters at a time, in halfwords that hold a weight of two of them; see
    /// [`format`](super::format#wqad-weights-in-quads).
    Quads,
}

/// The section with the weights.
#[derive(Debug, Clone, Copy)]
pub(super) struct WeightSection<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) order: WeightOrder,
}

/// Filters that lie together in [`WeightOrder::Quads`].
pub(crate) const QUAD: usize = 4;

impl WeightOrder {
    /// The section with weights in this order.
    pub(crate) const fn section(self) -> [u8; 4] {
        match self {
            Self::Rows => tag::WEIGHTS,
            Self::Quads => tag::WEIGHT_QUADS,
        }
    }

    /// The order of one layer's weights in a model of this order: quads need whole quads, words at multiples of four,
    /// and filters that all see the same inputs.
    pub(crate) const fn of_layer(self, groups: u16, outputs: u64, offset: u32) -> Self {
        match self {
            Self::Quads
                if groups == 1
                    && outputs.is_multiple_of(QUAD as u64)
                    && offset.is_multiple_of(4) =>
            {
                Self::Quads
            }
            _ => Self::Rows,
        }
    }
}

/// Where [`WeightOrder::Quads`] has the halfword of the filters `2 * half` and `2 * half + 1` of a quad, for input
/// `at` of `filter_len`: bytes from the quad's start.
pub(crate) const fn halfword(half: usize, at: usize, filter_len: usize) -> usize {
    if at + 1 == filter_len && at.is_multiple_of(2) {
        // An odd one at the end has no partner.
        at * QUAD + half * 2
    } else {
        at / 2 * 2 * QUAD + half * 4 + at % 2 * 2
    }
}

/// The two weights of a halfword `256 * second + first`.
pub(crate) const fn split(low: u8, high: u8) -> (i8, i8) {
    let first = low as i8;
    (first, (high as i8).wrapping_add((first < 0) as i8))
}

/// The halfword of two weights.
pub(crate) const fn join(first: i8, second: i8) -> [u8; 2] {
    (256 * second as i16 + first as i16).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    extern crate std;

    #[test]
    fn halfwords_hold_every_pair() {
        for first in -127..=127 {
            for second in -127..=127 {
                let [low, high] = join(first, second);
                assert_eq!(split(low, high), (first, second));
            }
        }
    }

    #[test]
    fn a_quad_is_filled_without_gaps() {
        for filter_len in 1..40 {
            let mut seen = BTreeSet::new();
            for at in 0..filter_len {
                for half in 0..2 {
                    assert!(seen.insert(halfword(half, at, filter_len)));
                }
            }
            let all: BTreeSet<usize> = (0..filter_len * QUAD).step_by(2).collect();
            assert_eq!(seen, all);
        }
    }
}
