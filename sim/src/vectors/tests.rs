//! Exported vectors are complete, and numpy recomputes them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cfm_core::model::LabellingRule;
use cfm_model::random::{Options, random_image, random_model, random_segments};

use super::*;

fn export_random(seed: u64, folder: &std::path::Path) -> Description {
    let spec = random_model(seed, &Options::default());
    let bytes = spec.to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let image = random_image(seed, spec.input);
    let segments = random_segments(seed, spec.input.width, spec.input.height, 9);
    let inputs = Inputs {
        image: image.view().unwrap(),
        maps: &segments.map_views().unwrap(),
        segments: &segments.views(),
        rule: segments.applicable(model.labelling()),
    };
    export(&model, &inputs, 6, Folder::new(folder)).unwrap()
}

/// Every file that a description names, and no other, is in the folder.
#[test]
fn the_description_names_every_file() {
    let folder = tempfile::tempdir().unwrap();
    let description = export_random(3, folder.path());
    assert_eq!(
        (description.segments.len(), description.segments_left_out),
        (6, 3)
    );
    fn files(value: &serde_json::Value, found: &mut BTreeSet<String>) {
        if let Some(file) = value.get("file") {
            found.insert(file.as_str().unwrap().to_owned());
        }
        let children: Vec<_> = match value {
            serde_json::Value::Object(map) => map.values().collect(),
            serde_json::Value::Array(list) => list.iter().collect(),
            _ => Vec::new(),
        };
        children.into_iter().for_each(|child| files(child, found));
    }
    let json = fs::read(folder.path().join("model.json")).unwrap();
    let mut named = BTreeSet::from(["model.json".to_owned(), "model.cfm".to_owned()]);
    files(&serde_json::from_slice(&json).unwrap(), &mut named);
    let present: BTreeSet<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(named, present);
}

/// Whether somebody counts on the check in numpy: an interpreter was named in `PYTHON`, or this is CI.
fn numpy_is_required(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    variable("PYTHON").is_some() || variable("CI").is_some_and(|ci| ci == "true")
}

#[test]
fn numpy_is_required_where_it_was_asked_for() {
    let required = |set: &[(&str, &str)]| {
        numpy_is_required(|name| {
            let (_, value) = set.iter().find(|(variable, _)| *variable == name)?;
            Some((*value).into())
        })
    };
    assert!(required(&[("PYTHON", "python3")]));
    assert!(required(&[("PYTHON", ""), ("CI", "false")]));
    assert!(required(&[("CI", "true")]));
    assert!(!required(&[("CI", "false")]));
    assert!(!required(&[]));
}

/// Runs the check in numpy.
///
/// `None` where there is no Python with numpy, said on the standard error past the harness, which shows nothing of a
/// test that passes; a failure where numpy is [required](numpy_is_required). `None` in a package, too, which has no script.
fn numpy_check(folders: &[PathBuf]) -> Option<Output> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = root.join("../tests/numpy_check.py");
    // Cargo adds this file to packages; in a checkout the script must be there.
    if root.join("Cargo.toml.orig").exists() && !script.exists() {
        return None;
    }
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let has_numpy = Command::new(&python)
        .args(["-c", "import numpy"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_numpy {
        let missing = format!(
            "{} has no numpy; install it, or name a Python that has it in PYTHON",
            python.display()
        );
        let required = numpy_is_required(|name| std::env::var_os(name));
        assert!(!required, "{missing}");
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        let note = format!("\nnote: {test} SKIPPED its check in numpy: {missing}\n");
        // A note that cannot be written is no reason to fail.
        let _ = std::io::stderr().write_all(note.as_bytes());
        return None;
    }
    Some(
        Command::new(python)
            .arg(script)
            .args(folders)
            .output()
            .unwrap(),
    )
}

#[test]
fn numpy_recomputes_random_models() {
    let folder = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = (0..16)
        .map(|seed| {
            let path = folder.path().join(seed.to_string());
            export_random(seed, &path);
            path
        })
        .collect();
    let Some(output) = numpy_check(&folders) else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");

    // One wrong logit does not go unnoticed.
    let logits = folders[0].join("logits.npy");
    let mut bytes = fs::read(&logits).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&logits, bytes).unwrap();
    let output = numpy_check(&folders[..1]).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("1 mismatches  first at"), "{text}");
}

#[test]
fn no_segments_are_no_problem() {
    let folder = tempfile::tempdir().unwrap();
    let spec = random_model(2, &Options::default());
    let bytes = spec.to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let image = random_image(2, spec.input);
    let inputs = Inputs {
        image: image.view().unwrap(),
        maps: &[],
        segments: &[],
        rule: LabellingRule::DEFAULT,
    };
    let description = export(&model, &inputs, 64, Folder::new(folder.path())).unwrap();
    assert_eq!(description.results.logits.shape[0], 0);
    if let Some(output) = numpy_check(&[folder.path().to_owned()]) {
        assert!(output.status.success());
    }
}
