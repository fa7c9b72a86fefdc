//! From integers to real numbers, and back.

use std::rc::Rc;

use crate::onnx::proto::DataType;

use super::super::super::constant::Constant;
use super::super::super::error::{ImportError, Result};
use super::super::super::graph::Node;
use super::super::layers::{Kind, Output, Place, Sum, Tensor};
use super::steps::{Shifted, Stage, Steps, UNBOUNDED};
use super::{NO_BOUNDS, Value, Walker, real_scale, unbounded};

impl<'a> Walker<'_, 'a> {
    pub(super) fn quantize(&mut self, node: &Node<'a>) -> Result<Value> {
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
        let output = node.int("output_dtype", 0)?;
        let kind = i32::try_from(output).ok();
        let said = match kind.and_then(|kind| DataType::try_from(kind).ok()) {
            Some(DataType::Undefined) => None,
            Some(DataType::Uint8) => Some((-128, true)),
            Some(DataType::Int8) => Some((0, false)),
            _ => {
                return Err(node.refuse(format!(
                    "attribute output_dtype = {output} is neither u8 nor i8"
                )));
            }
        };
        if let (Some((_, zero)), Some((_, said))) = (zero, said)
            && zero != said
        {
            return Err(node.refuse("attribute output_dtype is not the type of the zero point"));
        }
        let (zero, unsigned) = zero.or(said).unwrap_or((-128, true));
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
                    bounded: bounds != NO_BOUNDS,
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

    pub(super) fn finish(&mut self, node: &Node<'a>, sum: Sum, output: Output) -> Result<Tensor> {
        let joint = node.output()?.starts_with("joint");
        self.layers
            .finish(sum, output, joint)
            .map_err(|reason| node.refuse(reason))
    }

    /// The image in integers: every pixel value must become itself.
    fn image(&self, node: &Node<'a>, scale: f32, zero: i32, unsigned: bool) -> Result<Tensor> {
        let channels = usize::from(self.layers.chain.shapes[0].channels);
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

    pub(super) fn dequantize(&mut self, node: &Node<'a>) -> Result<Value> {
        node.only(&["axis", "block_size", "output_dtype"])?;
        if node.int("block_size", 0)? != 0 {
            return Err(node.refuse("attribute block_size: blocks have no scales in the format"));
        }
        if !matches!(node.int("output_dtype", 0)?, 0 | 1) {
            return Err(node.refuse("attribute output_dtype is not that of 32-bit floats"));
        }
        let Value::Constant(integers) = self.value(node, 0)? else {
            let (scale, zero) = self.affine(node, 1)?;
            let tensor = self.quantized(node, 0, scale, zero)?;
            return Ok(Value::Real(tensor));
        };
        let scales = self.constant(node, 1)?;
        // Of one constant, many nodes may make many copies.
        self.count(node, 2 * scales.len())?;
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

    pub(super) fn add(&mut self, node: &Node<'a>) -> Result<Value> {
        let (first, second) = (self.value(node, 0)?, self.value(node, 1)?);
        match (first, second) {
            (Value::Real(a), Value::Real(b)) => Ok(unbounded(
                Kind::Add { inputs: [a, b] },
                Vec::new(),
                Vec::new(),
            )),
            (Value::Shifted(a), Value::Shifted(b)) => {
                if !a.moved || !b.moved {
                    return Err(node.refuse("the zero points of its inputs are not subtracted"));
                }
                let factors = [&a, &b].map(|shifted| shifted.factor.unwrap_or(1.0));
                let kind = Kind::Add {
                    inputs: [a.tensor, b.tensor],
                };
                let steps = Steps::new(kind, 0, Some(factors.to_vec()));
                Ok(Value::Steps(Box::new(steps)))
            }
            (Value::Steps(mut steps), Value::Constant(constant)) => {
                if !steps.rounded() {
                    take(node, &mut steps, Stage::Biased)?;
                    let bias = constant.integers().map_err(|reason| node.refuse(reason))?;
                    if bias.len() != steps.sum.bias.len() {
                        return Err(node.refuse("its biases are not one for each output"));
                    }
                    steps.sum.bias = bias.iter().map(|&bias| bias.into()).collect();
                } else {
                    take(node, &mut steps, Stage::Moved)?;
                    let zero = constant.scalar().map_err(|reason| node.refuse(reason))?;
                    steps.zero = f64::from(zero);
                }
                Ok(Value::Steps(steps))
            }
            (Value::Sum(_, bounds), Value::Weights { .. }) if bounds != NO_BOUNDS => {
                Err(node.refuse("it adds biases behind an activation"))
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

    pub(super) fn sub(&self, node: &Node<'a>) -> Result<Value> {
        let Value::Shifted(shifted) = self.value(node, 0)? else {
            return Err(node.refuse("it does not move zero points"));
        };
        if shifted.moved || shifted.factor.is_some() {
            return Err(out_of_order(node));
        }
        let tensor = &shifted.tensor;
        let zero = self.constant(node, 1)?;
        let zero = zero.scalar().map_err(|reason| node.refuse(reason))?;
        let offset = if tensor.unsigned { 128 } else { 0 };
        if tensor.zero.map(|known| (known + offset) as f32) != Some(zero) {
            return Err(node.refuse(format!("{zero} is not the zero point of its input")));
        }
        Ok(Value::Shifted(Shifted {
            moved: true,
            ..shifted
        }))
    }

    pub(super) fn mul(&self, node: &Node<'a>) -> Result<Value> {
        let constant = self.constant(node, 1)?;
        let factors = constant.floats().map_err(|reason| node.refuse(reason))?;
        match self.value(node, 0)? {
            Value::Shifted(shifted) => match *factors {
                _ if !shifted.moved || shifted.factor.is_some() => Err(out_of_order(node)),
                [by] => Ok(Value::Shifted(Shifted {
                    factor: Some(by.into()),
                    ..shifted
                })),
                _ => Err(node.refuse("it multiplies with more than one number")),
            },
            Value::Steps(mut steps) if factors.len() == steps.sum.bias.len() => {
                take(node, &mut steps, Stage::Scaled)?;
                steps.factor = Some(factors.iter().map(|&factor| factor.into()).collect());
                Ok(Value::Steps(steps))
            }
            _ => Err(node.refuse("it is no re-quantization")),
        }
    }

    pub(super) fn round(&self, node: &Node<'a>) -> Result<Value> {
        match self.value(node, 0)? {
            Value::Steps(mut steps) => {
                take(node, &mut steps, Stage::Rounded)?;
                Ok(Value::Steps(steps))
            }
            _ => Err(node.refuse("it is no re-quantization")),
        }
    }

    pub(super) fn cast(&mut self, node: &Node<'a>) -> Result<Value> {
        let to = i32::try_from(node.int("to", 0)?).unwrap_or(0);
        let to = DataType::try_from(to).unwrap_or(DataType::Undefined);
        match (self.value(node, 0)?, to) {
            (Value::Integers(tensor), DataType::Double | DataType::Float) => {
                Ok(Value::Shifted(Shifted {
                    tensor,
                    moved: false,
                    factor: None,
                }))
            }
            (Value::Steps(mut steps), DataType::Double) => {
                take(node, &mut steps, Stage::Real)?;
                Ok(Value::Steps(steps))
            }
            (Value::Steps(steps), DataType::Uint8 | DataType::Int8 | DataType::Int16)
                if steps.rounded() =>
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
        // Inside the type's range, so the conversion is exact.
        let range = steps
            .range
            .map(|bound| (bound - offset).clamp(least, most) as i32);
        let output = Output {
            scale,
            zero: (steps.zero - offset) as i32,
            unsigned: to == DataType::Uint8,
            range,
            bounded: range.map(f64::from) != [least, most],
        };
        if output.zero != i32::from(known.zero_point) {
            return Err(node.refuse("its zero point is not what the metadata says"));
        }
        self.finish(node, sum, output)
    }

    pub(super) fn clip(&mut self, node: &Node<'a>) -> Result<Value> {
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
                node.bounds(range)?;
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
                node.bounds([low, high])?;
                match value {
                    Value::Steps(mut steps) if steps.rounded() => {
                        take(node, &mut steps, Stage::Clipped)?;
                        steps.range = [low.into(), high.into()];
                        Ok(Value::Steps(steps))
                    }
                    _ => self.bounded(node, [low, high]),
                }
            }
        }
    }

    /// An activation on real numbers.
    pub(super) fn bounded(&mut self, node: &Node<'a>, [low, high]: [f32; 2]) -> Result<Value> {
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
                    self.layers.mark_bounded(&tensor);
                    return Ok(Value::Real(tensor));
                }
                Err(node.refuse("the activation does not follow directly after a sum"))
            }
            _ => Err(node.refuse("the activation does not follow directly after a sum")),
        }
    }
}

/// Takes a step of a re-quantization, or refuses it where it stands.
fn take(node: &Node<'_>, steps: &mut Steps, step: Stage) -> Result<()> {
    if steps.take(step) {
        Ok(())
    } else {
        Err(out_of_order(node))
    }
}

fn out_of_order(node: &Node<'_>) -> ImportError {
    node.refuse("the steps of the re-quantization are taken twice or in another order")
}

/// A bound of an activation as an integer.
fn quantized_bound(bound: f32, scale: f32, zero: i32) -> i32 {
    let steps = (bound / scale).round_ties_even().clamp(-1e6, 1e6);
    // Six digits, which an i32 holds.
    (steps as i32 + zero).clamp(i8::MIN.into(), i8::MAX.into())
}
