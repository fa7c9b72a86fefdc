//! Exported models come back as they were, and broken files are refused.

use std::path::PathBuf;

use cfm_core::model::Model;
use cfm_model::onnx::export::{Format, export};
use cfm_model::onnx::import::{Import, ImportError, Options, import};
use cfm_model::onnx::proto::{
    AttributeProto, AttributeType, DataType, ModelProto, NodeProto, TensorProto,
};
use cfm_model::quantize::blank;
use cfm_model::random::{self, random_model};
use cfm_model::spec::{LayerSpec, ModelSpec};
use proptest::prelude::*;
use prost::Message;

fn fixture(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/onnx");
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The model without what an exported file does not say: padding that no pooling window reaches, unknown sections.
fn comparable(mut spec: ModelSpec) -> ModelSpec {
    let shapes = spec.tensor_shapes().unwrap();
    for (layer, output) in spec.layers.iter_mut().zip(&shapes[1..]) {
        if let LayerSpec::MaxPool(pool) | LayerSpec::AvgPool(pool) = layer {
            let input = shapes[pool.input];
            let window = &mut pool.window;
            for (axis, (n, out)) in [(input.height, output.height), (input.width, output.width)]
                .into_iter()
                .enumerate()
            {
                let end = (i32::from(out) - 1) * i32::from(window.stride[axis])
                    + i32::from(window.extent(axis));
                let reached = end - i32::from(n) - i32::from(window.padding[axis]);
                window.padding[axis + 2] = reached.max(0) as u8;
            }
        }
    }
    spec.unknown.clear();
    spec
}

fn reimported(spec: &ModelSpec, format: Format) -> Result<ModelSpec, ImportError> {
    let bytes = spec.to_bytes().unwrap();
    let files = export(&Model::parse(&bytes).unwrap(), format).unwrap();
    let [backbone, head] = [&files.backbone, &files.head].map(Message::encode_to_vec);
    match import(&backbone, Some(&head), &Options::default())? {
        Import::Integers(imported) => {
            assert_eq!(imported.notes, Vec::<String>::new());
            Ok(imported.model)
        }
        Import::Float(_) => panic!("an exported model is quantized"),
    }
}

#[test]
fn exported_models_come_back_with_the_same_integers() {
    for seed in 0..300 {
        let spec = random_model(seed, &random::Options::default());
        for format in Format::ALL {
            let back = reimported(&spec, format)
                .unwrap_or_else(|error| panic!("seed {seed}, {format}: {error}"));
            assert_eq!(
                comparable(back),
                comparable(spec.clone()),
                "seed {seed}, {format}"
            );
        }
    }
}

/// Integers of one network are no good with the scales of another, even where all shapes fit.
#[test]
fn a_head_of_another_export_is_refused() {
    let spec = random_model(0, &random::Options::default());
    let mut other = spec.clone();
    other.head.logit_exponent -= 1;
    other.head.joint_fcs.last_mut().unwrap().output.exponent -= 1;
    let mut elsewhere = spec.clone();
    elsewhere
        .provenance
        .push(("run".to_owned(), "2".to_owned()));
    let files = |spec: &ModelSpec| {
        let bytes = spec.to_bytes().unwrap();
        let files = export(&Model::parse(&bytes).unwrap(), Format::Qdq).unwrap();
        [files.backbone, files.head].map(|file| file.encode_to_vec())
    };
    let [backbone, head] = files(&spec);
    let mixed = |head: &[u8]| import(&backbone, Some(head), &Options::default());
    assert!(mixed(&head).is_ok());
    for (spec, key) in [(&other, "cfm.quantization"), (&elsewhere, "cfm.provenance")] {
        let [_, head] = files(spec);
        let error = mixed(&head).unwrap_err().to_string();
        let expected = format!("head: metadata {key} is not that of the backbone");
        assert!(error.contains(&expected), "{error}");
    }
    // One that says nothing of where it comes from is read.
    let mut nameless = ModelProto::decode(&*head).unwrap();
    nameless.metadata_props.clear();
    assert!(mixed(&nameless.encode_to_vec()).is_ok());
}

/// Nothing is left for these to say, so that they were not heard.
#[test]
fn options_of_float_networks_are_refused_for_integers() {
    let bytes = random_model(0, &random::Options::default())
        .to_bytes()
        .unwrap();
    let files = export(&Model::parse(&bytes).unwrap(), Format::Qdq).unwrap();
    let [backbone, head] = [&files.backbone, &files.head].map(Message::encode_to_vec);
    let refused = |options: &Options, expected: &str| {
        let error = import(&backbone, Some(&head), options).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    let mut options = Options::default();
    options.pixels.mean = [0.5; 3];
    refused(&options, "reads pixels as they are");
    let options = Options {
        exact_border: false,
        ..Options::default()
    };
    refused(&options, "its padding is what it is");
}

/// 16 bits of logits hold all that they can be, and the format clamps them to nothing else.
#[test]
fn clamped_logits_of_an_exported_model_are_refused() {
    let bytes = random_model(0, &random::Options::default())
        .to_bytes()
        .unwrap();
    let mut files = export(&Model::parse(&bytes).unwrap(), Format::Integer).unwrap();
    let graph = files.head.graph.as_mut().unwrap();
    graph.initializer.push(TensorProto {
        name: "low".to_owned(),
        data_type: DataType::Double.into(),
        double_data: vec![-128.0],
        ..TensorProto::default()
    });
    let clips = graph.node.iter_mut().filter(|n| n.op_type == "Clip");
    clips.last().unwrap().input[1] = "low".to_owned();
    let [backbone, head] = [&files.backbone, &files.head].map(Message::encode_to_vec);
    let error = import(&backbone, Some(&head), &Options::default()).unwrap_err();
    let expected = "a clamp follows after the classifier's";
    assert!(error.to_string().contains(expected), "{error}");
}

const FLOAT: [(&str, Option<&str>); 11] = [
    ("vgg.onnx", None),
    ("residual.onnx", None),
    ("separable.onnx", None),
    ("dilated.onnx", Some("dilated-head.onnx")),
    ("batchnorm.onnx", None),
    ("clip.onnx", None),
    ("average.onnx", None),
    ("grouped.onnx", None),
    ("strided.onnx", None),
    ("design-a.onnx", Some("design-a-head.onnx")),
    ("pyramid.onnx", None),
];

const QUANTIZED: [&str; 3] = ["vgg-qdq.onnx", "vgg-qoperator.onnx", "strided-i8.onnx"];

#[test]
fn networks_quantized_by_onnx_runtime_keep_their_integers() {
    for name in QUANTIZED {
        let Import::Integers(imported) = import(&fixture(name), None, &Options::default()).unwrap()
        else {
            panic!("{name} is quantized");
        };
        imported.model.to_bytes().unwrap();
        // Scales of 1/255 are no powers of two.
        assert_eq!(imported.notes.len(), 3, "{:?}", imported.notes);
        assert!(imported.notes[2].contains("rounded to 15 bits"));
    }
}

/// Unsigned weights around 128 reach -128.
#[test]
fn a_weight_of_minus_128_is_refused_by_name() {
    let error = import(&fixture("vgg-u8.onnx"), None, &Options::default())
        .unwrap_err()
        .to_string();
    let expected = "(QLinearConv): weight -128 of output channel 1 is not in -127 ..= 127";
    assert!(error.contains(expected), "{error}");
}

/// Two scales of a sum that are not a power of two apart.
#[test]
fn sums_of_unlike_scales_are_refused_by_name() {
    let error = import(&fixture("residual-qdq.onnx"), None, &Options::default()).unwrap_err();
    let ImportError::Node {
        node,
        operator,
        reason,
    } = &error
    else {
        panic!("{error}");
    };
    assert!(!node.is_empty() && operator == "QuantizeLinear", "{error}");
    assert!(reason.contains("sums are aligned by shifts"), "{error}");
}

/// The bytes of a fixture with a change made to its messages.
fn changed(name: &str, change: impl FnOnce(&mut ModelProto)) -> String {
    let mut model = ModelProto::decode(&*fixture(name)).unwrap();
    change(&mut model);
    import(&model.encode_to_vec(), None, &Options::default())
        .unwrap_err()
        .to_string()
}

fn node<'m>(model: &'m mut ModelProto, operator: &str) -> &'m mut NodeProto {
    let nodes = &mut model.graph.as_mut().unwrap().node;
    nodes
        .iter_mut()
        .find(|node| node.op_type == operator)
        .unwrap()
}

fn attribute<'m>(node: &'m mut NodeProto, name: &str) -> &'m mut AttributeProto {
    node.attribute.iter_mut().find(|a| a.name == name).unwrap()
}

#[test]
fn what_cannot_be_represented_is_named() {
    let refused = |expected: &str, change: &dyn Fn(&mut ModelProto)| {
        let text = changed("vgg.onnx", change);
        assert!(text.contains(expected), "{expected} in {text}");
    };
    refused(
        "/0/0.1/Relu (LeakyRelu): this operator is not read",
        &|model| {
            node(model, "Relu").op_type = "LeakyRelu".to_owned();
        },
    );
    refused("(my.domain.Relu): this operator is not read", &|model| {
        node(model, "Relu").domain = "my.domain".to_owned();
    });
    refused("auto_pad = SAME is not known", &|model| {
        node(model, "Conv").attribute.push(AttributeProto {
            name: "auto_pad".to_owned(),
            s: b"SAME".to_vec(),
            r#type: AttributeType::String.into(),
            ..AttributeProto::default()
        });
    });
    refused(
        "/0/0.0/Conv (Conv): attribute pads: -1 is not in 0 ..= 255",
        &|model| {
            attribute(node(model, "Conv"), "pads").ints[0] = -1;
        },
    );
    refused("attribute strides is not of type Ints", &|model| {
        attribute(node(model, "Conv"), "strides").r#type = AttributeType::Int.into();
    });
    refused(
        "attribute dilations: the format has no dilated pooling",
        &|model| {
            attribute(node(model, "MaxPool"), "dilations").ints = vec![2, 2];
        },
    );
    refused("a head pools by the maximum", &|model| {
        let nodes = &mut model.graph.as_mut().unwrap().node;
        let last = nodes
            .iter_mut()
            .rfind(|node| node.op_type == "MaxPool")
            .unwrap();
        last.op_type = "GlobalAveragePool".to_owned();
        last.attribute.clear();
    });
    refused("lie in another file", &|model| {
        model.graph.as_mut().unwrap().initializer[0].data_location = 1;
    });
    refused("is of type Float16, which is not read", &|model| {
        model.graph.as_mut().unwrap().initializer[0].data_type = DataType::Float16.into();
    });
    refused("has too many elements", &|model| {
        model.graph.as_mut().unwrap().initializer[0].dims = vec![i64::MAX; 3];
    });
    refused("has a dimension of -8", &|model| {
        model.graph.as_mut().unwrap().initializer[0].dims[0] = -8;
    });
    refused("instead of", &|model| {
        model.graph.as_mut().unwrap().initializer[0].raw_data.pop();
        model.graph.as_mut().unwrap().initializer[0]
            .raw_data
            .truncate(8);
    });
    refused("is not computed before it", &|model| {
        model.graph.as_mut().unwrap().node.reverse();
    });
    refused("operator set 99 is not read", &|model| {
        model.opset_import[0].version = 99;
    });
    refused("the number of rows or columns is not fixed", &|model| {
        let input = model.graph.as_mut().unwrap().input[0]
            .r#type
            .as_mut()
            .unwrap();
        input
            .tensor_type
            .as_mut()
            .unwrap()
            .shape
            .as_mut()
            .unwrap()
            .dim[2]
            .value = None;
    });
    refused("input 1 is computed, not a constant", &|model| {
        let conv = node(model, "Conv");
        conv.input[1] = conv.input[0].clone();
    });
}

#[test]
fn files_that_are_none_are_refused() {
    let refused = |bytes: &[u8], expected: &str| {
        let text = import(bytes, None, &Options::default())
            .unwrap_err()
            .to_string();
        assert!(text.contains(expected), "{expected} in {text}");
    };
    refused(b"", "names no operator set");
    refused(b"not an ONNX file", "not a readable ONNX model");
    let whole = fixture("vgg.onnx");
    refused(&whole[..whole.len() / 2], "not a readable ONNX model");
    // A graph (field 7) of a million empty nodes (field 1).
    let mut nodes = vec![0x3a, 0x80, 0x89, 0x7a];
    nodes.extend([0x0a, 0x00].repeat(1_000_000));
    refused(&nodes, "entries");
    let backbone = fixture("dilated.onnx");
    refused(&backbone, "a head is needed too");
    let error = import(&whole, Some(&backbone), &Options::default()).unwrap_err();
    assert!(
        error.to_string().contains("has a head of its own"),
        "{error}"
    );
}

/// How many networks [`files`] has.
const FILES: usize = FLOAT.len() + QUANTIZED.len() + Format::ALL.len();

/// Backbone and head of a network.
fn files(which: usize) -> (Vec<u8>, Option<Vec<u8>>) {
    if let Some((backbone, head)) = FLOAT.get(which) {
        return (fixture(backbone), head.map(fixture));
    }
    let which = which - FLOAT.len();
    if let Some(name) = QUANTIZED.get(which) {
        return (fixture(name), None);
    }
    let which = which - QUANTIZED.len();
    let spec = random_model(which as u64, &random::Options::default());
    let bytes = spec.to_bytes().unwrap();
    let files = export(&Model::parse(&bytes).unwrap(), Format::ALL[which]).unwrap();
    let [backbone, head] = [&files.backbone, &files.head].map(Message::encode_to_vec);
    (backbone, Some(head))
}

/// Changes that leave a file readable, but not what it says: names, operators, attributes, shapes, types.
fn rewire(
    model: &mut ModelProto,
    kind: u8,
    a: prop::sample::Index,
    b: prop::sample::Index,
    value: i64,
) {
    let Some(graph) = &mut model.graph else {
        return;
    };
    let (nodes, constants) = (graph.node.len(), graph.initializer.len());
    match kind {
        0 => {
            // Another earlier value in the place of an input.
            let at = a.index(nodes);
            let mut names: Vec<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
            names.extend(graph.input.iter().map(|input| input.name.clone()));
            names.extend(graph.node[..at].iter().flat_map(|node| node.output.clone()));
            let inputs = graph.node[at].input.len().max(1);
            let name = b.get(&names).clone();
            match graph.node[at]
                .input
                .get_mut(value.rem_euclid(inputs as i64) as usize)
            {
                Some(input) => *input = name,
                None => graph.node[at].input.push(name),
            }
        }
        1 => graph.node[a.index(nodes)].op_type = graph.node[b.index(nodes)].op_type.clone(),
        2 => {
            let node = &mut graph.node[a.index(nodes)];
            if !node.attribute.is_empty() {
                let at = b.index(node.attribute.len());
                let attribute = &mut node.attribute[at];
                attribute.i = value;
                if let Some(first) = attribute.ints.first_mut() {
                    *first = value;
                }
            }
        }
        3 if constants > 0 => {
            let constant = &mut graph.initializer[a.index(constants)];
            if constant.dims.is_empty() {
                constant.dims.push(value);
            } else {
                let at = b.index(constant.dims.len());
                constant.dims[at] = value;
            }
        }
        4 if constants > 0 => {
            // The shape turned round: as many elements as before.
            graph.initializer[a.index(constants)].dims.reverse();
        }
        5 if constants > 0 => {
            let other = graph.initializer[b.index(constants)].clone();
            let constant = &mut graph.initializer[a.index(constants)];
            *constant = TensorProto {
                name: constant.name.clone(),
                ..other
            };
        }
        6 => drop(graph.node.remove(a.index(nodes))),
        _ => {
            let input = &mut graph.node[a.index(nodes)].input;
            input.pop();
        }
    }
    if graph.node.is_empty() {
        graph.node.push(NodeProto::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Whatever happens to a file, it is read or refused.
    #[test]
    fn broken_files_never_panic(
        which in 0..FILES,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
        head_too: bool,
    ) {
        let (mut backbone, mut head) = files(which);
        let target = match &mut head {
            Some(head) if head_too => head,
            _ => &mut backbone,
        };
        for (at, value, kind) in edits {
            let at = at.index(target.len().max(1));
            match kind {
                0 if at < target.len() => target[at] = value,
                1 if at < target.len() => target[at] ^= 1 << (value % 8),
                2 if at < target.len() => drop(target.remove(at)),
                _ => target.insert(at, value),
            }
        }
        if let Ok(Import::Integers(imported)) = import(&backbone, head.as_deref(), &Options::default()) {
            // Whatever it is now, writing it is validated.
            let _ = imported.model.to_bytes();
        }
    }

    /// Whatever a graph says, it is read or refused; what is read as integers can be judged by the writer.
    #[test]
    fn senseless_graphs_never_panic(
        which in 0..FILES,
        edits in prop::collection::vec(
            (0..8_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop_oneof![-2..10_i64, any::<i64>()]),
            1..5,
        ),
        head_too: bool,
    ) {
        let (mut backbone, mut head) = files(which);
        let target = match &mut head {
            Some(head) if head_too => head,
            _ => &mut backbone,
        };
        let mut model = ModelProto::decode(&**target).unwrap();
        for (kind, a, b, value) in edits {
            rewire(&mut model, kind, a, b, value);
        }
        *target = model.encode_to_vec();
        match import(&backbone, head.as_deref(), &Options::default()) {
            Ok(Import::Integers(imported)) => drop(imported.model.to_bytes()),
            Ok(Import::Float(imported)) => drop(blank(&imported.model).map(|spec| spec.to_bytes())),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
