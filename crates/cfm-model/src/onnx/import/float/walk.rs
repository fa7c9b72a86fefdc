//! Float graphs, node by node.

mod convolutions;
mod pooling;
mod vectors;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use cfm_core::model::format::MAX_LEVEL;

use crate::float_model::Activation;
use crate::onnx::proto::DataType;
use crate::spec::InputSpec;

use super::super::constant::Constant;
use super::super::error::{ImportError, Reason, Result};
use super::super::graph::{Graph, Node};
use super::super::pathways::{self, Part, check_feature, readable};
use super::affine::Affine;
use super::backbone::{Backbone, Map};
use super::head::{Layers, Vector};

/// What a value of the graph is.
#[derive(Debug, Clone)]
enum Value {
    /// Known beforehand.
    Constant(Rc<Constant>),
    /// A tensor of the backbone.
    Map(Map),
    /// A pyramid level, still with spatial axes.
    Level(Part),
    /// A vector of the head.
    Vector(Vector),
}

impl Value {
    /// Roughly how many numbers it holds by itself.
    fn size(&self) -> usize {
        let pending = |affine: &Option<Affine>| affine.as_ref().map_or(0, |a| 4 * a.scale.len());
        match self {
            Self::Constant(_) => 1,
            Self::Map(map) => 8 + pending(&map.pending),
            Self::Level(_) => 8,
            Self::Vector(vector) => 8 * vector.parts.len() + pending(&vector.pending),
        }
    }
}

/// Reads one graph, or a backbone and then a head.
pub struct Walker<'g, 'a> {
    graph: &'g Graph<'a>,
    values: HashMap<&'a str, Value>,
    /// Values that are flattened and nothing else.
    flattened: HashSet<&'a str>,
    /// The backbone so far.
    pub backbone: Backbone,
    /// The head's layers so far.
    pub head: Layers,
    /// The tensor that is pooled.
    feature: Option<usize>,
}

/// What a graph computes.
pub enum Output {
    /// A feature map: the backbone's last tensor.
    Map,
    /// The logits.
    Vector(Vector),
}

impl<'g, 'a> Walker<'g, 'a> {
    /// A graph whose only input is the image.
    pub fn of_image(
        graph: &'g Graph<'a>,
        input: InputSpec,
        pixels: Affine,
        exact_border: bool,
    ) -> Result<Self> {
        let image = &graph.inputs[0];
        let image_value = Value::Map(Map {
            tensor: 0,
            exclusive: false,
            pending: Some(pixels),
        });
        Ok(Self {
            graph,
            values: HashMap::from([(image.name, image_value)]),
            flattened: graph.flattened(&PASSED),
            backbone: Backbone::new(input, exact_border),
            head: pathways::Layers(Vec::new()),
            feature: None,
        })
    }

    /// A graph that reads pooled vectors of a feature map.
    pub fn of_pyramid(graph: &'g Graph<'a>, backbone: Backbone) -> Result<Self> {
        let mut values = HashMap::new();
        for input in &graph.inputs {
            let region = input.name.starts_with("region");
            let refuse = |what: &str| {
                Err(ImportError::Head(format!(
                    "input {} is {what}; a head reads [N, length] or, for each pyramid level n, [N, channels, n, n]",
                    input.name
                )))
            };
            if input.elements != DataType::Float as i32 {
                return refuse("not of 32-bit floats");
            }
            let value = match *input.dims {
                [_, Some(length)] => {
                    let length = usize::try_from(length).unwrap_or(usize::MAX);
                    match readable(length) {
                        Ok(length) => Value::Vector(Vector {
                            parts: vec![Part::Pyramid { region, length }],
                            exclusive: false,
                            pending: None,
                        }),
                        Err(reason) => return refuse(&reason),
                    }
                }
                [_, Some(channels), Some(rows), Some(columns)] if rows == columns => {
                    match u8::try_from(rows) {
                        Ok(level) if level <= MAX_LEVEL => Value::Level(Part::Level {
                            region,
                            level,
                            channels: channel_count(channels),
                        }),
                        _ => return refuse("finer than 32x32"),
                    }
                }
                ref dims => return refuse(&format!("of shape {dims:?}")),
            };
            values.insert(input.name, value);
        }
        Ok(Self {
            graph,
            values,
            flattened: graph.flattened(&PASSED),
            backbone,
            head: pathways::Layers(Vec::new()),
            feature: None,
        })
    }

    /// Reads every node.
    pub fn walk(&mut self) -> Result<Output> {
        for node in &self.graph.nodes {
            let value = self.node(node)?;
            self.count(node, value.size())?;
            self.values.insert(node.output()?, value);
        }
        let output = self.graph.output;
        match self.values.remove(output) {
            Some(Value::Map(map)) => {
                let map = self.backbone.settle(map).map_err(ImportError::Model)?;
                self.check_feature(map.tensor).map_err(ImportError::Model)?;
                Ok(Output::Map)
            }
            Some(Value::Vector(vector)) => Ok(Output::Vector(vector)),
            _ => Err(ImportError::Model(format!(
                "the output {output} is neither a feature map nor a vector"
            ))),
        }
    }

    /// Counts numbers that `node` is about to store or copy.
    fn count(&self, node: &Node<'a>, numbers: usize) -> Result<()> {
        let chain = &self.backbone.chain;
        chain.count(numbers).map_err(|reason| node.refuse(reason))
    }

    /// The value behind input `index`, constants of the file included.
    fn value(&self, node: &Node<'a>, index: usize) -> Result<Value> {
        let name = node
            .input(index)
            .ok_or_else(|| node.refuse(format!("input {index} is missing")))?;
        let Some(value) = self.values.get(name) else {
            return self.graph.constant_input(node, name).map(Value::Constant);
        };
        // Every reader gets a copy, so it counts as often as it is read.
        self.count(node, value.size())?;
        let mut value = value.clone();
        if let Value::Map(Map { exclusive, .. }) | Value::Vector(Vector { exclusive, .. }) =
            &mut value
        {
            *exclusive &= self.graph.uses(name) == 1;
        }
        Ok(value)
    }

    /// Input `index`, which must be a constant.
    fn constant(&self, node: &Node<'a>, index: usize) -> Result<Rc<Constant>> {
        match self.value(node, index)? {
            Value::Constant(constant) => Ok(constant),
            _ => Err(node.refuse(format!("input {index} is computed, not a constant"))),
        }
    }

    fn optional(&self, node: &Node<'a>, index: usize) -> Result<Option<Rc<Constant>>> {
        match node.input(index) {
            Some(_) => self.constant(node, index).map(Some),
            None => Ok(None),
        }
    }

    /// Input `index`, which must be a tensor of the backbone.
    fn map(&self, node: &Node<'a>, index: usize) -> Result<Map> {
        match self.value(node, index)? {
            Value::Map(map) => Ok(map),
            Value::Level(_) | Value::Vector(_) => {
                Err(node
                    .refuse("it belongs to a backbone, but follows after the pooling of the head"))
            }
            Value::Constant(_) => Err(node.refuse(format!("input {index} is a constant"))),
        }
    }

    fn node(&mut self, node: &Node<'a>) -> Result<Value> {
        match &*node.operator() {
            "Conv" => self.conv(node),
            "BatchNormalization" => self.batch_norm(node),
            "Relu" => {
                node.only(&[])?;
                self.activation(node, Activation::Relu)
            }
            "Clip" => {
                let activation = self.clip(node)?;
                self.activation(node, activation)
            }
            "MaxPool" => self.max_pool(node),
            "AveragePool" => self.average_pool(node),
            "GlobalMaxPool" => {
                let map = self.map(node, 0)?;
                self.level(node, map, 1)
            }
            "ReduceMax" => self.reduce_max(node),
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node),
            "Gemm" => self.gemm(node),
            "MatMul" => self.matmul(node),
            "Flatten" => {
                if !matches!(node.int("axis", 1)?, 1 | -3) {
                    return Err(node.refuse("attribute axis is not 1"));
                }
                self.flatten(node)
            }
            "Reshape" => self.reshape(node),
            "Squeeze" => self.squeeze(node),
            "Concat" => self.concat(node),
            "Identity" | "Dropout" => self.pass(node),
            "Softmax" | "LogSoftmax" => self.softmax(node),
            "Constant" => self.constant_node(node),
            "Transpose" => self.transpose(node),
            "Cast" | "CastLike" => Err(node.refuse("only float networks with 32-bit floats are read")),
            "GlobalAveragePool" | "ReduceMean" => Err(node.refuse(
                "a head pools by the maximum, not by the mean: train with AdaptiveMaxPool2d, or give the head in a file of its own",
            )),
            "QuantizeLinear" | "DequantizeLinear" | "QLinearConv" => {
                Err(node.refuse("quantized and float layers are mixed"))
            }
            _ => Err(node.refuse("this operator is not read")),
        }
    }

    /// Channels of a feature map, elements of a vector.
    fn channels(&self, value: &Value) -> Option<usize> {
        match value {
            Value::Map(map) => Some(self.backbone.shape(map).channels.into()),
            Value::Vector(vector) => Some(self.head.len(vector)),
            _ => None,
        }
    }

    /// Refuses a second feature map, or one that is not the last tensor.
    fn check_feature(&mut self, tensor: usize) -> std::result::Result<(), Reason> {
        check_feature(&mut self.feature, tensor, self.backbone.chain.layers.len())
    }

    /// An operator that does nothing when a network is used.
    fn pass(&mut self, node: &Node<'a>) -> Result<Value> {
        if node
            .0
            .output
            .get(1)
            .is_some_and(|name| self.graph.uses(name) > 0)
        {
            return Err(node.refuse("its second output, the mask, is read"));
        }
        if let Some(training) = self.optional(node, 2)?
            && training.integers().is_ok_and(|values| *values != [0])
        {
            return Err(node.refuse("input training_mode is set: export in eval mode"));
        }
        self.value(node, 0)
    }

    fn constant_node(&self, node: &Node<'a>) -> Result<Value> {
        if let Some(tensor) = node.tensor("value")? {
            let constant = self.graph.read(tensor);
            return constant
                .map(Value::Constant)
                .map_err(|reason| node.refuse(reason));
        }
        if let Some(value) = node.float("value_float")? {
            return Ok(Value::Constant(Rc::new(Constant::scalar_of(value))));
        }
        match node.ints("value_ints")? {
            Some(values) => Constant::of_integers(values)
                .map(|constant| Value::Constant(Rc::new(constant)))
                .map_err(|reason| node.refuse(reason)),
            None => {
                Err(node.refuse("only the attributes value, value_float and value_ints are read"))
            }
        }
    }

    fn transpose(&mut self, node: &Node<'a>) -> Result<Value> {
        let constant = self.constant(node, 0)?;
        self.count(node, constant.len())?;
        let order: Vec<usize> = match node.ints("perm")? {
            Some(order) => order
                .iter()
                .map(|&axis| usize::try_from(axis).unwrap_or(usize::MAX))
                .collect(),
            None => (0..constant.dims.len()).rev().collect(),
        };
        constant
            .transposed(&order)
            .map(|constant| Value::Constant(Rc::new(constant)))
            .map_err(|reason| node.refuse(reason))
    }
}

/// Operators that do nothing when a network is used.
const PASSED: [&str; 2] = ["Identity", "Dropout"];

/// Channels of an input: one more than any layer has is as good as any larger number.
fn channel_count(channels: i64) -> usize {
    usize::try_from(channels).unwrap_or(usize::MAX).min(1 << 16)
}
