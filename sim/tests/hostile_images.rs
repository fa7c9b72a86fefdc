//! Broken, empty, tiny and huge photographs: a clear error or a right answer.

mod common;

use std::fs;

use cfm_sim::label_map::LabelMap;
use common::{json, output, refusal, write_model, write_photo};
use image::{Rgb, RgbImage};

fn segment(image: &str) -> Vec<&str> {
    vec!["segment", image, "--model", "tiny.cfm"]
}

#[test]
fn one_pixel_is_labelled() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    RgbImage::from_pixel(1, 1, Rgb([90, 120, 40]))
        .save(root.join("one.png"))
        .unwrap();
    let mut arguments = segment("one.png");
    arguments.extend(["--labels", "l.png", "--json"]);
    let report = json(root, &arguments);
    assert_eq!(report["image"]["width"], 1);
    // One colour is one segment: one class everywhere.
    assert_eq!(report["classes"].as_array().unwrap().len(), 1);
    let labels = LabelMap::open(&root.join("l.png")).unwrap();
    assert_eq!((labels.width(), labels.height()), (1, 1));
    assert_eq!(report["classes"][0]["label"], labels.labels()[0]);
    output(root, &["proposals", "one.png", "--model", "tiny.cfm"]);
}

#[test]
fn extreme_shapes_are_labelled() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    for (width, height) in [(3000, 1), (1, 3000), (2, 2), (47, 35)] {
        let path = write_photo(root, width, height);
        let report = json(
            root,
            &[segment(path.to_str().unwrap()), vec!["--json"]].concat(),
        );
        assert_eq!(report["image"]["height"], height);
    }
}

#[test]
fn twenty_megapixels_are_labelled() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    // Four quarters of one colour each, as a 5472x3648 camera would deliver them.
    let colors = [[200, 220, 240], [90, 90, 95], [60, 110, 50], [150, 60, 40]];
    let photo = RgbImage::from_fn(5472, 3648, |x, y| {
        Rgb(colors[usize::from(x >= 2736) + 2 * usize::from(y >= 1824)])
    });
    photo.save(root.join("large.ppm")).unwrap();
    let mut arguments = segment("large.ppm");
    arguments.extend(["--labels", "l.png", "--json"]);
    let report = json(root, &arguments);
    assert_eq!(report["image"]["width"], 5472);
    let large = LabelMap::open(&root.join("l.png")).unwrap();
    assert_eq!((large.width(), large.height()), (5472, 3648));

    // What the network sees of it gets the same labels, each for a block of 114 x 101 1/3 pixels.
    cfm_sim::photo::resized(&photo, 48, 36)
        .save(root.join("small.png"))
        .unwrap();
    let mut arguments = segment("small.png");
    arguments.extend(["--labels", "s.png"]);
    output(root, &arguments);
    let small = LabelMap::open(&root.join("s.png")).unwrap();
    assert!(small.resized(5472, 3648) == large);
}

#[test]
fn grey_transparent_and_deep_images_are_labelled() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    let scene = cfm_sim::scene::Scene::render(48, 36, 1).photo;
    let dynamic = image::DynamicImage::from(scene);
    dynamic.to_luma8().save(root.join("grey.png")).unwrap();
    dynamic.to_rgba8().save(root.join("alpha.png")).unwrap();
    dynamic.to_rgb16().save(root.join("deep.png")).unwrap();
    dynamic.to_rgb8().save(root.join("photo.bmp")).unwrap();
    dynamic.to_rgb8().save(root.join("photo.jpg")).unwrap();
    for name in [
        "grey.png",
        "alpha.png",
        "deep.png",
        "photo.bmp",
        "photo.jpg",
    ] {
        assert!(output(root, &segment(name)).contains("48x36"));
    }
}

#[test]
fn broken_images_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    let png = fs::read(write_photo(root, 48, 36)).unwrap();
    let mut flipped = png.clone();
    flipped[60] ^= 0x10;
    let mut huge = png.clone();
    // Width and height in the header, and its checksum.
    huge[16..24].copy_from_slice(&[0x00, 0x01, 0x86, 0xa0, 0x00, 0x01, 0x86, 0xa0]);
    let crc = cfm_core::model::crc32(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.to_be_bytes());
    for (name, bytes, expected) in [
        ("empty.png", &[][..], "the file is empty"),
        ("text.png", b"what is this?", "not an image"),
        ("cut.png", &png[..png.len() / 2], "cut.png: "),
        ("head.png", &png[..20], "head.png: "),
        ("flipped.png", &flipped, "flipped.png: "),
        (
            "huge.png",
            &huge,
            "100000x100000 pixels; at most 100 million are read",
        ),
        ("none.ppm", b"P6 0 0 255\n", "none.ppm: "),
        ("lies.ppm", b"P6 9000 9000 255\nabc", "lies.ppm: "),
        (
            "film.gif",
            b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
            "not an image",
        ),
    ] {
        fs::write(root.join(name), bytes).unwrap();
        for command in ["segment", "proposals"] {
            let error = refusal(root, &[command, name, "--model", "tiny.cfm"]);
            assert!(error.starts_with(&format!("cfm: {name}: ")), "{error}");
            assert!(error.contains(expected), "{error}");
        }
        assert!(!root.join("overlay.png").exists());
        assert!(!root.join("proposals.png").exists());
    }
    let error = refusal(root, &segment("missing.png"));
    assert!(
        error.starts_with("cfm: missing.png: No such file"),
        "{error}"
    );
    // A folder means its photographs, and here none can be used.
    let error = refusal(root, &segment("."));
    assert!(error.starts_with("cfm: ./cut.png: "), "{error}");
    let error = refusal(root, &["proposals", ".", "--model", "tiny.cfm"]);
    assert!(error.starts_with("cfm: "), "{error}");
}

#[test]
fn outputs_that_cannot_be_written_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    write_photo(root, 48, 36);
    let mut arguments = segment("photo48x36.png");
    arguments.extend(["--out", "no/such/folder.png"]);
    let error = refusal(root, &arguments);
    assert!(error.starts_with("cfm: no/such/folder.png: "), "{error}");
}

#[test]
fn wrong_usage_has_status_2() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for arguments in [
        &["segment", "--nonsense"][..],
        &["segment", "a.png", "--seed", "3"],
        &["proposals"],
        &["eval"],
        &["dance"],
        &[],
    ] {
        common::cfm(root, arguments).assert().code(2);
    }
    common::cfm(root, &["--help"]).assert().success();
    common::cfm(root, &["--version"]).assert().success();
}
