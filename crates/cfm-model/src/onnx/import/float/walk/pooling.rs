//! Pooling inside the backbone, and pooling that a head does.

use cfm_core::model::Shape;
use cfm_core::model::format::MAX_LEVEL;

use super::super::super::error::Result;
use super::super::super::graph::Node;
use super::super::super::pathways::Part;
use super::super::super::window::{Rounding, check_reduces_cells, window};
use super::super::backbone::Map;
use super::super::head::Vector;
use super::{Value, Walker};

impl<'a> Walker<'_, 'a> {
    pub(super) fn max_pool(&mut self, node: &Node<'a>) -> Result<Value> {
        node.only(&[
            "kernel_shape",
            "strides",
            "dilations",
            "pads",
            "auto_pad",
            "ceil_mode",
            "storage_order",
        ])?;
        let map = self.map(node, 0)?;
        let input = self.backbone.shape(&map);
        let window = window(node, None, input, Rounding::of(node)?)?;
        if window.dilation != [1, 1] {
            return Err(node.refuse("attribute dilations: the format has no dilated pooling"));
        }
        if node
            .0
            .output
            .get(1)
            .is_some_and(|name| self.graph.uses(name) > 0)
        {
            return Err(node.refuse("its second output, indices, is read"));
        }
        if let Some(level) =
            self.tiling(node, window.kernel, window.stride, window.padding, input)?
        {
            return self.level(node, map, level);
        }
        self.backbone
            .max_pool(map, window)
            .map(Value::Map)
            .map_err(|reason| node.refuse(reason))
    }

    /// The pyramid level that a pooling is: its windows tile the map, and only a head reads it.
    fn tiling(
        &self,
        node: &Node<'a>,
        kernel: [u8; 2],
        stride: [u8; 2],
        padding: [u8; 4],
        input: Shape,
    ) -> Result<Option<u8>> {
        let mut readers = self.graph.readers(node.output()?).peekable();
        let for_head = readers.peek().is_some()
            && readers
                .all(|reader| matches!(&*reader.0.op_type, "Flatten" | "Reshape" | "Squeeze"));
        let bins = |axis: usize, length: u16| {
            let k = u16::from(kernel[axis]);
            let tiles = length.is_multiple_of(k) && (stride[axis] == kernel[axis] || length == k);
            (tiles && k > 0).then(|| length / k)
        };
        let (rows, columns) = (bins(0, input.height), bins(1, input.width));
        Ok(match (rows, columns) {
            (Some(rows), Some(columns)) if for_head && padding == [0; 4] && rows == columns => {
                u8::try_from(rows).ok().filter(|&level| level <= MAX_LEVEL)
            }
            _ => None,
        })
    }

    pub(super) fn reduce_max(&mut self, node: &Node<'a>) -> Result<Value> {
        node.only(&["axes", "keepdims", "noop_with_empty_axes"])?;
        let map = self.map(node, 0)?;
        check_reduces_cells(node, self.optional(node, 1)?.as_deref())?;
        let level = self.level(node, map, 1)?;
        match (node.int("keepdims", 1)?, level) {
            (0, Value::Level(part)) => Ok(Value::Vector(Vector {
                parts: vec![part],
                exclusive: false,
                pending: None,
            })),
            (_, level) => Ok(level),
        }
    }

    pub(super) fn average_pool(&mut self, node: &Node<'a>) -> Result<Value> {
        node.only(&[
            "kernel_shape",
            "strides",
            "dilations",
            "pads",
            "auto_pad",
            "ceil_mode",
            "count_include_pad",
        ])?;
        let map = self.map(node, 0)?;
        let input = self.backbone.shape(&map);
        let rounding = Rounding::of(node)?;
        let window = window(node, None, input, rounding)?;
        if window.dilation != [1, 1] {
            return Err(node.refuse("attribute dilations: the format has no dilated pooling"));
        }
        let counted = node.int("count_include_pad", 0)? != 0 && window.padding != [0; 4];
        if counted && rounding == Rounding::Ceil {
            return Err(node.refuse("attributes count_include_pad = 1 and ceil_mode = 1 together"));
        }
        let pooled = if counted {
            self.backbone.padded_avg_pool(map, window)
        } else {
            self.backbone.avg_pool(map, window)
        };
        pooled.map(Value::Map).map_err(|reason| node.refuse(reason))
    }

    /// A pyramid level over the feature map.
    pub(super) fn level(&mut self, node: &Node<'a>, map: Map, level: u8) -> Result<Value> {
        let map = self
            .backbone
            .settle(map)
            .map_err(|reason| node.refuse(reason))?;
        self.check_feature(map.tensor)
            .map_err(|reason| node.refuse(reason))?;
        Ok(Value::Level(Part::Level {
            region: false,
            level,
            channels: self.backbone.shape(&map).channels.into(),
        }))
    }
}
