//! Where randomness comes from: a fixed generator, and draws whose definition is here.

use std::ops::RangeInclusive;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// What a seed's numbers are drawn for; each purpose has a stream of its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    Model,
    Image,
    Segments,
}

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(super) struct Source(ChaCha8Rng);

impl Source {
    pub(super) fn new(seed: u64, stream: Stream) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream as u64);
        Self(generator)
    }

    /// A number below `n`, or 0 if `n` is 0: the high word of `n` times a random word (the bias is below `n / 2^64`).
    fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// A number of the range; its start if the range is empty.
    pub(super) fn range<T: Number>(&mut self, range: RangeInclusive<T>) -> T {
        let (low, high) = (range.start().to_i64(), range.end().to_i64());
        let count = (high - low + 1).max(1).unsigned_abs();
        T::from_i64(low + self.below(count) as i64)
    }

    /// True `numerator` times out of `denominator`.
    pub(super) fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// One of the choices, which must not be empty.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// One of the choices, each with its weight; not all weights may be 0.
    pub(super) fn weighted<T: Copy>(&mut self, choices: &[(u64, T)]) -> T {
        let total = choices.iter().map(|(weight, _)| weight).sum();
        let mut left = self.below(total);
        for &(weight, choice) in choices {
            if left < weight {
                return choice;
            }
            left -= weight;
        }
        choices[choices.len() - 1].1
    }

    /// Any byte.
    pub(super) fn any_u8(&mut self) -> u8 {
        self.range(0..=u8::MAX)
    }

    /// Any signed byte.
    pub(super) fn any_i8(&mut self) -> i8 {
        self.range(i8::MIN..=i8::MAX)
    }

    /// Puts the items into a random order (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// Integers that ranges are drawn from.
pub(super) trait Number: Copy {
    fn to_i64(self) -> i64;
    fn from_i64(value: i64) -> Self;
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Number for $type {
            fn to_i64(self) -> i64 {
                self as i64
            }
            fn from_i64(value: i64) -> Self {
                value as Self
            }
        }
    )*};
}

number!(u8, u16, u32, usize, i8, i16, i32, i64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_pinned() {
        let mut source = Source::new(1, Stream::Model);
        let words: Vec<u32> = (0..4).map(|_| source.range(0..=u32::MAX)).collect();
        assert_eq!(
            words,
            [1_728_662_762, 345_245_400, 2_562_206_467, 941_991_900]
        );
    }

    #[test]
    fn ranges_reach_both_ends() {
        let mut source = Source::new(2, Stream::Image);
        let drawn: Vec<i8> = (0..20_000).map(|_| source.any_i8()).collect();
        for value in i8::MIN..=i8::MAX {
            assert!(drawn.contains(&value), "{value}");
        }
    }

    #[test]
    fn shuffling_keeps_the_items() {
        let mut items: Vec<u8> = (0..100).collect();
        Source::new(3, Stream::Segments).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<u8>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<u8>>());
    }
}
