//! Requantization of whole vectors: by shifts, or in double precision.
//!
//! A product `acc * mantissa` has at most 46 bits, so double precision holds it, scales it by a power of two, and rounds it
//! to nearest, ties to even, exactly as the contract says. Multipliers that are powers of two only shift; where no
//! accumulator can overflow once half a step is added, 32 bits are enough for that.
#![allow(unsafe_code)]

use std::vec::Vec;

use super::memory::Lines;
use super::simd::Simd;
use crate::model::Parameters;
use crate::requantize::{Channel, MANTISSA_MIN, OutputScale};

/// Largest shift of 32 bits.
const SHIFT_MAX: u8 = 30;

/// An output channel, as the vectors want it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Mantissa and shift.
    pub(super) channel: Channel,
    /// Where its sum starts, modulo `2^32`.
    pub(super) start: i32,
    /// Bound of its accumulator's magnitude.
    pub(super) reach: i64,
}

impl Scale {
    /// Stands for the channels that fill a vector.
    pub(super) const NONE: Self = Self {
        channel: Channel {
            bias: 0,
            mantissa: MANTISSA_MIN,
            shift: MANTISSA_MIN.trailing_zeros() as u8,
        },
        start: 0,
        reach: 0,
    };

    /// Output channel `output`, for activations that are staged larger by `offset`.
    pub(super) fn new(parameters: &Parameters<'_>, output: usize, offset: i32) -> Self {
        let channel = parameters.channels.get(output);
        let (mut sum, mut reach) = (0_i32, i64::from(channel.bias).abs());
        for at in 0..parameters.filter_len() {
            let weight = parameters.weight(output, at);
            sum += i32::from(weight);
            reach += i64::from(weight.unsigned_abs()) * 255;
        }
        Self {
            channel,
            start: channel.bias.wrapping_sub(offset.wrapping_mul(sum)),
            reach,
        }
    }

    /// Shift, half a step less one, and what tells odd quotients, if 32 bits are enough. A shift by nothing has no half.
    fn shift(&self) -> Option<[i32; 3]> {
        let bits = MANTISSA_MIN.trailing_zeros() as u8;
        let shift = self.channel.shift.checked_sub(bits)?;
        if self.channel.mantissa != MANTISSA_MIN || shift > SHIFT_MAX {
            return None;
        }
        let one = i32::from(shift > 0);
        let half = ((1_i32 << shift) >> 1) - one;
        let fits = self.reach + i64::from(half + one) <= i64::from(i32::MAX);
        fits.then_some([shift.into(), half, one])
    }
}

/// Biases, multipliers and the range of the outputs of a layer, for vectors of channels.
#[derive(Debug)]
pub(super) struct Scales {
    /// Where the sums start, 32 bits each.
    starts: Lines,
    factors: Factors,
    /// Channels, those that fill the last vectors included.
    len: usize,
    output: OutputScale,
}

/// How accumulators become outputs.
#[derive(Debug)]
enum Factors {
    /// Three times as many numbers of 32 bits as there are channels, as [`Scale::shift`] has them.
    Shifts(Lines),
    /// Multipliers in double precision.
    Multipliers(Lines),
}

impl Scales {
    /// Bytes a channel while they are made, at most: the channel's record, its numbers, and where the sum starts.
    pub(super) const BYTES: usize = size_of::<Scale>() + 48;

    /// The scales of channels, a multiple of a vector's.
    pub(super) fn new(channels: &[Scale], output: OutputScale) -> Self {
        let starts = channels.iter().map(|scale| scale.start.to_le_bytes());
        let shifts: Option<Vec<_>> = channels.iter().map(Scale::shift).collect();
        let factors = match shifts {
            Some(shifts) => {
                let kinds = (0..3).flat_map(|kind| shifts.iter().map(move |shift| shift[kind]));
                Factors::Shifts(Lines::of(kinds.map(i32::to_le_bytes)))
            }
            None => Factors::Multipliers(Lines::of(channels.iter().map(|scale| {
                // A mantissa of 15 bits times a power of two down to 2^-62 is exact.
                let steps = (1_u64 << scale.channel.shift.min(crate::requantize::SHIFT_MAX)) as f64;
                (f64::from(scale.channel.mantissa) / steps).to_le_bytes()
            }))),
        };
        Self {
            starts: Lines::of(starts),
            factors,
            len: channels.len(),
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
        // SAFETY: there are so many.
        unsafe { S::load_all(self.starts.bytes().as_ptr().add(4 * first)) }
    }

    /// Requantizes `N` vectors of sums of each of several cells, of channels from `first` on, and writes them.
    ///
    /// # Safety
    /// The processor has the instructions, there are so many channels, and `place` can be written.
    #[inline(always)]
    pub(super) unsafe fn finish<S: Simd, const N: usize, const CELLS: usize>(
        &self,
        sums: [[S::Vector; N]; CELLS],
        first: usize,
        place: Place,
    ) {
        debug_assert!(first + N * S::LANES <= self.len && place.len <= N * S::LANES);
        // SAFETY: there are so many factors of the one kind or of the other.
        unsafe {
            match &self.factors {
                Factors::Shifts(shifts) => {
                    let at = shifts.bytes().as_ptr().add(4 * first);
                    let shifts = S::load_all::<N>(at);
                    let halves = S::load_all::<N>(at.add(4 * self.len));
                    let ones = S::load_all::<N>(at.add(8 * self.len));
                    // Sums that a loop counts through would leave their registers.
                    unrolled!(CELLS, i => {
                        let mut values = sums[i];
                        let factors = shifts.iter().zip(&halves).zip(&ones);
                        for (value, ((&shift, &half), &one)) in values.iter_mut().zip(factors) {
                            *value = S::shift(*value, shift, half, one);
                        }
                        self.store::<S, N>(values, place.cell(i));
                    });
                }
                Factors::Multipliers(multipliers) => {
                    let multipliers = multipliers.bytes().as_ptr().cast::<f64>().add(first);
                    for (i, mut values) in sums.into_iter().enumerate() {
                        for (j, value) in values.iter_mut().enumerate() {
                            *value = S::multiply(*value, multipliers.add(j * S::LANES));
                        }
                        self.store::<S, N>(values, place.cell(i));
                    }
                }
            }
        }
    }

    /// Clamps the values of a cell and writes them.
    ///
    /// # Safety
    /// The processor has the instructions, and so many bytes can be written.
    #[inline(always)]
    unsafe fn store<S: Simd, const N: usize>(
        &self,
        values: [S::Vector; N],
        (out, len): (*mut i8, usize),
    ) {
        // Whatever is behind the last vector is not written.
        let mut four = [values[0]; 4];
        for (to, from) in four.iter_mut().zip(values) {
            *to = from;
        }
        // SAFETY: as the caller promises.
        unsafe { S::store(S::clamp(four, &self.output), out, len) };
    }
}

/// Where the outputs of several cells go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The outputs of the first cell.
    pub(super) out: *mut i8,
    /// Outputs of a cell.
    pub(super) len: usize,
    /// From a cell's outputs to those of the next.
    pub(super) stride: usize,
    /// Outputs that can be written from `out` on; the last cell may have fewer than `len`.
    pub(super) room: usize,
}

impl Place {
    /// Where the outputs of cell `i` go, and how many.
    ///
    /// # Safety
    /// There is room for a cell's first output.
    #[inline(always)]
    unsafe fn cell(&self, i: usize) -> (*mut i8, usize) {
        let at = i * self.stride;
        // SAFETY: as the caller promises.
        (unsafe { self.out.add(at) }, self.len.min(self.room - at))
    }
}
