//! Spatial pyramid pooling: windows of any size become vectors of one length.
//!
//! He et al., ECCV 2014; patent WO2016/197303. Level n divides a window of w cells into n bins,
//! `[floor(i w / n), ceil((i + 1) w / n))`; bins overlap when w < n and none is empty.

use crate::feature_map::FeatureMap;
use crate::kernels::Kernels;
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
    (0..n).flat_map(move |i| (0..n).map(move |j| bin(&window, n, i, j)))
}

fn span(w: u16, n: u8, i: u8) -> (u16, u16) {
    let (w, n, i) = (u32::from(w), u32::from(n.max(1)), u32::from(i));
    let start = (i * w / n).min(w);
    let end = ((i + 1) * w).div_ceil(n).min(w);
    // Both are at most w, which came from 16 bits.
    (start as u16, end as u16)
}

/// Maximum over the cells of `bin` of `mask(cell) ? q : zero_point`, per channel, into `out`.
pub(crate) fn pool<K: Kernels>(
    kernels: &K,
    features: &FeatureMap<'_>,
    bin: CellWindow,
    mask: impl Fn(u16, u16) -> bool,
    out: &mut [i8],
) {
    out.fill(i8::MIN);
    let mut masked_out = false;
    for (row, column) in bin.cells() {
        if mask(row, column) {
            kernels.maximum(out, features.cell(row, column));
        } else {
            masked_out = true;
        }
    }
    if masked_out {
        let zero_point = features.tensor().zero_point;
        for value in out {
            *value = (*value).max(zero_point);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn bins_cover_the_window_and_are_never_empty() {
        for w in 1..40 {
            for n in 1..=12 {
                let mut covered = BTreeSet::new();
                for i in 0..n {
                    let (start, end) = span(w, n, i);
                    // A cell c is in bin i exactly if the real intervals [c, c+1) and [i w/n, (i+1) w/n) overlap.
                    let cells: BTreeSet<u16> = (0..w)
                        .filter(|&c| {
                            let (c, w, n, i) =
                                (u32::from(c), u32::from(w), u32::from(n), u32::from(i));
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
    }
}
