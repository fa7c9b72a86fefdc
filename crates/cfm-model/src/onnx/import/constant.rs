//! Constant tensors.

use crate::onnx::proto::{DataType, TensorProto};

use super::MAX_PARAMETERS;
use super::error::Reason;

/// Most axes of a constant: twice as many as any operator here reads.
const MAX_AXES: usize = 8;

/// A constant: shape and elements.
#[derive(Debug, Clone, PartialEq)]
pub struct Constant {
    /// Shape; empty for a scalar.
    pub dims: Vec<usize>,
    /// The elements, row-major.
    pub data: Data,
}

/// Elements of a constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Floating point.
    Float(Vec<f32>),
    /// Integers of a type; 64-bit ones only as far as they fit.
    Int(DataType, Vec<i32>),
}

impl Constant {
    /// Reads the elements of `tensor`: at least one, so that none of its lengths is more than there are elements.
    pub fn read(tensor: &TensorProto) -> Result<Self, Reason> {
        let name = &tensor.name;
        if tensor.data_location != 0 || !tensor.external_data.is_empty() {
            return Err(format!(
                "the elements of {name} lie in another file; save the model with its data inside"
            ));
        }
        if tensor.dims.len() > MAX_AXES {
            return Err(format!("{name} has {} axes", tensor.dims.len()));
        }
        let mut count = 1_usize;
        let mut dims = Vec::with_capacity(tensor.dims.len());
        for &dim in &tensor.dims {
            let dim =
                usize::try_from(dim).map_err(|_| format!("{name} has a dimension of {dim}"))?;
            dims.push(dim);
            // A length of zero does not make up for absurd other ones.
            count = count
                .checked_mul(dim.max(1))
                .filter(|&count| count <= MAX_PARAMETERS)
                .ok_or_else(|| format!("{name} has too many elements"))?;
        }
        if dims.contains(&0) {
            return Err(format!("{name} of shape {dims:?} has no elements"));
        }
        let kind = DataType::try_from(tensor.data_type).unwrap_or(DataType::Undefined);
        let data = match kind {
            DataType::Float => Data::Float(if tensor.raw_data.is_empty() {
                tensor.float_data.clone()
            } else {
                chunks(tensor)?
                    .iter()
                    .copied()
                    .map(f32::from_le_bytes)
                    .collect()
            }),
            DataType::Double => Data::Float(doubles(tensor)?),
            DataType::Int64 => {
                let values: Vec<i64> = if tensor.raw_data.is_empty() {
                    tensor.int64_data.clone()
                } else {
                    chunks(tensor)?
                        .iter()
                        .copied()
                        .map(i64::from_le_bytes)
                        .collect()
                };
                let narrow =
                    |value: i64| i32::try_from(value).map_err(|_| format!("{name} holds {value}"));
                Data::Int(
                    kind,
                    values.into_iter().map(narrow).collect::<Result<_, _>>()?,
                )
            }
            DataType::Int32
            | DataType::Int8
            | DataType::Uint8
            | DataType::Int16
            | DataType::Uint16
            | DataType::Bool => Data::Int(kind, integers(tensor, kind)?),
            other => return Err(format!("{name} is of type {other:?}, which is not read")),
        };
        let constant = Self { dims, data };
        if constant.len() != count {
            return Err(format!(
                "{name} of shape {:?} has {} elements instead of {count}",
                constant.dims,
                constant.len()
            ));
        }
        Ok(constant)
    }

    /// A single number.
    pub fn scalar_of(value: f32) -> Self {
        Self {
            dims: Vec::new(),
            data: Data::Float(vec![value]),
        }
    }

    /// A list of integers.
    pub fn of_integers(values: &[i64]) -> Result<Self, Reason> {
        let narrow = |&value: &i64| i32::try_from(value).map_err(|_| format!("it holds {value}"));
        Ok(Self {
            dims: vec![values.len()],
            data: Data::Int(
                DataType::Int64,
                values.iter().map(narrow).collect::<Result<_, _>>()?,
            ),
        })
    }

    /// How many elements it has.
    pub fn len(&self) -> usize {
        match &self.data {
            Data::Float(values) => values.len(),
            Data::Int(_, values) => values.len(),
        }
    }

    /// The elements as floating-point numbers.
    pub fn floats(&self) -> Result<&[f32], Reason> {
        match &self.data {
            Data::Float(values) => Ok(values),
            Data::Int(kind, _) => Err(format!("a constant of type {kind:?} instead of Float")),
        }
    }

    /// The elements as integers.
    pub fn integers(&self) -> Result<&[i32], Reason> {
        match &self.data {
            Data::Int(_, values) => Ok(values),
            Data::Float(_) => Err("a constant of type Float instead of integers".to_owned()),
        }
    }

    /// The only element of a constant.
    pub fn scalar(&self) -> Result<f32, Reason> {
        match *self.floats()? {
            [value] => Ok(value),
            ref values => Err(format!(
                "a constant of {} elements instead of one",
                values.len()
            )),
        }
    }

    /// The constant with its axes in another order.
    pub fn transposed(&self, order: &[usize]) -> Result<Self, Reason> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..self.dims.len()) {
            return Err(format!(
                "attribute perm = {order:?} is no order of the axes"
            ));
        }
        let strides: Vec<usize> = (0..self.dims.len())
            .map(|axis| self.dims[axis + 1..].iter().product())
            .collect();
        let dims: Vec<usize> = order.iter().map(|&axis| self.dims[axis]).collect();
        // Where an element was before, from the last axis to the first: a list of places would be longer than the elements.
        let source = |mut at: usize| {
            let mut before = 0;
            for (&axis, &dim) in order.iter().zip(&dims).rev() {
                before += at % dim * strides[axis];
                at /= dim;
            }
            before
        };
        let sources = (0..self.len()).map(source);
        let data = match &self.data {
            Data::Float(values) => Data::Float(sources.map(|at| values[at]).collect()),
            Data::Int(kind, values) => Data::Int(*kind, sources.map(|at| values[at]).collect()),
        };
        Ok(Self { dims, data })
    }
}

/// The raw bytes in chunks of an element each.
fn chunks<const N: usize>(tensor: &TensorProto) -> Result<&[[u8; N]], Reason> {
    let (chunks, rest) = tensor.raw_data.as_chunks::<N>();
    if rest.is_empty() {
        Ok(chunks)
    } else {
        Err(format!(
            "{} has {} bytes, not a multiple of {N}",
            tensor.name,
            tensor.raw_data.len()
        ))
    }
}

/// Doubles that are floats: another one would have to be rounded.
fn doubles(tensor: &TensorProto) -> Result<Vec<f32>, Reason> {
    let values: Vec<f64> = if tensor.raw_data.is_empty() {
        tensor.double_data.clone()
    } else {
        chunks(tensor)?
            .iter()
            .copied()
            .map(f64::from_le_bytes)
            .collect()
    };
    let narrow = |value: f64| {
        let narrow = value as f32;
        if f64::from(narrow) == value {
            Ok(narrow)
        } else {
            Err(format!(
                "{} holds {value}, which is no 32-bit float",
                tensor.name
            ))
        }
    };
    values.into_iter().map(narrow).collect()
}

/// Integers of up to 32 bits.
fn integers(tensor: &TensorProto, kind: DataType) -> Result<Vec<i32>, Reason> {
    if tensor.raw_data.is_empty() {
        let (low, high) = match kind {
            DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
            DataType::Uint8 => (0, u8::MAX.into()),
            DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
            DataType::Uint16 => (0, u16::MAX.into()),
            DataType::Bool => (0, 1),
            _ => (i32::MIN, i32::MAX),
        };
        return match tensor
            .int32_data
            .iter()
            .find(|value| !(low..=high).contains(*value))
        {
            Some(value) => Err(format!("{} of type {kind:?} holds {value}", tensor.name)),
            None => Ok(tensor.int32_data.clone()),
        };
    }
    let bytes = tensor.raw_data.iter();
    Ok(match kind {
        DataType::Int8 => bytes.map(|&byte| byte.cast_signed().into()).collect(),
        DataType::Uint8 | DataType::Bool => bytes.map(|&byte| byte.into()).collect(),
        DataType::Int16 => {
            let chunks = chunks(tensor)?.iter().copied();
            chunks
                .map(|chunk| i16::from_le_bytes(chunk).into())
                .collect()
        }
        DataType::Uint16 => {
            let chunks = chunks(tensor)?.iter().copied();
            chunks
                .map(|chunk| u16::from_le_bytes(chunk).into())
                .collect()
        }
        _ => chunks(tensor)?
            .iter()
            .copied()
            .map(i32::from_le_bytes)
            .collect(),
    })
}
