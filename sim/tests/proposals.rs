//! `cfm proposals` shows and measures what the library makes.

mod common;

use std::fs;
use std::path::Path;

use cfm_sim::label_map::LabelMap;
use cfm_sim::photo;
use cfm_sim::scene::{self, Scene};
use common::{json, output, refusal, write_model, write_photo};
use serde_json::Value;

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
    // Two halves and an ignored column: found exactly, but for the column, which counts in the area of the right.
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
    assert!((abo - (1.0 + 0.9) / 2.0).abs() < 1e-9, "{last}");
    assert_eq!(last["all"]["recall_70"], 1.0);
    assert_eq!(last["all"]["oracle_miou"], 1.0);
    assert_eq!(last["object"], Value::Null);

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
fn wrong_usage_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    set(root);
    let photo = write_photo(root, 30, 20);
    let photo = photo.to_str().unwrap();
    fs::write(root.join("bad.toml"), "scales = []").unwrap();
    fs::write(root.join("text.png"), "text").unwrap();
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
        (&[photo, "--size", "3000x3000"], "pixels"),
    ] {
        let error = refusal(root, &[&["proposals"], arguments].concat());
        assert!(error.contains(word), "{arguments:?}: {error}");
    }
    // The size of regions is checked.
    fs::create_dir(root.join("set/regions")).unwrap();
    let regions = LabelMap::new(2, 2, vec![1; 4]).unwrap();
    regions
        .save(&root.join("set/regions/scene00021.png"))
        .unwrap();
    let error = refusal(root, &[&["proposals"], &few[..]].concat());
    assert!(error.contains("scene00021.png"), "{error}");
}
