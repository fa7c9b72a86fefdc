//! Constants of layers: weights, their scales, biases.

use crate::onnx::proto::DataType;

use super::super::super::constant::{Constant, Data};
use super::super::super::error::Result;
use super::super::super::graph::Node;
use super::{Value, Walker};

impl<'a> Walker<'_, 'a> {
    /// Weights in i8 without their zero points, and a scale for each of the outputs along `axis`.
    pub(super) fn weights(
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
        self.count(node, values.len())?;
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

    pub(super) fn real_weights(
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
    pub(super) fn bias(&self, node: &Node<'a>, index: usize, unit: &[f64]) -> Result<Vec<i64>> {
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

    /// Scales and zero points of weights.
    pub(super) fn scales(
        &self,
        node: &Node<'a>,
        scale: usize,
        zero: usize,
    ) -> Result<(Vec<f32>, Vec<i32>)> {
        let scales = self.constant(node, scale)?;
        let scales = scales
            .floats()
            .map_err(|reason| node.refuse(reason))?
            .to_vec();
        let zeros = self.operand_zeros(node, zero)?;
        Ok((scales, zeros))
    }

    pub(super) fn integer_bias(
        &self,
        node: &Node<'a>,
        index: usize,
        outputs: usize,
    ) -> Result<Vec<i64>> {
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

    pub(super) fn operand_zeros(&self, node: &Node<'a>, index: usize) -> Result<Vec<i32>> {
        Ok(match self.optional(node, index)? {
            Some(zeros) => zeros
                .integers()
                .map_err(|reason| node.refuse(reason))?
                .to_vec(),
            None => vec![0],
        })
    }

    /// Transposes `[in, out]` weights.
    pub(super) fn transposed(&mut self, node: &Node<'a>, integers: &Constant) -> Result<Constant> {
        if integers.dims.len() != 2 {
            return Err(node.refuse(format!(
                "the weights have shape {:?}, no matrix",
                integers.dims
            )));
        }
        self.count(node, integers.len())?;
        integers
            .transposed(&[1, 0])
            .map_err(|reason| node.refuse(reason))
    }
}
