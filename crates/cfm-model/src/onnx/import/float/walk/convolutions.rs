//! Convolutions, and what becomes part of them: normalization, arithmetic with constants, activations.

use crate::float_model::Activation;

use super::super::super::error::Result;
use super::super::super::graph::Node;
use super::super::super::window::{Rounding, window};
use super::super::affine::{Affine, per_channel};
use super::{Value, Walker};

impl<'a> Walker<'_, 'a> {
    pub(super) fn conv(&mut self, node: &Node<'a>) -> Result<Value> {
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

    pub(super) fn batch_norm(&mut self, node: &Node<'a>) -> Result<Value> {
        node.only(&["epsilon", "momentum", "training_mode", "spatial"])?;
        if node.int("training_mode", 0)? != 0 {
            return Err(node.refuse(
                "attribute training_mode = 1: statistics of the batch are no constants; export in eval mode",
            ));
        }
        // How it is said before operator set 14: running mean and variance are outputs, too.
        if node.0.output.iter().skip(1).any(|name| !name.is_empty()) {
            return Err(node.refuse(
                "it has more than one output, as in training: statistics of the batch are no constants; export in eval mode",
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
        self.count(node, 4 * scale.len())?;
        let affine = Affine::batch_norm([scale, bias, mean, variance], epsilon);
        let value = self.value(node, 0)?;
        self.affine(node, value, affine)
    }

    /// An affine map of a value.
    pub(super) fn affine(
        &mut self,
        node: &Node<'a>,
        value: Value,
        affine: Affine,
    ) -> Result<Value> {
        let channels = self.channels(&value);
        if channels != Some(affine.scale.len()) {
            return Err(node.refuse("its parameters are not one for each channel"));
        }
        match value {
            Value::Map(map) => self.backbone.affine(map, &affine).map(Value::Map),
            Value::Vector(vector) => {
                let changes = &self.backbone.chain.changes;
                let vector = self.head.affine(vector, &affine, changes);
                vector.map(Value::Vector)
            }
            _ => Err("it follows directly after the pooling of the head".to_owned()),
        }
        .map_err(|reason| node.refuse(reason))
    }

    pub(super) fn activation(&mut self, node: &Node<'a>, activation: Activation) -> Result<Value> {
        let value = match self.value(node, 0)? {
            Value::Map(map) => self.backbone.activate(map, activation).map(Value::Map),
            value if activation == Activation::None => Ok(value),
            Value::Vector(vector) => self.head.activate(vector, activation).map(Value::Vector),
            _ => Err("it follows directly after the pooling of the head".to_owned()),
        };
        value.map_err(|reason| node.refuse(reason))
    }

    pub(super) fn clip(&self, node: &Node<'a>) -> Result<Activation> {
        node.only(&["min", "max"])?;
        let bound = |name, index| match node.float(name)? {
            Some(bound) => Ok(Some(bound)),
            None => match self.optional(node, index)? {
                Some(bound) => bound.scalar().map(Some).map_err(|r| node.refuse(r)),
                None => Ok(None),
            },
        };
        let (low, high) = (bound("min", 1)?, bound("max", 2)?);
        node.bounds([
            low.unwrap_or(f32::NEG_INFINITY),
            high.unwrap_or(f32::INFINITY),
        ])?;
        let low = low.filter(|&low| low > f32::MIN);
        let high = high.filter(|&high| high < f32::MAX);
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

    /// A sum of tensors, or arithmetic with a constant.
    pub(super) fn arithmetic(&mut self, node: &Node<'a>) -> Result<Value> {
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
        // Before one number becomes one for each channel.
        self.count(node, 4 * channels)?;
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
}
