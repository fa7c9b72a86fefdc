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
        let list = List {
            tensor,
            dims: &dims,
            count,
        };
        let data = match kind {
            DataType::Float => {
                Data::Float(list.of(&tensor.float_data, f32::from_le_bytes)?.collect())
            }
            DataType::Double => Data::Float(list.doubles()?),
            DataType::Int64 => {
                let narrow =
                    |value: i64| i32::try_from(value).map_err(|_| format!("{name} holds {value}"));
                let values = list.of(&tensor.int64_data, i64::from_le_bytes)?;
                Data::Int(kind, values.map(narrow).collect::<Result<_, _>>()?)
            }
            DataType::Int32
            | DataType::Int8
            | DataType::Uint8
            | DataType::Int16
            | DataType::Uint16
            | DataType::Bool => Data::Int(kind, list.integers(kind)?),
            other => return Err(format!("{name} is of type {other:?}, which is not read")),
        };
        Ok(Self { dims, data })
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

/// The elements of a tensor, as a list of numbers or as raw bytes.
struct List<'a> {
    tensor: &'a TensorProto,
    dims: &'a [usize],
    /// How many there must be.
    count: usize,
}

impl<'a> List<'a> {
    /// Those of `numbers`, or else of the raw bytes, `N` for each. A list may be far longer than the shape says, so it is
    /// judged by its length before any of it is copied.
    fn of<T: Copy, const N: usize>(
        &self,
        numbers: &'a [T],
        decode: impl Fn([u8; N]) -> T + 'a,
    ) -> Result<impl Iterator<Item = T> + 'a, Reason> {
        let Self { tensor, dims, .. } = *self;
        let (chunks, rest) = tensor.raw_data.as_chunks::<N>();
        if !rest.is_empty() {
            return Err(format!(
                "{} has {} bytes, not a multiple of {N}",
                tensor.name,
                tensor.raw_data.len()
            ));
        }
        let numbers = if chunks.is_empty() { numbers } else { &[] };
        let found = numbers.len() + chunks.len();
        if found != self.count {
            return Err(format!(
                "{} of shape {dims:?} has {found} elements instead of {}",
                tensor.name, self.count
            ));
        }
        let decoded = chunks.iter().map(move |&chunk| decode(chunk));
        Ok(numbers.iter().copied().chain(decoded))
    }

    /// Doubles that are floats: another one would have to be rounded.
    fn doubles(&self) -> Result<Vec<f32>, Reason> {
        let narrow = |value: f64| {
            let narrow = value as f32;
            if f64::from(narrow) == value {
                Ok(narrow)
            } else {
                Err(format!(
                    "{} holds {value}, which is no 32-bit float",
                    self.tensor.name
                ))
            }
        };
        let values = self.of(&self.tensor.double_data, f64::from_le_bytes)?;
        values.map(narrow).collect()
    }

    /// Integers of up to 32 bits.
    fn integers(&self, kind: DataType) -> Result<Vec<i32>, Reason> {
        let numbers = &*self.tensor.int32_data;
        let (low, high, values): (i32, i32, Vec<i32>) = match kind {
            DataType::Int8 => {
                let values = self.of(numbers, |bytes| i8::from_le_bytes(bytes).into())?;
                (i8::MIN.into(), i8::MAX.into(), values.collect())
            }
            DataType::Uint8 => {
                let values = self.of(numbers, |bytes| u8::from_le_bytes(bytes).into())?;
                (0, u8::MAX.into(), values.collect())
            }
            DataType::Bool => {
                let values = self.of(numbers, |[byte]| (byte != 0).into())?;
                (0, 1, values.collect())
            }
            DataType::Int16 => {
                let values = self.of(numbers, |bytes| i16::from_le_bytes(bytes).into())?;
                (i16::MIN.into(), i16::MAX.into(), values.collect())
            }
            DataType::Uint16 => {
                let values = self.of(numbers, |bytes| u16::from_le_bytes(bytes).into())?;
                (0, u16::MAX.into(), values.collect())
            }
            _ => {
                let values = self.of(numbers, i32::from_le_bytes)?;
                (i32::MIN, i32::MAX, values.collect())
            }
        };
        match values.iter().find(|value| !(low..=high).contains(*value)) {
            Some(value) => Err(format!(
                "{} of type {kind:?} holds {value}",
                self.tensor.name
            )),
            None => Ok(values),
        }
    }
}
