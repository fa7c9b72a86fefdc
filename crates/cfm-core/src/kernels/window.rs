//! How a convolution walks its window: as long contiguous stretches where possible, or side by side.

use super::{Rows, origin};
use crate::model::Window;

/// Neighbouring inputs of a window, in the order of a filter's weights.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stretch<'a> {
    /// Inside the image.
    Values(&'a [i8]),
    /// So many inputs in the padding.
    Padding(usize),
}

/// Calls `visit` with all inputs, of all channels, of the window at output `(y, x)`.
pub(super) fn for_each_stretch<'a>(
    input: &Rows<'a>,
    window: &Window,
    y: u16,
    x: usize,
    mut visit: impl FnMut(Stretch<'a>),
) {
    let channels = usize::from(input.shape().channels);
    let width = i32::from(input.shape().width);
    let top = origin(usize::from(y), window.stride[0], window.padding[0]);
    let left = origin(x, window.stride[1], window.padding[1]);
    let kernel = i32::from(window.kernel[1]);
    for ky in 0..i32::from(window.kernel[0]) {
        let Some(row) = input.get(top + ky * i32::from(window.dilation[0])) else {
            visit(Stretch::Padding(kernel as usize * channels));
            continue;
        };
        if window.dilation[1] == 1 {
            // Neighbouring cells are neighbouring bytes.
            let first = left.clamp(0, width);
            let end = (left + kernel).clamp(first, width);
            let (first, end) = (first as usize * channels, end as usize * channels);
            let inside = row.get(first..end).unwrap_or(&[]);
            let before = ((-left).clamp(0, kernel) as usize) * channels;
            if before > 0 {
                visit(Stretch::Padding(before));
            }
            if !inside.is_empty() {
                visit(Stretch::Values(inside));
            }
            let after = (kernel as usize * channels).saturating_sub(before + inside.len());
            if after > 0 {
                visit(Stretch::Padding(after));
            }
        } else {
            for kx in 0..kernel {
                visit(
                    match cell(row, left + kx * i32::from(window.dilation[1]), channels) {
                        Some(values) => Stretch::Values(values),
                        None => Stretch::Padding(channels),
                    },
                );
            }
        }
    }
}

/// All inputs of the window at output `(y, x)` side by side: in `place`, which has room for them, unless they lie so
/// already.
#[inline(always)]
pub(super) fn column<'a>(
    input: &Rows<'a>,
    window: &Window,
    y: u16,
    x: usize,
    place: &'a mut [i8],
    copy: impl Fn(&mut [i8], &[i8]),
) -> &'a [i8] {
    let filter_len = place.len();
    let mut only = None;
    let mut rest = &mut *place;
    for_each_stretch(input, window, y, x, |stretch| {
        let len = match stretch {
            Stretch::Values(values) => values.len(),
            Stretch::Padding(len) => len,
        };
        if let Stretch::Values(values) = stretch
            && len == filter_len
        {
            only = Some(values);
            return;
        }
        let Some((place, later)) = core::mem::take(&mut rest).split_at_mut_checked(len) else {
            return;
        };
        match stretch {
            Stretch::Values(values) => copy(place, values),
            Stretch::Padding(_) => place.fill(input.zero_point()),
        }
        rest = later;
    });
    only.unwrap_or(place)
}

/// Cell `x` of a row, `None` outside the image.
pub(super) fn cell(row: &[i8], x: i32, channels: usize) -> Option<&[i8]> {
    let start = usize::try_from(x).ok()?.checked_mul(channels)?;
    row.get(start..start + channels)
}
