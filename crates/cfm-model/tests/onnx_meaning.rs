//! Small ONNX graphs keep their meaning: what is read computes what the file says, and what cannot be is refused by name.

mod onnx_graphs;

use cfm_model::onnx::import::{Import, Imported, ImportedIntegers, Options, Pixels, import};
use cfm_model::onnx::proto::{DataType, ModelProto, NodeProto, TensorProto};
use cfm_model::spec::{Design, LayerSpec};
use onnx_graphs::{
    With, backbone, clipped, floats, image, input, model, node, one, quantized,
    quantized_with_head, tensor,
};
use prost::Message;

fn read(file: &ModelProto, head: Option<&ModelProto>, options: &Options) -> Result<Import, String> {
    let head = head.map(Message::encode_to_vec);
    import(&file.encode_to_vec(), head.as_deref(), options).map_err(|error| error.to_string())
}

fn float(file: &ModelProto, head: Option<&ModelProto>) -> Imported {
    match read(file, head, &Options::default()) {
        Ok(Import::Float(imported)) => *imported,
        other => panic!("{other:?}"),
    }
}

fn integers(file: &ModelProto, head: Option<&ModelProto>) -> ImportedIntegers {
    match read(file, head, &Options::default()) {
        Ok(Import::Integers(imported)) => *imported,
        other => panic!("{other:?}"),
    }
}

fn refused(file: &ModelProto, head: Option<&ModelProto>, expected: &str) {
    let text = read(file, head, &Options::default()).expect_err(expected);
    assert!(text.contains(expected), "{expected} in {text}");
}

fn nodes(file: &mut ModelProto) -> &mut Vec<NodeProto> {
    &mut file.graph.as_mut().unwrap().node
}

/// A u8 network of one convolution to four channels over 6x8 cells, then these nodes from `map` to `vector`, then a
/// classifier of two outputs that reads `length` numbers.
fn pooled_integers(pooling: Vec<NodeProto>, length: i64) -> ModelProto {
    let layer = &["image", "s", "z", "cw", "s", "wz", "s", "z"];
    let mut all = vec![node("QLinearConv", layer, "map")];
    all.extend(pooling);
    let classifier = &["vector", "s", "z", "w", "s", "wz", "s", "z"];
    all.push(node("QLinearMatMul", classifier, "out"));
    let weights = vec![
        tensor("cw", DataType::Int8, &[4, 3, 1, 1], vec![1; 12]),
        tensor(
            "w",
            DataType::Int8,
            &[length, 2],
            vec![1; 2 * length as usize],
        ),
    ];
    let mut file = quantized(all, weights);
    file.graph.as_mut().unwrap().input = vec![input("image", DataType::Uint8, &[1, 3, 6, 8])];
    file
}

fn max_pool(kernel: [i64; 2]) -> NodeProto {
    node("MaxPool", &["map"], "pooled")
        .ints("kernel_shape", &kernel)
        .ints("strides", &kernel)
}

#[test]
fn a_maximum_that_tiles_the_map_of_a_quantized_network_is_a_pyramid_level() {
    let pooling = vec![max_pool([3, 4]), node("Flatten", &["pooled"], "vector")];
    let found = integers(&pooled_integers(pooling, 16), None).model;
    assert_eq!(
        (found.layers.len(), found.head.segment_levels),
        (1, vec![2])
    );
    // Three rows and two columns: a layer, and no level behind it.
    let pooling = vec![max_pool([2, 4]), node("Flatten", &["pooled"], "vector")];
    let expected = "a map of 3x2 cells is no pyramid level";
    refused(&pooled_integers(pooling, 24), None, expected);
}

/// Some programs do not name themselves in what they write.
#[test]
fn a_model_of_no_named_program_can_be_written() {
    let pooling = vec![max_pool([3, 4]), node("Flatten", &["pooled"], "vector")];
    let mut file = pooled_integers(pooling, 16);
    for (producer, says) in [("", "from ONNX"), ("a program", "from ONNX by a program")] {
        producer.clone_into(&mut file.producer_name);
        let found = integers(&file, None).model;
        assert_eq!(found.provenance, [("imported".to_owned(), says.to_owned())]);
        found.to_bytes().unwrap();
    }
}

#[test]
fn what_does_nothing_may_lie_between_pooling_and_flattening() {
    for operator in ["Dropout", "Identity"] {
        let pooling = vec![
            max_pool([6, 8]),
            node(operator, &["pooled"], "same"),
            node("Flatten", &["same"], "vector"),
        ];
        let found = integers(&pooled_integers(pooling.clone(), 4), None).model;
        assert_eq!(
            (found.layers.len(), found.head.segment_levels),
            (1, vec![1])
        );

        let mut all = vec![node("Conv", &["image", "cw"], "map")];
        all.extend(pooling);
        all.push(node("Gemm", &["vector", "w"], "out"));
        let weights = vec![floats("cw", &[4, 3, 1, 1], 0.5), floats("w", &[4, 2], 0.5)];
        let file = model(input("image", DataType::Float, &[1, 3, 6, 8]), all, weights);
        let found = float(&file, None).model;
        assert_eq!(
            (found.layers.len(), found.head.segment_levels),
            (1, vec![1])
        );
    }
}

/// A pyramid of levels 3, 2 and 1 over four channels.
const LENGTH: i64 = 14 * 4;

/// Real weights `w` of a layer with two outputs over the vector `v`.
fn weights() -> TensorProto {
    let count = 2 * LENGTH as usize;
    tensor("w", DataType::Int8, &[LENGTH, 2], vec![1; count])
}

/// A head with a hidden layer whose output is quantized by `quantize`, i8 or u8 with this zero point.
fn hidden(quantize: NodeProto, zero: &str) -> [ModelProto; 2] {
    let nodes = vec![
        node("DequantizeLinear", &["w", "s", "wz"], "real"),
        node("MatMul", &["v", "real"], "sum"),
        quantize,
        node(
            "QLinearMatMul",
            &["q", "s", zero, "last", "s", "wz", "s", zero],
            "out",
        ),
    ];
    let last = tensor("last", DataType::Int8, &[2, 2], vec![1; 4]);
    quantized_with_head(LENGTH, nodes, vec![weights(), last])
}

#[test]
fn the_type_of_quantized_numbers_is_what_the_node_says() {
    let quantize = |kind: DataType| {
        node("QuantizeLinear", &["sum", "s"], "q").int("output_dtype", kind as i64)
    };
    for (kind, zero, expected) in [
        (DataType::Undefined, "z", -128),
        (DataType::Uint8, "z", -128),
        (DataType::Int8, "wz", 0),
    ] {
        let [backbone, head] = hidden(quantize(kind), zero);
        let found = integers(&backbone, Some(&head)).model.head;
        assert_eq!(found.segment_fcs[0].output.zero_point, expected, "{kind:?}");
    }
    let [backbone, head] = hidden(quantize(DataType::Int16), "z");
    let expected = "q (QuantizeLinear): attribute output_dtype = 5 is neither u8 nor i8";
    refused(&backbone, Some(&head), expected);
    let both =
        node("QuantizeLinear", &["sum", "s", "z"], "q").int("output_dtype", DataType::Int8 as i64);
    let [backbone, head] = hidden(both, "z");
    refused(&backbone, Some(&head), "not the type of the zero point");
}

fn of_microsoft(mut node: NodeProto) -> NodeProto {
    node.domain = "com.microsoft".to_owned();
    node
}

#[test]
fn outputs_without_a_zero_point_are_of_their_inputs_type() {
    for (zero, kind, expected) in [("z", DataType::Uint8, -128), ("wz", DataType::Int8, 0)] {
        let layer = &["image", "s", "z", "cw", "s", "wz", "s", zero];
        let sum = node(
            "QLinearAdd",
            &["map", "s", zero, "map", "s", zero, "s"],
            "sum",
        );
        let weights = tensor("cw", DataType::Int8, &[4, 3, 1, 1], vec![1; 12]);
        let nodes = vec![node("QLinearConv", layer, "map"), of_microsoft(sum)];
        let backbone = quantized(nodes, vec![weights.clone()]);
        let hidden = node("QGemm", &["x", "s", zero, "w", "s", "wz", "", "s"], "h");
        let classifier = &["h", "s", zero, "last", "s", "wz", "s", zero];
        let mut head = quantized(
            vec![
                of_microsoft(hidden),
                node("QLinearMatMul", classifier, "out"),
            ],
            vec![
                self::weights(),
                tensor("last", DataType::Int8, &[2, 2], vec![1; 4]),
            ],
        );
        head.graph.as_mut().unwrap().input = vec![input("x", kind, &[1, LENGTH])];
        let found = integers(&backbone, Some(&head)).model;
        let Some(LayerSpec::Add(add)) = found.layers.get(1) else {
            panic!("{found:?}");
        };
        assert_eq!(add.output.zero_point, expected);
        assert_eq!(found.head.segment_fcs[0].output.zero_point, expected);
    }
}

/// A head of one layer, real, to which a bias is added behind these nodes from `sum` to `last`.
fn biased(between: Vec<NodeProto>) -> [ModelProto; 2] {
    let mut nodes = vec![
        node("DequantizeLinear", &["w", "s", "wz"], "real"),
        node("DequantizeLinear", &["b", "unit"], "bias"),
        node("MatMul", &["v", "real"], "sum"),
    ];
    nodes.extend(between);
    let constants = vec![
        weights(),
        tensor("b", DataType::Int32, &[2], vec![0; 8]),
        floats("unit", &[], 0.25),
    ];
    quantized_with_head(LENGTH, nodes, constants)
}

#[test]
fn a_bias_is_not_moved_before_an_activation() {
    let [backbone, head] = biased(vec![node("Add", &["sum", "bias"], "out")]);
    integers(&backbone, Some(&head));
    let [backbone, head] = biased(vec![
        node("Relu", &["sum"], "relu"),
        node("Add", &["relu", "bias"], "out"),
    ]);
    let expected = "out (Add): it adds biases behind an activation";
    refused(&backbone, Some(&head), expected);
}

#[test]
fn nothing_follows_after_the_classifier_of_a_quantized_network() {
    let expected = "follows after the classifier's fully connected layer";
    let quantize = |input: &str| node("QuantizeLinear", &[input, "s", "z"], "out");
    let [backbone, head] = biased(vec![quantize("sum")]);
    integers(&backbone, Some(&head));
    // The zero point is the smallest value of u8, so the range alone would not tell.
    let relu = vec![node("Relu", &["sum"], "relu"), quantize("relu")];
    let [backbone, head] = biased(relu);
    refused(&backbone, Some(&head), expected);
    let again = vec![
        node("QuantizeLinear", &["sum", "s", "z"], "q"),
        node("DequantizeLinear", &["q", "s", "z"], "logits"),
        node("Relu", &["logits"], "out"),
    ];
    let [backbone, head] = biased(again);
    refused(&backbone, Some(&head), expected);

    let clamp = vec![
        node("QuantizeLinear", &["sum", "s", "z"], "q"),
        node("Clip", &["q", "low", "high"], "out"),
    ];
    let [backbone, mut head] = biased(clamp);
    let bounds = [
        one(DataType::Uint8, "low", 0),
        one(DataType::Uint8, "high", 99),
    ];
    head.graph.as_mut().unwrap().initializer.extend(bounds);
    refused(&backbone, Some(&head), expected);
}

/// A float head whose two branches read these inputs, of four numbers each.
fn branches(inputs: [&str; 2]) -> ModelProto {
    let nodes = vec![
        node("Gemm", &[inputs[0], "w"], "a"),
        node("Gemm", &[inputs[1], "w"], "b"),
        node("Concat", &["a", "b"], "both").int("axis", 1),
        node("Gemm", &["both", "w"], "out"),
    ];
    let vector = |name| input(name, DataType::Float, &[1, LENGTH]);
    let weights = floats("w", &[LENGTH, LENGTH / 2], 0.5);
    let mut head = model(vector(inputs[0]), nodes, vec![weights]);
    if inputs[0] != inputs[1] {
        head.graph.as_mut().unwrap().input.push(vector(inputs[1]));
    }
    head
}

#[test]
fn pathways_read_what_their_inputs_names_say() {
    for inputs in [["segment", "region"], ["region", "segment"]] {
        let found = float(&backbone(), Some(&branches(inputs))).model.head;
        assert_eq!(found.design, Design::A);
    }
    for inputs in [["segment", "segment"], ["segment", "context"]] {
        let expected = "both pathways read the segment";
        refused(&backbone(), Some(&branches(inputs)), expected);
    }
    let expected = "both pathways read the region";
    refused(&backbone(), Some(&branches(["region"; 2])), expected);

    let vector = |name| input(name, DataType::Float, &[1, LENGTH]);
    let alone = |name| {
        let gemm = node("Gemm", &[name, "w"], "out");
        model(
            vector(name),
            vec![gemm],
            vec![floats("w", &[LENGTH, 2], 0.5)],
        )
    };
    float(&backbone(), Some(&alone("segment")));
    let expected = "the only pathway reads the region";
    refused(&backbone(), Some(&alone("region")), expected);
}

/// The image, `(p - 128) * scale`, is pooled, added to itself, and classified.
fn sum_of_pooled_image(scale: f32) -> Result<Import, String> {
    let sum = &["small", "s", "z", "small", "s", "z", "s", "z"];
    let all = vec![
        node("QuantizeLinear", &["image", "s", "z"], "q"),
        node("MaxPool", &["q"], "small")
            .ints("kernel_shape", &[2, 2])
            .ints("strides", &[2, 2]),
        of_microsoft(node("QLinearAdd", sum, "sum")),
        node("GlobalMaxPool", &["sum"], "level"),
        node("Flatten", &["level"], "v"),
        node(
            "QLinearMatMul",
            &["v", "s", "z", "w", "s", "wz", "s", "z"],
            "out",
        ),
    ];
    let constants = vec![
        floats("s", &[], scale),
        one(DataType::Uint8, "z", 128),
        one(DataType::Int8, "wz", 0),
        tensor("w", DataType::Int8, &[3, 2], vec![1; 6]),
    ];
    let options = Options {
        pixels: Pixels {
            white: 255.0,
            mean: [128.0; 3],
            std: [1.0 / f64::from(scale); 3],
        },
        ..Options::default()
    };
    read(
        &model(image(DataType::Float), all, constants),
        None,
        &options,
    )
}

/// In the format the image's steps are 2^-7, also behind a pooling.
#[test]
fn sums_over_the_pooled_image_are_aligned_by_the_formats_scale() {
    assert!(sum_of_pooled_image(1.0 / 128.0).is_ok());
    let text = sum_of_pooled_image(0.5).unwrap_err();
    let expected = "sum (com.microsoft.QLinearAdd): it reads the image, which has scale 2^-7";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn steps_of_a_requantization_are_taken_once_and_in_order() {
    // Each of these comes right before the node that writes the value.
    let with = |before: &str, added: NodeProto| {
        let mut file = clipped([-100.0, 100.0], [-5, 5]);
        let graph = file.graph.as_mut().unwrap();
        graph.initializer.extend([
            tensor("bias", DataType::Int32, &[4], vec![0; 16]),
            floats("zero", &[], 0.0),
        ]);
        let at = graph.node.iter().position(|n| n.output[0] == before);
        let at = at.unwrap();
        graph.node[at].input[0] = added.output[0].clone();
        graph.node.insert(at, added);
        file
    };
    let order = "the steps of the re-quantization are taken twice or in another order";
    let add = |input, constant| node("Add", &[input, constant], "added");
    // One bias, one zero point.
    refused(&with("real", add("sum", "bias")), None, "a head is needed");
    refused(
        &with("bounded", add("rounded", "zero")),
        None,
        "a head is needed",
    );

    let mut twice = with("real", add("sum", "bias"));
    nodes(&mut twice).insert(1, node("Add", &["sum", "bias"], "first"));
    nodes(&mut twice)[2].input[0] = "first".to_owned();
    refused(&twice, None, order);
    let mut twice = with("bounded", add("rounded", "zero"));
    nodes(&mut twice).insert(3, node("Add", &["rounded", "zero"], "first"));
    nodes(&mut twice)[4].input[0] = "first".to_owned();
    refused(&twice, None, order);
    for (before, added) in [
        ("rounded", add("real", "bias")),
        ("q", add("bounded", "zero")),
        ("rounded", node("Mul", &["real", "factors"], "again")),
        ("bounded", node("Mul", &["rounded", "factors"], "again")),
        ("bounded", node("Round", &["rounded"], "again")),
        ("q", node("Clip", &["bounded", "min", "max"], "again")),
    ] {
        refused(&with(before, added), None, order);
    }
}

/// A sum as the project's files have it, in which these nodes lead from the real image to `a`, a term.
fn sum_of(term: Vec<NodeProto>) -> ModelProto {
    let mut file = clipped([-100.0, 100.0], [-5, 5]);
    let mut all = vec![node("Cast", &["image"], "i").int("to", DataType::Double as i64)];
    all.extend(term);
    all.push(node("Add", &["a", "a"], "real"));
    all.extend(nodes(&mut file).drain(2..));
    *nodes(&mut file) = all;
    // Steps of 2^-7 become such of 2^-3.
    let constants = [floats("zero", &[], 0.0), floats("factor", &[], 0.0625)];
    file.graph.as_mut().unwrap().initializer.extend(constants);
    file
}

#[test]
fn zero_points_are_subtracted_once_and_first() {
    let sub = |input, output| node("Sub", &[input, "zero"], output);
    let mul = |input, output| node("Mul", &[input, "factor"], output);
    let as_it_should_be = sum_of(vec![sub("i", "m"), mul("m", "a")]);
    refused(&as_it_should_be, None, "a head is needed");
    for term in [
        vec![mul("i", "m"), sub("m", "a")],
        vec![sub("i", "m"), sub("m", "n"), mul("n", "a")],
        vec![sub("i", "m"), mul("m", "n"), mul("n", "a")],
    ] {
        refused(&sum_of(term), None, "taken twice or in another order");
    }
    let copy = node("Identity", &["i"], "a");
    refused(
        &sum_of(vec![copy]),
        None,
        "zero points of its inputs are not subtracted",
    );
}

#[test]
fn levels_of_a_normalized_map_read_one_tensor() {
    let all = vec![
        node("Conv", &["image", "cw"], "conv"),
        node("Relu", &["conv"], "relu"),
        node(
            "BatchNormalization",
            &["relu", "two", "one", "one", "one"],
            "map",
        ),
        node("GlobalMaxPool", &["map"], "whole"),
        max_pool([4, 4]),
        node("Flatten", &["whole"], "a"),
        node("Flatten", &["pooled"], "b"),
        node("Concat", &["a", "b"], "both").int("axis", 1),
        node("Gemm", &["both", "w"], "out"),
    ];
    let constants = vec![
        floats("cw", &[4, 3, 1, 1], 0.5),
        floats("one", &[4], 1.0),
        floats("two", &[4], 2.0),
        floats("w", &[20, 2], 0.5),
    ];
    let file = model(image(DataType::Float), all, constants);
    let found = float(&file, None).model;
    assert_eq!(
        (found.layers.len(), found.head.segment_levels),
        (2, vec![1, 2])
    );

    // Before operator set 14, outputs for statistics say that it trains.
    let mut training = file;
    let normalization = &mut nodes(&mut training)[2];
    normalization
        .output
        .extend(["mean", "variance"].map(str::to_owned));
    let expected = "map (BatchNormalization): it has more than one output, as in training";
    refused(&training, None, expected);
}

#[test]
fn a_batch_is_of_one_image() {
    let conv = node("Conv", &["image", "cw"], "map");
    let weights = floats("cw", &[4, 3, 1, 1], 0.5);
    let of = |batch| {
        let image = input("image", DataType::Float, &[batch, 3, 8, 8]);
        model(image, vec![conv.clone()], vec![weights.clone()])
    };
    refused(&of(1), None, "a head is needed");
    // No length at all: free.
    refused(&of(0), None, "a head is needed");
    refused(
        &of(2),
        None,
        "input image: a batch of 2 images instead of 1",
    );
}

/// Real logits of `+1` and `-1` over a vector of u8, in steps of 1/4.
fn real_logits(signs: [u8; 2]) -> ImportedIntegers {
    let [backbone, mut head] = biased(vec![node("Add", &["sum", "bias"], "out")]);
    let constants = &mut head.graph.as_mut().unwrap().initializer;
    let weights = constants.iter_mut().find(|tensor| tensor.name == "w");
    // Both outputs of an input, then of the next.
    let [even, odd] = signs;
    weights.unwrap().raw_data = [even, even, odd, odd].repeat(LENGTH as usize / 2);
    integers(&backbone, Some(&head))
}

#[test]
fn real_logits_use_all_of_16_bits() {
    // 56 * 255 / 4 = 3570 in steps of 2^-3, and with as many negative weights half of it in such of 2^-4.
    let minus = (-1_i8).cast_unsigned();
    for (signs, expected) in [([1, 1], -3), ([1, minus], -4), ([minus, minus], -3)] {
        let found = real_logits(signs);
        assert_eq!(found.model.head.logit_exponent, expected, "{signs:?}");
    }
}

#[test]
fn scales_that_are_no_powers_of_two_are_told_of_real_logits_too() {
    let general = |imported: &ImportedIntegers| {
        let mut notes = imported.notes.iter();
        notes.any(|note| note.contains("no powers of two"))
    };
    assert!(!general(&real_logits([1, 1])));
    let [mut backbone, mut head] = biased(vec![node("Add", &["sum", "bias"], "out")]);
    nodes(&mut backbone)[0].input[6] = "other".to_owned();
    nodes(&mut head)[0].input[1] = "other".to_owned();
    for file in [&mut backbone, &mut head] {
        let constants = &mut file.graph.as_mut().unwrap().initializer;
        constants.push(floats("other", &[], 0.3));
        constants.retain(|tensor| tensor.name != "unit");
        constants.push(floats("unit", &[], 0.15));
    }
    assert!(general(&integers(&backbone, Some(&head))));
}
