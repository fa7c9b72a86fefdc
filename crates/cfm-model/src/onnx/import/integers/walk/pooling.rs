//! Pooling inside the backbone, pooling that a head does, and the vectors that come of it.

use cfm_core::model::Shape;
use cfm_core::model::format::MAX_LEVEL;

use super::super::super::error::Result;
use super::super::super::graph::Node;
use super::super::super::pathways::{Part, flattens, readable};
use super::super::super::window::{Pooling, check_reduces_cells, pooling, tiling};
use super::super::layers::{Kind, Place, Tensor};
use super::{Value, Walker, steps, unbounded};

impl<'a> Walker<'_, 'a> {
    pub(super) fn max_pool(&mut self, node: &Node<'a>) -> Result<Value> {
        let value = self.value(node, 0)?;
        let (Value::Integers(tensor) | Value::Real(tensor)) = &value else {
            return Err(node.refuse("it reads no quantized tensor"));
        };
        let shape = self.shape(node, tensor)?;
        let Pooling { window, .. } = pooling(node, shape)?;
        // Only a head reads it.
        let for_head = self.flattened.contains(node.output()?);
        let tensor = match tiling(window, shape).filter(|_| for_head) {
            Some(level) => self.level(node, tensor.clone(), level)?,
            None => self
                .layers
                .max_pool(tensor.clone(), window)
                .map_err(|reason| node.refuse(reason))?,
        };
        Ok(match value {
            Value::Real(_) => Value::Real(tensor),
            _ => Value::Integers(tensor),
        })
    }

    pub(super) fn average_pool(&mut self, node: &Node<'a>) -> Result<Value> {
        let value = self.value(node, 0)?;
        let (tensor, real) = match &value {
            Value::Real(tensor) => (tensor, true),
            Value::Shifted(shifted) if shifted.moved && shifted.factor.is_none() => {
                (&shifted.tensor, false)
            }
            _ => return Err(node.refuse("it reads no quantized tensor")),
        };
        let shape = self.shape(node, tensor)?;
        let Pooling {
            window,
            counts_padding,
        } = pooling(node, shape)?;
        if counts_padding {
            return Err(node.refuse("attribute count_include_pad = 1 with padding"));
        }
        let kind = Kind::Average {
            input: tensor.clone(),
            window,
        };
        Ok(if real {
            unbounded(kind, Vec::new(), Vec::new())
        } else {
            steps(kind, 0)
        })
    }

    fn level(&mut self, node: &Node<'a>, tensor: Tensor, level: u8) -> Result<Tensor> {
        let index = self
            .layers
            .map(&tensor)
            .map_err(|reason| node.refuse(reason))?;
        self.check_feature(index)
            .map_err(|reason| node.refuse(reason))?;
        Ok(Tensor {
            place: Place::Level(Part::Level {
                region: false,
                level,
                channels: self.layers.chain.shapes[index].channels.into(),
            }),
            exclusive: false,
            ..tensor
        })
    }

    pub(super) fn global_max(&mut self, node: &Node<'a>) -> Result<Value> {
        if node.0.op_type == "ReduceMax" {
            check_reduces_cells(node, self.optional(node, 1)?.as_deref())?;
        }
        match self.value(node, 0)? {
            Value::Integers(tensor) => self.level(node, tensor, 1).map(Value::Integers),
            Value::Real(tensor) => self.level(node, tensor, 1).map(Value::Real),
            _ => Err(node.refuse("it reads no quantized tensor")),
        }
    }

    pub(super) fn flatten(&mut self, node: &Node<'a>) -> Result<Value> {
        let value = self.value(node, 0)?;
        let (Value::Integers(tensor) | Value::Real(tensor)) = &value else {
            return Err(node.refuse("it reads no quantized tensor"));
        };
        let mut tensor = tensor.clone();
        if let Place::Map(index) = tensor.place {
            let Shape { height, width, .. } = self.layers.chain.shapes[index];
            let level = u8::try_from(height).ok().filter(|&n| n <= MAX_LEVEL);
            let (Some(level), true) = (level, height == width) else {
                return Err(node.refuse(format!(
                    "a map of {height}x{width} cells is no pyramid level"
                )));
            };
            tensor = self.level(node, tensor, level)?;
        }
        if let Place::Level(part) = tensor.place {
            let length = self.layers.head.part_len(part);
            let shape = match (&*node.0.op_type, self.optional(node, 1)?) {
                ("Reshape", Some(shape)) => shape
                    .integers()
                    .map_err(|reason| node.refuse(reason))?
                    .to_vec(),
                _ => vec![0, -1],
            };
            if !flattens(&shape, length) || node.int("axis", 1)? != 1 {
                return Err(node.refuse("it does not flatten one image"));
            }
            tensor.place = Place::Vector(vec![part]);
        }
        Ok(match value {
            Value::Real(_) => Value::Real(tensor),
            _ => Value::Integers(tensor),
        })
    }

    pub(super) fn concat(&mut self, node: &Node<'a>) -> Result<Value> {
        if !matches!(node.int("axis", 1)?, 1 | -1) {
            return Err(node.refuse("attribute axis is not 1"));
        }
        let mut joined: Option<(Tensor, bool)> = None;
        let mut length = 0;
        for index in 0..node.0.input.len() {
            let (tensor, real) = match self.value(node, index)? {
                Value::Integers(tensor) => (tensor, false),
                Value::Real(tensor) => (tensor, true),
                _ => return Err(node.refuse("it reads no quantized tensor")),
            };
            let Place::Vector(parts) = tensor.place else {
                return Err(node.refuse("only vectors of the head are concatenated in the format"));
            };
            length += self.layers.head.part_lens(&parts).iter().sum::<usize>();
            readable(length).map_err(|reason| node.refuse(reason))?;
            match &mut joined {
                None => {
                    let tensor = Tensor {
                        place: Place::Vector(parts),
                        exclusive: false,
                        ..tensor
                    };
                    joined = Some((tensor, real));
                }
                Some((first, first_real)) => {
                    if (first.scale, first.zero, *first_real) != (tensor.scale, tensor.zero, real) {
                        return Err(node.refuse("its inputs differ in scale or zero point"));
                    }
                    first.low = first.low.min(tensor.low);
                    if let Place::Vector(all) = &mut first.place {
                        all.extend(parts);
                    }
                }
            }
        }
        match joined {
            Some((tensor, true)) => Ok(Value::Real(tensor)),
            Some((tensor, false)) => Ok(Value::Integers(tensor)),
            None => Err(node.refuse("it has no inputs")),
        }
    }
}
