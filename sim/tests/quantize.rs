//! `cfm quantize` from files to a file.

mod common;

use std::fs;
use std::path::Path;

use cfm_model::quantize::quantize;
use cfm_sim::scene;
use common::{float_model, json, output, refusal, write_model, write_photo};

fn prepare(root: &Path) {
    write_model(root);
    fs::create_dir(root.join("photos")).unwrap();
    for size in [60, 64, 80] {
        write_photo(&root.join("photos"), size, 48);
    }
}

const QUANTIZE: [&str; 6] = [
    "quantize",
    "tiny.safetensors",
    "--images",
    "photos",
    "--out",
    "new.cfm",
];

#[test]
fn a_calibrated_model_is_written_and_passes_parity() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    prepare(root);
    let report = json(root, &[&QUANTIZE[..], &["--json"]].concat());
    assert_eq!(report["images"], 3);
    assert_eq!(report["equalized"], serde_json::json!([[0, 1]]));
    let layers = report["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 5);
    for layer in layers {
        assert!(layer["sqnr_db"].as_f64().unwrap() > 20.0, "{layer}");
    }
    let bytes = fs::read(root.join("new.cfm")).unwrap();
    assert_eq!(report["bytes"], bytes.len());
    let spec = cfm_model::spec::ModelSpec::from_bytes(&bytes).unwrap();
    assert!(spec.provenance.last().unwrap().1.contains("range mse"));
    let parity = json(root, &["parity", "--model", "new.cfm", "--json"]);
    assert_eq!(parity["mismatches"], 0);
    assert!(parity["elements"].as_u64().unwrap() > 10_000);

    // Every option, and a second model in the first one's place.
    let options = [
        "--range",
        "percentile=99",
        "--bias-correction",
        "off",
        "--equalize",
        "off",
        "--scales",
        "general",
        "--limit",
        "2",
    ];
    let text = output(root, &[&QUANTIZE[..], &options].concat());
    for word in ["2 photographs", "layer 0", "SQNR", "dB", "new.cfm"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert!(!text.contains("equalized"), "{text}");
    assert_ne!(fs::read(root.join("new.cfm")).unwrap(), bytes);
    // Nothing temporary is left behind.
    assert_eq!(fs::read_dir(root).unwrap().count(), 4);
}

#[test]
fn data_sets_give_their_train_split() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    let splits = [("train", 2), ("val", 3)];
    scene::write_dataset(&root.join("set"), &splits, (60, 45), 20).unwrap();
    for (source, count) in [("set", 2), ("set:val", 3)] {
        let arguments = [
            "quantize",
            "tiny.safetensors",
            "--model",
            "tiny.cfm",
            "--images",
            source,
            "--out",
            "new.cfm",
            "--json",
        ];
        assert_eq!(json(root, &arguments)["images"], count);
    }
}

#[test]
fn broken_input_is_refused_and_nothing_written() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    prepare(root);
    let refused = |changes: &[(usize, &str)], more: &[&str], expected: &str| {
        let mut arguments = QUANTIZE.to_vec();
        for &(at, argument) in changes {
            arguments[at] = argument;
        }
        let text = refusal(root, &[&arguments[..], more].concat());
        assert!(text.contains(expected), "{expected} in {text}");
        assert!(!root.join("new.cfm").exists());
    };
    refused(&[(3, "none")], &[], "none: ");
    fs::create_dir(root.join("empty")).unwrap();
    refused(&[(3, "empty")], &[], "empty: there is no photograph");
    fs::write(
        root.join("empty/broken.png"),
        &fs::read(root.join("photos/photo60x48.png")).unwrap()[..200],
    )
    .unwrap();
    refused(&[(3, "empty")], &[], "empty/broken.png: ");
    refused(
        &[(1, "none.safetensors")],
        &["--model", "tiny.cfm"],
        "none.safetensors: ",
    );
    refused(&[(1, "none.safetensors")], &[], "none.cfm: ");
    refused(&[(5, "no/such/new.cfm")], &[], "no/such/new.cfm: ");
    fs::write(
        root.join("cut.safetensors"),
        &fs::read(root.join("tiny.safetensors")).unwrap()[..999],
    )
    .unwrap();
    refused(
        &[(1, "cut.safetensors")],
        &["--model", "tiny.cfm"],
        "cut.safetensors: ",
    );

    // Weights that are not numbers, and those of another structure.
    let cfm = fs::read(root.join("tiny.cfm")).unwrap();
    let mut float = float_model(48, 36);
    float.head.joint_fcs[0].weights[33] = f32::NAN;
    fs::write(
        root.join("nan.safetensors"),
        float.to_safetensors(&cfm).unwrap(),
    )
    .unwrap();
    refused(
        &[(1, "nan.safetensors")],
        &["--model", "tiny.cfm"],
        "nan.safetensors: joint fully connected layer 0, channel 1: a weight or the bias is not finite",
    );
    let mut other = float_model(48, 36);
    let classes = usize::from(other.head.joint_fcs[0].outputs);
    other.head.segment_fcs[0].outputs = 17;
    other.head.segment_fcs[0].weights.extend([0.5; 40]);
    other.head.segment_fcs[0].bias.push(0.5);
    other.head.joint_fcs[0].weights.extend(vec![0.5; classes]);
    let like = quantize(&other).unwrap().to_bytes().unwrap();
    fs::write(root.join("other.cfm"), like).unwrap();
    refused(
        &[],
        &["--model", "other.cfm"],
        "tiny.safetensors: tensor segment.0.weight is F32 [16, 40], not f32 [17, 40]",
    );
}

#[test]
fn wrong_options_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (option, value) in [
        ("--range", "percentile=0"),
        ("--range", "most"),
        ("--limit", "0"),
        ("--equalize", "on"),
        ("--bias-correction", "maybe"),
    ] {
        let assert = common::cfm(root, &[&QUANTIZE[..], &[option, value]].concat())
            .assert()
            .code(2);
        let text = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(text.contains(value) && text.contains(option), "{text}");
    }
}
