//! No command writes over what it reads, whichever option names it.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cfm_sim::label_map::LabelMap;
use cfm_sim::scene;
use common::{output, refusal, write_model, write_photo};

/// Contents of all files below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
    found
}

/// A folder with what the commands below read.
fn inputs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    fs::create_dir(root.join("photos")).unwrap();
    fs::rename(write_photo(root, 60, 45), root.join("photos/p.png")).unwrap();
    let set = root.join("set");
    scene::write_dataset(&set, &[("train", 1), ("val", 2)], (60, 45), 0).unwrap();
    fs::create_dir(set.join("regions")).unwrap();
    fs::create_dir(root.join("segments")).unwrap();
    for scene in ["scene00001.png", "scene00002.png"] {
        let map = LabelMap::open(&set.join("labels").join(scene)).unwrap();
        // Region 0 is none.
        let ids = map.labels().iter().map(|label| label + 1).collect();
        let regions = LabelMap::new(map.width(), map.height(), ids).unwrap();
        regions.save(&set.join("regions").join(scene)).unwrap();
        regions.save(&root.join("segments").join(scene)).unwrap();
    }
    let mut classes = fs::read_to_string(set.join("dataset.toml")).unwrap();
    classes.push_str("\n[[class]]\nindex = 200\nname = \"mixed\"\n");
    fs::write(root.join("classes.toml"), classes).unwrap();
    fs::write(root.join("p.toml"), "max_segments = 40\n").unwrap();
    output(
        root,
        &["export", "onnx", "--model", "tiny.cfm", "--out", "o"],
    );
    let pack = ["pack", "tiny.cfm", "--out", "v/model.cfm"];
    fs::create_dir(root.join("v")).unwrap();
    output(root, &pack);
    // Models by names that commands give to their files.
    fs::create_dir(root.join("m")).unwrap();
    for name in ["p.png", "model.onnx", "run.sh"] {
        fs::copy(root.join("tiny.cfm"), root.join("m").join(name)).unwrap();
    }
    folder
}

/// Command lines whose output is one of their inputs, and the input.
const LINES: [(&str, &str); 48] = [
    (
        "segment photos/p.png --model tiny.cfm --out photos/p.png",
        "photos/p.png",
    ),
    (
        "segment photos/p.png --model tiny.cfm --out tiny.cfm",
        "tiny.cfm",
    ),
    (
        "segment photos/p.png --model tiny.cfm --out a.png --labels tiny.cfm",
        "tiny.cfm",
    ),
    (
        "segment --model tiny.cfm --out ./photos/../tiny.cfm",
        "tiny.cfm",
    ),
    (
        "segment set/images/scene00001.png --model tiny.cfm --segments segments/scene00001.png --out segments/scene00001.png",
        "segments/scene00001.png",
    ),
    (
        "segment photos --model tiny.cfm --out photos",
        "photos/p.png",
    ),
    (
        "segment photos --model tiny.cfm --out a --labels photos",
        "photos/p.png",
    ),
    (
        "segment set:val --model tiny.cfm --out set/images",
        "set/images/scene00001.png",
    ),
    (
        "segment set:val --model tiny.cfm --labels set/labels",
        "set/labels/scene00001.png",
    ),
    (
        "segment set:val --model tiny.cfm --labels set/regions",
        "set/regions/scene00001.png",
    ),
    (
        "segment photos/p.png set --model tiny.cfm --labels set/labels",
        "set/labels/scene00000.png",
    ),
    ("segment photos --model m/p.png --out m", "m/p.png"),
    (
        "proposals photos/p.png --params scene --out photos/p.png",
        "photos/p.png",
    ),
    (
        "proposals photos/p.png --params p.toml --out p.toml",
        "p.toml",
    ),
    (
        "proposals photos/p.png --model tiny.cfm --out tiny.cfm",
        "tiny.cfm",
    ),
    (
        "proposals set/images/scene00001.png --params scene --labels set/labels/scene00001.png --out set/labels/scene00001.png",
        "set/labels/scene00001.png",
    ),
    (
        "proposals set/images/scene00001.png --params scene --labels set/labels/scene00001.png --csv set/labels/scene00001.png",
        "set/labels/scene00001.png",
    ),
    (
        "proposals set/images/scene00001.png --segments segments/scene00001.png --out segments/scene00001.png",
        "segments/scene00001.png",
    ),
    (
        "proposals set --params scene --out set/images",
        "set/images/scene00001.png",
    ),
    (
        "proposals set --params scene --out set/labels",
        "set/labels/scene00001.png",
    ),
    (
        "proposals set --params scene --out set/regions",
        "set/regions/scene00001.png",
    ),
    (
        "proposals set --segments segments --out segments",
        "segments/scene00001.png",
    ),
    (
        "proposals set --segments segments --csv segments/scene00002.png",
        "segments/scene00002.png",
    ),
    (
        "proposals set --params scene --csv set/dataset.toml",
        "set/dataset.toml",
    ),
    (
        "proposals set --params scene --csv set/val.txt",
        "set/val.txt",
    ),
    (
        "proposals set --params scene --plot set/train.txt",
        "set/train.txt",
    ),
    ("proposals set --params p.toml --plot p.toml", "p.toml"),
    (
        "proposals set --model tiny.cfm --csv a.csv --plot tiny.cfm",
        "tiny.cfm",
    ),
    (
        "report photos/p.png --model tiny.cfm --out photos/p.png",
        "photos/p.png",
    ),
    ("report --model tiny.cfm --out tiny.cfm", "tiny.cfm"),
    (
        "report --model tiny.cfm --out tiny.safetensors",
        "tiny.safetensors",
    ),
    (
        "report --model tiny.cfm --dataset set --out set/val.txt",
        "set/val.txt",
    ),
    (
        "report --model tiny.cfm --dataset set --out set/labels/scene00001.png",
        "set/labels/scene00001.png",
    ),
    (
        "quantize tiny.safetensors --images photos --out tiny.safetensors",
        "tiny.safetensors",
    ),
    (
        "quantize tiny.safetensors --images photos --out tiny.cfm",
        "tiny.cfm",
    ),
    (
        "quantize tiny.safetensors --images photos --out photos/p.png",
        "photos/p.png",
    ),
    (
        "quantize tiny.safetensors --images set:val --out set/val.txt",
        "set/val.txt",
    ),
    (
        "import o/backbone.onnx --head o/head.onnx --out o/backbone.onnx",
        "o/backbone.onnx",
    ),
    (
        "import o/backbone.onnx --head o/head.onnx --out o/head.onnx",
        "o/head.onnx",
    ),
    (
        "import o/backbone.onnx --head o/head.onnx --classes classes.toml --out classes.toml",
        "classes.toml",
    ),
    (
        "import o/backbone.onnx --head o/head.onnx --float o/head.onnx --out new.cfm",
        "o/head.onnx",
    ),
    (
        "import o/backbone.onnx --head o/head.onnx --images photos --out photos/p.png",
        "photos/p.png",
    ),
    ("pack tiny.cfm --out tiny.cfm", "tiny.cfm"),
    ("pack tiny.cfm --out photos/../tiny.cfm", "tiny.cfm"),
    (
        "export vectors photos/p.png --model v/model.cfm --out v",
        "v/model.cfm",
    ),
    (
        "export onnx photos/p.png --model m/model.onnx --out m",
        "m/model.onnx",
    ),
    (
        "export rtl photos/p.png --model m/run.sh --out m --max-segments 2",
        "m/run.sh",
    ),
    (
        "eval set --model tiny.cfm --part set/labels/scene00001.png",
        "set/labels/scene00001.png",
    ),
];

#[test]
fn no_command_writes_over_what_it_reads() {
    let folder = inputs();
    let root = folder.path();
    let before = files(root);
    for (line, input) in LINES {
        let words: Vec<&str> = line.split(' ').collect();
        let error = refusal(root, &words);
        let (name, reason) = error["cfm: ".len()..].split_once([' ', ':']).unwrap();
        let real = |name: &str| fs::canonicalize(root.join(name)).ok();
        assert_eq!(real(name), real(input), "{line}: {error}");
        let reasons = [
            "is what is read",
            "are read",
            "the photographs",
            "no part of",
        ];
        assert!(
            reasons.iter().any(|r| reason.contains(r)),
            "{line}: {error}"
        );
        assert_eq!(before.len(), files(root).len(), "{line}");
        assert!(files(root) == before, "{line}");
    }
}

/// Minutes of work would be in vain: where it would begin there is a photograph that stops it.
#[test]
fn outputs_that_cannot_be_made_are_named_before_the_work() {
    let folder = inputs();
    let root = folder.path();
    for broken in ["photos/p.png", "set/images/scene00001.png"] {
        fs::write(root.join(broken), "no photograph").unwrap();
    }
    let before = files(root);
    for line in [
        "proposals set --params scene --csv no/such",
        "proposals set --params scene --plot no/such",
        "proposals set --params scene --csv a.csv --plot no/such",
        "report --model tiny.cfm --dataset set --out no/such",
        "quantize tiny.safetensors --images photos --out no/such",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let error = refusal(root, &words);
        assert!(error.starts_with("cfm: no/such: "), "{line}: {error}");
        assert!(files(root) == before, "{line}");
    }
    let twice = "proposals set --params scene --csv a --plot ./a";
    let words: Vec<&str> = twice.split(' ').collect();
    assert!(refusal(root, &words).contains("written twice"));
}
