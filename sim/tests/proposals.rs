//! `cfm proposals` shows and measures what the library makes.

mod common;

use std::fs;
use std::path::Path;

use cfm_core::model::Model;
use cfm_core::segment::{Run, Segment};
use cfm_sim::label_map::LabelMap;
use cfm_sim::photo;
use cfm_sim::pipeline::Pipeline;
use cfm_sim::reference;
use cfm_sim::scene::{self, Scene};
use cfm_sim::trace::Inputs;
use common::{cfm, json, output, refusal, write_model, write_photo};
use serde_json::{Value, json as value};

const PARAMS: &str = "scales = [{ k = 200, min_size = 20 }]\nmin_growth = 0\nmax_segments = 150\n";

fn set(root: &Path) {
    scene::write_dataset(&root.join("set"), &[("few", 3)], (96, 72), 20).unwrap();
    fs::write(root.join("few.toml"), PARAMS).unwrap();
}

#[test]
fn a_photograph_is_drawn_map_by_map() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    let photo_path = write_photo(root, 96, 72);
    let name = photo_path.to_str().unwrap();
    let arguments = ["proposals", name, "--model", "tiny.cfm", "--out", "p.png"];
    let report = json(root, &[&arguments[..], &["--json"]].concat());
    assert_eq!(report["superpixels"].as_array().unwrap().len(), 3);
    assert_eq!(
        (&report["width"], &report["height"]),
        (&48.into(), &36.into())
    );
    assert!(report["segments"].as_u64().unwrap() > 10);
    assert!(report.get("curve").is_none());
    let picture = photo::open(&root.join("p.png")).unwrap();
    // Four panels of 480x360, and four rows of six proposals.
    let row = (964 - 5 * 4) / 6 * 36 / 48 + 4;
    assert_eq!(picture.dimensions(), (964, 724 + 4 * row));
    assert!(output(root, &arguments).contains("superpixels"));

    // The parameters from elsewhere, at the model's size and at others.
    fs::write(root.join("few.toml"), PARAMS).unwrap();
    let few = json(
        root,
        &[&arguments[..], &["--params", "few.toml", "--json"]].concat(),
    );
    assert_eq!(few["superpixels"].as_array().unwrap().len(), 1);
    assert_eq!(few["width"], 48);
    let own = json(
        root,
        &[
            "proposals",
            name,
            "--params",
            "few.toml",
            "--max",
            "7",
            "--json",
        ],
    );
    assert_eq!((&own["width"], &own["segments"]), (&96.into(), &7.into()));
    let given = [
        "proposals",
        name,
        "--params",
        "slic",
        "--size",
        "60x50",
        "--json",
    ];
    assert_eq!(json(root, &given)["height"], 50);
}

#[test]
fn a_photograph_is_measured_against_labels() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    // Two halves and an ignored column: found exactly, but for the column, which counts if asked to.
    let photo = image::RgbImage::from_fn(20, 10, |x, _| {
        image::Rgb([if x < 10 { 20 } else { 200 }; 3])
    });
    photo.save(root.join("halves.png")).unwrap();
    let labels = (0..200).map(|i| match i % 20 {
        0..10 => 3,
        19 => 77,
        _ => 4,
    });
    LabelMap::new(20, 10, labels.collect())
        .unwrap()
        .save(&root.join("truth.png"))
        .unwrap();
    fs::write(root.join("few.toml"), PARAMS).unwrap();
    let arguments = [
        "proposals",
        "halves.png",
        "--params",
        "few.toml",
        "--labels",
        "truth.png",
        "--ignore",
        "77",
        "--json",
    ];
    let report = json(root, &arguments);
    assert_eq!(report["truth_segments"]["all"], 2);
    let last = report["curve"].as_array().unwrap().last().unwrap();
    let abo = last["all"]["abo"].as_f64().unwrap();
    assert_eq!(abo, 1.0, "{last}");
    assert_eq!(last["all"]["recall_70"], 1.0);
    assert_eq!(last["all"]["oracle_miou"], 1.0);
    assert_eq!(last["object"], Value::Null);

    let report = json(root, &[&arguments[..], &["--count-void"]].concat());
    let last = report["curve"].as_array().unwrap().last().unwrap();
    let abo = last["all"]["abo"].as_f64().unwrap();
    assert!((abo - (1.0 + 0.9) / 2.0).abs() < 1e-9, "{last}");

    // Without the ignored value it is a segment of its own.
    let report = json(root, &[&arguments[..6], &["--json"]].concat());
    assert_eq!(report["truth_segments"]["all"], 3);
    let report = json(
        root,
        &[&arguments[..6], &["--json", "--smallest", "11"]].concat(),
    );
    assert_eq!(report["truth_segments"]["all"], 2);
}

#[test]
fn a_data_set_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    set(root);
    let arguments = [
        "proposals",
        "set",
        "--split",
        "few",
        "--params",
        "few.toml",
        "--csv",
        "t.csv",
        "--plot",
        "p.svg",
        "--out",
        "pictures",
        "--jobs",
        "1",
    ];
    let report = json(root, &[&arguments[..], &["--json"]].concat());
    assert_eq!(report["images"], 3);
    let count = &report["truth_segments"];
    let of = |kind: &str| count[kind].as_u64().unwrap();
    assert_eq!(of("all"), of("object") + of("stuff"));
    assert!(of("object") > 0 && of("stuff") > 0);
    let curve = report["curve"].as_array().unwrap();
    let steps: Vec<u64> = curve
        .iter()
        .map(|point| point["proposals"].as_u64().unwrap())
        .collect();
    assert_eq!(steps[..3], [10, 20, 50]);
    assert!(report["proposals"]["most"].as_f64().unwrap() <= 150.0);
    for kind in ["all", "object", "stuff"] {
        for measure in ["abo", "recall_50", "recall_70"] {
            let values: Vec<f64> = curve
                .iter()
                .map(|point| point[kind][measure].as_f64().unwrap())
                .collect();
            assert!(values.is_sorted(), "{kind} {measure} {values:?}");
        }
    }
    // The kinds make up the whole.
    let last = curve.last().unwrap();
    let abo = |kind: &str| last[kind]["abo"].as_f64().unwrap();
    let parts = abo("object") * of("object") as f64 + abo("stuff") * of("stuff") as f64;
    assert!((abo("all") - parts / of("all") as f64).abs() < 1e-9);

    let table = fs::read_to_string(root.join("t.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 3 * curve.len());
    let cells: Vec<&str> = table.lines().last().unwrap().split(',').collect();
    assert_eq!(cells[1], "stuff");
    assert!((cells[3].parse::<f64>().unwrap() - abo("stuff")).abs() < 1e-6);
    let plot = fs::read_to_string(root.join("p.svg")).unwrap();
    assert!(plot.contains("oracle mIoU") && plot.contains("objects"));
    assert_eq!(fs::read_dir(root.join("pictures")).unwrap().count(), 3);

    let text = output(root, &[&arguments[..], &["--limit", "1"]].concat());
    assert!(
        text.contains("1 images of few") && text.contains("R.5"),
        "{text}"
    );
    // Regions take the place of the pieces of the labels.
    fs::create_dir(root.join("set/regions")).unwrap();
    for seed in 20..23 {
        let labels = Scene::render(96, 72, seed).labels;
        let halves = (0..96 * 72).map(|i| if i % 96 < 48 { 1 } else { 7 });
        LabelMap::new(labels.width(), labels.height(), halves.collect())
            .unwrap()
            .save(&root.join(format!("set/regions/scene{seed:05}.png")))
            .unwrap();
    }
    let report = json(root, &[&arguments[..], &["--json"]].concat());
    assert_eq!(report["truth_segments"]["all"], 6);
}

#[test]
fn segments_from_files_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    set(root);
    // The pieces of the labels themselves, larger than the photographs, in the forms that are read.
    fs::create_dir(root.join("segments")).unwrap();
    for seed in 20..23 {
        let labels = Scene::render(96, 72, seed).labels;
        let values = labels.labels().iter().map(|&label| label + 1);
        let values: Vec<u8> = LabelMap::new(96, 72, values.collect())
            .unwrap()
            .resized(192, 144)
            .labels()
            .to_vec();
        let path = |ending: &str| root.join(format!("segments/scene{seed:05}.{ending}"));
        let counts = |class: u8| {
            let mut counts = vec![0];
            let mut last = false;
            for x in 0..192 {
                for y in 0..144 {
                    let inside = values[y * 192 + x] == class;
                    if inside != last {
                        counts.push(0);
                    }
                    last = inside;
                    *counts.last_mut().unwrap() += 1;
                }
            }
            counts
        };
        match seed {
            20 => LabelMap::new(192, 144, values)
                .unwrap()
                .save(&path("png"))
                .unwrap(),
            21 => {
                let all: Vec<Value> = (1..=11)
                    .map(|class| value!({ "segmentation": { "size": [144, 192], "counts": counts(class) } }))
                    .collect();
                fs::write(path("json"), value!({ "annotations": all }).to_string()).unwrap();
            }
            _ => {
                let header =
                    "{'descr': '|b1', 'fortran_order': False, 'shape': (11, 144, 192), }\n";
                let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
                bytes.extend((header.len() as u16).to_le_bytes());
                bytes.extend(header.bytes());
                for class in 1..=11 {
                    bytes.extend(values.iter().map(|&value| u8::from(value == class)));
                }
                fs::write(path("npy"), bytes).unwrap();
            }
        }
    }
    let arguments = [
        "proposals",
        "set",
        "--split",
        "few",
        "--segments",
        "segments",
    ];
    let report = json(root, &[&arguments[..], &["--json"]].concat());
    let last = report["curve"].as_array().unwrap().last().unwrap();
    // Whole classes: all pixels are right, though a piece of several is found only in part.
    assert_eq!(last["all"]["oracle_miou"], 1.0, "{last}");
    assert!(last["stuff"]["abo"].as_f64().unwrap() < 1.0);
    assert!(report["proposals"]["most"].as_f64().unwrap() <= 12.0);
    let report = json(root, &[&arguments[..], &["--max", "2", "--json"]].concat());
    assert_eq!(report["proposals"]["mean"], 2.0);

    let image = [
        "proposals",
        "set/images/scene00020.png",
        "--segments",
        "segments/scene00020.png",
    ];
    let whole = json(root, &[&image[..], &["--json"]].concat());
    assert_eq!(whole["width"], 96);
    let part = json(
        root,
        &[&image[..], &["--json", "--ignore-id", "4"]].concat(),
    );
    let count = |report: &Value| report["segments"].as_u64().unwrap();
    assert_eq!(count(&part) + 1, count(&whole));

    fs::remove_file(root.join("segments/scene00021.json")).unwrap();
    let error = refusal(root, &arguments);
    assert!(error.contains("scene00021: no such segments"), "{error}");
    fs::write(root.join("segments/scene00021.json"), "[]").unwrap();
    let error = refusal(root, &arguments);
    assert!(error.contains("scene00021.json: no segment"), "{error}");
    let both = [&image[..], &["--params", "slic"]].concat();
    cfm(root, &both).assert().code(2);
}

#[test]
fn segments_from_files_are_labelled() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let file = fs::read(write_model(root)).unwrap();
    let photo_path = write_photo(root, 100, 75);
    // Discs over half a stripe: 5 segments and pixels of none; at twice the size of the network's input.
    let values: Vec<u8> = (0..96 * 72)
        .map(|i| {
            let (x, y) = (i % 96, i / 96);
            match (0..4).find(|d| (x - 20 * d - 14_i32).pow(2) + (y - 12 * d - 16_i32).pow(2) < 90)
            {
                Some(disc) => disc as u8 + 1,
                None if y > 50 && x < 40 => 200,
                None => 0,
            }
        })
        .collect();
    let map = LabelMap::new(96, 72, values).unwrap();
    map.save(&root.join("s.png")).unwrap();
    let report = json(
        root,
        &[
            "segment",
            photo_path.to_str().unwrap(),
            "--model",
            "tiny.cfm",
            "--segments",
            "s.png",
            "--labels",
            "l.png",
            "--json",
        ],
    );
    assert_eq!(report["segments"], 5);

    // The float reference, given the pixels of the smaller map.
    let model = Model::parse(&file).unwrap();
    let pipeline = Pipeline::new(&model).unwrap();
    let input = pipeline.input(&photo::open(&photo_path).unwrap()).unwrap();
    let small = map.resized(48, 36);
    let runs: Vec<Vec<Run>> = [1, 2, 3, 4, 200]
        .iter()
        .map(|&value| {
            let pixel = |(i, &label): (usize, &u8)| {
                let (x, y) = ((i % 48) as u16, (i / 48) as u16);
                (label == value).then_some(Run {
                    y,
                    x0: x,
                    x1: x + 1,
                })
            };
            small
                .labels()
                .iter()
                .enumerate()
                .filter_map(pixel)
                .collect()
        })
        .collect();
    let segments: Vec<Segment<'_>> = runs.iter().map(|runs| Segment::Runs(runs)).collect();
    let trace = reference::trace(
        &model,
        &Inputs {
            image: input.view().unwrap(),
            maps: &[],
            segments: &segments,
            rule: model.labelling(),
        },
    )
    .unwrap();
    let expected = LabelMap::new(48, 36, trace.labels)
        .unwrap()
        .mapped(&pipeline.label_values())
        .resized(100, 75);
    assert!(LabelMap::open(&root.join("l.png")).unwrap() == expected);

    // A segment between the pixels of the network's input is lost; alone, it is an error.
    let dot = LabelMap::new(96, 72, (0..96 * 72).map(|i| u8::from(i == 0)).collect()).unwrap();
    dot.save(&root.join("dot.png")).unwrap();
    for (name, word) in [
        ("dot.png", "no segment has a pixel"),
        ("none.npy", "none.npy"),
    ] {
        let error = refusal(
            root,
            &["segment", "--model", "tiny.cfm", "--segments", name],
        );
        assert!(error.contains(word), "{error}");
    }
    cfm(root, &["segment", "--ignore-id", "3"]).assert().code(2);
}

#[test]
fn wrong_usage_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    set(root);
    let photo = write_photo(root, 30, 20);
    let photo = photo.to_str().unwrap();
    fs::write(root.join("bad.toml"), "scales = []").unwrap();
    fs::write(root.join("text.png"), "text").unwrap();
    for (name, width, height) in [("turned.png", 20, 30), ("same.png", 30, 20)] {
        let labels = LabelMap::new(width, height, vec![1; 600]).unwrap();
        labels.save(&root.join(name)).unwrap();
    }
    let few = &["set", "--split", "few"];
    for (arguments, word) in [
        (&["set"][..], "no such split"),
        (&["nothing"], "nothing"),
        (&[photo, "--params", "scenes"], "one of graph"),
        (&[photo, "--params", "bad.toml"], "one to four"),
        (&[photo, "--params", "none.toml"], "none.toml"),
        (&[photo, "--csv", "x.csv"], "ground truth"),
        (&[photo, "--plot", "x.svg"], "ground truth"),
        (&[photo, "--labels", "text.png"], "text.png"),
        (
            &[few, &["--labels", "text.png"][..]].concat(),
            "labels of its own",
        ),
        (&[few, &["--limit", "0"][..]].concat(), "no image"),
        (&[few, &["--smallest", "99999"][..]].concat(), "no segment"),
        (
            &[few, &["--plot", "no/such/folder.svg"][..]].concat(),
            "folder.svg",
        ),
        (&[photo, "--size", "3000x3000"], "4194304 at most"),
        (&[photo, "--size", "65535x65535"], "4194304 at most"),
        (&[photo, "--split", "few"], "for a data set"),
        (&[photo, "--jobs", "2"], "for a data set"),
        (&[photo, "--count-void"], "ground truth"),
        (&[photo, "--out", photo], "another name"),
        (&[photo, "--labels", "turned.png"], "of another shape"),
        (&[photo, "--segments", "turned.png"], "of another shape"),
        (
            &[photo, "--labels", "same.png", "--out", "same.png"],
            "another name",
        ),
        (
            &[photo, "--labels", "same.png", "--csv", "x", "--plot", "./x"],
            "written twice",
        ),
    ] {
        let error = refusal(root, &[&["proposals"], arguments].concat());
        assert!(error.contains(word), "{arguments:?}: {error}");
    }
    // Labels of another shape, and pictures with one name.
    let labels = root.join("set/labels/scene00021.png");
    let whole = fs::read(&labels).unwrap();
    fs::copy(root.join("turned.png"), &labels).unwrap();
    let error = refusal(root, &[&["proposals"], &few[..]].concat());
    assert!(error.contains("of another shape"), "{error}");
    fs::write(&labels, whole).unwrap();
    fs::write(root.join("set/twice.txt"), "scene00021\nscene00021\n").unwrap();
    let twice = ["proposals", "set", "--split", "twice", "--out", "drawn"];
    let error = refusal(root, &twice);
    assert!(error.contains("would both be drawn"), "{error}");
    // The size of regions is checked.
    fs::create_dir(root.join("set/regions")).unwrap();
    let regions = LabelMap::new(2, 2, vec![1; 4]).unwrap();
    regions
        .save(&root.join("set/regions/scene00021.png"))
        .unwrap();
    let error = refusal(root, &[&["proposals"], &few[..]].concat());
    assert!(error.contains("scene00021.png"), "{error}");
}
