//! Calibrated models are what they should be, and better with the means that should make them better.

use cfm_core::model::{Design, Path};
use cfm_model::float_model::{Activation, FloatLayer};
use cfm_model::quantize::quantize as plain;
use cfm_model::random::{random_image, random_segments};
use cfm_model::spec::{LabellingRule, ModelSpec};

use super::*;
use crate::float_network::tests::calibrate;
use crate::parity::{Naming, check};
use crate::scene::Scene;
use crate::trace::Inputs;

const OPTIONS: Options = Options {
    range: RangeMethod::MeanSquaredError,
    scales: WeightScales::PowerOfTwo,
    equalization: Equalization::Off,
    bias_correction: false,
};

/// Every kind of layer, with logits that are no activations.
fn float_model(design: Design) -> FloatModel {
    let mut float = crate::float_network::tests::float_model(design);
    calibrate(&mut float, &[]);
    float
}

/// The bytes of a model of the same structure, with scales that fit nothing.
fn like(float: &FloatModel) -> Vec<u8> {
    plain(float).unwrap().to_bytes().unwrap()
}

fn images(pipeline: &Pipeline<'_>, seeds: std::ops::Range<u64>) -> Vec<NetworkInput> {
    seeds
        .map(|seed| pipeline.input(&Scene::render(40, 48, seed).photo).unwrap())
        .collect()
}

fn quantized(float: &FloatModel, options: &Options) -> Result<Quantized, PostTrainingError> {
    let like = like(float);
    let model = Model::parse(&like).unwrap();
    let pipeline = Pipeline::new(&model).unwrap();
    quantize(
        float.clone(),
        &pipeline,
        &images(&pipeline, 0..6),
        options,
        || {},
    )
}

fn all_options() -> impl Iterator<Item = Options> {
    let equalizations = [
        Equalization::Off,
        Equalization::Weights,
        Equalization::Activations,
    ];
    equalizations
        .into_iter()
        .enumerate()
        .flat_map(|(i, equalization)| {
            [false, true].map(|bias_correction| Options {
                range: ["max", "mse", "percentile=99.9"][i].parse().unwrap(),
                scales: if bias_correction {
                    WeightScales::General
                } else {
                    WeightScales::PowerOfTwo
                },
                equalization,
                bias_correction,
            })
        })
}

/// Error energy over signal energy of the logits on photographs that calibration did not see.
fn logit_error(float: &FloatModel, options: &Options) -> f64 {
    let result = quantized(float, options).unwrap();
    let model = Model::parse(&result.cfm).unwrap();
    let pipeline = Pipeline::new(&model).unwrap();
    let network = FloatNetwork::new(&model, float.clone()).unwrap();
    let step = f32::from(model.head().logit_exponent).exp2();
    let (mut noise, mut signal) = (0.0, 0.0);
    for image in images(&pipeline, 50..56) {
        Inputs::of_input(&pipeline, &image, |inputs| {
            let real = network.label(inputs).unwrap().logits;
            let integers = crate::core_trace::trace(&model, inputs).unwrap().segments;
            for (real, segment) in real.iter().zip(&integers) {
                for (&real, &q) in real.iter().zip(&segment.logits) {
                    noise += f64::from(real - f32::from(q) * step).powi(2);
                    signal += f64::from(real).powi(2);
                }
            }
        })
        .unwrap();
    }
    noise / signal
}

#[test]
fn calibrated_models_follow_the_floats_and_pass_parity() {
    for design in [Design::Plain, Design::A, Design::B] {
        let float = float_model(design);
        for options in all_options() {
            let result = quantized(&float, &options).unwrap();
            let model = Model::parse(&result.cfm).unwrap();
            let segments = random_segments(5, 20, 24, 12);
            let image = random_image(8, float.input);
            let inputs = Inputs {
                image: image.view().unwrap(),
                maps: &segments.map_views().unwrap(),
                segments: &segments.views(),
                rule: LabellingRule::DEFAULT,
            };
            let report = check(&model, &inputs, Naming::Layers).unwrap();
            assert!(report.is_exact(), "{design:?} {options:?}\n{report}");

            let head = &float.head;
            let fcs: usize = Path::ALL.map(|path| head.fcs(path).len()).iter().sum();
            assert_eq!(result.layers.len(), float.layers.len() + fcs);
            for layer in &result.layers {
                let sqnr = layer.sqnr_db.unwrap();
                assert!(sqnr > 18.0, "{design:?} {options:?} {layer:?}");
                assert!((0.0..0.02).contains(&layer.clipped), "{layer:?}");
            }
            assert!(model.provenance().contains(PROVENANCE));
        }
    }
}

#[test]
fn the_result_does_not_depend_on_the_threads() {
    let float = float_model(Design::A);
    let options = Options {
        bias_correction: true,
        equalization: Equalization::Activations,
        ..OPTIONS
    };
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let result = pool.unwrap().install(|| quantized(&float, &options));
        result.unwrap().cfm
    };
    assert_eq!(with(1), with(3));
}

/// A network whose first layer's channels differ by up to `2^spread` in magnitude, which its second layer undoes.
fn badly_scaled(spread: f32) -> FloatModel {
    let mut float = float_model(Design::Plain);
    // Without the residual, so that the first two convolutions are a pair: 0 -> 1 -> max pool -> 3.
    float.layers.remove(2);
    for layer in &mut float.layers[2..] {
        match layer {
            FloatLayer::Conv2d(conv) => conv.input -= 1,
            FloatLayer::MaxPool(pool) | FloatLayer::AvgPool(pool) => pool.input -= 1,
            FloatLayer::Add(_) => {}
        }
    }
    let [FloatLayer::Conv2d(first), FloatLayer::Conv2d(second), ..] = &mut float.layers[..] else {
        panic!("two convolutions")
    };
    let channels = usize::from(first.out_channels);
    for channel in 0..channels {
        let factor = (spread * (channel as f32 / (channels - 1) as f32 - 0.5)).exp2();
        let filter = first.weights.len() / channels;
        for value in &mut first.weights[channel * filter..(channel + 1) * filter] {
            *value *= factor;
        }
        first.bias[channel] *= factor;
        // Two groups of four inputs and four outputs, 9 taps.
        let (group, input) = (channel / 4, channel % 4);
        for at in 0..4 * 9 {
            second.weights[group * 144 + at * 4 + input] /= factor;
        }
    }
    float
}

#[test]
fn equalization_saves_badly_scaled_channels() {
    let even = logit_error(&badly_scaled(0.0), &OPTIONS);
    let float = badly_scaled(16.0);
    let without = logit_error(&float, &OPTIONS);
    for equalization in [Equalization::Weights, Equalization::Activations] {
        let options = Options {
            equalization,
            ..OPTIONS
        };
        let with = logit_error(&float, &options);
        assert!(with < without / 10.0, "{equalization:?}: {with} {without}");
        assert!(
            with < 4.0 * even,
            "{equalization:?}: {with}, even channels {even}"
        );
        let pairs = quantized(&float, &options).unwrap().equalized;
        assert_eq!(
            pairs[0],
            Pair {
                first: 0,
                second: 1
            }
        );
    }
}

#[test]
fn bias_correction_takes_back_what_rounding_shifts() {
    // One weight so large beside the others that these round to few steps: their errors shift the sums.
    let mut float = float_model(Design::A);
    for layer in &mut float.layers {
        if let FloatLayer::Conv2d(conv) = layer {
            let filter = conv.weights.len() / usize::from(conv.out_channels);
            for filter in conv.weights.chunks_exact_mut(filter) {
                for weight in &mut filter[1..] {
                    *weight = weight.abs() / 8.0;
                }
                filter[0] = 4.0;
            }
            conv.output.activation = Activation::Relu;
        }
    }
    let without = logit_error(&float, &OPTIONS);
    let options = Options {
        bias_correction: true,
        ..OPTIONS
    };
    let with = logit_error(&float, &options);
    assert!(with < without / 2.0, "{with} {without}");
}

#[test]
fn what_cannot_be_calibrated_is_refused() {
    let with_first = |change: &dyn Fn(&mut f32)| {
        let mut float = float_model(Design::B);
        let FloatLayer::Conv2d(conv) = &mut float.layers[0] else {
            panic!("a convolution")
        };
        change(&mut conv.weights[27]);
        float
    };
    let model = like(&float_model(Design::B));
    let model = Model::parse(&model).unwrap();
    let pipeline = Pipeline::new(&model).unwrap();
    let run = |float: FloatModel, images: &[NetworkInput]| {
        quantize(float, &pipeline, images, &OPTIONS, || {})
            .unwrap_err()
            .to_string()
    };
    let images = images(&pipeline, 0..1);
    let nothing = run(float_model(Design::B), &[]);
    assert_eq!(nothing, "there is no photograph to calibrate on");
    let broken = run(with_first(&|w| *w = f32::NAN), &images);
    assert_eq!(
        broken,
        "layer 0, channel 1: a weight or the bias is not finite"
    );
    // Finite weights whose sums are not: the second layer squares, as it were, the first one's.
    let mut huge = with_first(&|w| *w = 1e30);
    if let FloatLayer::Conv2d(conv) = &mut huge.layers[1] {
        conv.weights.fill(1e30);
    }
    let infinite = run(huge, &images);
    assert!(
        infinite.starts_with("layer 1: the float network's output is inf"),
        "{infinite}"
    );
    // Of another structure than the model.
    let other = run(float_model(Design::A), &images);
    assert_eq!(other, "the float weights are not those of this model");
}

/// A specification is read back the way it was chosen.
#[test]
fn scales_are_those_of_the_histograms() {
    let float = float_model(Design::A);
    let result = quantized(&float, &OPTIONS).unwrap();
    let spec = ModelSpec::from_bytes(&result.cfm).unwrap();
    let scales = spec.tensor_scales();
    for (layer, scale) in result.layers.iter().zip(&scales[1..]) {
        assert_eq!(
            (layer.exponent, layer.zero_point),
            (scale.exponent, scale.zero_point)
        );
    }
    // Both paths end at the same scale, which holds the larger of the two.
    let head = &spec.head;
    assert_eq!(head.segment_fcs[0].output, head.region_fcs[0].output);
    // Logits have twice the room that calibration saw, and not four times.
    let logits = result.layers.last().unwrap();
    let room = 32767.0 * f32::from(logits.exponent).exp2();
    assert!(room >= 2.0 * logits.max && room < 4.0 * logits.max.max(1.0));
}
