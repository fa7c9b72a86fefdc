//! Each command does what its help says.

mod common;

use std::fs;

use cfm_core::model::Model;
use cfm_sim::dataset::Dataset;
use cfm_sim::label_map::LabelMap;
use cfm_sim::pipeline::Pipeline;
use cfm_sim::{photo, scene};
use common::{json, model_spec, output, refusal, write_model, write_photo};
use serde_json::Value;

fn stages(report: &Value) -> f64 {
    ["conv", "proposals", "masks_spp", "fc", "labelling"]
        .iter()
        .map(|stage| report["milliseconds"][stage].as_f64().unwrap())
        .sum()
}

#[test]
fn segment_labels_a_photograph() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    let photo_path = write_photo(root, 100, 75);
    let photo_name = photo_path.to_str().unwrap();
    let report = json(
        root,
        &[
            "segment", photo_name, "--model", "tiny.cfm", "--out", "o.png", "--labels", "l.png",
            "--json",
        ],
    );
    assert_eq!(report["image"]["width"], 100);
    assert_eq!(report["network"]["height"], 36);
    assert_eq!(report["out"], "o.png");
    assert!(report["segments"].as_u64().unwrap() > 10);
    assert!(stages(&report) <= report["milliseconds"]["total"].as_f64().unwrap());
    let shares: f64 = report["classes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|class| class["share"].as_f64().unwrap())
        .sum();
    assert!((shares + report["unlabelled"].as_f64().unwrap() - 1.0).abs() < 1e-9);

    // The files hold what the library computes.
    let bytes = model_spec().to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let pipeline = Pipeline::new(&model).unwrap();
    let photo = photo::open(&photo_path).unwrap();
    let segmentation = pipeline.segment(&photo).unwrap();
    let values = pipeline.label_values();
    let expected = segmentation.labels.mapped(&values).resized(100, 75);
    assert!(LabelMap::open(&root.join("l.png")).unwrap() == expected);
    let overlay = photo::open(&root.join("o.png")).unwrap();
    assert!(overlay.width() == 100 && overlay.height() >= 75);

    let text = output(root, &["segment", photo_name, "--model", "tiny.cfm"]);
    for word in [
        "100x75",
        "48x36",
        "convolution",
        "masks + SPP",
        "overlay.png",
    ] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert!(root.join("overlay.png").is_file());
}

#[test]
fn segment_renders_a_scene_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let report = json(root, &["segment", "--json"]);
    assert_eq!(report["path"], Value::Null);
    assert_eq!(report["image"]["width"], scene::SAMPLE_SIZE.0);
    assert!(report["model"].as_str().unwrap().starts_with("street"));
    assert!(root.join("overlay.png").is_file());
    assert!(output(root, &["segment", "--seed", "5"]).contains("rendered sample scene"));
}

#[test]
fn the_number_of_threads_changes_no_label() {
    let model = Model::parse(include_bytes!("../models/street.cfm")).unwrap();
    let pipeline = Pipeline::new(&model).unwrap();
    let photo = scene::Scene::sample().photo;
    let [one, three] = [1, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let segment = || pipeline.segment(&photo).unwrap();
        pool.build().unwrap().install(segment)
    });
    assert!(
        one.segments > 100,
        "{} segments share no work",
        one.segments
    );
    assert_eq!(one.segments, three.segments);
    assert!(one.labels == three.labels);
}

#[test]
fn eval_measures_a_split() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    scene::write_dataset(&root.join("set"), &[("few", 3)], (60, 45), 20).unwrap();
    let arguments = ["eval", "set", "--split", "few", "--model", "tiny.cfm"];
    let report = json(root, &[&arguments[..], &["--json"]].concat());
    assert_eq!(report["images"], 3);

    // The same from scratch: label every photograph, compare pixel by pixel.
    let bytes = model_spec().to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let pipeline = Pipeline::new(&model).unwrap();
    let dataset = Dataset::open(root.join("set")).unwrap();
    let mut pairs = Vec::new();
    for id in dataset.split("few").unwrap() {
        let sample = dataset.sample(&id).unwrap();
        let labels = pipeline.segment(&sample.photo).unwrap().labels;
        let labels = labels.mapped(&pipeline.label_values()).resized(60, 45);
        pairs.extend(
            sample
                .labels
                .labels()
                .iter()
                .copied()
                .zip(labels.labels().to_vec())
                .filter(|(truth, _)| *truth != scene::IGNORE),
        );
    }
    let share = |part: usize, whole: usize| part as f64 / whole as f64;
    let right = pairs.iter().filter(|(t, p)| t == p).count();
    let close = |name: &str, expected: f64| {
        let got = report[name].as_f64().unwrap();
        assert!((got - expected).abs() < 1e-9, "{name}: {got} {expected}");
    };
    close("global_accuracy", share(right, pairs.len()));
    let mut ious = Vec::new();
    let mut recalls = Vec::new();
    let mut weighted = 0.0;
    for class in scene::description().classes {
        let of = |pair: &&(u8, u8)| pair.0 == class.index;
        let truth = pairs.iter().filter(of).count();
        let both = pairs
            .iter()
            .filter(of)
            .filter(|p| p.1 == class.index)
            .count();
        let either = truth + pairs.iter().filter(|p| p.1 == class.index).count() - both;
        let iou = &report["class_iou"][&class.name];
        if truth == 0 {
            assert!(iou.is_null());
            continue;
        }
        assert!((iou.as_f64().unwrap() - share(both, either)).abs() < 1e-9);
        ious.push(share(both, either));
        recalls.push(share(both, truth));
        weighted += share(both, either) * truth as f64;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    close("miou", mean(&ious));
    close("class_accuracy", mean(&recalls));
    close("fwiou", weighted / pairs.len() as f64);

    let text = output(root, &arguments);
    assert!(text.contains("3 images") && text.contains("mIoU"), "{text}");
}

#[test]
fn eval_compares_labelling_rules() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    scene::write_dataset(&root.join("set"), &[("val", 5)], (48, 36), 30).unwrap();
    let arguments = ["eval", "set", "--model", "tiny.cfm"];
    let rules = ["--labelling", "paste", "--labelling", "vote,refine=0"];
    let mut two = json(root, &[&arguments[..], &rules, &["--json"]].concat());
    let two = two.as_array_mut().unwrap();
    assert_eq!(two.len(), 2);
    let own = json(root, &[&arguments[..], &["--json"]].concat());
    assert_eq!(own["labelling"], "vote,power=3,area=root");
    for (report, rule) in two.iter().zip(["paste", "vote,power=3,area=root,refine=0"]) {
        assert_eq!(report["labelling"], rule);
        // Asked for alone, a rule gives the same; and another than the model's own.
        let alone = json(
            root,
            &[&arguments[..], &["--labelling", rule, "--json"]].concat(),
        );
        assert_eq!(alone["class_iou"], report["class_iou"]);
        assert_ne!(own["class_iou"], report["class_iou"]);
    }
    let text = output(root, &[&arguments[..], &rules].concat());
    let line = |start: &str| text.lines().position(|line| line.starts_with(start));
    let best = two[0]["miou"].as_f64() >= two[1]["miou"].as_f64();
    assert_eq!(line("paste ") < line("vote,"), best, "{text}");

    // Some of the photographs, evenly spaced.
    let few = json(
        root,
        &[&arguments[..], &["--images", "2", "--json"]].concat(),
    );
    assert_eq!(few["images"], 2);
    let ids = fs::read_to_string(root.join("set/val.txt")).unwrap();
    let ids: Vec<&str> = ids.lines().collect();
    fs::write(root.join("set/two.txt"), [ids[0], ids[2]].join("\n")).unwrap();
    let chosen = json(
        root,
        &[&arguments[..], &["--split", "two", "--json"]].concat(),
    );
    assert_eq!(few["class_iou"], chosen["class_iou"]);
    let all = json(
        root,
        &[&arguments[..], &["--images", "99", "--json"]].concat(),
    );
    assert_eq!(all["class_iou"], own["class_iou"]);
}

#[test]
fn labelling_rules_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    scene::write_dataset(&root.join("set"), &[("val", 1)], (48, 36), 30).unwrap();
    for command in [
        &["segment", "--out", "o.png"][..],
        &["eval", "set", "--model", "tiny.cfm"],
    ] {
        let error = refusal(root, &[command, &["--labelling", "vote,refine=3"]].concat());
        assert!(
            error.contains("labels cannot be refined by superpixel map 3"),
            "{error}"
        );
        let arguments = [command, &["--labelling", "mean"]].concat();
        let assert = common::cfm(root, &arguments).assert().code(2);
        let error = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert!(
            error.contains("\"mean\" is no labelling rule: paste and vote are"),
            "{error}"
        );
    }
    assert!(!root.join("o.png").exists());
}

#[test]
fn segment_labels_by_another_rule() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let labels = |rule: &str, file: &str| {
        let arguments = ["segment", "--labels", file, "--labelling", rule, "--json"];
        let report = json(root, &arguments);
        assert_eq!(report["labelling"], rule);
        LabelMap::open(&root.join(file)).unwrap()
    };
    let rules = ["paste", "paste,inhibit=0.5", "paste,refine=0"];
    let [plain, inhibited, refined] = rules.map(|rule| labels(rule, "l.png"));
    assert!(plain != inhibited && plain != refined);
}

#[test]
fn eval_runs_the_float_network() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    scene::write_dataset(&root.join("set"), &[("val", 2)], (48, 36), 30).unwrap();
    let arguments = ["eval", "set", "--model", "tiny.cfm", "--json"];
    let integer = json(root, &arguments);
    let float = json(root, &[&arguments[..], &["--float"]].concat());
    assert_eq!(float["images"], 2);
    let difference =
        |key: &str| (integer[key].as_f64().unwrap() - float[key].as_f64().unwrap()).abs();
    assert!(difference("global_accuracy") < 0.2);

    fs::remove_file(root.join("tiny.safetensors")).unwrap();
    let error = refusal(root, &[&arguments[..], &["--float"]].concat());
    assert!(error.starts_with("cfm: tiny.safetensors: "), "{error}");
}

#[test]
fn eval_refuses_what_does_not_belong_together() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    let set = root.join("set");
    scene::write_dataset(&set, &[("val", 1)], (48, 36), 30).unwrap();
    let arguments = ["eval", "set", "--model", "tiny.cfm"];

    let error = refusal(root, &[&arguments[..], &["--split", "test"]].concat());
    assert!(
        error.contains("set/test.txt: no such split; there is val"),
        "{error}"
    );

    let text = fs::read_to_string(set.join("dataset.toml")).unwrap();
    fs::write(
        set.join("dataset.toml"),
        text.replace("\"road\"", "\"river\""),
    )
    .unwrap();
    let error = refusal(root, &arguments);
    assert!(
        error.contains("\"road\"") && error.contains("\"river\""),
        "{error}"
    );

    fs::write(set.join("dataset.toml"), &text).unwrap();
    fs::write(set.join("images/scene00030.png"), b"rubbish").unwrap();
    let error = refusal(root, &arguments);
    assert!(error.contains("scene00030.png: not an image"), "{error}");

    let error = refusal(root, &["eval", "nowhere", "--model", "tiny.cfm"]);
    assert!(error.starts_with("cfm: nowhere/dataset.toml: "), "{error}");
}

#[test]
fn inspect_counts_layers_memory_and_flash() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let path = write_model(root);
    let report = json(root, &["inspect", "tiny.cfm", "--json"]);
    let length = fs::metadata(path).unwrap().len();
    assert_eq!(report["file_bytes"], length);
    let flash = report["flash"].as_array().unwrap();
    let total: u64 = flash
        .iter()
        .map(|part| part["bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(total, length);

    // 48x36, twice 3x3 with stride 2 and eight channels.
    let layers = report["layers"].as_array().unwrap();
    assert_eq!(layers[0]["macs"], 24 * 18 * 8 * 27);
    assert_eq!(layers[1]["macs"], 12 * 9 * 8 * 72);
    assert_eq!(layers[1]["parameters"], 8 * 72 + 8);
    assert_eq!(report["segment_macs"], 40 * 16 + 8 * 16 + 32 * 12);
    assert_eq!(report["feature_map"], serde_json::json!([9, 12, 8]));

    let bytes = model_spec().to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    assert_eq!(report["arena"]["total_bytes"], model.arena_bytes());
    let lines: u64 = report["arena"]["tensors"].as_array().unwrap()[..2]
        .iter()
        .map(|tensor| tensor["bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(lines, model.line_bytes() as u64);

    assert_eq!(report["labelling"], "vote,power=3,area=root");

    let text = output(root, &["inspect", "tiny.cfm"]);
    for word in [
        "conv2d",
        "arena",
        "flash",
        "labelling: vote,power=3,area=root",
        "WGTS",
        "pedestrian",
        "trained = not at all",
    ] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert!(output(root, &["inspect"]).starts_with("street"));

    // Layers are counted from 0, as everywhere; the first reads the image, the second the first.
    let row = |name: &str| -> Vec<String> {
        let rows = text.lines().map(|line| line.split_whitespace());
        let mut rows = rows.filter(|row| row.clone().take(2).eq(name.split(' ')));
        let row = rows.next().unwrap_or_else(|| panic!("{name} in {text}"));
        row.map(str::to_owned).collect()
    };
    assert_eq!(row("0 conv2d")[2], "image");
    assert_eq!(row("1 conv2d")[2], "0");
    assert_eq!(
        row("layer 0")[2],
        report_shape(&report["layers"][0]["output"])
    );
    assert!(!text.contains("layer 1 "), "{text}");
    let hardware = ["inspect", "tiny.cfm", "--hardware"];
    let text = output(root, &hardware);
    assert!(text.contains("\nlayer 0 "), "{text}");
    assert!(text.contains("\njoint layer 0 "), "{text}");
    assert!(!text.contains("\nlayer 2 "), "{text}");
}

#[test]
fn pack_counts_convolutions() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    let arguments = ["pack", "tiny.cfm", "--out", "packed.cfm"];
    let text = output(root, &arguments);
    let report = json(root, &[&arguments[..], &["--json"]].concat());
    assert_eq!(report["model"], "tiny.cfm");
    assert_eq!(report["out"], "packed.cfm");
    let length = fs::metadata(root.join("packed.cfm")).unwrap().len();
    assert_eq!(report["bytes"], length);
    let (quads, rows) = (&report["quads"], &report["rows"]);
    assert_eq!(quads.as_u64().unwrap() + rows.as_u64().unwrap(), 2);
    let said =
        format!("packed.cfm: {length} bytes; {quads} convolutions in quads, {rows} in rows\n");
    assert_eq!(text, said);
}

/// A shape of a report as the text has it.
fn report_shape(shape: &Value) -> String {
    let sides = shape.as_array().unwrap().iter();
    let sides: Vec<String> = sides.map(ToString::to_string).collect();
    sides.join("x")
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_early_is_no_error() {
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(assert_cmd::cargo::cargo_bin!("cfm"))
        .arg("inspect")
        .current_dir(folder.path())
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    // The status of a program that SIGPIPE ends, and not a word.
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn options_without_an_effect_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    for (arguments, word) in [
        (
            &["inspect", "tiny.cfm", "--budget", "none"][..],
            "--hardware",
        ),
        (
            &["inspect", "tiny.cfm", "--pe", "4", "--lanes", "2"],
            "--hardware",
        ),
        (
            &["parity", "--model", "tiny.cfm", "--build", "x"],
            "--backend",
        ),
        (
            &["parity", "--random", "1", "--max-segments", "4"],
            "--backend",
        ),
        (
            &["segment", "--model", "tiny.cfm", "--keep-going"],
            "--keep-going",
        ),
    ] {
        let error = refusal(root, arguments);
        assert!(error.contains(word), "{arguments:?}: {error}");
    }
}
