//! Models embedded at compile time: the default one fits its budget, a broken one does not build.

// `ARENA_BYTES` comes from a model that is checked again for this crate.
#![allow(long_running_const_eval)]

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
