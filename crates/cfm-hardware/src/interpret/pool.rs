//! Masked spatial pyramid pooling.

use super::decode::Header;
use super::mask::{Axis, Projection};
use super::memory::{FeatureMemory, Words};
use super::{Fault, Outcome, PooledWrite};

/// A word of a cell of the feature map.
fn cell<'m>(
    memory: &'m FeatureMemory,
    header: &Header,
    row: u32,
    column: u32,
    group: u32,
) -> Result<&'m [u8], Fault> {
    let address =
        header.map + row * header.map_row_words + column / header.lanes * header.map_groups + group;
    memory.read(column % header.lanes, address)
}

/// Pools a segment into lane `lane` of the vectors at `base`.
pub(super) fn pool(
    header: &Header,
    scoring: &Words,
    side: u32,
    projection: &Projection,
    memory: &mut FeatureMemory,
    [lane, base]: [u32; 2],
    outcome: &mut Outcome,
) -> Result<(), Fault> {
    let rows = Axis::rows(scoring, header, side);
    let columns = Axis::columns(scoring, header);
    let [top, left, bottom, right] = projection.window;
    for entry in 0..header.entries {
        let at = 2 * side + 4 * entry;
        let flags = scoring.get(at)?;
        let level = flags & 0xFF;
        let [masked, whole, by_bin] = [8, 9, 10].map(|bit| flags >> bit & 1 == 1);
        let offsets = [scoring.get(at + 1)?, scoring.get(at + 2)?];
        let bins: Vec<[u32; 4]> = (0..level * level)
            .map(|bin| {
                let [y0, y1] = span(bottom - top, level, bin / level);
                let [x0, x1] = span(right - left, level, bin % level);
                [top + y0, left + x0, top + y1, left + x1]
            })
            .collect();
        let bin_bits = if by_bin {
            projection.bin_bits(header, &rows, &columns, &bins)?
        } else {
            vec![true; bins.len()]
        };
        for ((index, bin), &bin_bit) in (0..).zip(&bins).zip(&bin_bits) {
            for group in 0..header.map_groups {
                for (wanted, offset, mask) in
                    [(masked, offsets[0], true), (whole, offsets[1], false)]
                {
                    if !wanted {
                        continue;
                    }
                    let mut data = vec![header.map_zero.cast_unsigned(); header.pe as usize];
                    if mask || bin_bit {
                        maximum(memory, header, *bin, group, &mut data, |row, column| {
                            !mask || projection.bit(row, column)
                        })?;
                    }
                    let address = base + offset + index * header.map_groups + group;
                    memory.write(lane, address, &data)?;
                    outcome.pooled.push(PooledWrite {
                        lane,
                        address,
                        data,
                    });
                }
            }
        }
    }
    Ok(())
}

/// The maximum over a bin's cells of `bit ? q : z`.
fn maximum(
    memory: &FeatureMemory,
    header: &Header,
    [top, left, bottom, right]: [u32; 4],
    group: u32,
    data: &mut [u8],
    bit: impl Fn(u32, u32) -> bool,
) -> Result<(), Fault> {
    data.fill(i8::MIN.cast_unsigned());
    for row in top..bottom {
        for column in left..right {
            let word = bit(row, column)
                .then(|| cell(memory, header, row, column, group))
                .transpose()?;
            for (p, value) in data.iter_mut().enumerate() {
                let q = word.map_or(header.map_zero, |word| word[p].cast_signed());
                *value = value.cast_signed().max(q).cast_unsigned();
            }
        }
    }
    Ok(())
}

/// The cells of bin `i` of `n` along an axis of `w` cells.
const fn span(w: u32, n: u32, i: u32) -> [u32; 2] {
    [i * w / n, ((i + 1) * w).div_ceil(n)]
}
