//! ONNX files made to ask for memory or time far beyond their own length: refused in words, quickly, in little memory.
//!
//! Memory is measured by an allocator that counts.

mod onnx_graphs;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cfm_model::onnx::import::{Options, import};
use cfm_model::onnx::proto::{
    DataType, ModelProto, NodeProto, StringStringEntryProto, TensorProto,
};
use onnx_graphs::{
    With, backbone, clipped, floats, image, input, model, node, quantized, quantized_with_head,
    tensor,
};
use peak_alloc::PeakAlloc;
use prost::Message;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// Tests run in several threads, but bytes are counted of one at a time: each begins with its turn, before it builds a file.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

const MIB: usize = 1 << 20;

/// Refuses `backbone` (with `head`) by a text that has `expected` in it; takes no more than files of that length may.
fn refused(backbone: &ModelProto, head: Option<&ModelProto>, expected: &str) {
    let backbone = backbone.encode_to_vec();
    let head = head.map(Message::encode_to_vec);
    let length = backbone.len() + head.as_ref().map_or(0, Vec::len);
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let start = Instant::now();
    let result = import(&backbone, head.as_deref(), &Options::default());
    let (time, peak) = (
        start.elapsed(),
        ALLOCATED.peak_usage().saturating_sub(before),
    );
    let text = result.expect_err(expected).to_string();
    assert!(text.contains(expected), "{expected} in {text}");
    // The most weights of a network, of four bytes each, and something for the rest.
    assert!(
        peak < (128 + 32) * MIB + 16 * length,
        "{expected}: {length} bytes took {peak}"
    );
    // Seconds at most; what it is up against are hours.
    assert!(time < Duration::from_secs(60), "{expected}: {time:?}");
}

/// A tensor without elements.
fn empty(name: &str, kind: DataType, dims: &[i64]) -> TensorProto {
    tensor(name, kind, dims, Vec::new())
}

/// A float network: a convolution to `channels` channels, pooled and flattened to the vector `v`, then these nodes.
fn on_vector(channels: i64, nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> ModelProto {
    let mut all = vec![
        node("Conv", &["image", "cw"], "map"),
        node("GlobalMaxPool", &["map"], "level"),
        node("Flatten", &["level"], "v"),
    ];
    all.extend(nodes);
    let mut initializers = vec![floats("cw", &[channels, 3, 1, 1], 0.5)];
    initializers.extend(constants);
    model(image(DataType::Float), all, initializers)
}

const HUGE: i64 = 1 << 62;
const LONG: i64 = 1 << 40;

#[test]
fn huge_dimensions_beside_a_zero_are_refused() {
    let _turn = turn();
    let weights = empty("w", DataType::Float, &[HUGE, 0, 1, 1]);
    let conv = node("Conv", &["image", "w"], "out").int("group", 4);
    let file = model(image(DataType::Float), vec![conv], vec![weights]);
    refused(&file, None, "w has too many elements");

    let gemm = node("Gemm", &["v", "w"], "out").int("transB", 1);
    let weights = empty("w", DataType::Float, &[HUGE, 0]);
    let file = on_vector(4, vec![gemm], vec![weights]);
    refused(&file, None, "w has too many elements");

    let layer = &["image", "s", "z", "w", "s", "wz", "s", "z"];
    let conv = node("QLinearConv", layer, "out").int("group", 4);
    let weights = empty("w", DataType::Int8, &[HUGE, 0, 1, 1]);
    let file = quantized(vec![conv], vec![weights]);
    refused(&file, None, "w has too many elements");

    let conv = node("ConvInteger", &["image", "w", "z", "wz"], "out").int("group", 4);
    let weights = empty("w", DataType::Int8, &[HUGE, 0, 1, 1]);
    let file = quantized(vec![conv], vec![weights]);
    refused(&file, None, "w has too many elements");
}

#[test]
fn constants_without_elements_are_not_transposed() {
    let _turn = turn();
    let transpose = node("Transpose", &["w"], "out").ints("perm", &[0, 1]);
    let weights = empty("w", DataType::Float, &[LONG, 0]);
    let file = on_vector(4, vec![transpose], vec![weights]);
    refused(&file, None, "w has too many elements");

    for operator in ["Gemm", "MatMul"] {
        let layer = node(operator, &["v", "w"], "out");
        let weights = empty("w", DataType::Float, &[0, LONG]);
        let file = on_vector(4, vec![layer], vec![weights]);
        refused(&file, None, "w has too many elements");
    }

    let layer = node("MatMulInteger", &["image", "w", "z", "wz"], "out");
    let weights = empty("w", DataType::Int8, &[0, LONG]);
    let file = quantized(vec![layer], vec![weights]);
    refused(&file, None, "w has too many elements");

    // Short ones, too: a layer without weights has no use for a length either.
    let gemm = node("Gemm", &["v", "w"], "out");
    let weights = empty("w", DataType::Float, &[0, 1 << 24]);
    let file = on_vector(4, vec![gemm], vec![weights]);
    refused(&file, None, "w of shape [0, 16777216] has no elements");
}

/// The strides of a shape take time by the square of its axes.
#[test]
fn shapes_of_very_many_axes_are_refused() {
    let _turn = turn();
    let transpose = node("Transpose", &["w"], "out");
    let weights = tensor("w", DataType::Float, &[1; 400_000], vec![0; 4]);
    let file = on_vector(4, vec![transpose], vec![weights]);
    refused(&file, None, "w has 400000 axes");
}

/// One zero point and one scale for each of no outputs.
#[test]
fn weights_without_scales_are_refused() {
    let _turn = turn();
    let [backbone, head] = quantized_with_head(
        4,
        vec![
            node("DequantizeLinear", &["w", "ws", "wzs"], "real"),
            node("Gemm", &["v", "real"], "out"),
        ],
        vec![
            tensor("w", DataType::Int8, &[4], vec![1; 4]),
            empty("ws", DataType::Float, &[0]),
            empty("wzs", DataType::Int8, &[0]),
        ],
    );
    refused(&backbone, Some(&head), "ws of shape [0] has no elements");
}

#[test]
fn vectors_longer_than_any_layer_reads_take_no_memory() {
    let _turn = turn();
    for length in [1 << 30, i64::MAX] {
        let x = || input("x", DataType::Float, &[1, length]);
        let concat = node("Concat", &["x"], "out").int("axis", 1);
        let head = model(x(), vec![concat], Vec::new());
        refused(&backbone(), Some(&head), "longer than any layer reads");

        let mul = node("Mul", &["x", "two"], "out");
        let head = model(x(), vec![mul], vec![floats("two", &[], 2.0)]);
        refused(&backbone(), Some(&head), "longer than any layer reads");
    }
    // Short enough for a layer of one output, but nothing else.
    let x = input("x", DataType::Float, &[1, 1 << 25]);
    let mul = node("Mul", &["x", "two"], "out");
    let head = model(x, vec![mul], vec![floats("two", &[], 2.0)]);
    refused(&backbone(), Some(&head), "more than 33554432 weights");

    // A level of 65535 channels: 786 kB, again and again.
    let many = vec!["v"; 100_000];
    let concat = node("Concat", &many, "out").int("axis", 1);
    let file = on_vector(65535, vec![concat], Vec::new());
    refused(&file, None, "longer than any layer reads");

    let scaled = node("Mul", &["v", "two"], "scaled");
    let many = ["scaled"; 400];
    let concat = node("Concat", &many, "out").int("axis", 1);
    let constants = vec![floats("two", &[], 2.0)];
    let file = on_vector(65535, vec![scaled, concat], constants);
    refused(&file, None, "more than 33554432 weights");
}

/// Inputs times outputs of a layer would not fit in 64 bits.
#[test]
fn products_of_lengths_do_not_overflow() {
    let _turn = turn();
    let mut nodes = vec![node("Identity", &["v"], "d0")];
    for at in 0..12 {
        let [before, after] = [at, at + 1].map(|at| format!("d{at}"));
        let concat = node("Concat", &[&before, &before], &after).int("axis", 1);
        nodes.push(concat);
    }
    nodes.push(node("DequantizeLinear", &["w", "s", "wz"], "real"));
    nodes.push(node("Gemm", &["d12", "real"], "out"));
    let weights = tensor("w", DataType::Int8, &[1, 1 << 22], vec![1; 1 << 22]);
    for length in [1 << 30, 1 << 25] {
        let [backbone, head] = quantized_with_head(length, nodes.clone(), vec![weights.clone()]);
        refused(&backbone, Some(&head), "longer than any layer reads");
    }
}

#[test]
fn means_over_large_windows_are_counted_first() {
    let _turn = turn();
    let pool = node("AveragePool", &["map"], "out")
        .ints("kernel_shape", &[255, 255])
        .ints("pads", &[127; 4])
        .int("count_include_pad", 1);
    let conv = node("Conv", &["image", "cw"], "map");
    let weights = floats("cw", &[65535, 3, 1, 1], 0.5);
    let file = model(image(DataType::Float), vec![conv, pool], vec![weights]);
    refused(&file, None, "more than 33554432 weights");
}

/// 2^64 ways lead from the pooling to what flattens it.
#[test]
fn ways_through_a_graph_are_not_walked_one_by_one() {
    let _turn = turn();
    for operator in ["Identity", "DequantizeLinear"] {
        let pool = node("MaxPool", &["image"], "pooled").ints("kernel_shape", &[8, 8]);
        let mut nodes = vec![
            pool,
            node("Identity", &["pooled"], "a0"),
            node("Identity", &["pooled"], "b0"),
        ];
        for at in 0..64 {
            let [a, b] = ["a", "b"].map(|name| format!("{name}{at}"));
            for name in ["a", "b"] {
                nodes.push(node(operator, &[&a, &b], &format!("{name}{}", at + 1)));
            }
        }
        nodes.push(node("Flatten", &["a64"], "flat"));
        nodes.push(node("Concat", &["flat", "b64"], "out"));
        let file = quantized(nodes.clone(), Vec::new());
        refused(&file, None, "its zero point is not known");

        // Without the other reader at the end, all of them flatten it.
        nodes.pop();
        let file = quantized(nodes, Vec::new());
        refused(&file, None, "not what the last layer computes");
    }
}

/// Nodes `output0`, `output1`, ... of one operator and its inputs, and one that reads them all.
fn repeated(count: usize, operator: &str, inputs: &[&str]) -> Vec<NodeProto> {
    let names: Vec<String> = (0..count).map(|at| format!("copy{at}")).collect();
    let mut nodes: Vec<NodeProto> = names
        .iter()
        .map(|name| node(operator, inputs, name))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    nodes.push(node("Concat", &names, "out").int("axis", 1));
    nodes
}

const COPIES: usize = 5000;

#[test]
fn constants_are_decoded_once_however_often_they_are_read() {
    let _turn = turn();
    for operator in ["Identity", "Dropout"] {
        let file = on_vector(
            4,
            repeated(COPIES, operator, &["w"]),
            vec![floats("w", &[1 << 20], 1.0)],
        );
        refused(&file, None, "feature maps are not concatenated");
    }
    let nodes = repeated(COPIES, "DequantizeLinear", &["w", "s", "wz"]);
    let weights = tensor("w", DataType::Int8, &[1 << 20], vec![1; 1 << 20]);
    let file = quantized(nodes, vec![weights]);
    refused(&file, None, "it reads no quantized tensor");
}

#[test]
fn scales_are_counted_as_often_as_they_are_copied() {
    let _turn = turn();
    let nodes = repeated(COPIES, "DequantizeLinear", &["w", "ws"])
        .into_iter()
        .map(|node| match &*node.op_type {
            "DequantizeLinear" => node.int("axis", 0),
            _ => node,
        });
    let constants = vec![
        tensor("w", DataType::Int8, &[1 << 20], vec![1; 1 << 20]),
        floats("ws", &[1 << 20], 1.0),
    ];
    let file = quantized(nodes.collect(), constants);
    refused(&file, None, "more than 33554432 weights");
}

#[test]
fn a_mode_of_training_is_one_value() {
    let _turn = turn();
    let mut nodes = Vec::new();
    let mut before = "v".to_owned();
    for at in 0..COPIES {
        let after = format!("d{at}");
        nodes.push(node("Dropout", &[&before, "", "mode"], &after));
        before = after;
    }
    let mode = tensor("mode", DataType::Bool, &[1 << 22], vec![0; 1 << 22]);
    let file = on_vector(4, nodes, vec![mode]);
    refused(&file, None, "training_mode");
}

/// A sum becomes a layer, weights and all, as often as it is quantized.
#[test]
fn layers_are_counted_as_often_as_they_are_made() {
    let _turn = turn();
    let side = 1024;
    let weights = tensor(
        "w",
        DataType::Int8,
        &[side, side],
        vec![1; (side * side) as usize],
    );
    let mut nodes = vec![
        node("DequantizeLinear", &["w", "s", "wz"], "real"),
        node("Gemm", &["v", "real"], "sum"),
    ];
    nodes.extend(repeated(COPIES, "QuantizeLinear", &["sum", "s", "z"]));
    let [backbone, head] = quantized_with_head(side, nodes, vec![weights]);
    refused(&backbone, Some(&head), "more than 33554432 weights");
}

/// An affine map that becomes part of the layer before it takes time by that layer's weights.
#[test]
fn weights_are_not_changed_without_end() {
    let _turn = turn();
    let scaled = |first: &str| {
        let mut nodes = Vec::new();
        let mut before = first.to_owned();
        for at in 0..20_000 {
            let after = format!("m{at}");
            nodes.push(node("Mul", &[&before, "one"], &after));
            before = after;
        }
        nodes
    };
    let mut nodes = vec![node("Gemm", &["v", "w"], "fc")];
    nodes.extend(scaled("fc"));
    let constants = vec![floats("w", &[1024, 1024], 0.5), floats("one", &[], 1.0)];
    let file = on_vector(1024, nodes, constants);
    refused(&file, None, "changes the network's weights too often");

    let mut nodes = vec![node("Conv", &["image", "w"], "conv")];
    nodes.extend(scaled("conv"));
    let constants = vec![
        floats("w", &[1024, 3, 16, 16], 0.5),
        floats("one", &[], 1.0),
    ];
    let mut file = model(image(DataType::Float), nodes, constants);
    file.graph.as_mut().unwrap().input = vec![input("image", DataType::Float, &[1, 3, 32, 32])];
    refused(&file, None, "changes the network's weights too often");
}

#[test]
fn pathways_are_not_followed_beyond_the_third() {
    let _turn = turn();
    let mut nodes = Vec::new();
    let mut before = "v".to_owned();
    for at in 0..2000 {
        let after = format!("l{at}");
        nodes.push(node("Gemm", &[&before, "w"], &after));
        before = after;
    }
    for at in 0..18 {
        let after = format!("c{at}");
        nodes.push(node("Concat", &[&before, &before], &after).int("axis", 1));
        before = after;
    }
    nodes.push(node("Gemm", &[&before, "last"], "out"));
    let constants = vec![
        floats("w", &[1, 1], 0.5),
        floats("last", &[1 << 18, 1], 0.5),
    ];
    let file = on_vector(1, nodes, constants);
    refused(&file, None, "more than two pathways are concatenated");
}

#[test]
fn bounds_that_are_reversed_or_no_numbers_are_refused() {
    let _turn = turn();
    // As it should be, but for the head.
    refused(&clipped([-100.0, 100.0], [-5, 5]), None, "a head is needed");
    let expected = "(Clip): min = 100 is not at most max = -100";
    refused(&clipped([100.0, -100.0], [-5, 5]), None, expected);
    refused(
        &clipped([f32::NAN, 100.0], [-5, 5]),
        None,
        "min = NaN is not",
    );
    refused(&clipped([0.0, f32::NAN], [-5, 5]), None, "max = NaN");
    let expected = "(Clip): min = 5 is not at most max = -5";
    refused(&clipped([-100.0, 100.0], [5, -5]), None, expected);

    // A float network, which would be read without the bound.
    for [min, max] in [[f32::NAN, f32::MAX], [0.0, f32::NAN], [6.0, 0.0]] {
        let clip = node("Clip", &["map", "min", "max"], "out");
        let conv = node("Conv", &["image", "cw"], "map");
        let constants = vec![
            floats("cw", &[4, 3, 1, 1], 0.5),
            floats("min", &[], min),
            floats("max", &[], max),
        ];
        let file = model(image(DataType::Float), vec![conv, clip], constants);
        let expected = format!("min = {min} is not at most max = {max}");
        refused(
            &file,
            None,
            if max == f32::MAX {
                "min = NaN"
            } else {
                &expected
            },
        );
    }
}

/// A packed list has eight bytes of memory for one of the file: beside it there is no copy of it.
#[test]
fn lists_longer_than_their_tensor_are_not_copied() {
    let _turn = turn();
    let reshape = node("Reshape", &["v", "shape"], "out");
    let shape = TensorProto {
        int64_data: vec![1; 1 << 20],
        ..empty("shape", DataType::Int64, &[4])
    };
    let file = on_vector(4, vec![reshape], vec![shape]).encode_to_vec();
    let peak = |read: &dyn Fn()| {
        let before = ALLOCATED.current_usage();
        ALLOCATED.reset_peak_usage();
        read();
        ALLOCATED.peak_usage().saturating_sub(before)
    };
    let decoded = peak(&|| drop(ModelProto::decode(&*file).unwrap()));
    let imported = peak(&|| {
        let text = import(&file, None, &Options::default())
            .unwrap_err()
            .to_string();
        let expected = "shape of shape [4] has 1048576 elements instead of 4";
        assert!(text.contains(expected), "{text}");
    });
    assert!(imported < decoded + MIB, "{imported} beside {decoded}");
}

#[test]
fn long_metadata_is_not_read() {
    let _turn = turn();
    let mut file = clipped([-100.0, 100.0], [-5, 5]);
    let pairs = vec![r#"["",""]"#; 2 << 20].join(",");
    file.metadata_props.push(StringStringEntryProto {
        key: "cfm.provenance".to_owned(),
        value: format!("[{pairs}]"),
    });
    let expected = "metadata cfm.provenance: it is longer than 8 MiB";
    refused(&file, None, expected);
}
