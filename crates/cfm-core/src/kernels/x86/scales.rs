//! Requantization of whole vectors, in floating point where that is exact.
//!
//! A product `acc * mantissa` has at most 46 bits, so double precision holds it, scales it by a power of two, and rounds it
//! to nearest, ties to even, exactly as the contract says. Single precision holds 24 bits. A multiplier `2^-s` with
//! `s <= 16` turns every larger accumulator into 256 or more, which is clamped whatever was lost.
#![allow(unsafe_code)]

use core::array::from_fn;

use super::memory::Lines;
use super::simd::Simd;
use crate::requantize::{Channel, MANTISSA_MIN, OutputScale};

/// Shifts of powers of two that single precision is enough for. Without any, 2^31 would leave the range of integers.
const NARROW: core::ops::RangeInclusive<u8> = 1..=16;

/// Biases, multipliers and the range of the outputs of a layer, for vectors of channels.
#[derive(Debug)]
pub(super) struct Scales {
    /// Starting values of the sums, 32 bits each.
    biases: Lines,
    /// Single precision if `narrow`, otherwise double.
    multipliers: Lines,
    narrow: bool,
    /// Channels, those that fill the last vectors included.
    len: usize,
    output: OutputScale,
}

impl Scales {
    /// The scales of channels, those that do not exist being zero; `starts` are where the sums start.
    pub(super) fn new(channels: &[Channel], starts: &[i32], output: OutputScale) -> Self {
        let shift = |channel: &Channel| {
            let power_of_two = channel.mantissa == MANTISSA_MIN;
            let shift = channel
                .shift
                .checked_sub(MANTISSA_MIN.trailing_zeros() as u8);
            shift.filter(|shift| power_of_two && NARROW.contains(shift))
        };
        let exists = |channel: &&Channel| channel.mantissa != 0;
        let narrow = channels
            .iter()
            .filter(exists)
            .all(|channel| shift(channel).is_some());
        let len = channels.len();
        let mut biases = Lines::zeros(4 * len);
        for (place, start) in biases.bytes_mut().chunks_exact_mut(4).zip(starts) {
            place.copy_from_slice(&start.to_le_bytes());
        }
        let size = if narrow { 4 } else { 8 };
        let mut multipliers = Lines::zeros(size * len);
        let places = multipliers.bytes_mut().chunks_exact_mut(size);
        for (place, channel) in places.zip(channels) {
            // Powers of two down to 2^-62 times 15 bits: exact in either precision.
            let divisor = (1_u64 << channel.shift.min(62)) as f64;
            let multiplier = f64::from(channel.mantissa) / divisor;
            if narrow {
                place.copy_from_slice(&(multiplier as f32).to_le_bytes());
            } else {
                place.copy_from_slice(&multiplier.to_le_bytes());
            }
        }
        Self {
            biases,
            multipliers,
            narrow,
            len,
            output,
        }
    }

    /// Channels, those that fill the last vectors included.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Where the sums of `N` vectors of channels start, from channel `first` on.
    ///
    /// # Safety
    /// The processor has the instructions, and there are so many channels.
    #[inline(always)]
    pub(super) unsafe fn starts<S: Simd, const N: usize>(&self, first: usize) -> [S::Vector; N] {
        debug_assert!(first + N * S::LANES <= self.len);
        // SAFETY: there are so many biases.
        from_fn(|i| unsafe {
            let at = 4 * (first + i * S::LANES);
            S::load(self.biases.bytes().as_ptr().add(at))
        })
    }

    /// Writes the first `len` outputs of `N` vectors of sums, from channel `first` on.
    ///
    /// # Safety
    /// The processor has the instructions; there are so many channels, `len` is no more than they are, and as many bytes
    /// are writable.
    #[inline(always)]
    pub(super) unsafe fn finish<S: Simd, const N: usize>(
        &self,
        sums: [S::Vector; N],
        first: usize,
        out: *mut i8,
        len: usize,
    ) {
        debug_assert!(first + N * S::LANES <= self.len && len <= N * S::LANES);
        let multipliers = self.multipliers.bytes().as_ptr();
        // SAFETY: there are so many multipliers of the one kind or of the other.
        unsafe {
            let scaled: [S::Vector; N] = if self.narrow {
                let multipliers = multipliers.cast::<f32>().add(first);
                from_fn(|i| S::scale_narrow(sums[i], multipliers.add(i * S::LANES)))
            } else {
                let multipliers = multipliers.cast::<f64>().add(first);
                from_fn(|i| S::scale_wide(sums[i], multipliers.add(i * S::LANES)))
            };
            // Whatever is behind the last vector is not written.
            let values = from_fn(|i| scaled[if i < N { i } else { 0 }]);
            S::store(S::clamp(values, &self.output), out, len);
        }
    }
}
