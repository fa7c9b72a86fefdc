//! `cfm parity` and `cfm export`.

mod common;

use common::{cfm, json, output, refusal, write_model, write_photo};

#[test]
fn parity_compares_every_tensor_of_a_photograph() {
    let folder = tempfile::tempdir().unwrap();
    let (model, photo) = (
        write_model(folder.path()),
        write_photo(folder.path(), 96, 72),
    );
    let arguments = [
        "parity",
        photo.to_str().unwrap(),
        "--model",
        model.to_str().unwrap(),
    ];
    let text = output(folder.path(), &arguments);
    for line in [
        "image",
        "layer 0 conv2d",
        "layer 1 conv2d",
        "mask (average)",
        "segment pyramid (design A)",
        "region pyramid (design A)",
        "segment FC 0",
        "region FC 0",
        "logits (softmax)",
        "probabilities",
        "labels (vote,power=3,area=root)",
    ] {
        let found = text.lines().find(|l| l.starts_with(line));
        let found = found.unwrap_or_else(|| panic!("no {line} in {text}"));
        assert!(found.ends_with(" 0 mismatches"), "{found}");
    }
    let report = json(folder.path(), &[&arguments[..], &["--json"]].concat());
    assert_eq!(report["mismatches"], 0);
    assert!(report["segments"].as_u64().unwrap() > 1);
    let image = &report["tensors"][0];
    assert_eq!(
        (&image["name"], &image["elements"]),
        (&"image".into(), &5184.into())
    );
}

#[test]
fn parity_makes_random_models() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["parity", "--random", "20", "--seed", "11", "--json"];
    let report = json(folder.path(), &arguments);
    assert_eq!(
        (&report["random"], &report["mismatches"]),
        (&20.into(), &0.into())
    );
    assert_eq!(report["segments"], 240);
    assert_eq!(report, json(folder.path(), &arguments));
    // The seeds are consecutive.
    let elements = |seed: &str, count: &str| {
        let arguments = ["parity", "--random", count, "--seed", seed, "--json"];
        json(folder.path(), &arguments)["elements"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(
        elements("11", "2"),
        elements("11", "1") + elements("12", "1")
    );
    for wrong in [
        &["parity", "--random", "0"][..],
        &["parity", "--random", "2", "photo.png"],
        &["parity", "--random", "2", "--model", "m.cfm"],
    ] {
        cfm(folder.path(), wrong).assert().code(2);
    }
}

#[test]
fn export_writes_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let (model, photo) = (
        write_model(folder.path()),
        write_photo(folder.path(), 96, 72),
    );
    let arguments = [
        "export",
        "vectors",
        photo.to_str().unwrap(),
        "--model",
        model.to_str().unwrap(),
        "--out",
        "made/vectors",
        "--max-segments",
        "3",
        "--json",
    ];
    let report = json(folder.path(), &arguments);
    assert_eq!(
        (&report["segments"], &report["tensors"]),
        (&3.into(), &3.into())
    );
    let made = folder.path().join("made/vectors");
    let description = std::fs::read(made.join("model.json")).unwrap();
    let description: serde_json::Value = serde_json::from_slice(&description).unwrap();
    assert_eq!(description["head"]["design"], "A");
    assert_eq!(description["segments"].as_array().unwrap().len(), 3);
    assert_eq!(
        std::fs::read(made.join("model.cfm")).unwrap(),
        std::fs::read(&model).unwrap()
    );
}

#[test]
fn what_is_broken_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (model, photo) = (
        write_model(folder.path()),
        write_photo(folder.path(), 48, 36),
    );
    let (model, photo) = (model.to_str().unwrap(), photo.to_str().unwrap());
    let text = refusal(folder.path(), &["parity", "no.png", "--model", model]);
    assert!(text.contains("no.png"), "{text}");
    let text = refusal(folder.path(), &["parity", photo, "--model", photo]);
    assert!(text.contains(photo), "{text}");
    // A file is where the folder should be.
    let arguments = ["export", "vectors", photo, "--model", model, "--out", model];
    let text = refusal(folder.path(), &arguments);
    assert!(text.contains(model), "{text}");
}
