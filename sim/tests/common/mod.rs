//! What the tests of the command share: small models, scenes on disk, and running `cfm`.
#![allow(dead_code)] // each test file uses its part

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use cfm_model::float_model::{
    Activation, ActivationScale, FloatConv, FloatFc, FloatHead, FloatLayer, FloatModel,
};
use cfm_model::quantize::quantize;
use cfm_model::spec::{
    ClassKind, ClassSpec, Classifier, Design, InputSpec, MaskRule, ModelSpec, Window,
};
use cfm_proposals::Params;
use cfm_sim::dataset::Kind;
use cfm_sim::scene::{self, Scene};
use fixed::types::U0F16;

/// Weights that are arbitrary but always the same.
fn weights(count: usize, scale: f32, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_769) | 1;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * scale
        })
        .collect()
}

fn conv(input: usize, inputs: u16, outputs: u16, stride: u8) -> FloatLayer {
    FloatLayer::Conv2d(FloatConv {
        input,
        window: Window {
            kernel: [3, 3],
            stride: [stride, stride],
            dilation: [1, 1],
            padding: [1, 1, 1, 1],
        },
        groups: 1,
        out_channels: outputs,
        weights: weights(
            usize::from(outputs) * 9 * usize::from(inputs),
            0.4,
            input as u32 + 1,
        ),
        bias: weights(outputs.into(), 0.1, input as u32 + 100),
        output: ActivationScale::relu(-6),
    })
}

fn fc(inputs: usize, outputs: u16, seed: u32, output: ActivationScale) -> FloatFc {
    FloatFc {
        outputs,
        weights: weights(inputs * usize::from(outputs), 0.3, seed),
        bias: weights(outputs.into(), 0.1, seed + 7),
        output,
    }
}

/// An untrained network over `width x height` pixels with the classes of the rendered scenes.
pub fn float_model(width: u16, height: u16) -> FloatModel {
    let mut classes: Vec<ClassSpec> = scene::description()
        .classes
        .into_iter()
        .map(|class| ClassSpec {
            name: class.name,
            kind: match class.kind {
                Kind::Stuff => ClassKind::Stuff,
                Kind::Object => ClassKind::Object,
            },
            color: class.color,
            label: class.index,
        })
        .collect();
    classes.push(ClassSpec {
        name: "mixed".to_owned(),
        kind: ClassKind::Background,
        color: [0; 3],
        label: 255,
    });
    let outputs = classes.len() as u16;
    let hidden = ActivationScale::for_range(Activation::Relu, 8.0).expect("a finite range");
    FloatModel {
        input: InputSpec {
            height,
            width,
            channels: 3,
        },
        layers: vec![conv(0, 3, 8, 2), conv(1, 8, 8, 2)],
        head: FloatHead {
            design: Design::A,
            classifier: Classifier::Softmax,
            mask_rule: MaskRule::Average {
                threshold: U0F16::from_bits(0x8000),
            },
            segment_levels: vec![2, 1],
            region_levels: vec![1],
            segment_fcs: vec![fc(5 * 8, 16, 11, hidden)],
            region_fcs: vec![fc(8, 16, 12, hidden)],
            joint_fcs: vec![fc(32, outputs, 13, ActivationScale::logits(-8))],
            logit_exponent: -8,
        },
        classes,
        labelling: None,
        calibration: None,
        proposals: Some(Params::DEFAULT.to_bytes().to_vec()),
        provenance: vec![("trained".to_owned(), "not at all".to_owned())],
    }
}

/// The quantized form of [`float_model`].
pub fn model_spec() -> ModelSpec {
    quantize(&float_model(48, 36)).expect("a sound network")
}

/// Writes the small model and its float weights; returns the path of the `.cfm`.
pub fn write_model(folder: &Path) -> PathBuf {
    let float = float_model(48, 36);
    let cfm = quantize(&float)
        .expect("a sound network")
        .to_bytes()
        .expect("a sound model");
    let path = folder.join("tiny.cfm");
    fs::write(&path, &cfm).expect("a writable folder");
    let weights = float.to_safetensors(&cfm).expect("the same structure");
    fs::write(path.with_extension("safetensors"), weights).expect("a writable folder");
    path
}

/// Writes a rendered photograph; returns its path.
pub fn write_photo(folder: &Path, width: u32, height: u32) -> PathBuf {
    let path = folder.join(format!("photo{width}x{height}.png"));
    Scene::render(width, height, 2)
        .photo
        .save(&path)
        .expect("a writable folder");
    path
}

/// `cfm` with arguments, in `folder`.
pub fn cfm(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("cfm").expect("the command is built");
    command.current_dir(folder).args(arguments);
    command
}

/// Runs `cfm`, which must succeed, and returns what it prints.
pub fn output(folder: &Path, arguments: &[&str]) -> String {
    let assert = cfm(folder, arguments).assert().success();
    String::from_utf8(assert.get_output().stdout.clone()).expect("UTF-8")
}

/// Runs `cfm`, which must print JSON.
pub fn json(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&output(folder, arguments)).expect("JSON")
}

/// Runs `cfm`, which must refuse its input with status 2 and one line, which is returned.
pub fn refusal(folder: &Path, arguments: &[&str]) -> String {
    let assert = cfm(folder, arguments).assert().code(2);
    let text = String::from_utf8(assert.get_output().stderr.clone()).expect("UTF-8");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("cfm: "), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text.trim_end().to_owned()
}
