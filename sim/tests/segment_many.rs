//! `cfm segment` with folders, several photographs, and a stream of frames.

mod common;

use std::fs;
use std::path::Path;

use cfm_sim::label_map::LabelMap;
use cfm_sim::scene::Scene;
use common::{cfm, output, refusal, write_model};
use serde_json::Value;

/// A folder with the small model, and in `frames` scenes of the sizes that follow, out of order.
fn folder(frames: &[(&str, u32)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path());
    fs::create_dir(folder.path().join("frames")).unwrap();
    for (name, width) in frames {
        let photo = Scene::render(*width, 45, u64::from(*width)).photo;
        photo.save(folder.path().join("frames").join(name)).unwrap();
    }
    folder
}

fn segment<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["segment", "--model", "tiny.cfm"], more].concat()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What a run prints, whatever its status.
fn printed(root: &Path, arguments: &[&str], status: i32) -> (String, String) {
    let assert = cfm(root, arguments).assert().code(status);
    let output = assert.get_output();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

const FRAMES: [(&str, u32); 3] = [("f10.png", 62), ("f9.png", 61), ("e.bmp", 60)];

#[test]
fn a_folder_gives_what_its_photographs_give() {
    let folder = folder(&FRAMES);
    let root = folder.path();
    fs::write(root.join("frames/notes.txt"), "no photograph").unwrap();
    let to = ["--out", "o", "--labels", "l"];
    let all = output(root, &segment(&[&["frames", "--json"], &to[..]].concat()));
    let all = lines(&all);
    let paths: Vec<&str> = all
        .iter()
        .map(|line| line["path"].as_str().unwrap())
        .collect();
    // Numbers in names are numbers.
    assert_eq!(paths, ["frames/e.bmp", "frames/f9.png", "frames/f10.png"]);
    assert_eq!(files(&root.join("o")), ["e.png", "f10.png", "f9.png"]);
    assert_eq!(files(&root.join("l")), ["e.png", "f10.png", "f9.png"]);
    for line in &all {
        let path = line["path"].as_str().unwrap();
        let one = segment(&[path, "--out", "one.png", "--labels", "labels.png", "--json"]);
        let one: Value = serde_json::from_str(&output(root, &one)).unwrap();
        for key in [
            "classes",
            "segments",
            "image",
            "labelling",
            "model",
            "unlabelled",
        ] {
            assert_eq!(one[key], line[key], "{path} {key}");
        }
        for (many, one) in [("out", "one.png"), ("labels", "labels.png")] {
            let many = fs::read(root.join(line[many].as_str().unwrap())).unwrap();
            assert_eq!(many, fs::read(root.join(one)).unwrap(), "{path} {one}");
        }
    }
    // Each is labelled by its own content.
    let maps: Vec<LabelMap> = ["e.png", "f9.png"]
        .map(|name| LabelMap::open(&root.join("l").join(name)).unwrap())
        .to_vec();
    assert_ne!(maps[0], maps[1].resized(60, 45));

    // Photographs one by one, and lines for people.
    let text = output(root, &segment(&["frames/f10.png", "frames/f9.png"]));
    let text: Vec<&str> = text.lines().collect();
    assert!(
        text[0].starts_with("frames/f10.png: ") && text[0].contains(" %"),
        "{text:?}"
    );
    assert!(text[1].starts_with("frames/f9.png: "), "{text:?}");
    assert_eq!(text[2..], ["2 images; overlays: overlays"]);
    assert_eq!(files(&root.join("overlays")), ["f10.png", "f9.png"]);
}

#[test]
fn photographs_that_cannot_be_used_stop_the_run_or_are_named() {
    let folder = folder(&FRAMES);
    let root = folder.path();
    fs::write(root.join("frames/f9.png"), b"rubbish").unwrap();
    let (said, error) = printed(root, &segment(&["frames"]), 2);
    assert_eq!(
        error,
        "cfm: frames/f9.png: not an image (PNG, JPEG, BMP and PNM are read)\n"
    );
    assert_eq!(said.lines().count(), 1, "{said}");

    let going = segment(&["frames", "missing.png", "--keep-going"]);
    let (said, error) = printed(root, &going, 1);
    assert!(
        said.contains("2 images; overlays: overlays\n2 images skipped:\n"),
        "{said}"
    );
    for path in ["frames/f9.png: not an image", "missing.png: "] {
        assert!(said.contains(&format!("\n  {path}")), "{said}");
        assert!(error.contains(&format!("cfm: skipped: {path}")), "{error}");
    }
    let (said, _) = printed(root, &[&going[..], &["--json"]].concat(), 1);
    let lines = lines(&said);
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[1]["path"], "frames/f9.png");
    assert!(lines[1]["error"].as_str().unwrap().contains("not an image"));
    assert!(lines[2]["error"].is_null() && lines[3]["path"] == "missing.png");
}

#[test]
fn outputs_never_meet_each_other_or_a_photograph() {
    let folder = folder(&FRAMES);
    let root = folder.path();
    fs::copy(root.join("frames/f9.png"), root.join("e.png")).unwrap();
    let before = fs::read(root.join("frames/f9.png")).unwrap();
    for (more, text) in [
        (
            &["frames", "e.png"][..],
            "frames/e.bmp and e.png would both be written to overlays/e.png",
        ),
        (
            &["frames", "--out", "frames"],
            "frames/f9.png is one of the photographs",
        ),
        (
            &["frames", "--labels", "frames/."],
            "is one of the photographs",
        ),
        (
            &["frames", "--out", "o", "--labels", "./o"],
            "overlays and labels need a folder each",
        ),
        (
            &["frames", "--segments", "s.png"],
            "--segments and --logits go with one photograph",
        ),
        (
            &["frames", "-"],
            "- (standard input) goes with no other photographs",
        ),
        (&["frames", "--out", "e.png"], "e.png: "),
        (&["frames/.."], "there is no photograph in this folder"),
    ] {
        if more == ["frames/.."] {
            fs::remove_file(root.join("e.png")).unwrap();
        }
        let error = refusal(root, &segment(more));
        assert!(error.contains(text), "{error}");
    }
    assert_eq!(fs::read(root.join("frames/f9.png")).unwrap(), before);
}

#[test]
fn a_stream_gives_what_its_frames_give() {
    let folder = folder(&[]);
    let root = folder.path();
    let mut stream = Vec::new();
    for number in 1..=5 {
        let path = root.join(format!("frames/frame{number:06}.ppm"));
        let photo = Scene::render(60, 45, number).photo;
        let bytes = [&b"P6\n60 45\n255\n"[..], photo.as_raw()].concat();
        fs::write(path, &bytes).unwrap();
        stream.extend(bytes);
    }
    let piped = |bytes: &[u8], more: &[&str], status| {
        let mut command = cfm(root, &segment(&[&["-"], more].concat()));
        let assert = command.write_stdin(bytes).assert().code(status);
        let output = assert.get_output();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&output.stdout), text(&output.stderr))
    };
    let (said, _) = piped(&stream, &["--labels", "l", "--json"], 0);
    let said = lines(&said);
    assert_eq!(said.len(), 5);
    output(root, &segment(&["frames", "--out", "o2", "--labels", "l2"]));
    for (line, number) in said.iter().zip(1..) {
        assert_eq!(line["path"], format!("frame{number:06}"));
        for [a, b] in [["overlays", "o2"], ["l", "l2"]] {
            let file = |folder: &str| root.join(format!("{folder}/frame{number:06}.png"));
            assert_eq!(fs::read(file(a)).unwrap(), fs::read(file(b)).unwrap());
        }
    }

    let (said, error) = piped(&stream[..stream.len() - 7], &["--keep-going"], 2);
    assert_eq!(said.lines().count(), 4, "{said}");
    assert_eq!(error, "cfm: frame 5 of the stream: the image is cut off\n");
    let (_, error) = piped(b"", &[], 2);
    assert_eq!(
        error,
        "cfm: standard input: there is no image in the stream\n"
    );
    let (_, error) = piped(b"\x89PNG", &[], 2);
    assert!(
        error.contains("frame 1 of the stream: neither a binary PPM"),
        "{error}"
    );
}

#[test]
fn the_outputs_of_one_photograph_meet_neither_it_nor_each_other() {
    let folder = folder(&FRAMES);
    let root = folder.path();
    let before = fs::read(root.join("frames/f9.png")).unwrap();
    let names = files(root);
    for (more, text) in [
        (
            &["frames/f9.png", "--out", "frames/f9.png"][..],
            "another name",
        ),
        (
            &[
                "frames/f9.png",
                "--out",
                "x",
                "--labels",
                "frames/../frames/f9.png",
            ],
            "another name",
        ),
        (
            &["frames/f9.png", "--out", "x.png", "--labels", "./x.png"],
            "written twice",
        ),
    ] {
        let error = refusal(root, &segment(more));
        assert!(error.contains(text), "{error}");
    }
    assert_eq!(fs::read(root.join("frames/f9.png")).unwrap(), before);
    assert_eq!(files(root), names);
}
