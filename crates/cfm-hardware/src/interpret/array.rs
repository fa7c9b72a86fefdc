//! An operation: fetch, sum, requantize, write.

use super::decode::{Descriptor, Header, Position, Record};
use super::memory::{FeatureMemory, Words};
use super::{ArrayWrite, Fault, Outcome, WeightRequest};

const DENSE: u32 = 0;
const DEPTHWISE: u32 = 1;
const ADD: u32 = 2;
const MAX_POOL: u32 = 3;
const AVG_POOL: u32 = 4;

/// The array, set up for an operation.
#[derive(Debug)]
pub(super) struct Array<'r> {
    operation: Descriptor,
    record: &'r Record,
    pe: usize,
    lanes: u32,
    /// Accumulators `[lane][channel]`.
    sums: Vec<i32>,
    /// Cells inside the tensor that a lane has seen.
    counts: Vec<i32>,
    /// The words of the last fetch, lane by lane; `None` outside the tensor.
    fetched: Vec<u8>,
    inside: Vec<bool>,
}

impl<'r> Array<'r> {
    pub(super) fn new(store: &Words, record: &'r Record, header: &Header) -> Result<Self, Fault> {
        let operation = Descriptor::decode(store, record.operation)?;
        let (pe, lanes) = (header.pe as usize, header.lanes);
        if operation.kind > AVG_POOL || !operation.is_sound(lanes) {
            return Err(Fault::Descriptor(record.operation));
        }
        Ok(Self {
            operation,
            record,
            pe,
            lanes,
            sums: vec![0; pe * lanes as usize],
            counts: vec![0; lanes as usize],
            fetched: vec![0; pe * lanes as usize],
            inside: vec![false; lanes as usize],
        })
    }

    pub(super) const fn is_external(&self) -> bool {
        self.operation.external
    }

    pub(super) fn run(
        &mut self,
        memory: &mut FeatureMemory,
        channels: &Words,
        weights: &[u8],
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        let operation = self.operation;
        let [kernel_h, kernel_w] = operation.kernel;
        let per_group = match operation.kind {
            DENSE => kernel_h * kernel_w * operation.inputs,
            DEPTHWISE => kernel_h * kernel_w,
            _ => 0,
        };
        // A block's cells lie L * stride positions after those of the one before.
        let block_step = Position {
            q: operation.stride.cast_signed(),
            r: 0,
        };
        let mut block_start = operation.start;
        for block in 0..operation.blocks {
            if operation.external {
                outcome.requests.push(WeightRequest {
                    address: operation.weights,
                    words: per_group * operation.out_groups,
                });
            }
            let mut weight = operation.weights;
            for out in 0..operation.out_groups {
                self.sum(memory, weights, &mut weight, block_start, out)?;
                self.finish(channels, memory, block, out, outcome)?;
            }
            block_start = block_start.plus(block_step, self.lanes);
        }
        Ok(())
    }

    /// The sums of a block's cells, for one group of output channels.
    fn sum(
        &mut self,
        memory: &FeatureMemory,
        weights: &[u8],
        weight: &mut u32,
        block_start: Position,
        out: u32,
    ) -> Result<(), Fault> {
        let operation = self.operation;
        self.sums.fill(if operation.kind == MAX_POOL {
            i8::MIN.into()
        } else {
            0
        });
        self.counts.fill(0);
        let (first, end) = (
            self.record.first_row,
            self.record.first_row + self.record.rows,
        );
        let mut row = self.record.read;
        for ky in 0..operation.kernel[0] {
            let row_inside = (first..end).contains(&ky);
            let address = match (operation.kind, ky) {
                (ADD, 1) => self.record.second,
                _ => row,
            };
            let mut tap = block_start;
            for _ in 0..operation.kernel[1] {
                let address = row_inside.then_some(address);
                if operation.kind == DENSE {
                    for group in 0..operation.in_groups {
                        self.fetch(memory, address, tap, group)?;
                        let left = operation.inputs.saturating_sub(group * self.pe as u32);
                        for input in 0..left.min(self.pe as u32) {
                            self.dense(weights, *weight, input as usize)?;
                            *weight += 1;
                        }
                    }
                } else {
                    self.fetch(memory, address, tap, out)?;
                    match operation.kind {
                        DEPTHWISE => {
                            self.depthwise(weights, *weight)?;
                            *weight += 1;
                        }
                        ADD => self.scaled(operation.add_weights[(ky & 1) as usize]),
                        MAX_POOL => self.maximum(),
                        _ => self.count(),
                    }
                }
                tap = tap.plus(operation.tap, self.lanes);
            }
            if row_inside {
                row = self.next_row(row);
            }
        }
        Ok(())
    }

    const fn next_row(&self, row: u32) -> u32 {
        let Descriptor {
            row_step,
            ring_first,
            ring_words,
            ..
        } = self.operation;
        let row = row + row_step;
        if ring_words > 0 && row >= ring_first + ring_words {
            row - ring_words
        } else {
            row
        }
    }

    /// Reads the words of all lanes for one tap and one group, in as many passes as the stride says.
    fn fetch(
        &mut self,
        memory: &FeatureMemory,
        row: Option<u32>,
        tap: Position,
        group: u32,
    ) -> Result<(), Fault> {
        let operation = self.operation;
        let lanes_per_pass = self.lanes.div_ceil(operation.stride.max(1));
        let step = Position {
            q: (operation.stride / self.lanes).cast_signed(),
            r: operation.stride % self.lanes,
        };
        let mut pass_start = tap;
        for pass in 0..operation.stride {
            let mut at = pass_start;
            let mut taken = vec![false; self.lanes as usize];
            let first = pass * lanes_per_pass;
            for lane in first..(first + lanes_per_pass).min(self.lanes) {
                let (bank, l) = (at.r as usize, lane as usize);
                if std::mem::replace(&mut taken[bank], true) {
                    return Err(Fault::Bank {
                        operation: self.record.operation,
                        bank: at.r,
                    });
                }
                let beyond = i64::from(at.q) * i64::from(self.lanes) + i64::from(at.r)
                    >= i64::from(operation.width);
                let word = &mut self.fetched[l * self.pe..(l + 1) * self.pe];
                match row {
                    Some(row) if at.q >= 0 && !beyond => {
                        let address = row + at.q.cast_unsigned() * operation.in_groups + group;
                        word.copy_from_slice(memory.read(at.r, address)?);
                        self.inside[l] = true;
                    }
                    _ => {
                        word.fill(operation.z_in.cast_unsigned());
                        self.inside[l] = false;
                    }
                }
                at = at.plus(step, self.lanes);
            }
            pass_start = pass_start.plus(operation.pass, self.lanes);
        }
        Ok(())
    }

    fn weight_word<'w>(&self, weights: &'w [u8], at: u32) -> Result<&'w [u8], Fault> {
        let start = at as usize * self.pe;
        weights.get(start..start + self.pe).ok_or(Fault::Address {
            memory: "weights",
            address: at,
        })
    }

    fn dense(&mut self, weights: &[u8], at: u32, input: usize) -> Result<(), Fault> {
        let word = self.weight_word(weights, at)?;
        let lanes = self.fetched.chunks_exact(self.pe);
        for (sums, x) in self.sums.chunks_exact_mut(self.pe).zip(lanes) {
            let x = i32::from(x[input].cast_signed());
            for (sum, weight) in sums.iter_mut().zip(word) {
                *sum = sum.wrapping_add(x * i32::from(weight.cast_signed()));
            }
        }
        Ok(())
    }

    fn depthwise(&mut self, weights: &[u8], at: u32) -> Result<(), Fault> {
        let word = self.weight_word(weights, at)?;
        let lanes = self.fetched.chunks_exact(self.pe);
        for (sums, x) in self.sums.chunks_exact_mut(self.pe).zip(lanes) {
            for ((sum, weight), x) in sums.iter_mut().zip(word).zip(x) {
                let product = i32::from(x.cast_signed()) * i32::from(weight.cast_signed());
                *sum = sum.wrapping_add(product);
            }
        }
        Ok(())
    }

    fn scaled(&mut self, weight: i32) {
        for (sum, x) in self.sums.iter_mut().zip(&self.fetched) {
            *sum = sum.wrapping_add(weight * i32::from(x.cast_signed()));
        }
    }

    fn maximum(&mut self) {
        for (at, sum) in self.sums.iter_mut().enumerate() {
            if self.inside[at / self.pe] {
                *sum = (*sum).max(self.fetched[at].cast_signed().into());
            }
        }
    }

    fn count(&mut self) {
        for (at, sum) in self.sums.iter_mut().enumerate() {
            if self.inside[at / self.pe] {
                *sum = sum.wrapping_add(self.fetched[at].cast_signed().into());
            }
        }
        for (count, &inside) in self.counts.iter_mut().zip(&self.inside) {
            *count += i32::from(inside);
        }
    }

    /// Requantizes the sums, and writes them or hands them out as logits.
    fn finish(
        &self,
        channels: &Words,
        memory: &mut FeatureMemory,
        block: u32,
        out: u32,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        let operation = self.operation;
        let mut data = vec![0; self.sums.len()];
        for p in 0..self.pe {
            let channel = out * self.pe as u32 + p as u32;
            let scaled = matches!(operation.kind, DENSE | DEPTHWISE | ADD);
            let record = operation.channels + channel;
            let (bias, scale) = if scaled {
                (
                    channels.get(2 * record)?.cast_signed(),
                    channels.get(2 * record + 1)?,
                )
            } else {
                (0, 0)
            };
            for lane in 0..self.lanes as usize {
                let at = lane * self.pe + p;
                let sum = self.sums[at];
                let value = match operation.kind {
                    MAX_POOL => i64::from(sum),
                    AVG_POOL => {
                        let count = self.counts[lane];
                        let z = i32::from(operation.z_in);
                        round_div(i64::from(sum) - i64::from(count) * i64::from(z), count)
                            + i64::from(z)
                    }
                    _ => {
                        let (m, s) = (i64::from(scale & 0xFFFF), scale >> 16 & 0x3F);
                        let scaled = round((i64::from(sum) + i64::from(bias)) * m, s);
                        scaled + i64::from(operation.z_out)
                    }
                };
                if operation.logits {
                    // Logits have no zero point.
                    let logit = value - i64::from(operation.z_out);
                    let logit = logit.clamp(i16::MIN.into(), i16::MAX.into()) as i32;
                    if channel < operation.out_channels {
                        outcome.logits.push(logit.cast_unsigned());
                    }
                } else {
                    let value = value.clamp(operation.low.into(), operation.high.into());
                    data[at] = (value as i8).cast_unsigned();
                }
            }
        }
        if operation.logits {
            return Ok(());
        }
        let address = self.record.write + block * operation.out_groups + out;
        for (lane, word) in (0..).zip(data.chunks_exact(self.pe)) {
            memory.write(lane, address, word)?;
        }
        outcome.writes.push(ArrayWrite { address, data });
        Ok(())
    }
}

/// `value / 2^shift` to nearest, ties to even.
const fn round(value: i64, shift: u32) -> i64 {
    if shift == 0 {
        return value;
    }
    // Half of the last place, less one when the floor is even: only a true half then stays below.
    let odd = value >> shift & 1;
    (value + (1_i64 << (shift - 1)) - 1 + odd) >> shift
}

/// `numerator / denominator` to nearest, ties to even; 0 for no cells.
const fn round_div(numerator: i64, count: i32) -> i64 {
    let count = count as i64;
    if count == 0 {
        return 0;
    }
    let floor = numerator.div_euclid(count);
    let twice = 2 * numerator.rem_euclid(count);
    floor + (twice > count || twice == count && floor & 1 == 1) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use cfm_core::requantize::{rne, rne_div};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rounding_is_the_cores(value in -(1_i64 << 46)..1 << 46, shift in 0_u8..=62) {
            prop_assert_eq!(round(value, shift.into()), rne(value, shift));
        }

        #[test]
        fn division_is_the_cores(value in -(1 << 24)..1 << 24, count in 1..1000) {
            prop_assert_eq!(round_div(i64::from(value), count), i64::from(rne_div(value, count)));
        }
    }
}
