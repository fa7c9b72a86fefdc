//! `cfm export onnx`, and `cfm segment` with logits from elsewhere. What the files compute is for `tests/onnx_check.py`.

mod common;

use std::fs;

use common::{cfm, json, output, refusal, write_model, write_photo};

fn logits(shape: [u64; 2], values: &[i16]) -> Vec<u8> {
    use npyz::WriterBuilder;
    let mut bytes = Vec::new();
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&shape)
        .writer(&mut bytes)
        .begin_nd()
        .unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
    bytes
}

#[test]
fn logits_from_elsewhere_label_as_the_cores_do() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    let photo = write_photo(root, 100, 75);
    let photo = photo.to_str().unwrap();
    let model = ["--model", "tiny.cfm"];
    let arguments = [
        &["export", "onnx", photo, "--out", "made", "--json"],
        &model[..],
    ]
    .concat();
    let report = json(root, &arguments);
    assert_eq!(report["format"], "qdq");
    let segments = report["segments"].as_u64().unwrap();
    let made = root.join("made");
    for file in report["files"].as_array().unwrap() {
        let bytes = fs::read(made.join(file["file"].as_str().unwrap())).unwrap();
        assert_eq!(file["bytes"], bytes.len());
    }
    let shape = |name: &str| {
        let bytes = fs::read(made.join(name)).unwrap();
        npyz::NpyFile::new(&bytes[..]).unwrap().shape().to_vec()
    };
    assert_eq!(shape("image.npy"), [1, 3, 36, 48]);
    assert_eq!(shape("masks.npy"), [segments, 36, 48]);
    let [rows, classes] = *shape("logits.npy") else {
        panic!("logits have two axes");
    };
    assert_eq!(rows, segments);

    // Of fewer segments, masks and logits are those of the same ones, evenly spread.
    let fewer = [
        &[
            "export",
            "onnx",
            photo,
            "--out",
            "few",
            "--max-segments",
            "3",
        ],
        &model[..],
    ]
    .concat();
    output(root, &fewer);
    let row = |file: &str, length: u64, i: u64, of: u64| {
        let bytes = fs::read(root.join(file)).unwrap();
        let rows = &bytes[bytes.len() - (of * length) as usize..];
        rows[(i * length) as usize..][..length as usize].to_vec()
    };
    assert!(segments > 3);
    for (file, length) in [("masks.npy", 36 * 48), ("logits.npy", 2 * classes)] {
        for i in 0..3 {
            let few = row(&format!("few/{file}"), length, i, 3);
            let made = format!("made/{file}");
            assert_eq!(few, row(&made, length, i * segments / 3, segments));
        }
    }

    // The masks are the proposals, and the logits are the core's.
    let labels = |name: &str, more: &[&str]| {
        let fixed = ["segment", photo, "--labels", name];
        output(root, &[&fixed[..], &model[..], more].concat());
        fs::read(root.join(name)).unwrap()
    };
    let core = labels("core.pgm", &[]);
    assert_eq!(core, labels("same.pgm", &["--logits", "made/logits.npy"]));
    // Vote does not refine here, so that it can do without superpixel maps.
    let by_masks = labels("masks.pgm", &["--segments", "made/masks.npy"]);
    assert_eq!(core, by_masks);

    // Other logits give other labels; too few, and what else does not fit, is refused.
    let count = (rows * classes) as usize;
    let other: Vec<i16> = (0..count as i16).map(|i| i % 7 * 1000).collect();
    fs::write(root.join("other.npy"), logits([rows, classes], &other)).unwrap();
    assert_ne!(core, labels("other.pgm", &["--logits", "other.npy"]));
    let wrong = logits([rows - 1, classes], &other[classes as usize..]);
    fs::write(root.join("wrong.npy"), wrong).unwrap();
    let segment = [&["segment", photo], &model[..]].concat();
    let refused = |more: &[&str]| refusal(root, &[&segment[..], more].concat());
    let text = refused(&["--logits", "wrong.npy"]);
    let segments_times = format!("{rows} segments times {classes} classes");
    assert!(
        text.contains("wrong.npy") && text.contains(&segments_times),
        "{text}"
    );
    let text = refused(&["--logits", "made/masks.npy"]);
    assert!(
        text.contains("masks.npy") && text.contains("int16"),
        "{text}"
    );
    let both = ["--logits", "other.npy", "--segments", "made/masks.npy"];
    cfm(root, &[&segment[..], &both].concat()).assert().code(2);
}

#[test]
fn formats_are_chosen_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    let export = |format: &str| {
        let arguments = ["export", "onnx", "--model", "tiny.cfm", "--out", format];
        let text = output(root, &[&arguments[..], &["--format", format]].concat());
        assert!(text.contains("backbone.onnx"), "{text}");
        fs::read(root.join(format).join("backbone.onnx")).unwrap()
    };
    let [qdq, qlinear, integer] = ["qdq", "qlinear", "integer"].map(export);
    assert!(qdq != qlinear && qlinear != integer && qdq != integer);
    assert!(!root.join("qdq/image.npy").exists());
    let arguments = ["export", "onnx", "--out", "x", "--format", "float"];
    let text = cfm(root, &arguments).assert().code(2);
    let text = String::from_utf8_lossy(&text.get_output().stderr).into_owned();
    assert!(text.contains("qdq, qlinear and integer"), "{text}");
}
