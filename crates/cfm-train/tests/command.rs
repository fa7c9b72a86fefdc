//! The command: trains, refuses to overwrite a run, resumes, and says what is wrong.
#![allow(missing_docs)]

mod common;

use std::path::Path;
use std::process::{Command, Output};

fn run(root: &Path, extra: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cfm-train"))
        .arg("train")
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
        "--set",
        "float.epochs=2",
        "--set",
        "quantized.epochs=1",
        "--set",
        "validate_every=1",
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
    let output = run(root.path(), &["--set", "float.batch=0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("batch"));
    let output = run(root.path(), &["--set", "flaot.batch=3"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("flaot"));
    std::fs::remove_file(root.path().join("data/dataset.toml")).unwrap();
    let output = run(root.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("dataset.toml"));
}

#[test]
fn drives_are_left_out_one_by_one() {
    let root = prepare();
    let run = |drives: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_cfm-train"))
            .arg("drives")
            .arg(root.path().join("data"))
            .arg("--config")
            .arg(root.path().join("config.toml"))
            .arg("--runs")
            .arg(root.path().join("runs"))
            .args(["--set", "float.epochs=1", "--set", "quantized.epochs=0"])
            .args(["--set", "validate_every=1"])
            .args(drives.iter().flat_map(|drive| ["--drive", drive]))
            .output()
            .unwrap()
    };
    let output = run(&["1", "4"]);
    assert_success(&output);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect())
        .collect();
    let names: Vec<&str> = rows.iter().map(|row| row[1]).collect();
    assert_eq!(names, ["1", "4", "mean"]);
    let miou = |row: usize, column: usize| rows[row][column].parse::<f64>().unwrap();
    assert!(((miou(0, 3) + miou(1, 3)) / 2.0 - miou(2, 2)).abs() < 0.02);
    assert!(root.path().join("runs/config-4/log.csv").is_file());

    let again = run(&["1", "4"]);
    assert_success(&again);
    assert_eq!(table, String::from_utf8_lossy(&again.stdout));

    let nothing = run(&["7"]);
    assert!(!nothing.status.success());
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("\"7\""));
}
