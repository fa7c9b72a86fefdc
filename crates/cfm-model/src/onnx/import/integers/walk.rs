//! Quantized graphs, node by node: `QLinear...` operators, float operators between `DequantizeLinear` and
//! `QuantizeLinear`, and integer operators with an explicit re-quantization.

mod linear;
mod pooling;
mod requantize;
mod steps;
mod weights;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::onnx::proto::DataType;
use crate::spec::InputSpec;

use super::super::Pixels;
use super::super::constant::{Constant, Data};
use super::super::error::{ImportError, Reason, Result};
use super::super::graph::{Graph, Node};
use super::super::pathways::{Part, check_feature, readable};
use super::layers::{Kind, Layers, Place, Sum, Tensor};
use super::metadata::Quantization;
use steps::{Shifted, Steps};

/// What a value of the graph is.
#[derive(Debug, Clone)]
enum Value {
    /// Known beforehand.
    Constant(Rc<Constant>),
    /// Weights or biases as real numbers: integers with scales along an axis.
    Weights {
        integers: Rc<Constant>,
        zeros: Rc<Vec<i32>>,
        scales: Rc<Vec<f32>>,
        axis: usize,
    },
    /// The image as real numbers, before it is quantized.
    Image,
    /// An integer tensor.
    Integers(Tensor),
    /// An integer tensor as real numbers.
    Real(Tensor),
    /// A real sum, and the bounds of an activation.
    Sum(Box<Sum>, [f32; 2]),
    /// `q`, `q - zero` or `(q - zero) * factor`.
    Shifted(Shifted),
    /// A sum in steps of the accumulator, then of the output.
    Steps(Box<Steps>),
}

impl Value {
    /// Roughly how many numbers it holds by itself.
    fn size(&self) -> usize {
        match self {
            Self::Constant(_) | Self::Weights { .. } | Self::Image => 1,
            Self::Integers(tensor) | Self::Real(tensor) => tensor.size(),
            Self::Shifted(shifted) => shifted.tensor.size(),
            Self::Sum(sum, _) => sum.kind.size() + 4 * sum.bias.len(),
            Self::Steps(steps) => steps.sum.kind.size() + 4 * steps.sum.bias.len(),
        }
    }
}

/// Reads a graph, or a backbone and then a head.
pub struct Walker<'g, 'a> {
    graph: &'g Graph<'a>,
    values: HashMap<&'a str, Value>,
    /// Values that are flattened and nothing else, behind changes of type.
    flattened: HashSet<&'a str>,
    /// Scales by name, in a file of the project.
    scales: &'g HashMap<String, Quantization>,
    pixels: Pixels,
    /// The network so far.
    pub layers: Layers,
    feature: Option<usize>,
}

/// What a graph computes.
pub enum Computed {
    /// A feature map: the last tensor.
    Map(Tensor),
    /// The logits, as integers.
    Logits(usize),
    /// The logits, as real numbers that are not quantized.
    RealLogits(Box<Sum>),
}

impl<'g, 'a> Walker<'g, 'a> {
    /// A graph that reads the image.
    pub fn of_image(
        graph: &'g Graph<'a>,
        input: InputSpec,
        scales: &'g HashMap<String, Quantization>,
        pixels: Pixels,
    ) -> Result<Self> {
        let image = &graph.inputs[0];
        let value = match DataType::try_from(image.elements) {
            Ok(DataType::Float) => Value::Image,
            Ok(DataType::Uint8) => Value::Integers(Tensor {
                place: Place::Map(0),
                exclusive: false,
                scale: scales.get(image.name).map(real_scale),
                zero: scales.get(image.name).map(|known| known.zero_point.into()),
                low: i8::MIN.into(),
                unsigned: true,
            }),
            _ => {
                return Err(ImportError::Model(format!(
                    "input {} is neither of 32-bit floats nor of u8",
                    image.name
                )));
            }
        };
        Ok(Self {
            graph,
            values: HashMap::from([(image.name, value)]),
            flattened: graph.flattened(&SAME_VALUES),
            scales,
            pixels,
            layers: Layers::new(input),
            feature: None,
        })
    }

    /// A graph that reads pooled vectors of `features`.
    pub fn of_pyramid(
        graph: &'g Graph<'a>,
        scales: &'g HashMap<String, Quantization>,
        layers: Layers,
        features: &Tensor,
    ) -> Result<Self> {
        let mut values = HashMap::new();
        for input in &graph.inputs {
            let unsigned = input.elements == DataType::Uint8 as i32;
            let [_, Some(length)] = *input.dims else {
                return Err(ImportError::Head(format!(
                    "input {} of shape {:?} is not [N, length]",
                    input.name, input.dims
                )));
            };
            if !unsigned && input.elements != DataType::Int8 as i32 {
                return Err(ImportError::Head(format!(
                    "input {} is neither of u8 nor of i8",
                    input.name
                )));
            }
            let length = readable(usize::try_from(length).unwrap_or(usize::MAX))
                .map_err(|reason| ImportError::Head(format!("input {} is {reason}", input.name)))?;
            let tensor = Tensor {
                place: Place::Vector(vec![Part::Pyramid {
                    region: input.name.starts_with("region"),
                    length,
                }]),
                exclusive: false,
                unsigned,
                ..features.clone()
            };
            values.insert(input.name, Value::Integers(tensor));
        }
        Ok(Self {
            graph,
            values,
            flattened: graph.flattened(&SAME_VALUES),
            scales,
            pixels: Pixels::default(),
            layers,
            feature: None,
        })
    }

    /// Reads every node.
    pub fn walk(&mut self) -> Result<Computed> {
        for node in &self.graph.nodes {
            let value = self.node(node)?;
            self.count(node, value.size())?;
            self.values.insert(node.output()?, value);
        }
        let output = self.graph.output;
        let refused = || ImportError::Model(format!("the output {output} is no network's"));
        match self.values.remove(output) {
            Some(Value::Integers(tensor) | Value::Real(tensor)) => match &tensor.place {
                Place::Map(index) => {
                    self.check_feature(*index).map_err(ImportError::Model)?;
                    Ok(Computed::Map(tensor))
                }
                Place::Vector(parts) => match **parts {
                    [Part::Layer(layer)] => Ok(Computed::Logits(layer)),
                    _ => Err(refused()),
                },
                Place::Level(_) => Err(refused()),
            },
            Some(Value::Sum(sum, NO_BOUNDS)) if matches!(sum.kind, Kind::Fc { .. }) => {
                Ok(Computed::RealLogits(sum))
            }
            _ => Err(refused()),
        }
    }

    fn check_feature(&mut self, tensor: usize) -> std::result::Result<(), Reason> {
        check_feature(&mut self.feature, tensor, self.layers.chain.layers.len())
    }

    /// Counts numbers that `node` is about to store or copy.
    fn count(&self, node: &Node<'a>, numbers: usize) -> Result<()> {
        let chain = &self.layers.chain;
        chain.count(numbers).map_err(|reason| node.refuse(reason))
    }

    /// The value behind input `index`.
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
        if let Value::Integers(tensor) | Value::Real(tensor) = &mut value {
            tensor.exclusive &= self.graph.uses(name) == 1;
        }
        Ok(value)
    }

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

    /// Scale and zero point in inputs `index` and the one after it: a scale, the zero point as i8, whether it is u8.
    fn affine(&self, node: &Node<'a>, index: usize) -> Result<(f32, Option<(i32, bool)>)> {
        let scale = self.constant(node, index)?;
        let scale = scale
            .scalar()
            .map_err(|reason| node.refuse(format!("scale: {reason}")))?;
        let zero = match self.optional(node, index + 1)? {
            Some(zero) => Some(self.zero(node, &zero)?),
            None => None,
        };
        Ok((scale, zero))
    }

    fn zero(&self, node: &Node<'a>, zero: &Constant) -> Result<(i32, bool)> {
        match &zero.data {
            Data::Int(DataType::Uint8, values) if values.len() == 1 => Ok((values[0] - 128, true)),
            Data::Int(DataType::Int8, values) if values.len() == 1 => Ok((values[0], false)),
            _ => Err(node.refuse("the zero point is not one value of u8 or i8")),
        }
    }

    /// Integer tensor `index`, whose scale and zero point must be those that the node says.
    fn quantized(
        &self,
        node: &Node<'a>,
        index: usize,
        scale: f32,
        zero: Option<(i32, bool)>,
    ) -> Result<Tensor> {
        let Value::Integers(mut tensor) = self.value(node, index)? else {
            return Err(node.refuse(format!("input {index} is no integer tensor")));
        };
        let zero = match zero {
            Some((zero, unsigned)) if unsigned == tensor.unsigned => zero,
            Some(_) => return Err(node.refuse("a zero point is of another type than its tensor")),
            None if tensor.unsigned => -128,
            None => 0,
        };
        if *tensor.scale.get_or_insert(scale) != scale || *tensor.zero.get_or_insert(zero) != zero {
            return Err(node.refuse(format!(
                "it reads scale {scale} and zero point {zero}, but they are {:?} and {:?}",
                tensor.scale, tensor.zero
            )));
        }
        Ok(tensor)
    }

    fn node(&mut self, node: &Node<'a>) -> Result<Value> {
        match &*node.operator() {
            "QuantizeLinear" => self.quantize(node),
            "DequantizeLinear" => self.dequantize(node),
            "Conv" => self.conv(node),
            "QLinearConv" => self.qlinear_conv(node),
            "ConvInteger" => self.conv_integer(node),
            "MatMulInteger" => self.matmul_integer(node),
            "Gemm" => self.gemm(node),
            "MatMul" => self.matmul(node),
            "QLinearMatMul" => self.qlinear_matmul(node),
            "com.microsoft.QGemm" => self.qgemm(node),
            "com.microsoft.QLinearAdd" => self.qlinear_add(node),
            "Add" => self.add(node),
            "Sub" => self.sub(node),
            "Mul" => self.mul(node),
            "Round" => self.round(node),
            "Cast" => self.cast(node),
            "Clip" => self.clip(node),
            "Relu" => self.bounded(node, [0.0, f32::INFINITY]),
            "MaxPool" => self.max_pool(node),
            "AveragePool" => self.average_pool(node),
            "GlobalMaxPool" | "ReduceMax" => self.global_max(node),
            "Flatten" | "Reshape" | "Squeeze" => self.flatten(node),
            "Concat" => self.concat(node),
            "Identity" | "Dropout" => self.value(node, 0),
            "Constant" => match node.tensor("value")? {
                Some(tensor) => {
                    let constant = self.graph.read(tensor);
                    constant
                        .map(Value::Constant)
                        .map_err(|reason| node.refuse(reason))
                }
                None => Err(node.refuse("only the attribute value is read")),
            },
            _ => Err(node.refuse("this operator is not read in a quantized network")),
        }
    }
}

/// Operators behind which values are the same, whatever their type.
const SAME_VALUES: [&str; 4] = ["QuantizeLinear", "DequantizeLinear", "Identity", "Dropout"];

/// No activation.
const NO_BOUNDS: [f32; 2] = [f32::NEG_INFINITY, f32::INFINITY];

/// `2^exponent`.
fn real_scale(known: &Quantization) -> f32 {
    f32::from(known.exponent).exp2()
}

fn unbounded(kind: Kind, unit: Vec<f64>, bias: Vec<i64>) -> Value {
    let sum = Sum {
        kind,
        unit: Some(unit),
        bias,
    };
    Value::Sum(Box::new(sum), NO_BOUNDS)
}

fn steps(kind: Kind, outputs: usize) -> Value {
    Value::Steps(Box::new(Steps::new(kind, outputs, None)))
}
