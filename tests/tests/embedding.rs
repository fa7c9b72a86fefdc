//! Models embedded at compile time: the default one fits its budget, a broken one does not build.

// `ARENA_BYTES` comes from a model that is checked again for this crate.
#![allow(long_running_const_eval)]

mod small_model;

use std::fs;
use std::path::Path;
use std::process::Command;

use cfm_conformance::street::{ARENA_BYTES, MODEL, StreetArena};
use cfm_core::executor::Executor;
use cfm_core::model::Model;

#[test]
fn the_embedded_model_is_the_file() {
    let file = include_bytes!("../../sim/models/street.cfm");
    let model = Model::parse(file).expect("the default model is valid");
    assert_eq!(MODEL.bytes(), file);
    assert_eq!(ARENA_BYTES, model.arena_bytes());
    assert_eq!(MODEL.tensors(), model.tensors());
    let mut arena = Box::new(StreetArena::new());
    assert!(Executor::new(&MODEL, arena.as_mut_slice()).is_ok());
}

#[test]
fn the_small_model_of_the_examples_is_what_its_generator_makes() {
    let file = include_bytes!("../../crates/cfm-core/data/small.cfm");
    let made = small_model::make().unwrap().to_bytes().unwrap();
    assert_eq!(made, file, "run `--example make_small_model`");
    // The program in the documentation has room for this many logits.
    assert_eq!(Model::parse(file).unwrap().class_count(), 12);
}

#[test]
fn a_broken_model_does_not_compile() {
    let output = Command::new(env!("CARGO"))
        .args(["check", "--offline", "-p", "cfm-conformance"])
        .args(["--bin", "broken_model", "--features", "broken-model"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "the program compiles");
    assert!(
        errors.contains("the checksum does not match: the file is corrupted"),
        "{errors}"
    );
}

/// The first program in a text whose lines, unless empty, begin with `prefix`; without its hidden lines.
fn program(text: &str, prefix: &str, fence: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.strip_prefix(prefix).unwrap_or(""))
        .skip_while(|line| *line != fence)
        .skip(1)
        .take_while(|line| *line != "```")
        .filter(|line| !line.starts_with("# "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_program_in_the_readme_is_the_one_that_the_documentation_compiles_and_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("it is there");
    let readme = program(&read("README.md"), "", "```rust");
    let tested = program(&read("crates/cfm-core/src/lib.rs"), "//! ", "```").join("\n");
    // A program's own model lies beside it.
    let tested = tested.replace("../data/small.cfm", "street.cfm");
    assert_eq!(readme.join("\n"), tested);
    assert!((20..=40).contains(&readme.len()), "{} lines", readme.len());
}
