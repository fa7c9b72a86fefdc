//! Convolutions, fully connected layers and sums, in each of the forms that files have.

use std::rc::Rc;

use cfm_core::model::Shape;

use crate::spec::Window;

use super::super::super::constant::Constant;
use super::super::super::error::Result;
use super::super::super::graph::Node;
use super::super::super::window::{Rounding, window};
use super::super::layers::{Kind, Output, Sum, Tensor};
use super::{Value, Walker, steps, unbounded};

impl<'a> Walker<'_, 'a> {
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

    pub(super) fn shape(&self, node: &Node<'a>, tensor: &Tensor) -> Result<Shape> {
        let index = self
            .layers
            .map(tensor)
            .map_err(|reason| node.refuse(reason))?;
        Ok(self.layers.chain.shapes[index])
    }

    fn real(&self, node: &Node<'a>, index: usize) -> Result<Tensor> {
        match self.value(node, index)? {
            Value::Real(tensor) => Ok(tensor),
            Value::Image => Err(node.refuse("it reads the image before it is quantized")),
            _ => Err(node.refuse(format!("input {index} is no dequantized tensor"))),
        }
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

    pub(super) fn conv(&mut self, node: &Node<'a>) -> Result<Value> {
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

    pub(super) fn qlinear_conv(&mut self, node: &Node<'a>) -> Result<Value> {
        let (scale, zero) = self.affine(node, 1)?;
        let tensor = self.quantized(node, 0, scale, zero)?;
        let integers = self.constant(node, 3)?;
        let (scales, zeros) = self.scales(node, 4, 5)?;
        let (weights, scales) = self.weights(node, &integers, &zeros, &scales, 0)?;
        let (window, groups) = self.window(node, &tensor, &integers.dims)?;
        let unit = units(&tensor, &scales);
        let bias = self.integer_bias(node, 8, unit.len())?;
        let output = self.output(node, 6, tensor.unsigned)?;
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

    pub(super) fn conv_integer(&mut self, node: &Node<'a>) -> Result<Value> {
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

    pub(super) fn matmul_integer(&mut self, node: &Node<'a>) -> Result<Value> {
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

    pub(super) fn gemm(&mut self, node: &Node<'a>) -> Result<Value> {
        node.only(&["alpha", "beta", "transA", "transB"])?;
        let one = |value: Option<f32>| value.is_none_or(|value| value == 1.0);
        let unit = one(node.float("alpha")?) && one(node.float("beta")?);
        if node.int("transA", 0)? != 0 || !unit {
            return Err(node.refuse("attributes alpha, beta or transA are not 1, 1 and 0"));
        }
        let transposed = node.int("transB", 0)? != 0;
        self.real_fully_connected(node, transposed, 2)
    }

    pub(super) fn matmul(&mut self, node: &Node<'a>) -> Result<Value> {
        // It has no third input; a bias comes with an addition.
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

    pub(super) fn qlinear_matmul(&mut self, node: &Node<'a>) -> Result<Value> {
        let (scale, zero) = self.affine(node, 1)?;
        let tensor = self.quantized(node, 0, scale, zero)?;
        let integers = self.constant(node, 3)?;
        let integers = self.transposed(node, &integers)?;
        let (scales, zeros) = self.scales(node, 4, 5)?;
        let output = self.output(node, 6, tensor.unsigned)?;
        self.qlinear_fully_connected(node, tensor, &integers, (&scales, &zeros), None, output)
    }

    pub(super) fn qgemm(&mut self, node: &Node<'a>) -> Result<Value> {
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
        let output = self.output(node, 7, tensor.unsigned)?;
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

    pub(super) fn qlinear_add(&mut self, node: &Node<'a>) -> Result<Value> {
        let mut inputs = Vec::with_capacity(2);
        for index in [0, 3] {
            let (scale, zero) = self.affine(node, index + 1)?;
            inputs.push(self.quantized(node, index, scale, zero)?);
        }
        let Ok(inputs) = <[Tensor; 2]>::try_from(inputs) else {
            return Err(node.refuse("it does not have two inputs"));
        };
        let unsigned = inputs[0].unsigned;
        if inputs[1].unsigned != unsigned {
            return Err(node.refuse("its inputs are not of one type"));
        }
        let output = self.output(node, 6, unsigned)?;
        let sum = Sum {
            kind: Kind::Add { inputs },
            unit: None,
            bias: Vec::new(),
        };
        self.finish(node, sum, output).map(Value::Integers)
    }

    /// The output's scale and zero point, in inputs `index` and the one after it. Without a zero point it is 0 of the
    /// inputs' type.
    fn output(&self, node: &Node<'a>, index: usize, unsigned: bool) -> Result<Output> {
        let (scale, zero) = self.affine(node, index)?;
        let (zero, unsigned) = zero.unwrap_or((if unsigned { -128 } else { 0 }, unsigned));
        Ok(Output {
            scale,
            zero,
            unsigned,
            range: [i8::MIN.into(), i8::MAX.into()],
            bounded: false,
        })
    }
}

/// Real value of a step of the accumulator.
fn units(tensor: &Tensor, scales: &[f32]) -> Vec<f64> {
    let input = f64::from(tensor.scale.unwrap_or(f32::NAN));
    scales
        .iter()
        .map(|&scale| input * f64::from(scale))
        .collect()
}
