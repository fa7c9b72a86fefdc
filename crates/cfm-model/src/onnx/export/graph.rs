//! A graph under construction: nodes in order, constants, inputs and outputs.

use std::collections::HashMap;

use crate::onnx::proto::{
    AttributeProto, AttributeType, DataType, Dimension, DimensionProto, GraphProto, NodeProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// Name of a value of the graph.
pub(super) type Value = String;

/// An element type of a constant.
pub(super) trait Element: Copy {
    const TYPE: DataType;
    fn append(self, bytes: &mut Vec<u8>);
}

macro_rules! elements {
    ($($rust:ty => $onnx:ident),+ $(,)?) => {
        $(impl Element for $rust {
            const TYPE: DataType = DataType::$onnx;
            fn append(self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }
        })+
    };
}

elements! { u8 => Uint8, i8 => Int8, i32 => Int32, i64 => Int64, f32 => Float, f64 => Double }

/// An attribute of a node.
#[derive(Debug, Clone)]
pub(super) enum Attribute {
    Int(i64),
    Ints(Vec<i64>),
}

impl Attribute {
    /// The type that a `Cast` goes to.
    pub(super) const fn to(data_type: DataType) -> Self {
        Self::Int(data_type as i64)
    }

    fn named(&self, name: &str) -> AttributeProto {
        let mut attribute = AttributeProto {
            name: name.to_owned(),
            ..AttributeProto::default()
        };
        match self {
            Self::Int(value) => {
                attribute.i = *value;
                attribute.set_type(AttributeType::Int);
            }
            Self::Ints(values) => {
                attribute.ints.clone_from(values);
                attribute.set_type(AttributeType::Ints);
            }
        }
        attribute
    }
}

/// The length of an axis of an input or output.
#[derive(Debug, Clone, Copy)]
pub(super) enum Length {
    Fixed(usize),
    /// The number of segments.
    Segments,
}

/// A graph under construction.
#[derive(Debug, Default)]
pub(super) struct Graph {
    proto: GraphProto,
    /// Unnamed constants by type, shape and bytes.
    constants: HashMap<(DataType, Vec<i64>, Vec<u8>), Value>,
}

fn lengths(dims: &[usize]) -> Vec<i64> {
    // No axis of a model is longer than 2^32.
    dims.iter().map(|&length| length as i64).collect()
}

impl Graph {
    pub(super) fn new(name: &str) -> Self {
        let mut graph = Self::default();
        graph.proto.name = name.to_owned();
        graph
    }

    fn value_info(name: &str, data_type: DataType, shape: &[Length]) -> ValueInfoProto {
        let dim = shape.iter().map(|length| DimensionProto {
            value: Some(match *length {
                Length::Fixed(length) => Dimension::Value(length as i64),
                Length::Segments => Dimension::Param("segments".to_owned()),
            }),
        });
        ValueInfoProto {
            name: name.to_owned(),
            r#type: Some(TypeProto {
                tensor_type: Some(TensorTypeProto {
                    elem_type: data_type.into(),
                    shape: Some(TensorShapeProto { dim: dim.collect() }),
                }),
            }),
        }
    }

    /// Declares an input.
    pub(super) fn input(&mut self, name: &str, data_type: DataType, shape: &[Length]) -> Value {
        let info = Self::value_info(name, data_type, shape);
        self.proto.input.push(info);
        name.to_owned()
    }

    /// Declares a value as an output.
    pub(super) fn output(&mut self, name: &str, data_type: DataType, shape: &[Length]) {
        let info = Self::value_info(name, data_type, shape);
        self.proto.output.push(info);
    }

    /// Adds a named constant.
    pub(super) fn initializer<T: Element>(
        &mut self,
        name: &str,
        dims: &[usize],
        data: &[T],
    ) -> Value {
        debug_assert_eq!(dims.iter().product::<usize>(), data.len(), "{name}");
        let mut raw_data = Vec::with_capacity(size_of_val(data));
        data.iter().for_each(|value| value.append(&mut raw_data));
        self.proto.initializer.push(TensorProto {
            dims: lengths(dims),
            data_type: T::TYPE.into(),
            name: name.to_owned(),
            raw_data,
            ..TensorProto::default()
        });
        name.to_owned()
    }

    /// A constant without a name of its own; equal ones are one.
    pub(super) fn constant<T: Element>(&mut self, dims: &[usize], data: &[T]) -> Value {
        let mut bytes = Vec::new();
        data.iter().for_each(|value| value.append(&mut bytes));
        let key = (T::TYPE, lengths(dims), bytes);
        if let Some(name) = self.constants.get(&key) {
            return name.clone();
        }
        let name = format!("constant_{}", self.constants.len());
        self.initializer(&name, dims, data);
        self.constants.insert(key, name.clone());
        name
    }

    /// A constant of a single element, without axes.
    pub(super) fn scalar<T: Element>(&mut self, value: T) -> Value {
        self.constant(&[], &[value])
    }

    /// Adds a node whose output has the given name.
    pub(super) fn named(
        &mut self,
        output: &str,
        operator: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> Value {
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: format!("{output}/{operator}"),
            op_type: operator.to_owned(),
            attribute: attributes
                .iter()
                .map(|(name, attribute)| attribute.named(name))
                .collect(),
            ..NodeProto::default()
        });
        output.to_owned()
    }

    /// Adds a node with attributes.
    pub(super) fn apply_with(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> Value {
        let output = format!("value_{}", self.proto.node.len());
        self.named(&output, operator, inputs, attributes)
    }

    /// Adds a node without attributes.
    pub(super) fn apply(&mut self, operator: &str, inputs: &[&str]) -> Value {
        self.apply_with(operator, inputs, &[])
    }

    /// Converts elements.
    pub(super) fn cast(&mut self, value: &str, to: DataType) -> Value {
        self.apply_with("Cast", &[value], &[("to", Attribute::to(to))])
    }

    /// Inserts axes of length 1.
    pub(super) fn unsqueeze(&mut self, value: &str, axes: &[i64]) -> Value {
        let axes = self.constant(&[axes.len()], axes);
        self.apply("Unsqueeze", &[value, &axes])
    }

    /// All axes but the first as one.
    pub(super) fn flatten(&mut self, value: &str) -> Value {
        self.apply_with("Flatten", &[value], &[("axis", Attribute::Int(1))])
    }

    /// Gives all axes but the first these lengths.
    pub(super) fn reshape(&mut self, value: &str, lengths: &[usize]) -> Value {
        // 0 keeps the length of the axis in that place.
        let shape: Vec<i64> = std::iter::once(0)
            .chain(lengths.iter().map(|&length| length as i64))
            .collect();
        let shape = self.constant(&[shape.len()], &shape);
        self.apply("Reshape", &[value, &shape])
    }

    /// Joins values along their second axis; a single one stays as it is.
    pub(super) fn concat(&mut self, values: &[Value]) -> Value {
        match values {
            [value] => value.clone(),
            values => {
                let values: Vec<&str> = values.iter().map(String::as_str).collect();
                self.apply_with("Concat", &values, &[("axis", Attribute::Int(1))])
            }
        }
    }

    /// The largest element along an axis, which is kept with length 1 or dropped.
    pub(super) fn reduce_max(&mut self, value: &str, axis: i64, keep: bool) -> Value {
        let attributes = [
            ("axes", Attribute::Ints(vec![axis])),
            ("keepdims", Attribute::Int(keep.into())),
        ];
        self.apply_with("ReduceMax", &[value], &attributes)
    }

    /// Gives a value another name.
    pub(super) fn rename(&mut self, value: &str, name: &str) -> Value {
        self.named(name, "Identity", &[value], &[])
    }

    pub(super) fn into_proto(self) -> GraphProto {
        self.proto
    }
}
