//! Kernel, stride, dilation and padding of a node.

use crate::spec::Window;
use cfm_core::model::Shape;
use cfm_core::model::format::MAX_LEVEL;

use super::constant::Constant;
use super::error::Result;
use super::graph::Node;

/// How a pooling window at the far border is treated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Windows that stick out of the padded input are left out.
    Floor,
    /// They are kept, as long as they start inside.
    Ceil,
}

/// What a pooling node says.
pub struct Pooling {
    /// The window.
    pub window: Window,
    /// Whether a mean is over whole windows, zeros in the padding included.
    pub counts_padding: bool,
}

/// Reads a pooling node over `input`.
pub fn pooling(node: &Node<'_>, input: Shape) -> Result<Pooling> {
    node.only(&[
        "kernel_shape",
        "strides",
        "dilations",
        "pads",
        "auto_pad",
        "ceil_mode",
        "storage_order",
        "count_include_pad",
    ])?;
    let floor = window(node, None, input, Rounding::Floor)?;
    let counts_padding = node.int("count_include_pad", 0)? != 0 && floor.padding != [0; 4];
    let window = match (node.int("ceil_mode", 0)?, counts_padding) {
        (0, _) => floor,
        (_, false) => window(node, None, input, Rounding::Ceil)?,
        // The cells beyond the padding would not count.
        (_, true) => {
            return Err(node.refuse("attributes count_include_pad = 1 and ceil_mode = 1 together"));
        }
    };
    if window.dilation != [1, 1] {
        return Err(node.refuse("attribute dilations: the format has no dilated pooling"));
    }
    Ok(Pooling {
        window,
        counts_padding,
    })
}

/// The level of a pyramid that a pooling over `input` computes: n x n windows that tile it.
pub fn tiling(window: Window, input: Shape) -> Option<u8> {
    let bins = |axis: usize, length: u16| {
        let (kernel, stride) = (window.kernel[axis], window.stride[axis]);
        let k = u16::from(kernel);
        let tiles = k > 0 && length.is_multiple_of(k) && (stride == kernel || length == k);
        tiles.then(|| length / k)
    };
    let (rows, columns) = (bins(0, input.height)?, bins(1, input.width)?);
    let level = u8::try_from(rows).ok().filter(|&level| level <= MAX_LEVEL);
    level.filter(|_| rows == columns && window.padding == [0; 4])
}

/// Refuses a reduction that does not go over rows and columns; `axes` are those of its second input.
pub fn check_reduces_cells(node: &Node<'_>, axes: Option<&Constant>) -> Result<()> {
    let axes: Vec<i64> = match (node.ints("axes")?, axes) {
        (Some(axes), _) => axes.to_vec(),
        (None, Some(axes)) => {
            let axes = axes.integers().map_err(|reason| node.refuse(reason))?;
            axes.iter().map(|&axis| axis.into()).collect()
        }
        (None, None) => Vec::new(),
    };
    let mut cells: Vec<i64> = axes.iter().map(|axis| axis.rem_euclid(4)).collect();
    cells.sort_unstable();
    if cells == [2, 3] {
        Ok(())
    } else {
        Err(node.refuse(format!("axes {axes:?} are not rows and columns")))
    }
}

/// The window of a convolution or pooling node over `input`, with a kernel of `kernel` (what `kernel_shape` says if
/// `None`).
pub fn window(
    node: &Node<'_>,
    kernel: Option<[usize; 2]>,
    input: Shape,
    rounding: Rounding,
) -> Result<Window> {
    let kernel = match (kernel, node.ints("kernel_shape")?) {
        (Some(kernel), None) => kernel.map(|k| k as i64),
        (from_weights, Some(&[height, width])) => {
            if from_weights.is_some_and(|kernel| kernel.map(|k| k as i64) != [height, width]) {
                return Err(node.refuse("attribute kernel_shape does not fit the weights"));
            }
            [height, width]
        }
        _ => return Err(node.refuse("attribute kernel_shape does not have two lengths")),
    };
    let kernel = bytes(node, "kernel_shape", kernel)?;
    let pair = |name: &str| match node.ints(name)? {
        None => Ok([1, 1]),
        Some(&[vertical, horizontal]) => bytes(node, name, [vertical, horizontal]),
        Some(_) => Err(node.refuse(format!("attribute {name} does not have two lengths"))),
    };
    let mut window = Window {
        kernel,
        stride: pair("strides")?,
        dilation: pair("dilations")?,
        padding: [0; 4],
    };
    if [window.kernel, window.stride, window.dilation]
        .iter()
        .any(|pair| pair.contains(&0))
    {
        return Err(node.refuse("kernel, stride or dilation is zero"));
    }
    let sides = [input.height, input.width].map(i64::from);
    window.padding = match &*node.text("auto_pad", "NOTSET")? {
        "NOTSET" => match node.ints("pads")? {
            None => [0; 4],
            Some(&[top, left, bottom, right]) => {
                let [a, b] = bytes(node, "pads", [top, left])?;
                let [c, d] = bytes(node, "pads", [bottom, right])?;
                [a, b, c, d]
            }
            Some(_) => return Err(node.refuse("attribute pads does not have four lengths")),
        },
        "VALID" => [0; 4],
        mode @ ("SAME_UPPER" | "SAME_LOWER") => {
            let mut padding = [0; 4];
            for axis in 0..2 {
                let stride = i64::from(window.stride[axis]);
                let out = (sides[axis] + stride - 1) / stride;
                let total =
                    ((out - 1) * stride + i64::from(window.extent(axis)) - sides[axis]).max(0);
                let (less, more) = (total / 2, total - total / 2);
                let ends = if mode == "SAME_UPPER" {
                    [less, more]
                } else {
                    [more, less]
                };
                [padding[axis], padding[axis + 2]] = bytes(node, "auto_pad", ends)?;
            }
            padding
        }
        other => return Err(node.refuse(format!("attribute auto_pad = {other} is not known"))),
    };
    if rounding == Rounding::Ceil {
        for (axis, side) in sides.into_iter().enumerate() {
            let stride = i64::from(window.stride[axis]);
            let extent = i64::from(window.extent(axis));
            let [lead, trail] = [window.padding[axis], window.padding[axis + 2]].map(i64::from);
            let mut out = (side + lead + trail - extent + stride - 1).div_euclid(stride) + 1;
            if (out - 1) * stride >= side + lead {
                out -= 1;
            }
            let reached = (out - 1) * stride + extent - side - lead;
            [window.padding[axis + 2], _] = bytes(node, "ceil_mode", [reached.max(0), 0])?;
        }
    }
    Ok(window)
}

fn bytes(node: &Node<'_>, name: &str, values: [i64; 2]) -> Result<[u8; 2]> {
    let narrow = |value: i64| {
        u8::try_from(value).map_err(|_| {
            node.refuse(format!(
                "attribute {name}: {value} is not in 0 ..= 255, as the format asks"
            ))
        })
    };
    Ok([narrow(values[0])?, narrow(values[1])?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::proto::{AttributeProto, AttributeType, NodeProto};
    use proptest::prelude::*;

    fn node(attributes: &[(&str, &[i64])], text: Option<&str>) -> NodeProto {
        let list = attributes.iter().map(|(name, values)| {
            let mut attribute = AttributeProto {
                name: (*name).to_owned(),
                ints: values.to_vec(),
                r#type: AttributeType::Ints.into(),
                ..AttributeProto::default()
            };
            if *name == "ceil_mode" {
                attribute.i = values[0];
                attribute.set_type(AttributeType::Int);
            }
            attribute
        });
        let text = text.map(|text| AttributeProto {
            name: "auto_pad".to_owned(),
            s: text.as_bytes().to_vec(),
            r#type: AttributeType::String.into(),
            ..AttributeProto::default()
        });
        NodeProto {
            op_type: "MaxPool".to_owned(),
            attribute: list.chain(text).collect(),
            ..NodeProto::default()
        }
    }

    fn map(n: u16) -> Shape {
        Shape {
            height: n,
            width: n,
            channels: 1,
        }
    }

    proptest! {
        /// A window is kept if it starts before the end of the input and the one before it does not reach the end.
        #[test]
        fn ceil_mode_keeps_windows_that_start_inside(n in 1..30_u16, k in 1..6_i64, s in 1..5_i64, p in 0..3_i64) {
            let (length, k_half) = (i64::from(n), k / 2);
            let p = p.min(k_half);
            prop_assume!(length + 2 * p >= k);
            let proto = node(
                &[("kernel_shape", &[k, k]), ("strides", &[s, s]), ("pads", &[p; 4]), ("ceil_mode", &[1])],
                None,
            );
            let found = pooling(&Node(&proto), map(n)).unwrap().window;
            let kept = (0..)
                .take_while(|i| i * s < length + p && (*i == 0 || (i - 1) * s + k < length + 2 * p))
                .count();
            prop_assert_eq!(found.output_len(0, n).map(usize::from), Some(kept));
        }

        #[test]
        fn same_padding_gives_one_output_per_stride(n in 1..30_u16, k in 1..8_i64, s in 1..5_i64, upper: bool) {
            let text = if upper { "SAME_UPPER" } else { "SAME_LOWER" };
            let proto = node(&[("kernel_shape", &[k, k]), ("strides", &[s, s])], Some(text));
            let found = pooling(&Node(&proto), map(n)).unwrap().window;
            prop_assert_eq!(found.output_len(0, n), Some(n.div_ceil(s as u16)));
            let [top, _, bottom, _] = found.padding.map(i16::from);
            let more = if upper { bottom - top } else { top - bottom };
            prop_assert!((0..=1).contains(&more));
        }
    }
}
