//! Random sliding windows, always with at least one output.

use cfm_core::model::Shape;

use super::source::Source;
use crate::spec::Window;

/// One axis of a window.
#[derive(Debug, Clone, Copy)]
struct Axis {
    kernel: u8,
    stride: u8,
    dilation: u8,
    leading: u8,
    trailing: u8,
}

impl Axis {
    fn extent(&self) -> u16 {
        u16::from(self.dilation) * u16::from(self.kernel - 1) + 1
    }
}

fn window(rows: Axis, columns: Axis) -> Window {
    Window {
        kernel: [rows.kernel, columns.kernel],
        stride: [rows.stride, columns.stride],
        dilation: [rows.dilation, columns.dilation],
        padding: [
            rows.leading,
            columns.leading,
            rows.trailing,
            columns.trailing,
        ],
    }
}

fn kernel(source: &mut Source) -> u8 {
    source.weighted(&[(4, 1), (2, 2), (7, 3), (1, 4), (2, 5), (1, 7)])
}

fn dilation(source: &mut Source) -> u8 {
    source.weighted(&[(8, 1), (2, 2), (1, 3), (1, 5)])
}

fn stride(source: &mut Source, n: u16) -> u8 {
    if n < 8 && source.chance(2, 3) {
        // Little is left to stride over.
        return 1;
    }
    source.weighted(&[(10, 1), (8, 2), (3, 3), (1, 4), (1, 5), (1, 9)])
}

fn padding(source: &mut Source, extent: u16) -> u8 {
    let extent = u8::try_from(extent).unwrap_or(u8::MAX / 2);
    match source.range(0..=7) {
        0..=2 => 0,
        3..=6 => source.range(0..=extent / 2 + 1),
        // Whole windows in the padding.
        _ => source.range(0..=extent.saturating_add(2)),
    }
}

/// Splits `total` cells of padding between the two ends.
fn split(source: &mut Source, total: u16) -> (u8, u8) {
    let half = total / 2;
    let leading = if source.chance(1, 2) {
        half
    } else {
        source.range(0..=total)
    };
    let byte = |n: u16| u8::try_from(n).unwrap_or(u8::MAX);
    (byte(leading), byte(total - leading))
}

/// A window over an axis of `n` cells.
fn axis(source: &mut Source, n: u16) -> Axis {
    let mut axis = Axis {
        kernel: kernel(source),
        stride: stride(source, n),
        dilation: dilation(source),
        leading: 0,
        trailing: 0,
    };
    axis.leading = padding(source, axis.extent());
    axis.trailing = padding(source, axis.extent());
    fit(source, axis, n)
}

/// Widens the padding until the window fits.
fn fit(source: &mut Source, mut axis: Axis, n: u16) -> Axis {
    let padded = n + u16::from(axis.leading) + u16::from(axis.trailing);
    let missing = u8::try_from(axis.extent().saturating_sub(padded)).unwrap_or(u8::MAX);
    if source.chance(1, 2) {
        axis.leading += missing;
    } else {
        axis.trailing += missing;
    }
    axis
}

/// A convolution's window over `input`.
pub(super) fn convolution(source: &mut Source, input: Shape) -> Window {
    let rows = axis(source, input.height);
    let columns = if source.chance(1, 2) {
        fit(source, rows, input.width)
    } else {
        axis(source, input.width)
    };
    window(rows, columns)
}

/// A pooling window over `input`: every window has a cell of it.
pub(super) fn pooling(source: &mut Source, input: Shape) -> Window {
    let mut axis = |n: u16| {
        let mut axis = Axis {
            dilation: 1,
            ..axis(source, n)
        };
        axis.leading = axis.leading.min(axis.kernel - 1);
        axis = fit(source, axis, n);
        // The padding that was missing may have come first.
        let surplus = axis.leading.saturating_sub(axis.kernel - 1);
        axis.leading -= surplus;
        axis.trailing += surplus;
        let reaches_outside = |axis: &Axis| {
            let padded = n + u16::from(axis.leading) + u16::from(axis.trailing);
            let last = (padded - axis.extent()) / u16::from(axis.stride) * u16::from(axis.stride);
            last >= n + u16::from(axis.leading)
        };
        while reaches_outside(&axis) {
            axis.trailing -= 1;
        }
        axis
    };
    let (rows, columns) = (axis(input.height), axis(input.width));
    window(rows, columns)
}

/// A convolution's window that keeps height and width.
pub(super) fn keeping(source: &mut Source) -> Window {
    let mut axis = || {
        let mut axis = Axis {
            kernel: kernel(source),
            stride: 1,
            dilation: dilation(source),
            leading: 0,
            trailing: 0,
        };
        (axis.leading, axis.trailing) = split(source, axis.extent() - 1);
        axis
    };
    let (rows, columns) = (axis(), axis());
    window(rows, columns)
}

/// A pooling window that keeps height and width.
pub(super) fn pooling_keeping(source: &mut Source) -> Window {
    let mut axis = || {
        let kernel = kernel(source);
        let (leading, trailing) = split(source, u16::from(kernel) - 1);
        Axis {
            kernel,
            stride: 1,
            dilation: 1,
            leading,
            trailing,
        }
    };
    let (rows, columns) = (axis(), axis());
    window(rows, columns)
}

/// Another window with the strides and the output shape of `first`, whatever the input.
pub(super) fn twin(source: &mut Source, first: Window) -> Window {
    let mut axis = |a: usize| {
        let mut twin = Axis {
            kernel: kernel(source),
            stride: first.stride[a],
            dilation: dilation(source),
            leading: first.padding[a],
            trailing: first.padding[a + 2],
        };
        let padding = u16::from(twin.leading) + u16::from(twin.trailing) + twin.extent();
        match padding.checked_sub(first.extent(a)) {
            Some(total) => (twin.leading, twin.trailing) = split(source, total),
            None => {
                twin.kernel = first.kernel[a];
                twin.dilation = first.dilation[a];
            }
        }
        twin
    };
    let (rows, columns) = (axis(0), axis(1));
    window(rows, columns)
}
