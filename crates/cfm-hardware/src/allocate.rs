//! Places for buffers: those that are never alive at the same time share memory.

/// A buffer: how large, and from which step to which one, both included, it holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Buffer {
    pub(crate) words: u64,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

impl Buffer {
    const fn meets(&self, other: &Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

/// The address of every buffer, from `base` on: the largest first, each at the lowest address that is free for all of
/// its life.
pub(crate) fn allocate(base: u64, buffers: &[Buffer]) -> Vec<u64> {
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(buffers[i].words), i));
    let mut addresses = vec![base; buffers.len()];
    let mut placed: Vec<usize> = Vec::new();
    for i in order {
        let mut taken: Vec<(u64, u64)> = placed
            .iter()
            .filter(|&&other| buffers[other].meets(&buffers[i]))
            .map(|&other| (addresses[other], addresses[other] + buffers[other].words))
            .collect();
        taken.sort_unstable();
        let mut at = base;
        for (start, end) in taken {
            if start >= at + buffers[i].words {
                break;
            }
            at = at.max(end);
        }
        addresses[i] = at;
        placed.push(i);
    }
    addresses
}

/// The end of the last buffer.
pub(crate) fn end(base: u64, buffers: &[Buffer], addresses: &[u64]) -> u64 {
    buffers
        .iter()
        .zip(addresses)
        .map(|(buffer, address)| address + buffer.words)
        .fold(base, u64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn living_buffers_never_overlap(
            sizes in prop::collection::vec((0_u64..50, 0_usize..20, 0_usize..20), 0..30),
            base in 0_u64..100,
        ) {
            let buffers: Vec<Buffer> = sizes
                .iter()
                .map(|&(words, from, life)| Buffer { words, from, to: from + life })
                .collect();
            let addresses = allocate(base, &buffers);
            let end = end(base, &buffers, &addresses);
            for (i, a) in buffers.iter().enumerate() {
                prop_assert!(addresses[i] >= base && addresses[i] + a.words <= end);
                for (j, b) in buffers.iter().enumerate().take(i) {
                    let apart = addresses[i] + a.words <= addresses[j]
                        || addresses[j] + b.words <= addresses[i];
                    prop_assert!(apart || !a.meets(b));
                }
            }
            let together: u64 = buffers.iter().map(|b| b.words).sum();
            prop_assert!(end <= base + together);
        }
    }

    #[test]
    fn buffers_of_different_times_share() {
        let buffer = |from, to| Buffer { words: 5, from, to };
        assert_eq!(
            allocate(3, &[buffer(0, 1), buffer(2, 3), buffer(1, 2)]),
            [3, 3, 8]
        );
    }
}
