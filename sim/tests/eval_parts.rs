//! `cfm eval` in shards, stopped and resumed, and with files that are of no use.

mod common;

use std::fs;
use std::path::Path;

use cfm_sim::eval_part::{Part, State};
use cfm_sim::label_map::LabelMap;
use cfm_sim::scene;
use common::{cfm, json, output, refusal, write_model};

const RULES: [&str; 4] = ["--labelling", "paste", "--labelling", "vote,refine=0"];

/// A folder with the small model and a data set of `count` images.
fn folder(count: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path());
    scene::write_dataset(&folder.path().join("set"), &[("val", count)], (60, 45), 0).unwrap();
    folder
}

/// Arguments that measure the data set of [`folder`], and `more`.
fn eval<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["eval", "set", "--model", "tiny.cfm"], more].concat()
}

/// What a run prints that skips images and ends with status 1.
fn incomplete(root: &Path, arguments: &[&str]) -> String {
    let assert = cfm(root, arguments).assert().code(1);
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

#[test]
fn eight_shards_put_together_are_one_run() {
    let folder = folder(13);
    let root = folder.path();
    for more in [&[][..], &RULES, &["--float"]] {
        let mut merge = vec!["eval".to_owned(), "merge".to_owned()];
        for index in 1..=8 {
            let (shard, file) = (format!("{index}/8"), format!("part{index}.json"));
            let arguments = [more, &["--shard", &shard, "--part", &file]].concat();
            let said = json(root, &eval(&[&arguments[..], &["--json"]].concat()));
            assert_eq!(said["shard"], shard);
            assert_eq!(said["images"], 13 * index / 8 - 13 * (index - 1) / 8);
            let text = output(root, &eval(&arguments));
            assert!(text.starts_with(&format!("shard {shard}, ")), "{text}");
            merge.insert(2, file);
        }
        let merge: Vec<&str> = merge.iter().map(String::as_str).collect();
        for format in [&[][..], &["--json"]] {
            let whole = output(root, &eval(&[more, format].concat()));
            assert_eq!(output(root, &[&merge, format].concat()), whole);
        }
        let missing = refusal(root, &merge[..9]);
        assert!(missing.contains("no part is shard 1/8"), "{missing}");
        if more.is_empty() {
            fs::rename(root.join("part2.json"), root.join("of integers.json")).unwrap();
        }
        for index in 1..=8 {
            // The next rules or networks need files of their own.
            let _ = fs::remove_file(root.join(format!("part{index}.json")));
        }
    }
    let other = ["--float", "--shard", "2/8", "--part", "of integers.json"];
    let error = refusal(root, &eval(&other));
    assert!(
        error.contains("of integers.json: a part of another evaluation, of another network"),
        "{error}"
    );
}

/// The part file once `enough` images are compared.
#[cfg(unix)]
fn wait_for(path: &Path, enough: usize, child: &mut std::process::Child) -> Part {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    loop {
        if let Ok(part) = Part::open(path)
            && part.images().len() - part.pending() >= enough
        {
            return part;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        assert!(std::time::Instant::now() < deadline, "nothing recorded");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[cfg(unix)]
#[test]
fn a_killed_run_goes_on_where_it_was() {
    use std::process::{Command, Stdio};
    let folder = folder(12);
    let root = folder.path();
    let whole = ["", "--json"].map(|format| {
        let more = [&RULES[..], &[format][..usize::from(!format.is_empty())]].concat();
        output(root, &eval(&more))
    });

    // Nobody writes to the pipe: the run stays at this image until it is killed, however fast the machine.
    let labels = root.join("set/labels/scene00005.png");
    let bytes = fs::read(&labels).unwrap();
    fs::remove_file(&labels).unwrap();
    let made = Command::new("mkfifo").arg(&labels).status().unwrap();
    assert!(made.success());
    let arguments = eval(&[&RULES[..], &["--part", "part.json"]].concat());
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("cfm"))
        .args(&arguments)
        .env("RAYON_NUM_THREADS", "2")
        .current_dir(root)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let part = wait_for(&root.join("part.json"), 6, &mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(part.pending() > 0);
    let error = refusal(root, &["eval", "merge", "part.json"]);
    assert!(error.contains("images are not measured yet"), "{error}");

    fs::remove_file(&labels).unwrap();
    fs::write(&labels, bytes).unwrap();
    // What is compared is not looked at again.
    let compared = |image: &&cfm_sim::eval_part::Image| image.state == State::Compared;
    let compared = part.images().iter().find(compared).unwrap();
    let photo = root.join(format!("set/images/{}.png", compared.id));
    fs::write(photo, b"gone").unwrap();
    assert_eq!(output(root, &arguments), whole[0]);
    assert_eq!(
        output(root, &["eval", "merge", "part.json", "--json"]),
        whole[1]
    );
    assert!(Part::open(&root.join("part.json")).unwrap().pending() == 0);
}

#[test]
fn damaged_and_foreign_part_files_are_refused() {
    let folder = folder(3);
    let root = folder.path();
    let record = eval(&["--part", "part.json"]);
    output(root, &record);
    let path = root.join("part.json");
    let good = fs::read_to_string(&path).unwrap();

    fs::write(&path, &good[..good.len() / 2]).unwrap();
    for arguments in [&record[..], &["eval", "merge", "part.json"]] {
        let error = refusal(root, arguments);
        assert!(
            error.contains("part.json: no part of an evaluation, or damaged"),
            "{error}"
        );
    }
    fs::write(&path, good.replacen("[[[", "[[[1", 1)).unwrap();
    let error = refusal(root, &record);
    assert!(error.contains("the checksum does not match"), "{error}");

    fs::write(&path, &good).unwrap();
    for (more, text) in [
        (
            &["--labelling", "paste"][..],
            "with other labelling rules: vote,power=3,area=root",
        ),
        (&["--images", "2"], "on other photographs: 3 instead of 2"),
        (&["--model", "street"], "of another model: "),
        (&["--shard", "1/2"], "this is shard 1/1, not 1/2"),
    ] {
        let arguments = match more {
            ["--model", _] => [&["eval", "set", "--part", "part.json"], more].concat(),
            _ => [&record[..], more].concat(),
        };
        let error = refusal(root, &arguments);
        assert!(error.contains(text), "{error}");
    }
    let description = fs::read_to_string(root.join("set/dataset.toml")).unwrap();
    let other = description.replace("\"scenes\"", "\"streets\"");
    fs::write(root.join("set/dataset.toml"), other).unwrap();
    let error = refusal(root, &record);
    assert!(
        error.contains("on another data set: scenes instead of streets"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), good);

    // Where no file can be, nothing is measured first.
    let error = refusal(root, &eval(&["--part", "no/such/folder/part.json"]));
    assert!(error.contains("no/such/folder/part.json: "), "{error}");
    cfm(root, &eval(&["--shard", "1/2"])).assert().code(2);
    cfm(root, &eval(&["--part", "p.json", "--times"]))
        .assert()
        .code(2);
    cfm(root, &["eval"]).assert().code(2);
    cfm(root, &["eval", "merge"]).assert().code(2);
}

#[test]
fn bad_images_stop_the_run_or_are_named_and_counted() {
    let folder = folder(8);
    let root = folder.path();
    let of = |kind: &str, id: u32| root.join(format!("set/{kind}/scene0000{id}.png"));
    let labels =
        |width, height, value| LabelMap::new(width, height, vec![value; width * height]).unwrap();
    let photo = fs::read(of("images", 2)).unwrap();
    let cases: [(u32, &str, &dyn Fn()); 6] = [
        (1, "images/scene00001: no such photograph", &|| {
            fs::remove_file(of("images", 1)).unwrap();
        }),
        (2, "images/scene00002.png: ", &|| {
            fs::write(of("images", 2), &photo[..photo.len() / 2]).unwrap();
        }),
        (3, "images/scene00003.png: not an image", &|| {
            fs::write(of("images", 3), b"rubbish").unwrap();
        }),
        (
            4,
            "labels/scene00004.png: 45x60 labels are of another shape than the photograph's 60x45 pixels",
            &|| labels(45, 60, 0).save(&of("labels", 4)).unwrap(),
        ),
        (
            5,
            "labels/scene00005.png: pixel (0, 0) has the label 77, which dataset.toml does not list",
            &|| labels(60, 45, 77).save(&of("labels", 5)).unwrap(),
        ),
        (6, "labels/scene00006.png: ", &|| {
            fs::remove_file(of("labels", 6)).unwrap();
        }),
    ];
    for (at, (id, text, damage)) in cases.iter().enumerate() {
        damage();
        let id = format!("scene0000{id}");
        if at == 0 {
            let error = refusal(root, &eval(&[]));
            assert!(error.contains(text), "{error}");
        }
        let said = incomplete(root, &eval(&["--keep-going", "--json"]));
        let report: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(report["images"], 7 - at);
        let skipped = report["skipped"].as_array().unwrap();
        assert_eq!(skipped.len(), at + 1);
        assert_eq!(skipped[at]["id"], id);
        let reason = skipped[at]["reason"].as_str().unwrap();
        assert!(reason.contains(text), "{reason}");
    }
    // The numbers are those of the images that are left.
    fs::write(root.join("set/good.txt"), "scene00000\nscene00007\n").unwrap();
    let good = json(root, &eval(&["--split", "good", "--json"]));
    let text = incomplete(root, &eval(&["--keep-going"]));
    let report: serde_json::Value =
        serde_json::from_str(&incomplete(root, &eval(&["--keep-going", "--json"]))).unwrap();
    assert_eq!(
        (&report["class_iou"], &report["images"]),
        (&good["class_iou"], &good["images"])
    );
    assert_eq!(good["skipped"], serde_json::json!([]));
    assert!(text.contains("6 images skipped:\n  scene00001: "), "{text}");

    // Shards do the same, and so do they together.
    for (shard, file) in [("1/2", "a.json"), ("2/2", "b.json")] {
        let arguments = ["--keep-going", "--shard", shard, "--part", file];
        let said = incomplete(root, &eval(&arguments));
        assert!(said.contains("3 images skipped:"), "{said}");
    }
    assert_eq!(
        incomplete(root, &["eval", "merge", "a.json", "b.json"]),
        text
    );

    // What was stopped is recorded, and a file that is whole again is measured.
    let error = refusal(root, &eval(&["--shard", "1/2", "--part", "a.json"]));
    assert!(error.contains("set: set/"), "{error}");
    fs::copy(of("images", 0), of("images", 1)).unwrap();
    fs::copy(of("images", 0), of("images", 2)).unwrap();
    fs::copy(of("images", 0), of("images", 3)).unwrap();
    output(root, &eval(&["--shard", "1/2", "--part", "a.json"]));
    let said = incomplete(root, &["eval", "merge", "a.json", "b.json"]);
    assert!(said.contains("3 images skipped:\n  scene00004: "), "{said}");

    fs::remove_dir_all(root.join("set/images")).unwrap();
    let nothing = cfm(root, &eval(&["--keep-going"])).assert().code(2);
    let error = String::from_utf8(nothing.get_output().stderr.clone()).unwrap();
    assert!(
        error.contains("no pixel of the split belongs to a class"),
        "{error}"
    );
    assert_eq!(error.matches("cfm: skipped: ").count(), 8, "{error}");
}

#[test]
fn times_are_printed_when_asked_for() {
    let folder = folder(2);
    let root = folder.path();
    let plain = json(root, &eval(&["--json"]));
    assert!(plain.get("labelling_milliseconds").is_none());
    let timed = json(root, &eval(&["--times", "--json"]));
    assert!(timed["labelling_milliseconds"].as_f64().unwrap() >= 0.0);
    let text = output(root, &eval(&[&RULES[..], &["--times"]].concat()));
    assert!(text.contains("ms an image"), "{text}");
    assert!(!output(root, &eval(&RULES)).contains("ms an image"));
}
