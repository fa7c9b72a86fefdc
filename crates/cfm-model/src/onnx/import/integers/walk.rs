//! Quantized graphs, node by node: `QLinear...` operators, float operators between `DequantizeLinear` and
//! `QuantizeLinear`, and integer operators with an explicit re-quantization.

use std::collections::HashMap;
use std::rc::Rc;

use cfm_core::model::Shape;
use cfm_core::model::format::MAX_LEVEL;

use crate::onnx::proto::DataType;
use crate::spec::{InputSpec, Window};

use super::super::Pixels;
use super::super::constant::{Constant, Data};
use super::super::error::{ImportError, Reason, Result};
use super::super::graph::{Graph, Node};
use super::super::pathways::Part;
use super::super::window::{Rounding, window};
use super::layers::{Kind, Layers, Output, Place, Sum, Tensor};
use super::metadata::Quantization;

/// Numbers of the re-quantization chain that the project's own files spell out.
#[derive(Debug, Clone)]
struct Steps {
    sum: Sum,
    factor: Option<Vec<f64>>,
    rounded: bool,
    zero: f64,
    range: [f64; 2],
}

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
    /// `(q - zero) * factor`.
    Shifted(Tensor, f64),
    /// A sum in steps of the accumulator, then of the output.
    Steps(Box<Steps>),
}

impl Value {
    /// Roughly how many numbers it holds by itself.
    fn size(&self) -> usize {
        match self {
            Self::Constant(_) | Self::Weights { .. } | Self::Image => 1,
            Self::Integers(tensor) | Self::Real(tensor) | Self::Shifted(tensor, _) => {
                match &tensor.place {
                    Place::Vector(parts) => 8 * parts.len(),
                    Place::Map(_) | Place::Level(_) => 8,
                }
            }
            Self::Sum(sum, _) => 16 + 2 * sum.bias.len(),
            Self::Steps(steps) => 16 + 3 * steps.sum.bias.len(),
        }
    }
}

/// Reads a graph, or a backbone and then a head.
pub struct Walker<'g, 'a> {
    graph: &'g Graph<'a>,
    values: HashMap<&'a str, Value>,
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
            let tensor = Tensor {
                place: Place::Vector(vec![Part::Pyramid {
                    region: input.name.starts_with("region"),
                    // One more than any pyramid has is as good as any larger number.
                    length: usize::try_from(length).unwrap_or(usize::MAX).min(1 << 30),
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
            let size = value.size();
            self.layers
                .count(size)
                .map_err(|reason| node.refuse(reason))?;
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
            Some(Value::Sum(sum, [f32::NEG_INFINITY, f32::INFINITY]))
                if matches!(sum.kind, Kind::Fc { .. }) =>
            {
                Ok(Computed::RealLogits(sum))
            }
            _ => Err(refused()),
        }
    }

    fn check_feature(&mut self, tensor: usize) -> std::result::Result<(), Reason> {
        if *self.feature.get_or_insert(tensor) != tensor {
            return Err("the head pools more than one feature map".to_owned());
        }
        if tensor != self.layers.layers.len() || tensor == 0 {
            return Err("the feature map is not what the last layer computes".to_owned());
        }
        Ok(())
    }

    /// The value behind input `index`.
    fn value(&self, node: &Node<'a>, index: usize) -> Result<Value> {
        let name = node
            .input(index)
            .ok_or_else(|| node.refuse(format!("input {index} is missing")))?;
        let once = self.graph.uses(name) == 1;
        match self.values.get(name) {
            Some(value) => {
                let mut value = value.clone();
                if let Value::Integers(tensor) | Value::Real(tensor) = &mut value {
                    tensor.exclusive &= once;
                }
                Ok(value)
            }
            None => match self.graph.constant(name) {
                Some(constant) => {
                    let constant = constant.map_err(|reason| node.refuse(reason))?;
                    Ok(Value::Constant(Rc::new(constant)))
                }
                None => Err(node.refuse(format!("input {name} is no tensor that is read"))),
            },
        }
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
                Some(tensor) => Constant::read(tensor)
                    .map(|constant| Value::Constant(Rc::new(constant)))
                    .map_err(|reason| node.refuse(reason)),
                None => Err(node.refuse("only the attribute value is read")),
            },
            _ => Err(node.refuse("this operator is not read in a quantized network")),
        }
    }

    fn quantize(&mut self, node: &Node<'a>) -> Result<Value> {
        node.only(&[
            "axis",
            "saturate",
            "block_size",
            "output_dtype",
            "precision",
        ])?;
        if node.int("block_size", 0)? != 0 {
            return Err(node.refuse("attribute block_size: blocks have no scales in the format"));
        }
        let (scale, zero) = self.affine(node, 1)?;
        let (zero, unsigned) = zero.unwrap_or((-128, true));
        let tensor = match self.value(node, 0)? {
            Value::Image => self.image(node, scale, zero, unsigned)?,
            Value::Real(tensor) => {
                if (tensor.scale, tensor.zero) != (Some(scale), Some(zero)) {
                    return Err(node.refuse(format!(
                        "it changes the scale from {:?} to {scale} or the zero point from {:?} to {zero}; the format has no layer that only does that",
                        tensor.scale, tensor.zero
                    )));
                }
                Tensor { unsigned, ..tensor }
            }
            Value::Sum(sum, bounds) => {
                let output = Output {
                    scale,
                    zero,
                    unsigned,
                    range: bounds.map(|bound| quantized_bound(bound, scale, zero)),
                };
                self.finish(node, *sum, output)?
            }
            Value::Constant(_) => {
                return Err(node.refuse("it quantizes a constant; quantize the file's constants"));
            }
            _ => return Err(node.refuse("it reads no real numbers")),
        };
        Ok(Value::Integers(tensor))
    }

    fn finish(&mut self, node: &Node<'a>, sum: Sum, output: Output) -> Result<Tensor> {
        let joint = node.output()?.starts_with("joint");
        self.layers
            .finish(sum, output, joint)
            .map_err(|reason| node.refuse(reason))
    }

    /// The image in integers: every pixel value must become itself.
    fn image(&self, node: &Node<'a>, scale: f32, zero: i32, unsigned: bool) -> Result<Tensor> {
        let channels = usize::from(self.layers.shapes[0].channels);
        for channel in 0..channels {
            for pixel in 0..=255_i32 {
                let real = (f64::from(pixel) * self.pixels.white / 255.0
                    - self.pixels.mean[channel])
                    / self.pixels.std[channel];
                let steps = (real as f32 / scale).round_ties_even() as i32;
                let value = steps.saturating_add(zero).clamp(-128, 127) + 128;
                if value != pixel {
                    return Err(node.refuse(format!(
                        "with scale {scale} and zero point {zero}, {pixel} in channel {channel} becomes {value}: the image is read in its own 256 values (for a network of 0 ..= 1, scale 1/255 and zero point 0 of u8)"
                    )));
                }
            }
        }
        Ok(Tensor {
            place: Place::Map(0),
            exclusive: false,
            scale: Some(scale),
            zero: Some(zero),
            low: -128,
            unsigned,
        })
    }

    fn dequantize(&mut self, node: &Node<'a>) -> Result<Value> {
        node.only(&["axis", "block_size", "output_dtype"])?;
        if node.int("block_size", 0)? != 0 {
            return Err(node.refuse("attribute block_size: blocks have no scales in the format"));
        }
        let Value::Constant(integers) = self.value(node, 0)? else {
            let (scale, zero) = self.affine(node, 1)?;
            let tensor = self.quantized(node, 0, scale, zero)?;
            return Ok(Value::Real(tensor));
        };
        let scales = self.constant(node, 1)?;
        let scales = scales
            .floats()
            .map_err(|reason| node.refuse(reason))?
            .to_vec();
        let zeros = match self.optional(node, 2)? {
            Some(zeros) => zeros
                .integers()
                .map_err(|reason| node.refuse(reason))?
                .to_vec(),
            None => vec![0; scales.len()],
        };
        let rank = integers.dims.len() as i64;
        let axis = node.int("axis", 1)?;
        let axis = if axis < 0 { axis + rank } else { axis };
        let axis = usize::try_from(axis).unwrap_or(usize::MAX);
        let length = integers.dims.get(axis).copied().unwrap_or(0);
        if zeros.len() != scales.len() || scales.len() != 1 && scales.len() != length {
            return Err(node.refuse("scales or zero points are not one for each channel"));
        }
        Ok(Value::Weights {
            integers,
            zeros: Rc::new(zeros),
            scales: Rc::new(scales),
            axis,
        })
    }

    /// Weights in i8 without their zero points, and a scale for each of the outputs along `axis`.
    fn weights(
        &mut self,
        node: &Node<'a>,
        integers: &Constant,
        zeros: &[i32],
        scales: &[f32],
        axis: usize,
    ) -> Result<(Vec<i8>, Vec<f32>)> {
        let Data::Int(DataType::Int8 | DataType::Uint8, values) = &integers.data else {
            return Err(node.refuse("the weights are neither of i8 nor of u8"));
        };
        self.layers
            .count(values.len())
            .map_err(|reason| node.refuse(reason))?;
        let outputs = integers.dims.get(axis).copied().unwrap_or(0);
        let inner: usize = integers.dims[axis.saturating_add(1).min(integers.dims.len())..]
            .iter()
            .product();
        let of = |list: &[i32], channel: usize| {
            if list.len() == 1 {
                list[0]
            } else {
                list[channel]
            }
        };
        if zeros.len() != 1 && zeros.len() != outputs
            || scales.len() != 1 && scales.len() != outputs
        {
            return Err(
                node.refuse("scales or zero points of the weights are not one for each output")
            );
        }
        let narrow = |(at, &value): (usize, &i32)| {
            let channel = at / inner.max(1) % outputs.max(1);
            let weight = value.saturating_sub(of(zeros, channel));
            match i8::try_from(weight) {
                Ok(weight) if weight > i8::MIN => Ok(weight),
                _ => Err(node.refuse(format!(
                    "weight {weight} of output channel {channel} is not in -127 ..= 127"
                ))),
            }
        };
        let weights = values
            .iter()
            .enumerate()
            .map(narrow)
            .collect::<Result<_>>()?;
        let scales = (0..outputs).map(|o| {
            if scales.len() == 1 {
                scales[0]
            } else {
                scales[o]
            }
        });
        Ok((weights, scales.collect()))
    }

    fn real_weights(
        &mut self,
        node: &Node<'a>,
        index: usize,
        axis: usize,
    ) -> Result<(Vec<i8>, Vec<f32>, Vec<usize>)> {
        let Value::Weights {
            integers,
            zeros,
            scales,
            axis: given,
        } = self.value(node, index)?
        else {
            return Err(node.refuse("its weights are not quantized"));
        };
        if scales.len() > 1 && given != axis {
            return Err(node.refuse(format!(
                "the scales of its weights are along axis {given}, not {axis}"
            )));
        }
        let (weights, scales) = self.weights(node, &integers, &zeros, &scales, axis)?;
        Ok((weights, scales, integers.dims.clone()))
    }

    /// Biases at the scale of the accumulator.
    fn bias(&self, node: &Node<'a>, index: usize, unit: &[f64]) -> Result<Vec<i64>> {
        if node.input(index).is_none() {
            return Ok(vec![0; unit.len()]);
        }
        let Value::Weights {
            integers,
            zeros,
            scales,
            ..
        } = self.value(node, index)?
        else {
            return Err(node.refuse("its biases are not quantized"));
        };
        let values = integers.integers().map_err(|reason| node.refuse(reason))?;
        if values.len() != unit.len() || zeros.iter().any(|&zero| zero != 0) {
            return Err(node.refuse("its biases are not one for each output, with zero point 0"));
        }
        for (at, unit) in unit.iter().enumerate() {
            let scale = match &**scales {
                [one] => f64::from(*one),
                several => several.get(at).map_or(f64::NAN, |&scale| scale.into()),
            };
            // The product of two scales, rounded to f32 or a little worse.
            let is_product = (scale / unit - 1.0).abs() <= 1e-6;
            if !is_product {
                return Err(node.refuse(format!(
                    "the scale of bias {at} is {scale:e}, not that of input and weights, {unit:e}"
                )));
            }
        }
        Ok(values.iter().map(|&value| value.into()).collect())
    }

    fn window(&self, node: &Node<'a>, tensor: &Tensor, dims: &[usize]) -> Result<(Window, u16)> {
        let [_, inputs, height, width] = *dims else {
            return Err(node.refuse(format!(
                "the weights have shape {dims:?}, not that of a two-dimensional convolution"
            )));
        };
        let shape = self.shape(node, tensor)?;
        let window = window(node, Some([height, width]), shape, Rounding::Floor)?;
        let groups = node.int("group", 1)?;
        let groups = u16::try_from(groups).ok().filter(|&groups| groups > 0);
        let groups = groups.ok_or_else(|| node.refuse("attribute group is not positive"))?;
        if inputs != usize::from(shape.channels / groups) {
            return Err(node.refuse(format!(
                "the weights read {inputs} channels per group, but there are {} in {groups} groups",
                shape.channels
            )));
        }
        Ok((window, groups))
    }

    fn shape(&self, node: &Node<'a>, tensor: &Tensor) -> Result<Shape> {
        let index = self
            .layers
            .map(tensor)
            .map_err(|reason| node.refuse(reason))?;
        Ok(self.layers.shapes[index])
    }

    fn real(&self, node: &Node<'a>, index: usize) -> Result<Tensor> {
        match self.value(node, index)? {
            Value::Real(tensor) => Ok(tensor),
            Value::Image => Err(node.refuse("it reads the image before it is quantized")),
            _ => Err(node.refuse(format!("input {index} is no dequantized tensor"))),
        }
    }

    fn conv(&mut self, node: &Node<'a>) -> Result<Value> {
        let tensor = self.real(node, 0)?;
        let (weights, scales, dims) = self.real_weights(node, 1, 0)?;
        let unit = units(&tensor, &scales);
        let bias = self.bias(node, 2, &unit)?;
        let (window, groups) = self.window(node, &tensor, &dims)?;
        let kind = self
            .layers
            .convolution(tensor, window, groups, &weights, unit.len())
            .map_err(|reason| node.refuse(reason))?;
        Ok(unbounded(kind, unit, bias))
    }

    fn qlinear_conv(&mut self, node: &Node<'a>) -> Result<Value> {
        let (scale, zero) = self.affine(node, 1)?;
        let tensor = self.quantized(node, 0, scale, zero)?;
        let integers = self.constant(node, 3)?;
        let (scales, zeros) = self.scales(node, 4, 5)?;
        let (weights, scales) = self.weights(node, &integers, &zeros, &scales, 0)?;
        let (window, groups) = self.window(node, &tensor, &integers.dims)?;
        let unit = units(&tensor, &scales);
        let bias = self.integer_bias(node, 8, unit.len())?;
        let output = self.output(node, 6)?;
        let kind = self
            .layers
            .convolution(tensor, window, groups, &weights, unit.len())
            .map_err(|reason| node.refuse(reason))?;
        let sum = Sum {
            kind,
            unit: Some(unit),
            bias,
        };
        self.finish(node, sum, output).map(Value::Integers)
    }

    /// Scales and zero points of weights.
    fn scales(&self, node: &Node<'a>, scale: usize, zero: usize) -> Result<(Vec<f32>, Vec<i32>)> {
        let scales = self.constant(node, scale)?;
        let scales = scales
            .floats()
            .map_err(|reason| node.refuse(reason))?
            .to_vec();
        let zeros = self.operand_zeros(node, zero)?;
        Ok((scales, zeros))
    }

    fn integer_bias(&self, node: &Node<'a>, index: usize, outputs: usize) -> Result<Vec<i64>> {
        let Some(bias) = self.optional(node, index)? else {
            return Ok(vec![0; outputs]);
        };
        let Data::Int(DataType::Int32, values) = &bias.data else {
            return Err(node.refuse("its biases are not of i32"));
        };
        if values.len() != outputs {
            return Err(node.refuse(format!("{} biases for {outputs} outputs", values.len())));
        }
        Ok(values.iter().map(|&value| value.into()).collect())
    }

    /// The output's scale and zero point, in inputs `index` and the one after it.
    fn output(&self, node: &Node<'a>, index: usize) -> Result<Output> {
        let (scale, zero) = self.affine(node, index)?;
        let (zero, unsigned) = zero.unwrap_or((-128, true));
        Ok(Output {
            scale,
            zero,
            unsigned,
            range: [i8::MIN.into(), i8::MAX.into()],
        })
    }

    fn conv_integer(&mut self, node: &Node<'a>) -> Result<Value> {
        let tensor = self.integers(node)?;
        let integers = self.constant(node, 1)?;
        let zeros = self.operand_zeros(node, 3)?;
        let (weights, scales) = self.weights(node, &integers, &zeros, &[1.0], 0)?;
        let (window, groups) = self.window(node, &tensor, &integers.dims)?;
        let kind = self
            .layers
            .convolution(tensor, window, groups, &weights, scales.len())
            .map_err(|reason| node.refuse(reason))?;
        Ok(steps(kind, scales.len()))
    }

    fn operand_zeros(&self, node: &Node<'a>, index: usize) -> Result<Vec<i32>> {
        Ok(match self.optional(node, index)? {
            Some(zeros) => zeros
                .integers()
                .map_err(|reason| node.refuse(reason))?
                .to_vec(),
            None => vec![0],
        })
    }

    /// Input 0 of an integer operator, whose zero point is input 2.
    fn integers(&self, node: &Node<'a>) -> Result<Tensor> {
        let Value::Integers(mut tensor) = self.value(node, 0)? else {
            return Err(node.refuse("input 0 is no integer tensor"));
        };
        let zero = match self.optional(node, 2)? {
            Some(zero) => self.zero(node, &zero)?.0,
            None if tensor.unsigned => -128,
            None => 0,
        };
        if *tensor.zero.get_or_insert(zero) != zero {
            return Err(node.refuse(format!(
                "its zero point {zero} is not that of its input, {:?}",
                tensor.zero
            )));
        }
        Ok(tensor)
    }

    /// Transposes `[in, out]` weights.
    fn transposed(&mut self, node: &Node<'a>, integers: &Constant) -> Result<Constant> {
        if integers.dims.len() != 2 {
            return Err(node.refuse(format!(
                "the weights have shape {:?}, no matrix",
                integers.dims
            )));
        }
        let elements = integers.dims.iter().product();
        self.layers
            .count(elements)
            .map_err(|reason| node.refuse(reason))?;
        integers
            .transposed(&[1, 0])
            .map_err(|reason| node.refuse(reason))
    }

    fn matmul_integer(&mut self, node: &Node<'a>) -> Result<Value> {
        let tensor = self.integers(node)?;
        let integers = self.constant(node, 1)?;
        let integers = self.transposed(node, &integers)?;
        let zeros = self.operand_zeros(node, 3)?;
        let (weights, scales) = self.weights(node, &integers, &zeros, &[1.0], 0)?;
        let kind = self
            .layers
            .fully_connected(tensor, &weights, scales.len())
            .map_err(|reason| node.refuse(reason))?;
        Ok(steps(kind, scales.len()))
    }

    fn gemm(&mut self, node: &Node<'a>) -> Result<Value> {
        node.only(&["alpha", "beta", "transA", "transB"])?;
        let one = |value: Option<f32>| value.is_none_or(|value| value == 1.0);
        let unit = one(node.float("alpha")?) && one(node.float("beta")?);
        if node.int("transA", 0)? != 0 || !unit {
            return Err(node.refuse("attributes alpha, beta or transA are not 1, 1 and 0"));
        }
        let transposed = node.int("transB", 0)? != 0;
        self.real_fully_connected(node, transposed, 2)
    }

    fn matmul(&mut self, node: &Node<'a>) -> Result<Value> {
        // Its third input, a bias, there is not.
        self.real_fully_connected(node, false, 2)
    }

    fn real_fully_connected(
        &mut self,
        node: &Node<'a>,
        transposed: bool,
        bias: usize,
    ) -> Result<Value> {
        let tensor = self.real(node, 0)?;
        let (weights, scales, dims) = self.real_weights(node, 1, usize::from(!transposed))?;
        let [rows, columns] = *dims else {
            return Err(node.refuse(format!("the weights have shape {dims:?}, no matrix")));
        };
        let weights = if transposed {
            weights
        } else {
            let element = |o: usize| (0..rows).map(move |i| i * columns + o);
            (0..columns)
                .flat_map(element)
                .map(|at| weights[at])
                .collect()
        };
        let unit = units(&tensor, &scales);
        let bias = self.bias(node, bias, &unit)?;
        let kind = self
            .layers
            .fully_connected(tensor, &weights, unit.len())
            .map_err(|reason| node.refuse(reason))?;
        Ok(unbounded(kind, unit, bias))
    }

    fn qlinear_matmul(&mut self, node: &Node<'a>) -> Result<Value> {
        let (scale, zero) = self.affine(node, 1)?;
        let tensor = self.quantized(node, 0, scale, zero)?;
        let integers = self.constant(node, 3)?;
        let integers = self.transposed(node, &integers)?;
        let (scales, zeros) = self.scales(node, 4, 5)?;
        let output = self.output(node, 6)?;
        self.qlinear_fully_connected(node, tensor, &integers, (&scales, &zeros), None, output)
    }

    fn qgemm(&mut self, node: &Node<'a>) -> Result<Value> {
        node.only(&["alpha", "transA", "transB"])?;
        if node.int("transA", 0)? != 0 || node.float("alpha")?.is_some_and(|alpha| alpha != 1.0) {
            return Err(node.refuse("attributes alpha or transA are not 1 and 0"));
        }
        if node.input(7).is_none() {
            return Err(node.refuse("its output is not quantized"));
        }
        let (scale, zero) = self.affine(node, 1)?;
        let tensor = self.quantized(node, 0, scale, zero)?;
        let mut integers = self.constant(node, 3)?;
        if node.int("transB", 0)? == 0 {
            integers = Rc::new(self.transposed(node, &integers)?);
        }
        let (scales, zeros) = self.scales(node, 4, 5)?;
        let output = self.output(node, 7)?;
        self.qlinear_fully_connected(node, tensor, &integers, (&scales, &zeros), Some(6), output)
    }

    fn qlinear_fully_connected(
        &mut self,
        node: &Node<'a>,
        tensor: Tensor,
        integers: &Constant,
        (scales, zeros): (&[f32], &[i32]),
        bias: Option<usize>,
        output: Output,
    ) -> Result<Value> {
        let (weights, scales) = self.weights(node, integers, zeros, scales, 0)?;
        let unit = units(&tensor, &scales);
        let bias = match bias {
            Some(index) => self.integer_bias(node, index, unit.len())?,
            None => vec![0; unit.len()],
        };
        let kind = self
            .layers
            .fully_connected(tensor, &weights, unit.len())
            .map_err(|reason| node.refuse(reason))?;
        let sum = Sum {
            kind,
            unit: Some(unit),
            bias,
        };
        self.finish(node, sum, output).map(Value::Integers)
    }

    fn qlinear_add(&mut self, node: &Node<'a>) -> Result<Value> {
        let mut inputs = Vec::with_capacity(2);
        for index in [0, 3] {
            let (scale, zero) = self.affine(node, index + 1)?;
            inputs.push(self.quantized(node, index, scale, zero)?);
        }
        let Ok(inputs) = <[Tensor; 2]>::try_from(inputs) else {
            return Err(node.refuse("it does not have two inputs"));
        };
        let output = self.output(node, 6)?;
        let sum = Sum {
            kind: Kind::Add { inputs },
            unit: None,
            bias: Vec::new(),
        };
        self.finish(node, sum, output).map(Value::Integers)
    }

    fn add(&mut self, node: &Node<'a>) -> Result<Value> {
        let (first, second) = (self.value(node, 0)?, self.value(node, 1)?);
        match (first, second) {
            (Value::Real(a), Value::Real(b)) => Ok(unbounded_add([a, b])),
            (Value::Shifted(a, fa), Value::Shifted(b, fb)) => {
                let Value::Steps(mut steps) = steps(Kind::Add { inputs: [a, b] }, 0) else {
                    return Err(node.refuse("it is no sum"));
                };
                steps.factor = Some(vec![fa, fb]);
                Ok(Value::Steps(steps))
            }
            (Value::Steps(mut steps), Value::Constant(constant)) => {
                if !steps.rounded {
                    let bias = constant.integers().map_err(|reason| node.refuse(reason))?;
                    if steps.factor.is_some() || bias.len() != steps.sum.bias.len() {
                        return Err(node.refuse("its biases are not one for each output"));
                    }
                    steps.sum.bias = bias.iter().map(|&bias| bias.into()).collect();
                } else {
                    let zero = constant.scalar().map_err(|reason| node.refuse(reason))?;
                    steps.zero += f64::from(zero);
                }
                Ok(Value::Steps(steps))
            }
            (Value::Sum(mut sum, bounds), Value::Weights { .. })
                if matches!(sum.kind, Kind::Fc { .. })
                    && sum.bias.iter().all(|&bias| bias == 0) =>
            {
                let unit = sum.unit.clone().unwrap_or_default();
                sum.bias = self.bias(node, 1, &unit)?;
                Ok(Value::Sum(sum, bounds))
            }
            _ => {
                Err(node
                    .refuse("it is neither a sum of two dequantized tensors nor one with a bias"))
            }
        }
    }

    fn sub(&self, node: &Node<'a>) -> Result<Value> {
        let Value::Shifted(tensor, factor) = self.value(node, 0)? else {
            return Err(node.refuse("it does not move zero points"));
        };
        let zero = self.constant(node, 1)?;
        let zero = zero.scalar().map_err(|reason| node.refuse(reason))?;
        let offset = if tensor.unsigned { 128 } else { 0 };
        if tensor.zero.map(|known| (known + offset) as f32) != Some(zero) {
            return Err(node.refuse(format!("{zero} is not the zero point of its input")));
        }
        Ok(Value::Shifted(tensor, factor))
    }

    fn mul(&self, node: &Node<'a>) -> Result<Value> {
        let constant = self.constant(node, 1)?;
        let factors = constant.floats().map_err(|reason| node.refuse(reason))?;
        match self.value(node, 0)? {
            Value::Shifted(tensor, factor) => match *factors {
                [by] => Ok(Value::Shifted(tensor, factor * f64::from(by))),
                _ => Err(node.refuse("it multiplies with more than one number")),
            },
            Value::Steps(mut steps)
                if steps.factor.is_none() && factors.len() == steps.sum.bias.len() =>
            {
                steps.factor = Some(factors.iter().map(|&factor| factor.into()).collect());
                Ok(Value::Steps(steps))
            }
            _ => Err(node.refuse("it is no re-quantization")),
        }
    }

    fn round(&self, node: &Node<'a>) -> Result<Value> {
        match self.value(node, 0)? {
            Value::Steps(mut steps) if !steps.rounded => {
                steps.rounded = true;
                Ok(Value::Steps(steps))
            }
            _ => Err(node.refuse("it is no re-quantization")),
        }
    }

    fn cast(&mut self, node: &Node<'a>) -> Result<Value> {
        let to = i32::try_from(node.int("to", 0)?).unwrap_or(0);
        let to = DataType::try_from(to).unwrap_or(DataType::Undefined);
        match (self.value(node, 0)?, to) {
            (Value::Integers(tensor), DataType::Double | DataType::Float) => {
                Ok(Value::Shifted(tensor, 1.0))
            }
            (Value::Steps(steps), DataType::Double) if !steps.rounded => Ok(Value::Steps(steps)),
            (Value::Steps(steps), DataType::Uint8 | DataType::Int8 | DataType::Int16)
                if steps.rounded =>
            {
                self.finish_steps(node, *steps, to).map(Value::Integers)
            }
            _ => Err(node.refuse(format!("it is no re-quantization (to {to:?})"))),
        }
    }

    /// A layer whose output is computed step by step. Its scale is what the file's metadata says.
    fn finish_steps(&mut self, node: &Node<'a>, steps: Steps, to: DataType) -> Result<Tensor> {
        let name = node.output()?;
        let known = self.scales.get(name).ok_or_else(|| {
            node.refuse(format!(
                "the scale of {name} is not said by cfm.quantization in the metadata"
            ))
        })?;
        let scale = real_scale(known);
        let offset = if to == DataType::Uint8 { 128.0 } else { 0.0 };
        let (least, most) = match to {
            DataType::Int16 => (f64::from(i16::MIN), f64::from(i16::MAX)),
            _ => (f64::from(i8::MIN), f64::from(i8::MAX)),
        };
        let mut sum = steps.sum;
        match (&mut sum.kind, steps.factor) {
            (Kind::Add { inputs }, Some(factors)) => {
                for (input, factor) in inputs.iter().zip(factors) {
                    let expected = input.scale.map(|input| f64::from(input) / f64::from(scale));
                    if expected != Some(factor) {
                        return Err(
                            node.refuse(format!("a factor {factor} does not fit the scales"))
                        );
                    }
                }
            }
            (Kind::Average { .. }, None) if steps.range == UNBOUNDED => {}
            (Kind::Conv { .. } | Kind::Fc { .. }, Some(factors)) => {
                let units = factors.iter().map(|factor| factor * f64::from(scale));
                sum.unit = Some(units.collect());
            }
            _ => return Err(node.refuse("it is no re-quantization")),
        }
        let output = Output {
            scale,
            zero: (steps.zero - offset) as i32,
            unsigned: to == DataType::Uint8,
            // Inside the type's range, so the conversion is exact.
            range: steps
                .range
                .map(|bound| (bound - offset).clamp(least, most) as i32),
        };
        if output.zero != i32::from(known.zero_point) {
            return Err(node.refuse("its zero point is not what the metadata says"));
        }
        self.finish(node, sum, output)
    }

    fn clip(&mut self, node: &Node<'a>) -> Result<Value> {
        node.only(&["min", "max"])?;
        let low = self.optional(node, 1)?;
        let high = self.optional(node, 2)?;
        match self.value(node, 0)? {
            Value::Integers(mut tensor) => {
                let bound = |bound: Option<Rc<Constant>>, default: i32| match bound {
                    None => Ok(default),
                    Some(bound) => match bound.integers() {
                        Ok(&[bound]) => Ok(if tensor.unsigned {
                            bound.saturating_sub(128)
                        } else {
                            bound
                        }),
                        _ => Err(node.refuse("its bounds are no integers")),
                    },
                };
                let range = [bound(low, i8::MIN.into())?, bound(high, i8::MAX.into())?];
                self.layers
                    .clamp(&mut tensor, range)
                    .map_err(|reason| node.refuse(reason))?;
                Ok(Value::Integers(tensor))
            }
            value => {
                let bound = |bound: Option<Rc<Constant>>, name: &str, default: f32| match bound {
                    None => Ok(node.float(name)?.unwrap_or(default)),
                    Some(bound) => bound.scalar().map_err(|reason| node.refuse(reason)),
                };
                let low = bound(low, "min", f32::NEG_INFINITY)?;
                let high = bound(high, "max", f32::INFINITY)?;
                match value {
                    Value::Steps(mut steps) if steps.rounded => {
                        steps.range = [low.into(), high.into()];
                        Ok(Value::Steps(steps))
                    }
                    _ => self.bounded(node, [low, high]),
                }
            }
        }
    }

    /// An activation on real numbers.
    fn bounded(&mut self, node: &Node<'a>, [low, high]: [f32; 2]) -> Result<Value> {
        match self.value(node, 0)? {
            Value::Sum(sum, bounds) => {
                if let Kind::Average { input, .. } = &sum.kind {
                    let rectified = input.zero.is_some_and(|zero| input.low >= zero);
                    if low != 0.0 || high != f32::INFINITY || !rectified {
                        return Err(node.refuse("an activation after a mean"));
                    }
                    return Ok(Value::Sum(sum, bounds));
                }
                let bounds = bounds.map(|bound| bound.max(low).min(high));
                Ok(Value::Sum(sum, bounds))
            }
            Value::Real(tensor) if low == 0.0 && high == f32::INFINITY => {
                if tensor.zero.is_some_and(|zero| tensor.low >= zero) {
                    return Ok(Value::Real(tensor));
                }
                Err(node.refuse("the activation does not follow directly after a sum"))
            }
            _ => Err(node.refuse("the activation does not follow directly after a sum")),
        }
    }

    fn max_pool(&mut self, node: &Node<'a>) -> Result<Value> {
        let value = self.value(node, 0)?;
        let (Value::Integers(tensor) | Value::Real(tensor)) = &value else {
            return Err(node.refuse("it reads no quantized tensor"));
        };
        let shape = self.shape(node, tensor)?;
        let window = window(node, None, shape, ceil_mode(node)?)?;
        if window.dilation != [1, 1] {
            return Err(node.refuse("attribute dilations: the format has no dilated pooling"));
        }
        let whole = window.kernel.map(u16::from) == [shape.height, shape.width];
        let head = whole && window.padding == [0; 4] && self.feeds_head(node.output()?);
        let tensor = if head {
            self.level(node, tensor.clone(), 1)?
        } else {
            self.layers
                .max_pool(tensor.clone(), window)
                .map_err(|reason| node.refuse(reason))?
        };
        Ok(match value {
            Value::Real(_) => Value::Real(tensor),
            _ => Value::Integers(tensor),
        })
    }

    /// Whether all that reads a value, behind changes of type, flattens it.
    fn feeds_head(&self, name: &str) -> bool {
        let mut names = vec![name];
        let mut flattened = false;
        while let Some(name) = names.pop() {
            for reader in self.graph.readers(name) {
                match (&*reader.0.op_type, reader.output()) {
                    ("Flatten" | "Reshape" | "Squeeze", _) => flattened = true,
                    ("QuantizeLinear" | "DequantizeLinear" | "Identity", Ok(output)) => {
                        names.push(output);
                    }
                    _ => return false,
                }
            }
        }
        flattened
    }

    fn average_pool(&mut self, node: &Node<'a>) -> Result<Value> {
        let value = self.value(node, 0)?;
        let (tensor, real) = match &value {
            Value::Real(tensor) => (tensor, true),
            Value::Shifted(tensor, factor) if *factor == 1.0 => (tensor, false),
            _ => return Err(node.refuse("it reads no quantized tensor")),
        };
        let shape = self.shape(node, tensor)?;
        let window = window(node, None, shape, ceil_mode(node)?)?;
        if window.dilation != [1, 1] {
            return Err(node.refuse("attribute dilations: the format has no dilated pooling"));
        }
        if node.int("count_include_pad", 0)? != 0 && window.padding != [0; 4] {
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
                channels: self.layers.shapes[index].channels.into(),
            }),
            exclusive: false,
            ..tensor
        })
    }

    fn global_max(&mut self, node: &Node<'a>) -> Result<Value> {
        if node.0.op_type == "ReduceMax" {
            let axes = match (node.ints("axes")?, self.optional(node, 1)?) {
                (Some(axes), _) => axes.to_vec(),
                (None, Some(axes)) => {
                    let axes = axes.integers().map_err(|reason| node.refuse(reason))?;
                    axes.iter().map(|&axis| axis.into()).collect()
                }
                _ => Vec::new(),
            };
            let mut spatial: Vec<i64> = axes.iter().map(|axis: &i64| axis.rem_euclid(4)).collect();
            spatial.sort_unstable();
            if spatial != [2, 3] {
                return Err(node.refuse(format!("axes {axes:?} are not rows and columns")));
            }
        }
        match self.value(node, 0)? {
            Value::Integers(tensor) => self.level(node, tensor, 1).map(Value::Integers),
            Value::Real(tensor) => self.level(node, tensor, 1).map(Value::Real),
            _ => Err(node.refuse("it reads no quantized tensor")),
        }
    }

    fn flatten(&mut self, node: &Node<'a>) -> Result<Value> {
        let value = self.value(node, 0)?;
        let (Value::Integers(tensor) | Value::Real(tensor)) = &value else {
            return Err(node.refuse("it reads no quantized tensor"));
        };
        let mut tensor = tensor.clone();
        if let Place::Map(index) = tensor.place {
            let Shape { height, width, .. } = self.layers.shapes[index];
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
            let flattens = match *shape {
                [0 | 1, -1] => true,
                [0 | 1 | -1, rest] => usize::try_from(rest) == Ok(length),
                _ => false,
            };
            if !flattens || node.int("axis", 1)? != 1 {
                return Err(node.refuse("it does not flatten one image"));
            }
            tensor.place = Place::Vector(vec![part]);
        }
        Ok(match value {
            Value::Real(_) => Value::Real(tensor),
            _ => Value::Integers(tensor),
        })
    }

    fn concat(&mut self, node: &Node<'a>) -> Result<Value> {
        if !matches!(node.int("axis", 1)?, 1 | -1) {
            return Err(node.refuse("attribute axis is not 1"));
        }
        let mut joined: Option<(Tensor, bool)> = None;
        for index in 0..node.0.input.len() {
            let (tensor, real) = match self.value(node, index)? {
                Value::Integers(tensor) => (tensor, false),
                Value::Real(tensor) => (tensor, true),
                _ => return Err(node.refuse("it reads no quantized tensor")),
            };
            let Place::Vector(parts) = tensor.place else {
                return Err(node.refuse("only vectors of the head are concatenated in the format"));
            };
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

/// No bounds.
const UNBOUNDED: [f64; 2] = [f64::NEG_INFINITY, f64::INFINITY];

/// `2^exponent`.
fn real_scale(known: &Quantization) -> f32 {
    f32::from(known.exponent).exp2()
}

/// A bound of an activation as an integer.
fn quantized_bound(bound: f32, scale: f32, zero: i32) -> i32 {
    let steps = (bound / scale).round_ties_even().clamp(-1e6, 1e6);
    // Six digits, which an i32 holds.
    (steps as i32 + zero).clamp(i8::MIN.into(), i8::MAX.into())
}

/// Real value of a step of the accumulator.
fn units(tensor: &Tensor, scales: &[f32]) -> Vec<f64> {
    let input = f64::from(tensor.scale.unwrap_or(f32::NAN));
    scales
        .iter()
        .map(|&scale| input * f64::from(scale))
        .collect()
}

fn unbounded(kind: Kind, unit: Vec<f64>, bias: Vec<i64>) -> Value {
    let sum = Sum {
        kind,
        unit: Some(unit),
        bias,
    };
    Value::Sum(Box::new(sum), [f32::NEG_INFINITY, f32::INFINITY])
}

fn unbounded_add(inputs: [Tensor; 2]) -> Value {
    unbounded(Kind::Add { inputs }, Vec::new(), Vec::new())
}

fn steps(kind: Kind, outputs: usize) -> Value {
    Value::Steps(Box::new(Steps {
        sum: Sum {
            kind,
            unit: None,
            bias: vec![0; outputs],
        },
        factor: None,
        rounded: false,
        zero: 0.0,
        range: UNBOUNDED,
    }))
}

fn ceil_mode(node: &Node<'_>) -> Result<Rounding> {
    Ok(if node.int("ceil_mode", 0)? == 0 {
        Rounding::Floor
    } else {
        Rounding::Ceil
    })
}
