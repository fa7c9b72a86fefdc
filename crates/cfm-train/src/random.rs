//! Chance without memory: every draw comes from a stream named by the seed and by what it is for.
//!
//! There is no generator state to save: a resumed run opens the stream of the next image and sees what an
//! uninterrupted one would have seen.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Initial weights; the index is the parameter's.
    Weights,
    /// Order of the images; the index is the epoch.
    Order,
    /// Augmentation and sampling of an image; the indices are the epoch and the image.
    Sample,
    /// Images used for calibration.
    Calibration,
    /// Order of the samples of a support vector machine, and its first negatives; the index is the output.
    Svm,
}

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// Opens the stream of `seed` for `purpose` and two indices.
    #[must_use]
    pub fn new(seed: u64, purpose: Purpose, first: u64, second: u64) -> Self {
        let mut key = [0; 32];
        for (part, value) in key
            .chunks_exact_mut(8)
            .zip([seed, purpose as u64, first, second])
        {
            part.copy_from_slice(&value.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1 << 24) as f32
    }

    /// Uniform in `[low, high)`.
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `0 .. n`; 0 for an empty range.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// Normally distributed, mean 0 and deviation 1 (Box and Muller).
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (core::f32::consts::TAU * self.unit()).cos()
    }

    /// Shuffles in place.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |seed, purpose, a, b| {
            let mut stream = Stream::new(seed, purpose, a, b);
            [stream.unit(), stream.normal(), stream.range(-2.0, 5.0)]
        };
        let one = draw(7, Purpose::Sample, 1, 2);
        assert_eq!(one, draw(7, Purpose::Sample, 1, 2));
        assert_ne!(one, draw(8, Purpose::Sample, 1, 2));
        assert_ne!(one, draw(7, Purpose::Order, 1, 2));
        assert_ne!(one, draw(7, Purpose::Sample, 2, 1));
    }

    #[test]
    fn shuffle_permutes() {
        let mut items: Vec<usize> = (0..100).collect();
        Stream::new(1, Purpose::Order, 0, 0).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
