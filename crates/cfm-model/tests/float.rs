//! The float network: its file, and its integers against its floats.

use cfm_core::executor::Executor;
use cfm_core::image::ImageView;
use cfm_core::model::{Model, Shape};
use cfm_core::scorer::Scorer;
use cfm_core::segment::{Run, Segment};
use cfm_model::Place;
use cfm_model::float_model::{
    Activation, ActivationScale, FloatAdd, FloatConv, FloatFc, FloatFileError, FloatHead,
    FloatLayer, FloatModel, MAX_HEADER,
};
use cfm_model::quantize::equalize::{Pair, Ranges, equalize, pairs};
use cfm_model::quantize::{
    QuantizeError, WeightScales, check_finite, dequantized, logit_exponent, quantize, quantize_with,
};
use cfm_model::spec::{
    ClassKind, ClassSpec, Classifier, Design, InputSpec, MaskRule, Path, PoolSpec, Window,
};
use proptest::prelude::*;

const SIDE: u16 = 8;

/// A number in -1 ..= 1 that looks random.
fn noise(i: usize) -> f32 {
    let mixed = (i as u32 ^ 0x9e37).wrapping_mul(2_654_435_761);
    (mixed ^ (mixed >> 15)).wrapping_mul(2_246_822_519) as f32 / u32::MAX as f32 * 2.0 - 1.0
}

fn parameters(seed: usize, filter_len: usize, outputs: usize) -> (Vec<f32>, Vec<f32>) {
    let scale = (filter_len as f32).sqrt().recip();
    let weights = (0..filter_len * outputs).map(|i| {
        // Channels of different magnitude, as folded normalization leaves them.
        let channel = 1.0 + (i / filter_len) as f32;
        noise(seed + i) * scale * 1.7 / channel
    });
    let bias = (0..outputs).map(|o| noise(seed + 90_000 + o) / 4.0);
    (weights.collect(), bias.collect())
}

fn conv(
    seed: usize,
    input: usize,
    channels: [u16; 2],
    groups: u16,
    output: ActivationScale,
) -> FloatConv {
    let filter_len = 9 * usize::from(channels[0] / groups);
    let (weights, bias) = parameters(seed, filter_len, channels[1].into());
    FloatConv {
        input,
        window: Window {
            kernel: [3, 3],
            padding: [1; 4],
            ..Window::UNIT
        },
        groups,
        out_channels: channels[1],
        weights,
        bias,
        output,
    }
}

fn fc(seed: usize, inputs: usize, outputs: u16, output: ActivationScale) -> FloatFc {
    let (weights, bias) = parameters(seed, inputs, outputs.into());
    FloatFc {
        outputs,
        weights,
        bias,
        output,
    }
}

/// Convolution, grouped linear convolution, residual addition, both poolings, Design A with layers everywhere.
fn network(seed: usize) -> FloatModel {
    let pool = |input| PoolSpec {
        input,
        window: Window {
            kernel: [2, 2],
            stride: [2, 2],
            ..Window::UNIT
        },
    };
    let relu = ActivationScale::for_range(Activation::Relu, 3.0).unwrap();
    let hidden = ActivationScale::for_range(Activation::Relu, 6.0).unwrap();
    let logits = logit_exponent(20.0).unwrap();
    FloatModel {
        input: InputSpec {
            height: SIDE,
            width: SIDE,
            channels: 3,
        },
        layers: vec![
            FloatLayer::Conv2d(conv(seed, 0, [3, 6], 1, relu)),
            FloatLayer::Conv2d(conv(
                seed + 500,
                1,
                [6, 6],
                2,
                ActivationScale::for_range(Activation::None, 1.9).unwrap(),
            )),
            FloatLayer::Add(FloatAdd {
                inputs: [1, 2],
                output: ActivationScale::for_range(Activation::Relu6, 1.9).unwrap(),
            }),
            FloatLayer::AvgPool(pool(3)),
            FloatLayer::MaxPool(pool(4)),
        ],
        head: FloatHead {
            design: Design::A,
            classifier: Classifier::Softmax,
            mask_rule: MaskRule::Max,
            segment_levels: vec![2, 1],
            region_levels: vec![1],
            segment_fcs: vec![fc(seed + 1000, 5 * 6, 8, hidden)],
            region_fcs: vec![fc(seed + 2000, 6, 7, hidden)],
            joint_fcs: vec![
                fc(seed + 3000, 15, 9, hidden),
                fc(seed + 4000, 9, 4, ActivationScale::logits(logits)),
            ],
            logit_exponent: logits,
        },
        classes: (0..4)
            .map(|label| ClassSpec {
                name: format!("class {label}"),
                kind: ClassKind::Stuff,
                color: [label; 3],
                label,
            })
            .collect(),
        labelling: None,
        calibration: None,
        proposals: Some(vec![1, 2, 3]),
        provenance: vec![("seed".to_owned(), seed.to_string())],
    }
}

/// The tensors of the float network, straight from the definitions.
fn evaluate(model: &FloatModel, image: Vec<f32>) -> Vec<Vec<f32>> {
    let shapes = model.tensor_shapes().unwrap();
    let mut tensors = vec![image];
    for (i, layer) in model.layers.iter().enumerate() {
        let (from, to) = (
            shapes[layer.shape().inputs().next().unwrap()],
            shapes[i + 1],
        );
        let output = match layer {
            FloatLayer::Conv2d(conv) => convolve(conv, from, to, &tensors[conv.input]),
            FloatLayer::Add(add) => {
                let [a, b] = add.inputs.map(|t| &tensors[t]);
                let sum = a
                    .iter()
                    .zip(b)
                    .map(|(a, b)| add.output.activation.apply(a + b));
                sum.collect()
            }
            FloatLayer::AvgPool(pool) => pool_2x2(from, to, &tensors[pool.input], |four| {
                four.iter().sum::<f32>() / 4.0
            }),
            FloatLayer::MaxPool(pool) => pool_2x2(from, to, &tensors[pool.input], |four| {
                four.iter().copied().fold(f32::MIN, f32::max)
            }),
        };
        tensors.push(output);
    }
    tensors
}

fn index(shape: Shape, y: u16, x: u16, c: u16) -> usize {
    (usize::from(y) * usize::from(shape.width) + usize::from(x)) * usize::from(shape.channels)
        + usize::from(c)
}

fn cells(shape: Shape) -> impl Iterator<Item = (u16, u16, u16)> {
    (0..shape.height).flat_map(move |y| {
        (0..shape.width).flat_map(move |x| (0..shape.channels).map(move |c| (y, x, c)))
    })
}

fn convolve(conv: &FloatConv, from: Shape, to: Shape, input: &[f32]) -> Vec<f32> {
    let per_group = from.channels / conv.groups;
    let out_per_group = to.channels / conv.groups;
    cells(to)
        .map(|(y, x, o)| {
            let mut sum = conv.bias[usize::from(o)];
            let mut weights = conv.weights[usize::from(o) * 9 * usize::from(per_group)..].iter();
            for ky in 0..3 {
                for kx in 0..3 {
                    for c in 0..per_group {
                        let weight = weights.next().unwrap();
                        // One cell of padding.
                        if let (Some(sy), Some(sx)) =
                            ((y + ky).checked_sub(1), (x + kx).checked_sub(1))
                            && sy < from.height
                            && sx < from.width
                        {
                            sum += weight
                                * input[index(from, sy, sx, o / out_per_group * per_group + c)];
                        }
                    }
                }
            }
            conv.output.activation.apply(sum)
        })
        .collect()
}

fn pool_2x2(from: Shape, to: Shape, input: &[f32], reduce: impl Fn(&[f32; 4]) -> f32) -> Vec<f32> {
    cells(to)
        .map(|(y, x, c)| {
            let four = [(0, 0), (0, 1), (1, 0), (1, 1)];
            reduce(&four.map(|(dy, dx)| input[index(from, 2 * y + dy, 2 * x + dx, c)]))
        })
        .collect()
}

fn dense(fcs: &[FloatFc], mut x: Vec<f32>) -> Vec<f32> {
    for fc in fcs {
        x = fc
            .weights
            .chunks(x.len())
            .zip(&fc.bias)
            .map(|(row, bias)| {
                let sum: f32 = row.iter().zip(&x).map(|(w, x)| w * x).sum();
                fc.output.activation.apply(sum + bias)
            })
            .collect();
    }
    x
}

/// The logits of the whole image: the feature map has 2 x 2 cells, so both pyramids are simple.
fn whole_image_logits(model: &FloatModel, feature: &[f32]) -> Vec<f32> {
    let channels = feature.len() / 4;
    let maximum: Vec<f32> = (0..channels)
        .map(|c| {
            (0..4)
                .map(|cell| feature[cell * channels + c])
                .fold(f32::MIN, f32::max)
        })
        .collect();
    let segment = [feature, &maximum].concat();
    let joint = [
        dense(model.head.fcs(Path::Segment), segment),
        dense(model.head.fcs(Path::Region), maximum),
    ];
    dense(model.head.fcs(Path::Joint), joint.concat())
}

#[test]
fn integers_follow_the_floats() {
    for scales in [WeightScales::PowerOfTwo, WeightScales::General] {
        for seed in [0, 7, 77, 7777] {
            let float = network(seed);
            let bytes = quantize_with(&float, scales).unwrap().to_bytes().unwrap();
            let model = Model::parse(&bytes).unwrap();
            let pixels: Vec<u8> = (0..usize::from(SIDE * SIDE) * 3)
                .map(|i| (noise(seed + 777 + i) * 127.0 + 128.0) as u8)
                .collect();
            let image = pixels
                .iter()
                .map(|&p| (f32::from(p) - 128.0) / 128.0)
                .collect();
            let expected = evaluate(&float, image);

            let mut arena = vec![0; model.arena_bytes()];
            let mut executor = Executor::new(&model, &mut arena).unwrap();
            let mut tensors = vec![Vec::new(); expected.len()];
            for row in ImageView::rgb(&pixels, SIDE, SIDE).unwrap().rows() {
                executor
                    .push_row_observed(row, |t, _, values| {
                        let tensor = &model.tensors()[t];
                        let step = 2f32.powi(tensor.exponent.into());
                        let zero = i32::from(tensor.zero_point);
                        tensors[t]
                            .extend(values.iter().map(|&q| (i32::from(q) - zero) as f32 * step));
                    })
                    .unwrap();
            }
            let mut coarsest = 0.0_f32;
            for (t, (found, expected)) in tensors.iter().zip(&expected).enumerate() {
                coarsest = coarsest.max(2f32.powi(model.tensors()[t].exponent.into()));
                let errors = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
                let worst = errors.fold(0.0, f32::max);
                // Half a step of its own, and what came in from before.
                assert!(
                    worst <= 2.0 * coarsest,
                    "tensor {t}: {worst}, step {coarsest}"
                );
                let largest = expected.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
                assert!(
                    largest > 15.0 * coarsest,
                    "tensor {t} tells nothing: {largest}"
                );
            }

            let (features, scratch) = executor.finish().unwrap();
            let mut scorer = Scorer::new(&model, features, scratch).unwrap();
            let rows: Vec<Run> = (0..SIDE).map(|y| Run { y, x0: 0, x1: SIDE }).collect();
            let mut logits = [0; 4];
            scorer
                .score(&Segment::Runs(&rows), &[], &mut logits)
                .unwrap();
            let step = 2f32.powi(float.head.logit_exponent.into());
            let expected = whole_image_logits(&float, &expected[5]);
            for (&q, expected) in logits.iter().zip(expected) {
                let found = f32::from(q) * step;
                assert!((found - expected).abs() < 0.06, "{found} {expected}");
            }
        }
    }
}

#[test]
fn safetensors_read_back() {
    let float = network(3);
    let cfm = quantize(&float).unwrap().to_bytes().unwrap();
    let weights = float.to_safetensors(&cfm).unwrap();
    assert_eq!(FloatModel::from_safetensors(&cfm, &weights).unwrap(), float);
    // The same bytes every time, so that a trained model can be reproduced.
    assert_eq!(float.to_safetensors(&cfm).unwrap(), weights);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    float.write_safetensors(&cfm, &path).unwrap();
    assert_eq!(FloatModel::read_safetensors(&cfm, &path).unwrap(), float);
    let missing = FloatModel::read_safetensors(&cfm, &folder.path().join("none"));
    assert!(matches!(missing, Err(FloatFileError::File { .. })));
}

#[test]
fn safetensors_have_the_documented_names() {
    let float = network(3);
    let cfm = quantize(&float).unwrap().to_bytes().unwrap();
    let weights = float.to_safetensors(&cfm).unwrap();
    let file = safetensors::SafeTensors::deserialize(&weights).unwrap();
    assert_eq!(
        file.tensor("layers.1.weight").unwrap().shape(),
        [6, 3, 3, 3]
    );
    assert_eq!(file.tensor("layers.1.bias").unwrap().shape(), [6]);
    assert_eq!(file.tensor("segment.0.weight").unwrap().shape(), [8, 30]);
    assert_eq!(file.tensor("region.0.bias").unwrap().shape(), [7]);
    assert_eq!(file.tensor("joint.1.weight").unwrap().shape(), [4, 9]);
    assert_eq!(file.len(), 12);
}

#[test]
fn foreign_weights_are_refused() {
    let (one, other) = (network(3), network(4));
    let cfm = quantize(&one).unwrap().to_bytes().unwrap();
    let other_cfm = quantize(&other).unwrap().to_bytes().unwrap();
    let weights = other.to_safetensors(&other_cfm).unwrap();
    let error = FloatModel::from_safetensors(&cfm, &weights).unwrap_err();
    assert!(
        matches!(error, FloatFileError::OtherModel { .. }),
        "{error}"
    );
    let error = FloatModel::from_safetensors(&cfm, b"nothing").unwrap_err();
    assert!(matches!(error, FloatFileError::Safetensors(_)), "{error}");
    let error = FloatModel::from_safetensors(b"nothing", &weights).unwrap_err();
    assert!(matches!(error, FloatFileError::Model(_)), "{error}");

    // Linked with this model, but of another shape.
    let mut narrow = network(3);
    if let FloatLayer::Conv2d(conv) = &mut narrow.layers[1] {
        conv.groups = 1;
        conv.weights.extend_from_within(..);
    }
    let weights = narrow.to_safetensors(&cfm).unwrap();
    let error = FloatModel::from_safetensors(&cfm, &weights).unwrap_err();
    assert!(
        matches!(&error, FloatFileError::Tensor { name, .. } if name == "layers.1.weight"),
        "{error}"
    );
    // Without the link.
    let plain = safetensors::serialize(Vec::<(&str, safetensors::tensor::TensorView)>::new(), None);
    let error = FloatModel::from_safetensors(&cfm, &plain.unwrap()).unwrap_err();
    assert!(matches!(error, FloatFileError::Link(_)), "{error}");
}

#[test]
fn headers_are_parsed_within_bounds() {
    let float = network(3);
    let cfm = quantize(&float).unwrap().to_bytes().unwrap();
    let weights = float.to_safetensors(&cfm).unwrap();
    let (length, rest) = weights.split_first_chunk().unwrap();
    let length = u64::from_le_bytes(*length);
    let (header, data) = rest.split_at(length as usize);
    // Spaces behind the JSON change nothing.
    let padded = |length: u64| {
        let mut file = length.to_le_bytes().to_vec();
        file.extend(header);
        file.resize(8 + length as usize, b' ');
        file.extend(data);
        file
    };
    let found = FloatModel::from_safetensors(&cfm, &padded(MAX_HEADER)).unwrap();
    assert_eq!(found, float);
    for length in [MAX_HEADER + 1, 8 << 20] {
        for error in [
            FloatModel::from_safetensors(&cfm, &padded(length)).unwrap_err(),
            FloatModel::from_safetensors_like(&cfm, &padded(length)).unwrap_err(),
        ] {
            assert!(
                matches!(error, FloatFileError::Header(found) if found == length),
                "{error}"
            );
        }
    }
}

#[test]
fn what_cannot_be_quantized_names_its_channel() {
    let mut float = network(1);
    float.head.region_fcs[0].weights[6 * 3] = f32::NAN;
    assert_eq!(
        quantize(&float).unwrap_err(),
        QuantizeError::NotFinite {
            place: Place::FullyConnected(Path::Region, 0),
            channel: 3
        }
    );

    let mut float = network(1);
    if let FloatLayer::Conv2d(conv) = &mut float.layers[0] {
        conv.weights[27] = 1e12;
    }
    let error = quantize(&float).unwrap_err();
    assert!(
        error.to_string().starts_with("layer 0, channel 1: "),
        "{error}"
    );

    let mut float = network(1);
    float.head.region_fcs[0].output.exponent += 1;
    assert_eq!(quantize(&float), Err(QuantizeError::PathScales));

    let mut float = network(1);
    for fcs in [&mut float.head.segment_fcs, &mut float.head.region_fcs] {
        let output = &mut fcs.last_mut().unwrap().output;
        output.zero_point = i8::MIN;
        output.activation = Activation::Relu;
    }
    assert!(quantize(&float).is_ok());
    float.head.region_fcs[0].output.activation = Activation::None;
    let place = Place::FullyConnected(Path::Region, 0);
    assert_eq!(quantize(&float), Err(QuantizeError::PathRange { place }));

    let mut float = network(1);
    float.head.joint_fcs.clear();
    assert_eq!(quantize(&float), Err(QuantizeError::NoClassifier));

    let mut float = network(1);
    float.head.joint_fcs[1].bias.pop();
    assert!(matches!(
        quantize(&float),
        Err(QuantizeError::Length {
            place: Place::FullyConnected(Path::Joint, 1),
            found: 3,
            expected: 4,
            ..
        })
    ));
}

#[test]
fn additions_of_distant_scales_are_refused() {
    // Without weights there is no other scale that could be wrong.
    let with = |second: i8, output: i8| {
        let mut float = network(1);
        let head = &mut float.head;
        for fcs in [
            &mut head.segment_fcs,
            &mut head.region_fcs,
            &mut head.joint_fcs,
        ] {
            for fc in fcs {
                fc.weights.fill(0.0);
                fc.bias.fill(0.0);
            }
        }
        let mut at = |layer: usize, exponent: i8| match &mut float.layers[layer] {
            FloatLayer::Conv2d(conv) => {
                conv.weights.fill(0.0);
                conv.bias.fill(0.0);
                conv.output.exponent = exponent;
            }
            FloatLayer::Add(add) => add.output.exponent = exponent,
            FloatLayer::MaxPool(_) | FloatLayer::AvgPool(_) => {}
        };
        at(0, -6);
        at(1, second);
        at(2, output);
        quantize(&float)
    };
    for (second, output) in [(-6, -6), (26, -6), (-6, 26), (-6, -38), (10, -22)] {
        let spec = with(second, output).unwrap();
        // The reader draws the line at the same place.
        assert!(spec.to_bytes().is_ok(), "{second} {output}");
    }
    for (second, output, distance) in [(27, -6, 33), (-6, 27, 33), (-39, -6, 33), (10, -23, 33)] {
        let error = with(second, output).unwrap_err();
        assert_eq!(error, QuantizeError::AddScales { layer: 2, distance });
        assert_eq!(
            error.to_string(),
            "layer 2: the scales of the addition are 2^33 apart, more than 2^32"
        );
    }
    let widest = with(-64, 63).unwrap_err();
    let distance = 127;
    assert_eq!(widest, QuantizeError::AddScales { layer: 2, distance });
}

#[test]
fn ranges_that_are_not_finite_have_no_scale() {
    for activation in [Activation::None, Activation::Relu, Activation::Relu6] {
        assert!(ActivationScale::for_range(activation, 3.0).is_some());
        for max in [f32::NAN, f32::INFINITY] {
            assert_eq!(ActivationScale::for_range(activation, max), None, "{max}");
        }
    }
}

proptest! {
    #[test]
    fn activations_become_clamps(zero_point: i8, exponent in -12_i8..4) {
        let scale = |activation| ActivationScale { activation, zero_point, exponent }.output_scale();
        let none = scale(Activation::None);
        prop_assert_eq!((none.low, none.high), (-128, 127));
        let relu = scale(Activation::Relu);
        prop_assert_eq!((relu.low, relu.high), (zero_point, 127));
        let relu6 = scale(Activation::Relu6);
        let six = 6.0 * 2f64.powi(-i32::from(exponent)) + f64::from(zero_point);
        prop_assert_eq!(relu6.low, zero_point);
        prop_assert!((f64::from(relu6.high) - six.min(127.0)).abs() <= 0.5);
    }
}

/// A layer of a random network for the equalization.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Dense,
    Grouped,
    Depthwise,
    Max,
    Avg,
    Residual,
}

/// A network of these layers, each convolution with its activation, over channels of very different magnitude.
fn random_chain(seed: usize, kinds: &[(Kind, Activation)]) -> FloatModel {
    let mut model = network(seed);
    let scale = |activation| ActivationScale::for_range(activation, 4.0).unwrap();
    let mut layers = vec![conv(seed, 0, [3, 6], 1, scale(Activation::Relu))];
    let unequal = |conv: &mut FloatConv, seed: usize| {
        let len = conv.weights.len() / 6;
        for channel in 0..6 {
            let factor = 2f32.powf(5.0 * noise(seed + channel));
            let filter = &mut conv.weights[channel * len..(channel + 1) * len];
            for value in filter.iter_mut().chain(&mut conv.bias[channel..=channel]) {
                *value *= factor;
            }
        }
    };
    unequal(&mut layers[0], seed + 31);
    let mut layers: Vec<FloatLayer> = layers.into_iter().map(FloatLayer::Conv2d).collect();
    let mut side = SIDE;
    for (i, &(kind, activation)) in kinds.iter().enumerate() {
        let input = layers.len();
        let window = Window {
            kernel: [2, 2],
            stride: [2, 2],
            ..Window::UNIT
        };
        let groups = match kind {
            Kind::Dense => 1,
            Kind::Grouped => 2,
            Kind::Depthwise => 6,
            Kind::Max | Kind::Avg if side > 1 => {
                side /= 2;
                let pool = PoolSpec { input, window };
                layers.push(match kind {
                    Kind::Max => FloatLayer::MaxPool(pool),
                    _ => FloatLayer::AvgPool(pool),
                });
                continue;
            }
            // Of the last two tensors if they are alike.
            Kind::Max | Kind::Avg | Kind::Residual => {
                let inputs = match layers.last() {
                    Some(FloatLayer::Conv2d(conv)) if conv.input > 0 => [conv.input, input],
                    _ => [input; 2],
                };
                let output = scale(activation);
                layers.push(FloatLayer::Add(FloatAdd { inputs, output }));
                continue;
            }
        };
        let mut layer = conv(seed + 100 * i, input, [6, 6], groups, scale(activation));
        unequal(&mut layer, seed + 17 * i);
        layers.push(FloatLayer::Conv2d(layer));
    }
    model.layers = layers;
    model
}

fn photo(seed: usize) -> Vec<f32> {
    (0..usize::from(SIDE * SIDE) * 3)
        .map(|i| noise(seed + 777 + i))
        .collect()
}

/// The largest magnitude of every channel of every layer's output.
fn channel_ranges(model: &FloatModel, tensors: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let shapes = model.tensor_shapes().unwrap();
    let outputs = tensors.iter().zip(&shapes).skip(1);
    let ranges = outputs.map(|(values, shape)| {
        let channels = usize::from(shape.channels);
        let channel = |c: usize| values.iter().skip(c).step_by(channels);
        (0..channels)
            .map(|c| channel(c).fold(0.0_f32, |max, v| max.max(v.abs())))
            .collect()
    });
    ranges.collect()
}

proptest! {
    #[test]
    fn equalization_keeps_the_function(
        seed in 0_usize..10_000,
        kinds in prop::collection::vec(
            (
                prop::sample::select(vec![
                    Kind::Dense, Kind::Grouped, Kind::Depthwise, Kind::Max, Kind::Avg, Kind::Residual,
                ]),
                prop::sample::select(vec![Activation::None, Activation::Relu, Activation::Relu6]),
            ),
            1..7,
        ),
        by_outputs: bool,
    ) {
        let float = random_chain(seed, &kinds);
        let before = evaluate(&float, photo(seed));
        let ranges = channel_ranges(&float, &before);
        let mut equalized = float.clone();
        let ranges = if by_outputs { Ranges::Outputs(&ranges) } else { Ranges::Weights };
        let pairs = equalize(&mut equalized, ranges).unwrap();
        let after = evaluate(&equalized, photo(seed));
        // Every tensor but those between the two layers of a pair.
        let inside = |tensor: usize| pairs.iter().any(|p| p.first < tensor && tensor <= p.second);
        for (tensor, (before, after)) in before.iter().zip(&after).enumerate() {
            if inside(tensor) {
                continue;
            }
            let largest = before.iter().fold(0.0_f32, |max, v| max.max(v.abs()));
            for (a, b) in before.iter().zip(after) {
                prop_assert!((a - b).abs() <= 1e-4 * largest, "tensor {tensor}: {a} {b}, {pairs:?}");
            }
        }
        // What others read, too, stays as it was.
        for pair in &pairs {
            let readers: Vec<usize> = (0..float.layers.len())
                .filter(|&i| float.layers[i].shape().inputs().any(|t| t == pair.first + 1))
                .collect();
            prop_assert_eq!(readers.len(), 1);
            let FloatLayer::Conv2d(first) = &float.layers[pair.first] else { panic!("{pair:?}") };
            prop_assert!(first.output.activation != Activation::Relu6);
        }
    }

    #[test]
    fn weights_of_a_pair_end_with_equal_ranges(seed in 0_usize..10_000) {
        let kinds = [(Kind::Depthwise, Activation::Relu), (Kind::Dense, Activation::Relu)];
        let mut float = random_chain(seed, &kinds);
        let found = equalize(&mut float, Ranges::Weights).unwrap();
        prop_assert_eq!(&found, &[Pair { first: 0, second: 1 }, Pair { first: 1, second: 2 }]);
        let weights = |layer: usize| match &float.layers[layer] {
            FloatLayer::Conv2d(conv) => conv.weights.as_slice(),
            other => panic!("{other:?}"),
        };
        let range = |values: &mut dyn Iterator<Item = &f32>| values.fold(0.0_f32, |m, v| m.max(v.abs()));
        for c in 0..6 {
            let ranges = [
                range(&mut weights(0)[27 * c..][..27].iter()),
                range(&mut weights(1)[9 * c..][..9].iter()),
                range(&mut weights(2).iter().skip(c).step_by(6)),
            ];
            for other in &ranges[1..] {
                prop_assert!((ranges[0] - other).abs() < 0.01 * other, "channel {c}: {ranges:?}");
            }
        }
    }

    /// What the integers stand for is quantized to itself.
    #[test]
    fn dequantized_weights_are_on_the_grid(seed in 0_usize..10_000, general: bool) {
        let scales = if general { WeightScales::General } else { WeightScales::PowerOfTwo };
        let float = network(seed);
        let real = dequantized(&quantize_with(&float, scales).unwrap(), &float);
        let pairs = weights_of(&float).into_iter().zip(weights_of(&real));
        for (a, b) in pairs {
            prop_assert_eq!(a.len(), b.len());
            let largest = a.iter().fold(0.0_f32, |max, v| max.max(v.abs()));
            for (a, b) in a.iter().zip(&b) {
                // Half a step; a power of two may be almost twice as coarse as needed.
                prop_assert!((a - b).abs() <= largest / 127.0, "{a} {b}");
            }
        }
        if !general {
            let again = dequantized(&quantize_with(&real, scales).unwrap(), &real);
            prop_assert_eq!(real, again);
        }
    }
}

/// The weights of every output channel.
fn weights_of(model: &FloatModel) -> Vec<Vec<f32>> {
    let convs = model.layers.iter().filter_map(|layer| match layer {
        FloatLayer::Conv2d(conv) => Some((&conv.weights, conv.bias.len())),
        _ => None,
    });
    let fcs = Path::ALL.into_iter().flat_map(|path| model.head.fcs(path));
    convs
        .chain(fcs.map(|fc| (&fc.weights, fc.bias.len())))
        .flat_map(|(weights, channels)| weights.chunks(weights.len() / channels))
        .map(<[f32]>::to_vec)
        .collect()
}

#[test]
fn shared_outputs_and_relu6_are_not_equalized() {
    // Layer 0 is read by layer 1 and by the addition; the last output is the head's.
    assert_eq!(pairs(&network(1)), []);
    let chain = |first| {
        let mut model = random_chain(1, &[(Kind::Max, Activation::None), (Kind::Dense, first)]);
        if let FloatLayer::Conv2d(conv) = &mut model.layers[0] {
            conv.output.activation = first;
        }
        pairs(&model)
    };
    assert_eq!(
        chain(Activation::Relu),
        [Pair {
            first: 0,
            second: 2
        }]
    );
    assert_eq!(chain(Activation::Relu6), []);

    let mut broken = network(1);
    if let FloatLayer::Add(add) = &mut broken.layers[2] {
        add.inputs = [9, 9];
    }
    assert!(equalize(&mut broken, Ranges::Weights).is_err());
}

/// The layer before a padded first convolution, which ONNX import makes, is exact in integers as long as its weights are 1.
#[test]
fn a_layer_that_moves_the_images_zero_is_not_equalized() {
    let pair = |first| Pair {
        first,
        second: first + 1,
    };
    let with_first = |weight| {
        let mut model = random_chain(1, &[(Kind::Dense, Activation::Relu)]);
        for layer in &mut model.layers {
            if let FloatLayer::Conv2d(conv) = layer {
                conv.input += 1;
            }
        }
        let first = FloatConv {
            input: 0,
            window: Window::UNIT,
            groups: 3,
            out_channels: 3,
            weights: vec![weight; 3],
            bias: vec![1.0; 3],
            output: ActivationScale::relu(-7),
        };
        model.layers.insert(0, FloatLayer::Conv2d(first));
        model
    };
    assert_eq!(pairs(&with_first(0.5)), [pair(0), pair(1)]);
    let mut float = with_first(1.0);
    assert_eq!(pairs(&float), [pair(1)]);
    let first = float.layers[0].clone();
    equalize(&mut float, Ranges::Weights).unwrap();
    assert_eq!(float.layers[0], first);
}

#[test]
fn channels_that_are_dead_are_left_alone() {
    let mut float = random_chain(5, &[(Kind::Dense, Activation::Relu)]);
    for layer in &mut float.layers {
        if let FloatLayer::Conv2d(conv) = layer {
            conv.weights[..27].fill(0.0);
        }
    }
    let before = evaluate(&float, photo(1));
    equalize(&mut float, Ranges::Weights).unwrap();
    assert!(check_finite(&float).is_ok());
    let after = evaluate(&float, photo(1));
    for (a, b) in before[2].iter().zip(&after[2]) {
        assert!((a - b).abs() <= 1e-4 * (1.0 + a.abs()), "{a} {b}");
    }
}

#[test]
fn numbers_that_are_not_finite_are_found() {
    assert_eq!(check_finite(&network(1)), Ok(()));
    let mut float = network(1);
    if let FloatLayer::Conv2d(conv) = &mut float.layers[1] {
        conv.bias[4] = f32::INFINITY;
    }
    let place = Place::Layer(1);
    assert_eq!(
        check_finite(&float),
        Err(QuantizeError::NotFinite { place, channel: 4 })
    );
    let mut float = network(1);
    float.head.joint_fcs[1].weights[9] = f32::NAN;
    let place = Place::FullyConnected(Path::Joint, 1);
    assert_eq!(
        check_finite(&float),
        Err(QuantizeError::NotFinite { place, channel: 1 })
    );
}

#[test]
fn weights_fit_other_files_of_the_same_structure() {
    let (one, other) = (network(3), network(4));
    let cfm = quantize(&one).unwrap().to_bytes().unwrap();
    let other_cfm = quantize(&other).unwrap().to_bytes().unwrap();
    let weights = other.to_safetensors(&other_cfm).unwrap();
    let found = FloatModel::from_safetensors_like(&cfm, &weights).unwrap();
    assert_eq!(found.layers, other.layers);
    assert_eq!(found.provenance, one.provenance);

    // Another structure: the tensor is named.
    let mut larger = network(3);
    larger.head.segment_fcs[0].outputs = 9;
    larger.head.segment_fcs[0].weights.extend(vec![0.5; 30]);
    larger.head.segment_fcs[0].bias.push(0.0);
    larger.head.joint_fcs[0].weights.extend(vec![0.5; 9]);
    let larger_cfm = quantize(&larger).unwrap().to_bytes().unwrap();
    let error = FloatModel::from_safetensors_like(&larger_cfm, &weights).unwrap_err();
    assert!(
        error.to_string().starts_with("tensor segment.0.weight is "),
        "{error}"
    );

    let mut longer = network(3);
    longer.layers.push(FloatLayer::Conv2d(conv(
        9,
        5,
        [6, 6],
        1,
        ActivationScale::relu(-4),
    )));
    let longer_cfm = quantize(&longer).unwrap().to_bytes().unwrap();
    let error = FloatModel::from_safetensors_like(&longer_cfm, &weights).unwrap_err();
    assert!(error.to_string().contains("layers.5.weight"), "{error}");
    let weights = longer.to_safetensors(&longer_cfm).unwrap();
    let error = FloatModel::from_safetensors_like(&cfm, &weights).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor layers.5.bias has no place in the .cfm's structure"
    );
    for broken in [&weights[..weights.len() / 2], b"", &weights[..8]] {
        let error = FloatModel::from_safetensors_like(&longer_cfm, broken).unwrap_err();
        assert!(matches!(error, FloatFileError::Safetensors(_)), "{error}");
    }
}
