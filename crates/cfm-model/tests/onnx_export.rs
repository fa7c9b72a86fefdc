//! Exported ONNX files decode, hold together, and say what they should. What they compute is for `tests/onnx_check.py`.

use std::collections::{BTreeMap, BTreeSet};

use cfm_core::model::Model;
use cfm_model::onnx::export::{ExportError, Format, MAX_PIXELS, OnnxFiles, export};
use cfm_model::onnx::proto::{DataType, Dimension, GraphProto, ModelProto, ValueInfoProto};
use cfm_model::random::{Options, random_model};
use cfm_model::spec::{
    Channel, ConvSpec, Design, FcSpec, InputSpec, LayerSpec, ModelSpec, OutputScale, PoolSpec,
    Window, classifier_output, one_layer,
};
use prost::Message;

fn exported(spec: &ModelSpec, format: Format) -> Result<OnnxFiles, ExportError> {
    let bytes = spec.to_bytes().unwrap();
    export(&Model::parse(&bytes).unwrap(), format)
}

/// Bytes of an element.
fn size(data_type: DataType) -> usize {
    match data_type {
        DataType::Uint8 | DataType::Int8 => 1,
        DataType::Int32 | DataType::Float => 4,
        DataType::Int64 | DataType::Double => 8,
        other => panic!("constants of type {other:?}"),
    }
}

/// Every value is defined once and before it is used, every constant and every result is used, constants have their
/// shape's length.
fn check_structure(graph: &GraphProto) {
    let mut defined = BTreeSet::new();
    for constant in &graph.initializer {
        let elements: i64 = constant.dims.iter().product();
        assert_eq!(
            constant.raw_data.len(),
            elements as usize * size(constant.data_type()),
            "{}",
            constant.name
        );
        assert!(defined.insert(constant.name.as_str()), "{}", constant.name);
    }
    for input in &graph.input {
        assert!(defined.insert(&input.name), "{}", input.name);
    }
    let mut used = BTreeSet::new();
    let mut names = BTreeSet::new();
    for node in &graph.node {
        assert!(names.insert(&node.name), "{} twice", node.name);
        assert!(node.domain.is_empty(), "{}", node.op_type);
        for input in &node.input {
            assert!(defined.contains(input.as_str()), "{}: {input}", node.name);
            used.insert(input.as_str());
        }
        for output in &node.output {
            assert!(defined.insert(output), "{output} twice");
        }
    }
    for output in &graph.output {
        assert!(defined.contains(output.name.as_str()), "{}", output.name);
        used.insert(&output.name);
    }
    let unused: Vec<_> = defined.difference(&used).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

/// Name, type, and lengths; a symbolic one is 0.
fn described(value: &ValueInfoProto) -> (&str, i32, Vec<i64>) {
    let tensor = value.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap();
    let dims = tensor.shape.as_ref().unwrap().dim.iter();
    let lengths = dims.map(|dim| match dim.value.as_ref().unwrap() {
        Dimension::Value(length) => *length,
        Dimension::Param(name) => {
            assert_eq!(name, "segments");
            0
        }
    });
    (&value.name, tensor.elem_type, lengths.collect())
}

fn check_interface(spec: &ModelSpec, files: &OnnxFiles) {
    let shapes = spec.tensor_shapes().unwrap();
    let feature = shapes.last().unwrap();
    let image = &spec.input;
    let u8_ = DataType::Uint8 as i32;
    let lengths = |values: [u16; 3]| {
        let [a, b, c] = values.map(i64::from);
        vec![1, a, b, c]
    };
    let image = (
        "image",
        u8_,
        lengths([image.channels, image.height, image.width]),
    );
    let masks = (
        "masks",
        DataType::Bool as i32,
        vec![0, spec.input.height.into(), spec.input.width.into()],
    );
    let features = (
        "features",
        u8_,
        lengths([feature.channels, feature.height, feature.width]),
    );
    let classes = spec.classes.len() as i64;
    let logits = ("logits", DataType::Int16 as i32, vec![0, classes]);
    let vector = |name: &'static str, bins: usize| {
        let length = bins as i64 * i64::from(feature.channels);
        (name, u8_, vec![0, length])
    };
    let head = spec.head.shape();
    let mut vectors = vec![vector("segment_vector", head.segment_bins)];
    if spec.head.design == Design::A {
        vectors.push(vector("region_vector", head.region_bins));
    }
    for (file, inputs, output) in [
        (&files.model, vec![image.clone(), masks], logits.clone()),
        (&files.backbone, vec![image], features),
        (&files.head, vectors, logits),
    ] {
        let graph = file.graph.as_ref().unwrap();
        assert_eq!(
            graph.input.iter().map(described).collect::<Vec<_>>(),
            inputs
        );
        assert_eq!(
            graph.output.iter().map(described).collect::<Vec<_>>(),
            [output]
        );
    }
}

#[test]
fn files_of_random_models_hold_together() {
    for seed in 0..60 {
        let spec = random_model(seed, &Options::default());
        for format in Format::ALL {
            let files = exported(&spec, format).unwrap();
            check_interface(&spec, &files);
            for (name, file) in files.all() {
                let decoded = ModelProto::decode(&file.to_bytes()[..]).unwrap();
                assert_eq!(&decoded, file, "seed {seed} {format} {name}");
                check_structure(file.graph.as_ref().unwrap());
            }
        }
    }
}

fn metadata(file: &ModelProto) -> BTreeMap<&str, &str> {
    let entries = file.metadata_props.iter();
    entries
        .map(|entry| (entry.key.as_str(), entry.value.as_str()))
        .collect()
}

/// What the model holds beside its layers can be read back from every file.
#[test]
fn metadata_is_complete() {
    for seed in 0..40 {
        let mut spec = random_model(seed, &Options::default());
        spec.proposals = (seed % 2 == 0).then(|| vec![0, 255, 16]);
        let files = exported(&spec, Format::Qdq).unwrap();
        for (name, file) in files.all() {
            let found = metadata(file);
            assert_eq!(found["cfm.version"], "1");
            assert_eq!(format!("{}.onnx", found["cfm.part"]), name);
            let json = |key: &str| -> Option<serde_json::Value> {
                found
                    .get(key)
                    .map(|text| serde_json::from_str(text).unwrap())
            };
            let whole = serde_json::to_value(&spec).unwrap();
            for (key, value) in [
                ("cfm.classes", &whole["classes"]),
                ("cfm.segment_levels", &whole["head"]["segment_levels"]),
                ("cfm.region_levels", &whole["head"]["region_levels"]),
                ("cfm.provenance", &whole["provenance"]),
                ("cfm.labelling", &whole["labelling"]),
                ("cfm.calibration", &whole["calibration"]),
            ] {
                assert_eq!(
                    json(key).as_ref(),
                    Some(value).filter(|v| !v.is_null()),
                    "{key}"
                );
            }
            let proposals = found.get("cfm.proposals").copied();
            assert_eq!(proposals, spec.proposals.as_ref().map(|_| "00ff10"));
            let scales = json("cfm.quantization").unwrap();
            for (at, scale) in spec.tensor_scales().iter().enumerate() {
                let name = match at {
                    0 => "image".to_owned(),
                    _ if at == spec.layers.len() => "features".to_owned(),
                    _ => format!("tensor_{at}"),
                };
                assert_eq!(scales[&name]["exponent"], scale.exponent);
                assert_eq!(scales[&name]["zero_point"], scale.zero_point);
            }
            assert_eq!(scales["logits"]["exponent"], spec.head.logit_exponent);
        }
    }
}

/// Only the integer form is free of float operators on activations.
#[test]
fn the_integer_form_has_no_quantized_float_operators() {
    let float = ["QLinearConv", "DequantizeLinear", "QuantizeLinear", "Conv"];
    let uses_float = |file: &ModelProto| {
        let mut nodes = file.graph.as_ref().unwrap().node.iter();
        nodes.any(|node| float.contains(&node.op_type.as_str()))
    };
    let mut float_files = 0;
    for seed in 0..30 {
        let spec = random_model(seed, &Options::default());
        assert!(!uses_float(
            &exported(&spec, Format::Integer).unwrap().model
        ));
        float_files += usize::from(uses_float(&exported(&spec, Format::Qdq).unwrap().model));
    }
    assert!(float_files > 15, "{float_files} of 30");
}

/// A weight of 127 steps must not be infinite as an f32; integers have no such bound.
#[test]
fn weights_that_no_float_holds_take_the_integer_form() {
    let layer = |input, exponent| {
        LayerSpec::Conv2d(ConvSpec {
            input,
            window: Window::UNIT,
            groups: 1,
            out_channels: 1,
            output: OutputScale {
                zero_point: 0,
                exponent,
                low: i8::MIN,
                high: i8::MAX,
            },
            weights: vec![1],
            channels: vec![Channel {
                bias: 0,
                mantissa: 1 << 14,
                shift: 14,
            }],
        })
    };
    let image = InputSpec {
        height: 2,
        width: 2,
        channels: 1,
    };
    let classifier = FcSpec {
        outputs: 1,
        output: classifier_output(0),
        weights: vec![1],
        channels: vec![Channel {
            bias: 0,
            mantissa: 1 << 14,
            shift: 14,
        }],
    };
    // The second layer's weights have steps of 2^121 and 2^122.
    for (exponent, integer_form) in [(-58, false), (-59, true)] {
        let mut spec = one_layer(image, layer(0, exponent), Vec::new(), classifier.clone());
        spec.layers.push(layer(1, 63));
        let operators = |format| {
            let file = exported(&spec, format).unwrap().backbone;
            let nodes = file.graph.unwrap().node.into_iter();
            nodes.map(|node| node.op_type).collect::<Vec<_>>()
        };
        let found = operators(Format::Qdq).contains(&"ConvInteger".to_owned());
        assert_eq!(found, integer_form, "2^{exponent}");
        assert!(!operators(Format::QLinear).contains(&"ConvInteger".to_owned()));
    }
}

#[test]
fn an_image_with_too_many_pixels_to_count_is_refused() {
    let mut spec = random_model(0, &Options::default());
    let feature = *spec.tensor_shapes().unwrap().last().unwrap();
    spec.input = InputSpec {
        height: 4096,
        width: 4096,
        channels: feature.channels,
    };
    let window = Window {
        kernel: [64, 64],
        stride: [64, 64],
        ..Window::UNIT
    };
    spec.layers = vec![LayerSpec::MaxPool(PoolSpec { input: 0, window })];
    assert_eq!(
        exported(&spec, Format::Qdq),
        Err(ExportError::Pixels(MAX_PIXELS))
    );
    spec.input.width -= 1;
    assert!(exported(&spec, Format::Qdq).is_ok());
}

#[test]
fn formats_have_names() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    let error = "float".parse::<Format>().unwrap_err().to_string();
    assert!(error.contains("\"float\""), "{error}");
}
