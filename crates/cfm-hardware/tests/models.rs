//! The built-in models on a rendered scene, with as many segments as the proposals give.

mod common;

use cfm_core::model::Model;
use cfm_hardware::{CompileError, Folding, Limits, Memory, compile, stream};
use cfm_model::spec::{
    Channel, ConvSpec, FcSpec, InputSpec, LayerSpec, OutputScale, Window, classifier_output,
    one_layer,
};
use cfm_sim::built_in::{BuiltIn, SCENE, STREET};
use cfm_sim::pipeline::{NetworkInput, Pipeline};
use cfm_sim::scene::{SAMPLE_SEED, Scene};
use cfm_sim::trace::Inputs;
use common::{Frame, compare};

const SEGMENTS: usize = 113;

fn check(built_in: BuiltIn, foldings: &[(u32, u32, u32)]) {
    let model = Model::parse(built_in.cfm).unwrap();
    let pipeline = Pipeline::new(&model).unwrap();
    let input = model.input();
    let photo = Scene::render(input.width.into(), input.height.into(), SAMPLE_SEED).photo;
    let input = NetworkInput::new(&photo, input).unwrap();
    let segments = Inputs::of_input(&pipeline, &input, |inputs| {
        let all = inputs.segments;
        assert!(all.len() >= SEGMENTS, "{} segments", all.len());
        (0..SEGMENTS)
            .map(|i| stream::runs(&all[i * all.len() / SEGMENTS], inputs.maps))
            .collect()
    })
    .unwrap();
    let frame = Frame {
        pixels: input.view().unwrap().pixels().to_vec(),
        segments,
    };
    for &(pe, lanes, weight_words) in foldings {
        let folding = Folding::new(pe, lanes).unwrap();
        let limits = Limits {
            weight_words,
            ..Limits::FORMAT
        };
        let engine = compile(&model, folding, &limits).unwrap();
        compare(&model, &engine, &frame, built_in.name);
    }
}

#[test]
fn street() {
    check(
        STREET,
        &[(8, 10, 8192), (4, 15, 1 << 18), (16, 7, 0), (8, 3, 4096)],
    );
}

#[test]
fn scene() {
    check(SCENE, &[(8, 16, 8192), (16, 5, 1 << 16), (4, 10, 0)]);
}

/// Programs that 16 bits do not address: a tall image waits and runs in every row.
#[test]
fn programs_longer_than_the_control_store_are_refused() {
    let conv = |input, channels: usize| {
        LayerSpec::Conv2d(ConvSpec {
            input,
            window: Window {
                kernel: [1, 1],
                stride: [1, 1],
                dilation: [1, 1],
                padding: [0; 4],
            },
            groups: 1,
            out_channels: 4,
            output: OutputScale {
                zero_point: 0,
                exponent: -7,
                low: i8::MIN,
                high: i8::MAX,
            },
            weights: vec![1; 4 * channels],
            channels: vec![
                Channel {
                    bias: 0,
                    mantissa: 1 << 14,
                    shift: 16,
                };
                4
            ],
        })
    };
    let classifier = FcSpec {
        outputs: 2,
        output: classifier_output(-7),
        weights: vec![1; 8],
        channels: vec![
            Channel {
                bias: 0,
                mantissa: 1 << 14,
                shift: 14,
            };
            2
        ],
    };
    let compiled = |height| {
        let input = InputSpec {
            height,
            width: 16,
            channels: 1,
        };
        let mut spec = one_layer(input, conv(0, 1), Vec::new(), classifier.clone());
        spec.layers.push(conv(1, 4));
        let bytes = spec.to_bytes().unwrap();
        let folding = Folding::new(4, 8).unwrap();
        compile(&Model::parse(&bytes).unwrap(), folding, &Limits::FORMAT)
    };
    assert!(compiled(4096).is_ok());
    // 8192 waits and 16384 runs of three words each.
    let Err(CompileError::Memory { memory, .. }) = compiled(8192) else {
        panic!("it is compiled");
    };
    assert_eq!(memory, Memory::Store);
}
