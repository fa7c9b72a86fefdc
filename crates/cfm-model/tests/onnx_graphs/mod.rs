//! Small ONNX files, built as protocol buffers in memory.

use cfm_model::onnx::proto::{
    AttributeProto, AttributeType, DataType, Dimension, DimensionProto, GraphProto, ModelProto,
    NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};

pub fn input(name: &str, elements: DataType, dims: &[i64]) -> ValueInfoProto {
    let dim = dims.iter().map(|&length| DimensionProto {
        value: Some(Dimension::Value(length)),
    });
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: elements.into(),
                shape: Some(TensorShapeProto { dim: dim.collect() }),
            }),
        }),
    }
}

pub fn tensor(name: &str, kind: DataType, dims: &[i64], raw_data: Vec<u8>) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        data_type: kind.into(),
        dims: dims.to_vec(),
        raw_data,
        ..TensorProto::default()
    }
}

/// Floats that are all the same.
pub fn floats(name: &str, dims: &[i64], value: f32) -> TensorProto {
    let count = dims.iter().product::<i64>() as usize;
    let data = value.to_le_bytes().repeat(count);
    tensor(name, DataType::Float, dims, data)
}

pub fn node(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: operator.to_owned(),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

pub trait With {
    fn int(self, name: &str, value: i64) -> Self;
    fn ints(self, name: &str, values: &[i64]) -> Self;
}

impl With for NodeProto {
    fn int(mut self, name: &str, value: i64) -> Self {
        self.attribute.push(AttributeProto {
            name: name.to_owned(),
            i: value,
            r#type: AttributeType::Int.into(),
            ..AttributeProto::default()
        });
        self
    }

    fn ints(mut self, name: &str, values: &[i64]) -> Self {
        self.attribute.push(AttributeProto {
            name: name.to_owned(),
            ints: values.to_vec(),
            r#type: AttributeType::Ints.into(),
            ..AttributeProto::default()
        });
        self
    }
}

/// A file with one input; its output is that of the last node.
pub fn model(
    input: ValueInfoProto,
    node: Vec<NodeProto>,
    initializer: Vec<TensorProto>,
) -> ModelProto {
    let output = ValueInfoProto {
        name: node.last().unwrap().output[0].clone(),
        r#type: None,
    };
    ModelProto {
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 17,
        }],
        graph: Some(GraphProto {
            node,
            initializer,
            input: vec![input],
            output: vec![output],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

pub fn image(elements: DataType) -> ValueInfoProto {
    input("image", elements, &[1, 3, 8, 8])
}

/// A backbone without a head.
pub fn backbone() -> ModelProto {
    let weights = floats("cw", &[4, 3, 1, 1], 0.5);
    let conv = node("Conv", &["image", "cw"], "map");
    model(image(DataType::Float), vec![conv], vec![weights])
}

pub fn one(kind: DataType, name: &str, value: u8) -> TensorProto {
    tensor(name, kind, &[], vec![value])
}

/// A quantized network: the image is `image`, u8, with scale `s` and zero point `z`, and 1 as `i8` of weights' zeros.
pub fn quantized(nodes: Vec<NodeProto>, mut constants: Vec<TensorProto>) -> ModelProto {
    constants.push(floats("s", &[], 0.5));
    constants.push(one(DataType::Uint8, "z", 0));
    constants.push(one(DataType::Int8, "wz", 0));
    model(image(DataType::Uint8), nodes, constants)
}

/// A quantized network of one layer, and a head that reads a vector `x` of `length`, u8, dequantized as `v`.
pub fn quantized_with_head(
    length: i64,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
) -> [ModelProto; 2] {
    let layer = &["image", "s", "z", "cw", "s", "wz", "s", "z"];
    let weights = tensor("cw", DataType::Int8, &[4, 3, 1, 1], vec![1; 12]);
    let backbone = quantized(vec![node("QLinearConv", layer, "map")], vec![weights]);
    let mut all = vec![node("DequantizeLinear", &["x", "s", "z"], "v")];
    all.extend(nodes);
    let mut head = quantized(all, constants);
    head.graph.as_mut().unwrap().input = vec![input("x", DataType::Uint8, &[1, length])];
    [backbone, head]
}

/// A file of the project: a convolution with its re-quantization spelled out, then a clamp of its integers.
pub fn clipped(bounds: [f32; 2], integers: [i8; 2]) -> ModelProto {
    let [min, max] = bounds;
    let [low, high] = integers.map(i8::cast_unsigned);
    let nodes = vec![
        node("ConvInteger", &["image", "cw", "z", "wz"], "sum"),
        node("Mul", &["sum", "factors"], "real"),
        node("Round", &["real"], "rounded"),
        node("Clip", &["rounded", "min", "max"], "bounded"),
        node("Cast", &["bounded"], "q").int("to", DataType::Int8 as i64),
        node("Clip", &["q", "low", "high"], "out"),
    ];
    let constants = vec![
        tensor("cw", DataType::Int8, &[4, 3, 1, 1], vec![1; 12]),
        floats("factors", &[4], 0.5),
        floats("min", &[], min),
        floats("max", &[], max),
        one(DataType::Int8, "low", low),
        one(DataType::Int8, "high", high),
    ];
    let mut file = quantized(nodes, constants);
    let entries = [
        ("version", "1"),
        ("design", "plain"),
        ("mask_rule", "max"),
        ("classifier", "softmax"),
        ("segment_levels", "[1]"),
        ("region_levels", "[]"),
        ("classes", "[]"),
        (
            "quantization",
            r#"{"image":{"zero_point":-128,"exponent":-7},"q":{"zero_point":0,"exponent":-3}}"#,
        ),
    ];
    file.metadata_props = entries
        .into_iter()
        .map(|(key, value)| StringStringEntryProto {
            key: format!("cfm.{key}"),
            value: value.to_owned(),
        })
        .collect();
    file
}
