//! Which regions of a map touch.
//!
//! Regions touch where two of their pixels are 4-neighbours. Regions that are 4-connected make a planar graph: `n`
//! of them have at most `3 n - 6` pairs of neighbours, and fewer after every merge.

use crate::error::ProposalError;

/// Words for collecting the pairs of a map of `count` regions: an open-addressing hash table, three quarters full
/// at most.
pub(crate) const fn table_words(count: usize) -> usize {
    4 * count
}

/// Most pairs of `count` 4-connected regions.
pub(crate) const fn max_pairs(count: usize) -> usize {
    3 * count
}

/// A pair of regions in one word, the smaller id in the upper half, so that words compare as pairs do. Never zero.
pub(crate) fn pair(a: u16, b: u16) -> u32 {
    u32::from(a.min(b)) << 16 | u32::from(a.max(b))
}

/// The two ids of a pair, the smaller first.
pub(crate) fn ids(pair: u32) -> (u16, u16) {
    ((pair >> 16) as u16, pair as u16)
}

/// Copies one item over another.
pub(crate) fn move_item<T: Copy>(items: &mut [T], from: usize, to: usize) {
    if let (Some(item), Some(slot)) = (items.get(from).copied(), items.get_mut(to)) {
        *slot = item;
    }
}

/// Collects the pairs of touching regions at the start of `table` and returns how many there are. Their order means
/// nothing.
pub(crate) fn collect(
    labels: &[u16],
    width: usize,
    table: &mut [u32],
    limit: usize,
) -> Result<usize, ProposalError> {
    table.fill(0);
    let mut count = 0;
    let mut insert = |a: u16, b: u16| {
        if a == b {
            return Ok(());
        }
        let pair = pair(a, b);
        let hash = pair.wrapping_mul(0x9e37_79b9);
        let mut at = ((u64::from(hash) * table.len() as u64) >> 32) as usize;
        loop {
            match table.get_mut(at) {
                Some(slot) if *slot == pair => return Ok(()),
                Some(slot) if *slot == 0 => {
                    if count == limit {
                        return Err(ProposalError::Map);
                    }
                    *slot = pair;
                    count += 1;
                    return Ok(());
                }
                Some(_) => at += 1,
                None => at = 0,
            }
        }
    };
    let mut above: &[u16] = &[];
    for row in labels.chunks_exact(width.max(1)) {
        for neighbours in row.windows(2) {
            if let &[a, b] = neighbours {
                insert(a, b)?;
            }
        }
        for (&a, &b) in above.iter().zip(row) {
            insert(a, b)?;
        }
        above = row;
    }
    let mut end = 0;
    for i in 0..table.len() {
        let Some(word) = table.get(i).copied().filter(|&word| word != 0) else {
            continue;
        };
        if let Some(slot) = table.get_mut(end) {
            *slot = word;
            end += 1;
        }
    }
    Ok(end)
}
