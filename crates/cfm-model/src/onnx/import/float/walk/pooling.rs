//! Pooling inside the backbone, and pooling that a head does.

use cfm_core::model::Shape;
use cfm_core::model::format::MAX_LEVEL;

use crate::spec::Window;

use super::super::super::error::Result;
use super::super::super::graph::Node;
use super::super::super::pathways::Part;
use super::super::super::window::{Pooling, check_reduces_cells, pooling};
use super::super::backbone::Map;
use super::super::head::Vector;
use super::{Value, Walker};

impl<'a> Walker<'_, 'a> {
    pub(super) fn max_pool(&mut self, node: &Node<'a>) -> Result<Value> {
        let map = self.map(node, 0)?;
        let input = self.backbone.shape(&map);
        let Pooling { window, .. } = pooling(node, input)?;
        if node
            .0
            .output
            .get(1)
            .is_some_and(|name| self.graph.uses(name) > 0)
        {
            return Err(node.refuse("its second output, indices, is read"));
        }
        if let Some(level) = self.tiling(node, window, input)? {
            return self.level(node, map, level);
        }
        self.backbone
            .max_pool(map, window)
            .map(Value::Map)
            .map_err(|reason| node.refuse(reason))
    }

    /// The pyramid level that a pooling is: its windows tile the map, and only a head reads it.
    fn tiling(&self, node: &Node<'a>, window: Window, input: Shape) -> Result<Option<u8>> {
        let Window {
            kernel,
            stride,
            padding,
            ..
        } = window;
        let for_head = self.flattened.contains(node.output()?);
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
        let map = self.map(node, 0)?;
        let Pooling {
            window,
            counts_padding,
        } = pooling(node, self.backbone.shape(&map))?;
        let pooled = if counts_padding {
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
