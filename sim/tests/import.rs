//! `cfm import` from files to a file.

mod common;

use std::fs;
use std::path::Path;

use common::{json, output, refusal, write_photo};

/// Copies fixtures and renders photographs.
fn prepare(root: &Path, names: &[&str]) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/onnx");
    for name in names {
        fs::copy(fixtures.join(name), root.join(name)).unwrap();
    }
    fs::create_dir(root.join("photos")).unwrap();
    for size in [60, 64, 80] {
        write_photo(&root.join("photos"), size, 48);
    }
}

#[test]
fn a_float_network_is_calibrated_and_passes_parity() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    prepare(root, &["vgg.onnx"]);
    fs::write(
        root.join("classes.toml"),
        (0..5)
            .map(|i| format!("[[class]]\nindex = {i}\nname = \"thing {i}\"\nkind = \"object\"\n"))
            .collect::<String>(),
    )
    .unwrap();
    let arguments = [
        "import",
        "vgg.onnx",
        "--images",
        "photos",
        "--out",
        "vgg.cfm",
        "--float",
        "vgg.safetensors",
        "--mask",
        "average=0.25",
        "--classes",
        "classes.toml",
        "--labelling",
        "paste",
        "--mean",
        "0.485,0.456,0.406",
        "--std",
        "0.229,0.224,0.225",
    ];
    let report = json(root, &[&arguments[..], &["--json"]].concat());
    assert_eq!(report["images"], 3);
    assert_eq!(report["integers"], false);
    assert_eq!(report["layers"].as_array().unwrap().len(), 9);
    let note = report["notes"][0].as_str().unwrap();
    assert!(note.contains("moves zero to where"), "{note}");
    let parity = json(root, &["parity", "--model", "vgg.cfm", "--json"]);
    assert_eq!(parity["mismatches"], 0);
    let text = output(root, &["inspect", "vgg.cfm"]);
    assert!(
        text.contains("thing 4") && text.contains("0.2500"),
        "{text}"
    );
    // The float weights are those of the model: they quantize again.
    let quantize = [
        "quantize",
        "vgg.safetensors",
        "--images",
        "photos",
        "--out",
        "again.cfm",
    ];
    output(root, &quantize);
    assert_eq!(
        fs::read(root.join("again.cfm")).unwrap(),
        fs::read(root.join("vgg.cfm")).unwrap()
    );
    // Grey at the border costs no layer.
    let text = output(
        root,
        &[&arguments[..], &["--border", "grey", "--size", "64x48"]].concat(),
    );
    assert!(
        text.contains("holds grey") && !text.contains("moves zero"),
        "{text}"
    );
    assert!(
        text.contains("vgg.safetensors: the float weights"),
        "{text}"
    );
}

#[test]
fn backbone_and_head_lie_in_two_files() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    prepare(root, &["design-a.onnx", "design-a-head.onnx"]);
    let arguments = [
        "import",
        "design-a.onnx",
        "--head",
        "design-a-head.onnx",
        "--images",
        "photos",
        "--out",
        "a.cfm",
    ];
    output(root, &arguments);
    let text = output(root, &["inspect", "a.cfm"]);
    assert!(text.contains("design A"), "{text}");
    let refused = |more: &[&str], expected: &str| {
        let text = refusal(root, &[&arguments[..], more].concat());
        assert!(text.contains(expected), "{expected} in {text}");
    };
    refused(&["--design", "plain"], "that is Design A");
    refused(
        &["--pyramid", "2,1"],
        "it reads a vector of 168, but pyramid [2, 1] over 12 channels has 60",
    );
    refused(&["--output", "nothing"], "the graph has no value nothing");
}

#[test]
fn integers_come_back_from_an_export() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    prepare(root, &["vgg-qdq.onnx"]);
    output(
        root,
        &["export", "onnx", "--model", "street", "--out", "onnx"],
    );
    let text = output(
        root,
        &[
            "import",
            "onnx/backbone.onnx",
            "--head",
            "onnx/head.onnx",
            "--out",
            "street.cfm",
        ],
    );
    assert!(text.contains("integers as they are"), "{text}");
    let street = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/street.cfm");
    assert!(fs::read(root.join("street.cfm")).unwrap() == fs::read(street).unwrap());

    // What the files say goes before options: those that say the same are heard, all others are named.
    let arguments = "import onnx/backbone.onnx --head onnx/head.onnx --out again.cfm";
    let with = |more: &str| -> Vec<String> {
        let words = arguments.split(' ').chain(more.split(' '));
        words.map(str::to_owned).collect()
    };
    let mask = json(root, &["inspect", "street", "--json"])["head"]["mask_rule"].clone();
    for (more, expected) in [
        ("--mask max", "--mask: the file says "),
        ("--classifier svm", "--classifier: the file says softmax"),
        ("--pyramid 4,2", "--pyramid: the file says "),
        ("--region-pyramid 5", "--region-pyramid: the file says "),
        ("--design b", "--design: the file says "),
        ("--mean 0.5,0.5,0.5", "there is no white, mean"),
        ("--white 255", "there is no white, mean"),
        ("--border grey", "its padding is what it is"),
        ("--range max", "nothing to calibrate with --range"),
        ("--limit 3", "nothing to calibrate with --limit"),
        ("--scales general", "nothing to calibrate with --scales"),
    ] {
        let words = with(more);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let error = refusal(root, &words);
        assert!(error.contains(expected), "{more} ({mask}): {error}");
        assert!(!root.join("again.cfm").exists());
    }
    let words = with("--classifier softmax");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    output(root, &words);

    let report = json(
        root,
        &["import", "vgg-qdq.onnx", "--out", "vgg.cfm", "--json"],
    );
    assert_eq!(report["integers"], true);
    let parity = json(root, &["parity", "--model", "vgg.cfm", "--json"]);
    assert_eq!(parity["mismatches"], 0);
    let arguments = [
        "import",
        "vgg-qdq.onnx",
        "--out",
        "vgg.cfm",
        "--float",
        "vgg.safetensors",
    ];
    assert!(refusal(root, &arguments).contains("it has no float weights"));
}

#[test]
fn broken_input_is_refused_and_nothing_written() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    prepare(root, &["vgg.onnx", "dilated.onnx"]);
    fs::write(root.join("text.onnx"), "not an ONNX file").unwrap();
    let refused = |arguments: &[&str], expected: &str| {
        let text = refusal(root, &[&["import", "--out", "new.cfm"], arguments].concat());
        assert!(text.contains(expected), "{expected} in {text}");
        assert!(!root.join("new.cfm").exists());
    };
    refused(&["none.onnx"], "none.onnx: ");
    refused(&["text.onnx"], "text.onnx: not a readable ONNX model");
    refused(&["vgg.onnx"], "say --images");
    refused(&["dilated.onnx"], "dilated.onnx: head: this is a backbone");
    refused(&["vgg.onnx", "--images", "none"], "none: ");
    refused(
        &["vgg.onnx", "--images", "photos", "--classes", "none.toml"],
        "none.toml: ",
    );
    refused(
        &["vgg.onnx", "--images", "photos", "--white", "0"],
        "must not be zero",
    );
    refused(
        &["vgg.onnx", "--images", "photos", "--size", "4x4"],
        "vgg.onnx: ",
    );
}
