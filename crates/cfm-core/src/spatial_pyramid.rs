//! Spatial pyramid pooling: windows of any size become vectors of one length.
//!
//! He et al., ECCV 2014; patent WO2016/197303. Level n divides a window of w cells into n bins,
//! `[floor(i w / n), ceil((i + 1) w / n))`; bins overlap when w < n and none is empty.

use core::ops::Range;

use crate::feature_map::FeatureMap;
use crate::kernels::{Cells, Kernels, Mask};
use crate::mask::CellWindow;

/// The cells of bin `(i, j)` (row, column) of level `n` over `window`; none for an `i` or `j` that is not below `n`.
#[must_use]
pub fn bin(window: &CellWindow, n: u8, i: u8, j: u8) -> CellWindow {
    let (top, bottom) = span(window.height(), n, i);
    let (left, right) = span(window.width(), n, j);
    CellWindow {
        top: window.top.saturating_add(top),
        left: window.left.saturating_add(left),
        bottom: window.top.saturating_add(bottom),
        right: window.left.saturating_add(right),
    }
}

/// The bins of level `n` over `window`, row-major.
pub(crate) fn bins(window: CellWindow, n: u8) -> impl Iterator<Item = CellWindow> {
    let (rows, columns) = (spans(window.height(), n), spans(window.width(), n));
    rows.flat_map(move |(top, bottom)| {
        columns.clone().map(move |(left, right)| CellWindow {
            top: window.top.saturating_add(top),
            left: window.left.saturating_add(left),
            bottom: window.top.saturating_add(bottom),
            right: window.left.saturating_add(right),
        })
    })
}

/// `[floor(i w / n), ceil((i + 1) w / n))` for every `i` below `n`, by one division in all.
fn spans(w: u16, n: u8) -> impl Iterator<Item = (u16, u16)> + Clone {
    let divisor = u16::from(n.max(1));
    let (whole, part) = (w / divisor, w % divisor);
    // `i w / n`: the quotient, and what remains.
    let mut next = (0, 0);
    (0..n).map(move |_| {
        let (start, rest) = next;
        next = (start + whole, rest + part);
        if next.1 >= divisor {
            next = (next.0 + 1, next.1 - divisor);
        }
        (start, next.0 + u16::from(next.1 > 0))
    })
}

fn span(w: u16, n: u8, i: u8) -> (u16, u16) {
    spans(w, n).nth(i.into()).unwrap_or((w, w))
}

/// Pools every level of a pyramid over `window` into `out`: level, bin row, bin column, channel.
pub(crate) fn pool_levels<K: Kernels>(
    kernels: &K,
    features: &FeatureMap<'_>,
    window: CellWindow,
    levels: &[u8],
    mask: Option<Mask<'_>>,
    out: &mut [i8],
) {
    let channels = usize::from(features.tensor().shape.channels).max(1);
    // Finest first, since levels may be made of finer ones.
    let mut above = None;
    while let Some(level) = next_finest(levels, above) {
        above = Some(level);
        let place = |level| place(levels, level, channels);
        // A bin of level m is the union of k x k bins of level k m, whatever the window. With fewer cells than those bins
        // it is less work to read the cells.
        let nested = levels
            .iter()
            .copied()
            .filter(|&finer| finer > level && finer.is_multiple_of(level))
            .min()
            .filter(|&finer| window.len() > square(finer));
        if let Some(finer) = nested {
            if let Ok([from, to]) = out.get_disjoint_mut([place(finer), place(level)]) {
                merge(kernels, from, finer, to, level, channels);
            }
        } else if let Some(vector) = out.get_mut(place(level)) {
            for (bin, out) in bins(window, level).zip(vector.chunks_exact_mut(channels)) {
                pool(kernels, features, bin, mask, out);
            }
        }
    }
}

/// The finest level, or the finest of those coarser than `above`.
fn next_finest(levels: &[u8], above: Option<u8>) -> Option<u8> {
    let coarser = |&level: &u8| above.is_none_or(|above| level < above);
    levels.iter().copied().filter(coarser).max()
}

/// Where the bins of `level` are in the vector of all levels.
pub(crate) fn place(levels: &[u8], level: u8, channels: usize) -> Range<usize> {
    let before: usize = levels
        .iter()
        .take_while(|&&other| other != level)
        .map(|&other| square(other))
        .sum();
    before * channels..(before + square(level)) * channels
}

fn square(level: u8) -> usize {
    usize::from(level) * usize::from(level)
}

/// Makes the bins of `level` of those of `finer`, a multiple of it.
fn merge<K: Kernels>(
    kernels: &K,
    from: &[i8],
    finer: u8,
    to: &mut [i8],
    level: u8,
    channels: usize,
) {
    let all = CellWindow {
        top: 0,
        left: 0,
        bottom: finer.into(),
        right: finer.into(),
    };
    for (bin, out) in bins(all, level).zip(to.chunks_exact_mut(channels)) {
        out.fill(i8::MIN);
        let nested = Cells::new(from, finer.into(), channels, &bin, None);
        kernels.maximum_of(out, &nested);
    }
}

/// Maximum over the cells of `bin` of `mask(cell) ? q : zero_point`, per channel, into `out`.
fn pool<K: Kernels>(
    kernels: &K,
    features: &FeatureMap<'_>,
    bin: CellWindow,
    mask: Option<Mask<'_>>,
    out: &mut [i8],
) {
    let tensor = features.tensor();
    let (width, channels) = (tensor.shape.width.into(), tensor.shape.channels.into());
    let cells = Cells::new(features.data(), width, channels, &bin, mask);
    out.fill(if cells.is_whole() {
        i8::MIN
    } else {
        tensor.zero_point
    });
    kernels.maximum_of(out, &cells);
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::kernels::Portable;
    use crate::model::format::{MAX_LEVEL, MAX_SIDE};
    use crate::model::{Shape, Tensor};
    use proptest::prelude::*;
    use proptest::sample::subsequence;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    /// A feature map, a window in it, a mask over the window, and levels in any order.
    #[derive(Debug)]
    struct Case {
        values: Vec<i8>,
        tensor: Tensor,
        window: CellWindow,
        bits: Vec<i8>,
        levels: Vec<u8>,
    }

    /// Two numbers of `0 ..= end`, the smaller one first and not the same.
    fn range(end: u16) -> impl Strategy<Value = (u16, u16)> {
        (0..end).prop_flat_map(move |start| (Just(start), start + 1..=end))
    }

    fn case() -> impl Strategy<Value = Case> {
        let shape = (1_u16..14, 1_u16..14, 1_u16..4).prop_map(|(height, width, channels)| Shape {
            height,
            width,
            channels,
        });
        let place =
            shape.prop_flat_map(|shape| (Just(shape), range(shape.height), range(shape.width)));
        place.prop_flat_map(|(shape, (top, bottom), (left, right))| {
            let window = CellWindow {
                top,
                left,
                bottom,
                right,
            };
            let one = (0..window.len())
                .prop_map(move |set| (0..window.len()).map(|at| i8::from(at == set)).collect());
            let several = prop::collection::vec(0_i8..=1, window.len());
            let levels = subsequence((1..=8).collect::<Vec<u8>>(), 1..=4).prop_shuffle();
            (
                prop::collection::vec(any::<i8>(), shape.len()),
                any::<i8>(),
                prop_oneof![several, one],
                levels,
            )
                .prop_map(move |(values, zero_point, bits, levels)| Case {
                    values,
                    tensor: Tensor {
                        shape,
                        zero_point,
                        exponent: 0,
                        rows: shape.height,
                    },
                    window,
                    bits,
                    levels,
                })
        })
    }

    /// Every bin by itself, value by value.
    fn plain(case: &Case, masked: bool) -> Vec<i8> {
        let (window, shape) = (case.window, case.tensor.shape);
        let mut out = Vec::new();
        for &n in &case.levels {
            for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let cells = bin(&window, n, i, j);
                for channel in 0..usize::from(shape.channels) {
                    let values = (cells.top..cells.bottom).flat_map(|row| {
                        (cells.left..cells.right).map(move |column| {
                            let at =
                                usize::from(row) * usize::from(shape.width) + usize::from(column);
                            if masked && case.bits[window.index(row, column)] == 0 {
                                case.tensor.zero_point
                            } else {
                                case.values[at * usize::from(shape.channels) + channel]
                            }
                        })
                    });
                    out.push(values.max().unwrap());
                }
            }
        }
        out
    }

    proptest! {
        #[test]
        fn every_bin_of_every_level_is_the_maximum_over_its_cells(case in case()) {
            let features = FeatureMap::new(&case.values, case.tensor).unwrap();
            for masked in [false, true] {
                let expected = plain(&case, masked);
                let mask = masked.then_some(Mask {
                    bits: &case.bits,
                    window: case.window,
                });
                let mut out = std::vec![42; expected.len()];
                pool_levels(&Portable, &features, case.window, &case.levels, mask, &mut out);
                prop_assert_eq!(out, expected);
            }
        }
    }

    #[test]
    fn bins_cover_the_window_and_are_never_empty() {
        let widths = (1..40).step_by(if cfg!(miri) { 13 } else { 1 });
        for (w, n) in widths.flat_map(|w| (1..=MAX_LEVEL).map(move |n| (w, n))) {
            let mut covered = BTreeSet::new();
            for i in 0..n {
                let (start, end) = span(w, n, i);
                // A cell c is in bin i exactly if the real intervals [c, c+1) and [i w/n, (i+1) w/n) overlap.
                let cells: BTreeSet<u16> = (0..w)
                    .filter(|&c| {
                        let (c, w, n, i) = (u32::from(c), u32::from(w), u32::from(n), u32::from(i));
                        c * n < (i + 1) * w && (c + 1) * n > i * w
                    })
                    .collect();
                assert_eq!(cells, (start..end).collect(), "w {w} n {n} i {i}");
                assert!(!cells.is_empty());
                covered.extend(cells);
            }
            assert_eq!(covered.len(), usize::from(w));
            assert_eq!(span(w, n, n), (w, w), "no bin beyond the last");
        }
    }

    #[test]
    fn bins_of_every_window_are_those_of_the_formula() {
        let widths = (1..=MAX_SIDE).step_by(if cfg!(miri) { 4001 } else { 1 });
        for w in widths.chain([u16::MAX - 1, u16::MAX]) {
            for n in 1..=MAX_LEVEL {
                let (w, n) = (u32::from(w), u32::from(n));
                let formula = (0..n).map(|i| (i * w / n, ((i + 1) * w).div_ceil(n)));
                let spans = spans(w as u16, n as u8).map(|(start, end)| (start.into(), end.into()));
                assert!(spans.eq(formula), "w {w} n {n}");
            }
        }
    }
}
