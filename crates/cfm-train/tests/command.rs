//! The command: trains, refuses to overwrite a run, resumes, and says what is wrong.
#![allow(missing_docs)]

mod common;

use std::path::Path;
use std::process::{Command, Output};

fn run(root: &Path, extra: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cfm-train"))
        .arg(root.join("data"))
        .arg("--config")
        .arg(root.join("config.toml"))
        .arg("--out")
        .arg(root.join("model.cfm"))
        .args(extra)
        .output()
        .unwrap()
}

fn prepare() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    std::fs::create_dir(&data).unwrap();
    common::render(&data);
    std::fs::write(root.path().join("config.toml"), common::config().to_toml()).unwrap();
    root
}

fn assert_success(output: &Output) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

#[test]
fn trains_and_resumes() {
    let root = prepare();
    let short = [
        "--epochs",
        "2",
        "--qat-epochs",
        "1",
        "--validate-every",
        "1",
    ];
    let output = run(root.path(), &short);
    assert_success(&output);
    assert!(String::from_utf8_lossy(&output.stdout).contains("mIoU"));
    let model = std::fs::read(root.path().join("model.cfm")).unwrap();
    assert!(root.path().join("model.safetensors").is_file());
    let log = std::fs::read_to_string(root.path().join("model.run/log.csv")).unwrap();
    assert_eq!(log.lines().count(), 1 + 2 + 1);

    let again = run(root.path(), &short);
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("--resume"));

    let resume = [&short[..], &["--resume"]].concat();
    assert_success(&run(root.path(), &resume));
    assert!(model == std::fs::read(root.path().join("model.cfm")).unwrap());

    let other = [&resume[..], &["--seed", "5"]].concat();
    let other = run(root.path(), &other);
    assert!(!other.status.success());
    assert!(String::from_utf8_lossy(&other.stderr).contains("another configuration"));
}

#[test]
fn errors_are_clear() {
    let root = prepare();
    let output = run(root.path(), &["--batch", "0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("batch"));
    std::fs::remove_file(root.path().join("data/dataset.toml")).unwrap();
    let output = run(root.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("dataset.toml"));
}
