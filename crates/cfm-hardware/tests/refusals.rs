//! What an engine refuses: the table of `hls/ENGINE.md`, row by row.

mod common;

use cfm_core::model::{Design, MaskRule, Model};
use cfm_hardware::{CompileError, Engine, Folding, Limits, compile};
use cfm_model::spec::{AddSpec, FcSpec, LayerSpec, ModelSpec, OutputScale};
use common::one_convolution;

const PAGE: &str = include_str!("../../../hls/ENGINE.md");

fn compiled(spec: &ModelSpec, folding: Folding, limits: &Limits) -> Result<Engine, CompileError> {
    let bytes = spec.to_bytes().unwrap();
    compile(&Model::parse(&bytes).unwrap(), folding, limits)
}

/// What says no to a model, and the row of the page that announces it.
fn refuses(spec: &ModelSpec, folding: Folding, limits: Limits, error: &str, row: &str) {
    let refused = compiled(spec, folding, &limits).expect_err(row);
    assert_eq!(refused.to_string(), error);
    let (_, table) = PAGE
        .split_once("## What an engine refuses")
        .expect("the section");
    assert!(table.contains(&format!("\n| {row} | ")), "{row}");
}

fn small() -> ModelSpec {
    one_convolution([8, 32], [1, 1], [1, 1], vec![1; 4])
}

fn folding() -> Folding {
    Folding::new(4, 3).unwrap()
}

/// A fully connected layer of ones.
fn ones(outputs: u16, inputs: usize) -> FcSpec {
    let classifier = small().head.joint_fcs.remove(0);
    FcSpec {
        outputs,
        weights: vec![1; usize::from(outputs) * inputs],
        channels: vec![classifier.channels[0]; outputs.into()],
        output: OutputScale {
            low: i8::MIN,
            high: i8::MAX,
            ..classifier.output
        },
    }
}

/// `small`, whose classifier reads so many inputs.
fn with_inputs(inputs: usize) -> ModelSpec {
    let mut spec = small();
    spec.head.joint_fcs[0].weights = vec![1; 2 * inputs];
    spec
}

#[test]
fn foldings_that_are_not_built() {
    for (pe, lanes) in [(5, 3), (32, 1), (8, 0), (8, 17)] {
        let refused = Folding::new(pe, lanes).unwrap_err();
        assert_eq!(refused, CompileError::Folding { pe, lanes });
        let error = format!("folding {pe}x{lanes}: PE is 4, 8 or 16, and there are 1 to 16 lanes");
        let row = "PE other than 4, 8, 16; lanes other than 1 to 16";
        refuses(&small(), Folding { pe, lanes }, Limits::FORMAT, &error, row);
    }
}

#[test]
fn strides_of_too_many_passes() {
    let strided = |stride| {
        let mut spec = small();
        let LayerSpec::Conv2d(conv) = &mut spec.layers[0] else {
            panic!("no convolution");
        };
        conv.window.stride = [1, stride];
        spec
    };
    assert!(compiled(&strided(15), folding(), &Limits::FORMAT).is_ok());
    let error = "layer 0: a horizontal stride of 16; the engine has at most 15";
    let row = "a horizontal stride above 15, but where the output is one cell wide";
    refuses(&strided(16), folding(), Limits::FORMAT, error, row);
}

#[test]
fn inputs_of_an_addition_far_apart() {
    let apart = |bits: i8| {
        let mut spec = small();
        let LayerSpec::Conv2d(first) = spec.layers[0].clone() else {
            panic!("no convolution");
        };
        let mut second = first.clone();
        second.output.exponent += bits;
        spec.layers.push(LayerSpec::Conv2d(second));
        let output = first.output;
        let inputs = [1, 2];
        spec.layers.push(LayerSpec::Add(AddSpec { inputs, output }));
        spec
    };
    assert!(compiled(&apart(14), folding(), &Limits::FORMAT).is_ok());
    let error = "layer 2: an input is aligned by 15 bits; the engine's weights hold at most 14";
    let row = "an addition one of whose inputs is aligned by more than 14 bits";
    refuses(&apart(15), folding(), Limits::FORMAT, error, row);
}

#[test]
fn layers_on_too_many_bins_or_inputs() {
    let mut spec = with_inputs(256 * 4);
    spec.head.segment_levels = vec![16];
    let error = "joint layer 0: it reads 256 bins; the engine takes at most 255";
    let row = "a fully connected layer on more than 255 bins";
    refuses(&spec, folding(), Limits::FORMAT, error, row);

    let mut spec = with_inputs(2 * 32_768);
    spec.head.design = Design::A;
    spec.head.region_levels = vec![1];
    spec.head.segment_fcs = vec![ones(32_768, 4)];
    spec.head.region_fcs = vec![ones(32_768, 4)];
    let error =
        "joint layer 0: it has 65536 inputs, padding included; the engine takes at most 65535";
    let row = "a layer of more than 65535 inputs, those that fill words included";
    refuses(&spec, folding(), Limits::FORMAT, error, row);
}

#[test]
fn bins_that_are_masked_by_their_nearest_pixel() {
    let mut spec = small();
    spec.head.design = Design::B;
    spec.head.mask_rule = MaskRule::Nearest;
    let error = "Design B with the nearest rule: the engine has no pixels when it masks bins";
    let row = "Design B with the nearest rule";
    refuses(&spec, folding(), Limits::FORMAT, error, row);
}

#[test]
fn memories_that_are_too_small() {
    let all = Limits::FORMAT;
    let none = Limits {
        external_words: 0,
        ..all.without_weights()
    };
    let cases = [
        (
            Limits {
                feature_words: 7,
                ..all
            },
            "feature memory: words in every bank: 110 are needed, there are 7",
            "more words in a bank of the feature memory than 65535, or than a budget has",
        ),
        (
            none,
            "weights from outside: words: 5 are needed, there are 0",
            "more weights outside than 2^24 words, or than a budget has",
        ),
        (
            Limits { channels: 7, ..all },
            "channel memory: channels: 8 are needed, there are 7",
            "more records of channels than 65536, or than a budget has",
        ),
        (
            Limits {
                store_words: 149,
                ..all
            },
            "control store: words: 150 are needed, there are 149",
            "more words of control store than 65535, or than a budget has: rows of all layers, three words each",
        ),
        (
            Limits {
                side: 1 << 16,
                ..all
            },
            "scoring memory: words: 131076 are needed, there are 131072",
            "`SIDE` above 32768",
        ),
    ];
    for (limits, error, row) in cases {
        refuses(&small(), folding(), limits, error, row);
    }
}
