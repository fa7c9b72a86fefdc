//! Float graphs, node by node.

use std::collections::HashMap;
use std::rc::Rc;

use crate::float_model::Activation;
use crate::onnx::proto::DataType;
use crate::spec::InputSpec;
use cfm_core::model::Shape;

use super::affine::{Affine, per_channel};
use super::backbone::{Backbone, Map};
use super::constant::Constant;
use super::error::{ImportError, Result};
use super::graph::{Graph, Input, Node};
use super::head::{Layers, Vector};
use super::pathways::{self, Part};
use super::window::{Rounding, window};

/// Finest level of a pyramid, as the format has it.
const MAX_LEVEL: u8 = cfm_core::model::format::MAX_LEVEL;

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
                [_, Some(length)] => Value::Vector(Vector {
                    parts: vec![Part::Pyramid {
                        region,
                        length: vector_len(length),
                    }],
                    exclusive: false,
                    pending: None,
                }),
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
            backbone,
            head: pathways::Layers(Vec::new()),
            feature: None,
        })
    }

    /// Reads every node.
    pub fn walk(&mut self) -> Result<Output> {
        for node in &self.graph.nodes {
            let value = self.node(node)?;
            let size = value.size();
            self.backbone
                .count(size)
                .map_err(|reason| node.refuse(reason))?;
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

    /// The value behind input `index`, constants of the file included.
    fn value(&self, node: &Node<'a>, index: usize) -> Result<Value> {
        let name = node
            .input(index)
            .ok_or_else(|| node.refuse(format!("input {index} is missing")))?;
        let once = self.graph.uses(name) == 1;
        match self.values.get(name) {
            Some(Value::Map(map)) => Ok(Value::Map(Map {
                exclusive: map.exclusive && once,
                ..map.clone()
            })),
            Some(Value::Vector(vector)) => Ok(Value::Vector(Vector {
                exclusive: vector.exclusive && once,
                ..vector.clone()
            })),
            Some(value) => Ok(value.clone()),
            None => match self.graph.constant(name) {
                Some(constant) => Ok(Value::Constant(Rc::new(
                    constant.map_err(|reason| node.refuse(reason))?,
                ))),
                None => Err(node.refuse(format!("input {name} is no tensor that is read"))),
            },
        }
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
            "Reshape" => {
                self.check_reshape(node)?;
                self.flatten(node)
            }
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

    fn conv(&mut self, node: &Node<'a>) -> Result<Value> {
        node.only(&[
            "kernel_shape",
            "strides",
            "dilations",
            "pads",
            "auto_pad",
            "group",
        ])?;
        let map = self.map(node, 0)?;
        let weights = self.constant(node, 1)?;
        let [outputs, _, height, width] = *weights.dims else {
            return Err(node.refuse(format!(
                "the weights have shape {:?}, not that of a two-dimensional convolution",
                weights.dims
            )));
        };
        let input = self.backbone.shape(&map);
        let window = window(node, Some([height, width]), input, Rounding::Floor)?;
        let groups = node.int("group", 1)?;
        let groups = u16::try_from(groups)
            .ok()
            .filter(|&groups| groups > 0)
            .ok_or_else(|| node.refuse(format!("attribute group = {groups}")))?;
        if weights.dims[1] != usize::from(input.channels / groups) {
            return Err(node.refuse(format!(
                "the weights read {} channels per group, but there are {} in {groups} groups",
                weights.dims[1], input.channels
            )));
        }
        let bias = match self.optional(node, 2)? {
            Some(bias) => bias.floats().map_err(|r| node.refuse(r))?.to_vec(),
            None => vec![0.0; outputs],
        };
        if bias.len() != outputs {
            return Err(node.refuse(format!("{} biases for {outputs} outputs", bias.len())));
        }
        let weights = weights.floats().map_err(|reason| node.refuse(reason))?;
        self.backbone
            .convolution(map, window, groups, weights, bias)
            .map(Value::Map)
            .map_err(|reason| node.refuse(reason))
    }

    fn batch_norm(&mut self, node: &Node<'a>) -> Result<Value> {
        node.only(&["epsilon", "momentum", "training_mode", "spatial"])?;
        if node.int("training_mode", 0)? != 0 {
            return Err(node.refuse(
                "attribute training_mode = 1: statistics of the batch are no constants; export in eval mode",
            ));
        }
        let mut parameters = Vec::with_capacity(4);
        for index in 1..5 {
            parameters.push(self.constant(node, index)?);
        }
        let floats: Vec<&[f32]> = parameters
            .iter()
            .map(|constant| constant.floats().map_err(|reason| node.refuse(reason)))
            .collect::<Result<_>>()?;
        let [scale, bias, mean, variance] = *floats else {
            return Err(node.refuse("it does not have four parameters"));
        };
        if [bias, mean, variance]
            .iter()
            .any(|other| other.len() != scale.len())
        {
            return Err(node.refuse("its parameters differ in length"));
        }
        let epsilon = node.float("epsilon")?.unwrap_or(1e-5);
        let affine = Affine::batch_norm([scale, bias, mean, variance], epsilon);
        let value = self.value(node, 0)?;
        self.affine(node, value, affine)
    }

    /// An affine map of a value.
    fn affine(&mut self, node: &Node<'a>, value: Value, affine: Affine) -> Result<Value> {
        let channels = self.channels(&value);
        if channels != Some(affine.scale.len()) {
            return Err(node.refuse("its parameters are not one for each channel"));
        }
        match value {
            Value::Map(map) => Ok(Value::Map(self.backbone.affine(map, &affine))),
            Value::Vector(vector) => Ok(Value::Vector(self.head.affine(vector, &affine))),
            _ => Err(node.refuse("it follows directly after the pooling of the head")),
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

    fn activation(&mut self, node: &Node<'a>, activation: Activation) -> Result<Value> {
        let value = match self.value(node, 0)? {
            Value::Map(map) => self.backbone.activate(map, activation).map(Value::Map),
            value if activation == Activation::None => Ok(value),
            Value::Vector(vector) => self.head.activate(vector, activation).map(Value::Vector),
            _ => Err("it follows directly after the pooling of the head".to_owned()),
        };
        value.map_err(|reason| node.refuse(reason))
    }

    fn clip(&self, node: &Node<'a>) -> Result<Activation> {
        node.only(&["min", "max"])?;
        let bound = |name, index| match node.float(name)? {
            Some(bound) => Ok(Some(bound)),
            None => match self.optional(node, index)? {
                Some(bound) => bound.scalar().map(Some).map_err(|r| node.refuse(r)),
                None => Ok(None),
            },
        };
        let low = bound("min", 1)?.filter(|&low| low > f32::MIN);
        let high = bound("max", 2)?.filter(|&high| high < f32::MAX);
        match (low, high) {
            (None, None) => Ok(Activation::None),
            (Some(0.0), None) => Ok(Activation::Relu),
            (Some(0.0), Some(6.0)) => Ok(Activation::Relu6),
            (low, high) => {
                let name = |bound: Option<f32>| bound.map_or("none".to_owned(), |b| b.to_string());
                Err(node.refuse(format!(
                    "attributes min = {} and max = {}: the format has ReLU and ReLU6",
                    name(low),
                    name(high)
                )))
            }
        }
    }

    fn max_pool(&mut self, node: &Node<'a>) -> Result<Value> {
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
        let window = window(node, None, input, rounding(node)?)?;
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

    /// A pyramid level over the feature map.
    fn level(&mut self, node: &Node<'a>, map: Map, level: u8) -> Result<Value> {
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

    /// Refuses a second feature map, or one that is not the last tensor.
    fn check_feature(&mut self, tensor: usize) -> std::result::Result<(), String> {
        if *self.feature.get_or_insert(tensor) != tensor {
            return Err("the head pools more than one feature map".to_owned());
        }
        if tensor != self.backbone.layers.len() || tensor == 0 {
            return Err("the feature map is not what the last layer computes".to_owned());
        }
        Ok(())
    }

    fn reduce_max(&mut self, node: &Node<'a>) -> Result<Value> {
        node.only(&["axes", "keepdims", "noop_with_empty_axes"])?;
        let map = self.map(node, 0)?;
        let axes: Vec<i64> = match node.ints("axes")? {
            Some(axes) => axes.to_vec(),
            None => match self.optional(node, 1)? {
                Some(axes) => {
                    let axes = axes.integers().map_err(|reason| node.refuse(reason))?;
                    axes.iter().map(|&axis| axis.into()).collect()
                }
                None => Vec::new(),
            },
        };
        let mut spatial: Vec<i64> = axes.iter().map(|axis| axis.rem_euclid(4)).collect();
        spatial.sort_unstable();
        if spatial != [2, 3] {
            return Err(node.refuse(format!("axes {axes:?} are not rows and columns")));
        }
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

    fn average_pool(&mut self, node: &Node<'a>) -> Result<Value> {
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
        let rounding = rounding(node)?;
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

    /// A sum of tensors, or arithmetic with a constant.
    fn arithmetic(&mut self, node: &Node<'a>) -> Result<Value> {
        node.only(&[])?;
        let operator = &*node.0.op_type;
        let (value, constant, constant_first) = match (self.value(node, 0)?, self.value(node, 1)?) {
            (Value::Map(first), Value::Map(second)) if operator == "Add" => {
                // The same tensor twice is not read by this node alone.
                return self
                    .backbone
                    .add(first, second)
                    .map(Value::Map)
                    .map_err(|reason| node.refuse(reason));
            }
            (Value::Constant(constant), value @ (Value::Map(_) | Value::Vector(_))) => {
                (value, constant, true)
            }
            (value @ (Value::Map(_) | Value::Vector(_)), Value::Constant(constant)) => {
                (value, constant, false)
            }
            _ => {
                return Err(
                    node.refuse("it is neither a sum of two tensors nor one with a constant")
                );
            }
        };
        let rank = if matches!(value, Value::Map(_)) { 4 } else { 2 };
        let channels = self.channels(&value).unwrap_or(0);
        let constant = per_channel(&constant, channels, rank).map_err(|r| node.refuse(r))?;
        let mut affine = Affine::identity(channels);
        match (operator, constant_first) {
            ("Add", _) => affine.offset = constant,
            ("Sub", false) => affine.offset = constant.into_iter().map(|c| -c).collect(),
            ("Sub", true) => {
                affine.offset = constant;
                affine.scale = vec![-1.0; channels];
            }
            ("Mul", _) => affine.scale = constant,
            ("Div", false) => affine.scale = constant.into_iter().map(|c| 1.0 / c).collect(),
            _ => return Err(node.refuse("a constant divided by a tensor")),
        }
        self.affine(node, value, affine)
    }

    fn vector(&self, node: &Node<'a>) -> Result<Vector> {
        match self.value(node, 0)? {
            Value::Vector(vector) => Ok(vector),
            _ => Err(node.refuse("it does not read a vector")),
        }
    }

    fn gemm(&mut self, node: &Node<'a>) -> Result<Value> {
        node.only(&["alpha", "beta", "transA", "transB"])?;
        if node.int("transA", 0)? != 0 {
            return Err(node.refuse("attribute transA is not 0"));
        }
        let vector = self.vector(node)?;
        let mut weights = self.constant(node, 1)?;
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

    fn matmul(&mut self, node: &Node<'a>) -> Result<Value> {
        let vector = self.vector(node)?;
        let constant = self.constant(node, 1)?;
        let weights = matrix(node, &constant)?;
        let bias = vec![0.0; weights.dims[0]];
        let weights = weights.floats().map_err(|reason| node.refuse(reason))?;
        self.fully_connected(node, vector, weights.to_vec(), bias)
    }

    fn fully_connected(
        &mut self,
        node: &Node<'a>,
        vector: Vector,
        weights: Vec<f32>,
        bias: Vec<f32>,
    ) -> Result<Value> {
        self.backbone
            .count(weights.len())
            .map_err(|reason| node.refuse(reason))?;
        self.head
            .fully_connected(vector, weights, bias)
            .map(Value::Vector)
            .map_err(|reason| node.refuse(reason))
    }

    /// A vector of what has spatial axes.
    fn flatten(&mut self, node: &Node<'a>) -> Result<Value> {
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

    /// Refuses a reshape that does not flatten.
    fn check_reshape(&self, node: &Node<'a>) -> Result<()> {
        let shape = match (node.ints("shape")?, node.input(1)) {
            (Some(shape), None) => shape.to_vec(),
            _ => {
                let shape = self.constant(node, 1)?;
                let shape = shape.integers().map_err(|reason| node.refuse(reason))?;
                shape.iter().map(|&length| length.into()).collect()
            }
        };
        let length = match self.value(node, 0)? {
            Value::Map(map) => {
                let shape = self.backbone.shape(&map);
                Some(shape.len())
            }
            Value::Level(part) => Some(self.head.len(&Vector {
                parts: vec![part],
                exclusive: false,
                pending: None,
            })),
            Value::Vector(vector) => Some(self.head.len(&vector)),
            Value::Constant(_) => None,
        };
        let flattens = match *shape {
            [1 | 0 | -1, rest] => {
                rest == -1 && shape[0] != -1 || i64::try_from(length.unwrap_or(0)) == Ok(rest)
            }
            _ => false,
        };
        if flattens {
            Ok(())
        } else {
            Err(node.refuse(format!("shape {shape:?} does not flatten one image")))
        }
    }

    fn squeeze(&mut self, node: &Node<'a>) -> Result<Value> {
        match self.value(node, 0)? {
            Value::Level(Part::Level { level: 1, .. }) => self.flatten(node),
            _ => Err(node.refuse("it does not follow after pooling to one cell")),
        }
    }

    fn concat(&mut self, node: &Node<'a>) -> Result<Value> {
        let axis = node.int("axis", 1)?;
        let mut parts = Vec::new();
        let mut pending = Vec::new();
        for index in 0..node.0.input.len() {
            let Value::Vector(vector) = self.value(node, index)? else {
                return Err(node.refuse(
                    "feature maps are not concatenated in the format, only vectors of the head",
                ));
            };
            if !matches!(axis, 1 | -1) {
                return Err(node.refuse(format!("attribute axis = {axis} is not 1")));
            }
            let length = self.head.len(&vector);
            pending.push(vector.pending.unwrap_or_else(|| Affine::identity(length)));
            parts.extend(vector.parts);
        }
        let affine = Affine {
            scale: pending
                .iter()
                .flat_map(|affine| affine.scale.clone())
                .collect(),
            offset: pending
                .iter()
                .flat_map(|affine| affine.offset.clone())
                .collect(),
        };
        let pending = (affine != Affine::identity(affine.scale.len())).then_some(affine);
        Ok(Value::Vector(Vector {
            parts,
            exclusive: false,
            pending,
        }))
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
            && training
                .integers()
                .is_ok_and(|values| values.iter().any(|&value| value != 0))
        {
            return Err(node.refuse("input training_mode is set: export in eval mode"));
        }
        self.value(node, 0)
    }

    /// Softmax at the end: it orders classes as the logits do, and belongs to the labelling.
    fn softmax(&mut self, node: &Node<'a>) -> Result<Value> {
        if node.output()? != self.graph.output {
            return Err(node.refuse("it is not the last operator"));
        }
        Ok(Value::Vector(self.vector(node)?))
    }

    fn constant_node(&self, node: &Node<'a>) -> Result<Value> {
        if let Some(tensor) = node.tensor("value")? {
            return Constant::read(tensor)
                .map(|constant| Value::Constant(Rc::new(constant)))
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
        let elements = constant.dims.iter().product();
        self.backbone
            .count(elements)
            .map_err(|reason| node.refuse(reason))?;
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

/// Channels of an input: one more than any layer has is as good as any larger number.
fn channel_count(channels: i64) -> usize {
    usize::try_from(channels).unwrap_or(usize::MAX).min(1 << 16)
}

/// Length of an input vector: one more than any pyramid has is as good as any larger number.
fn vector_len(length: i64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX).min(1 << 30)
}

fn rounding(node: &Node<'_>) -> Result<Rounding> {
    Ok(if node.int("ceil_mode", 0)? == 0 {
        Rounding::Floor
    } else {
        Rounding::Ceil
    })
}

/// The size of the image that `input` takes; `size` (rows, columns) stands in for lengths that are not fixed, or replaces
/// them.
pub fn image_size(input: &Input<'_>, size: Option<(u16, u16)>) -> Result<InputSpec> {
    let refuse = |what: String| Err(ImportError::Model(format!("input {}: {what}", input.name)));
    let [_, channels, height, width] = *input.dims else {
        return refuse(format!(
            "its shape {:?} is not [1, channels, rows, columns]",
            input.dims
        ));
    };
    let narrow = |length: Option<i64>| length.and_then(|length| u16::try_from(length).ok());
    // Normalization is that of photographs; whoever takes pixels as they are may take any number of samples.
    let fits = |&channels: &u16| {
        matches!(channels, 1 | 3) || channels > 0 && input.elements == DataType::Uint8 as i32
    };
    let Some(channels) = narrow(channels).filter(fits) else {
        return refuse(format!("{channels:?} channels instead of 1 or 3"));
    };
    let (height, width) = match (size, narrow(height), narrow(width)) {
        (Some((height, width)), _, _) | (None, Some(height), Some(width)) => (height, width),
        _ => {
            return refuse(
                "the number of rows or columns is not fixed: say which one is meant".to_owned(),
            );
        }
    };
    Ok(InputSpec {
        height,
        width,
        channels,
    })
}
