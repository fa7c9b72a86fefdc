//! Sorting without a panicking path: `core`'s sorts panic on orders that contradict themselves.

/// Sorts by `less`, which says whether the first item belongs before the second; equal items may change places. In
/// place, `n log n` steps (a heap sort). For an order that contradicts itself, the result is some permutation.
pub fn sort_by<T: Copy>(items: &mut [T], less: impl Fn(&T, &T) -> bool) {
    for root in (0..items.len() / 2).rev() {
        sift(items, root, &less);
    }
    let mut rest = items;
    while let Some(last) = rest.len().checked_sub(1) {
        // The largest one goes to the end.
        swap(rest, 0, last);
        rest = rest.get_mut(..last).unwrap_or_default();
        sift(rest, 0, &less);
    }
}

/// Lets the item at `parent` sink until neither child belongs after it.
fn sift<T: Copy>(heap: &mut [T], mut parent: usize, less: &impl Fn(&T, &T) -> bool) {
    loop {
        let before = |a: usize, b: usize| match (heap.get(a), heap.get(b)) {
            (Some(a), Some(b)) => less(a, b),
            _ => false,
        };
        let (left, right) = (2 * parent + 1, 2 * parent + 2);
        let child = if before(left, right) { right } else { left };
        if !before(parent, child) {
            return;
        }
        swap(heap, parent, child);
        parent = child;
    }
}

fn swap<T: Copy>(items: &mut [T], a: usize, b: usize) {
    if let (Some(&at_a), Some(&at_b)) = (items.get(a), items.get(b)) {
        for (index, item) in [(a, at_b), (b, at_a)] {
            if let Some(slot) = items.get_mut(index) {
                *slot = item;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::sort_by;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn it_sorts(mut items: Vec<u16>) {
            let mut expected = items.clone();
            expected.sort_unstable();
            sort_by(&mut items, |a, b| a < b);
            prop_assert_eq!(items, expected);
        }

        #[test]
        fn nonsense_gives_a_permutation(mut items: Vec<u8>) {
            let mut expected = items.clone();
            sort_by(&mut items, |_, _| true);
            items.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(items, expected);
        }
    }
}
