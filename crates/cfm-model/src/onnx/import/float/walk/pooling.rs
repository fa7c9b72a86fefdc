//! Pooling inside the backbone, and pooling that a head does.

use super::super::super::error::Result;
use super::super::super::graph::Node;
use super::super::super::pathways::Part;
use super::super::super::window::{Pooling, check_reduces_cells, pooling, tiling};
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
        // Only a head reads it.
        if self.flattened.contains(node.output()?)
            && let Some(level) = tiling(window, input)
        {
            return self.level(node, map, level);
        }
        self.backbone
            .max_pool(map, window)
            .map(Value::Map)
            .map_err(|reason| node.refuse(reason))
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

    /// A pyramid level over the feature map, which is input 0.
    pub(super) fn level(&mut self, node: &Node<'a>, map: Map, level: u8) -> Result<Value> {
        let map = self
            .backbone
            .settle(map)
            .map_err(|reason| node.refuse(reason))?;
        // Another level reads the same tensor: what was due is done.
        if let Some(name) = node.input(0) {
            self.values.insert(name, Value::Map(map.clone()));
        }
        self.check_feature(map.tensor)
            .map_err(|reason| node.refuse(reason))?;
        Ok(Value::Level(Part::Level {
            region: false,
            level,
            channels: self.backbone.shape(&map).channels.into(),
        }))
    }
}
