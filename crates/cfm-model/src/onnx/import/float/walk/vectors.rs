//! What is flattened, and fully connected layers.

use std::rc::Rc;

use cfm_core::model::Shape;
use cfm_core::model::format::MAX_LEVEL;

use super::super::super::constant::Constant;
use super::super::super::error::Result;
use super::super::super::graph::Node;
use super::super::super::pathways::{Part, flattens, readable};
use super::super::affine::{Affine, per_channel};
use super::super::head::Vector;
use super::{Value, Walker};

impl<'a> Walker<'_, 'a> {
    fn vector(&self, node: &Node<'a>) -> Result<Vector> {
        match self.value(node, 0)? {
            Value::Vector(vector) => Ok(vector),
            _ => Err(node.refuse("it does not read a vector")),
        }
    }

    pub(super) fn gemm(&mut self, node: &Node<'a>) -> Result<Value> {
        node.only(&["alpha", "beta", "transA", "transB"])?;
        if node.int("transA", 0)? != 0 {
            return Err(node.refuse("attribute transA is not 0"));
        }
        let vector = self.vector(node)?;
        let mut weights = self.constant(node, 1)?;
        self.count(node, weights.len())?;
        if node.int("transB", 0)? == 0 {
            weights = Rc::new(matrix(node, &weights)?);
        } else if weights.dims.len() != 2 {
            return Err(node.refuse("the weights are no matrix"));
        }
        let outputs = weights.dims[0];
        let bias = match self.optional(node, 2)? {
            Some(bias) => per_channel(&bias, outputs, 2).map_err(|reason| node.refuse(reason))?,
            None => vec![0.0; outputs],
        };
        let alpha = node.float("alpha")?.unwrap_or(1.0);
        let beta = f64::from(node.float("beta")?.unwrap_or(1.0));
        let weights = weights.floats().map_err(|reason| node.refuse(reason))?;
        let weights = weights.iter().map(|weight| weight * alpha).collect();
        let bias = bias.into_iter().map(|bias| (bias * beta) as f32).collect();
        self.fully_connected(node, vector, weights, bias)
    }

    pub(super) fn matmul(&mut self, node: &Node<'a>) -> Result<Value> {
        let vector = self.vector(node)?;
        let constant = self.constant(node, 1)?;
        self.count(node, constant.len())?;
        let weights = matrix(node, &constant)?;
        let bias = vec![0.0; weights.dims[0]];
        let weights = weights.floats().map_err(|reason| node.refuse(reason))?;
        self.fully_connected(node, vector, weights.to_vec(), bias)
    }

    /// A layer of weights that are counted already.
    fn fully_connected(
        &mut self,
        node: &Node<'a>,
        vector: Vector,
        weights: Vec<f32>,
        bias: Vec<f32>,
    ) -> Result<Value> {
        self.head
            .fully_connected(vector, weights, bias)
            .map(Value::Vector)
            .map_err(|reason| node.refuse(reason))
    }

    /// A vector of what has spatial axes.
    pub(super) fn flatten(&mut self, node: &Node<'a>) -> Result<Value> {
        let part = match self.value(node, 0)? {
            Value::Vector(vector) => return Ok(Value::Vector(vector)),
            Value::Level(part) => part,
            Value::Map(map) => {
                let Shape { height, width, .. } = self.backbone.shape(&map);
                let level = u8::try_from(height).ok().filter(|&n| n <= MAX_LEVEL);
                match (level, self.level(node, map, level.unwrap_or(1))?) {
                    (Some(_), Value::Level(part)) if height == width => part,
                    _ => {
                        return Err(node.refuse(format!(
                            "a map of {height}x{width} cells is no pyramid level: pool it to n x n cells, n at most {MAX_LEVEL}"
                        )));
                    }
                }
            }
            Value::Constant(_) => return Err(node.refuse("it reads a constant")),
        };
        Ok(Value::Vector(Vector {
            parts: vec![part],
            exclusive: false,
            pending: None,
        }))
    }

    /// A reshape that flattens.
    pub(super) fn reshape(&mut self, node: &Node<'a>) -> Result<Value> {
        let shape = self.constant(node, 1)?;
        let shape = shape.integers().map_err(|reason| node.refuse(reason))?;
        let length = match self.value(node, 0)? {
            Value::Map(map) => self.backbone.shape(&map).len(),
            Value::Level(part) => self.head.part_len(part),
            Value::Vector(vector) => self.head.len(&vector),
            Value::Constant(_) => return Err(node.refuse("it reads a constant")),
        };
        if !flattens(shape, length) {
            return Err(node.refuse(format!("shape {shape:?} does not flatten one image")));
        }
        self.flatten(node)
    }

    pub(super) fn squeeze(&mut self, node: &Node<'a>) -> Result<Value> {
        match self.value(node, 0)? {
            Value::Level(Part::Level { level: 1, .. }) => self.flatten(node),
            _ => Err(node.refuse("it does not follow after pooling to one cell")),
        }
    }

    pub(super) fn concat(&mut self, node: &Node<'a>) -> Result<Value> {
        let axis = node.int("axis", 1)?;
        let mut vectors = Vec::new();
        let mut length = 0;
        for index in 0..node.0.input.len() {
            let Value::Vector(vector) = self.value(node, index)? else {
                return Err(node.refuse(
                    "feature maps are not concatenated in the format, only vectors of the head",
                ));
            };
            if !matches!(axis, 1 | -1) {
                return Err(node.refuse(format!("attribute axis = {axis} is not 1")));
            }
            length = readable(length + self.head.len(&vector)).map_err(|r| node.refuse(r))?;
            vectors.push(vector);
        }
        let mut pending = None;
        if vectors.iter().any(|vector| vector.pending.is_some()) {
            self.count(node, 4 * length)?;
            let mut all = Affine::identity(length);
            let mut start = 0;
            for vector in &vectors {
                let end = start + self.head.len(vector);
                if let Some(affine) = &vector.pending {
                    all.scale[start..end].copy_from_slice(&affine.scale);
                    all.offset[start..end].copy_from_slice(&affine.offset);
                }
                start = end;
            }
            pending = Some(all).filter(|affine| !affine.is_identity());
        }
        Ok(Value::Vector(Vector {
            parts: vectors.into_iter().flat_map(|v| v.parts).collect(),
            exclusive: false,
            pending,
        }))
    }

    /// Softmax at the end: it orders classes as the logits do, and belongs to the labelling.
    pub(super) fn softmax(&mut self, node: &Node<'a>) -> Result<Value> {
        if node.output()? != self.graph.output {
            return Err(node.refuse("it is not the last operator"));
        }
        Ok(Value::Vector(self.vector(node)?))
    }
}

/// `[in, out]` to `[out, in]`.
fn matrix(node: &Node<'_>, weights: &Constant) -> Result<Constant> {
    if weights.dims.len() != 2 {
        return Err(node.refuse(format!(
            "the weights have shape {:?}, no matrix",
            weights.dims
        )));
    }
    weights
        .transposed(&[1, 0])
        .map_err(|reason| node.refuse(reason))
}
