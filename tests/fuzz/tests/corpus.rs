//! Every committed input, what was found among them, goes through its target.

use std::fs;
use std::path::Path;

use cfm_fuzz::targets::{
    executor, image_decoding, model_parser, onnx_import, register_protocol, segments, side_files,
};

/// Runs the files of `corpus/NAME` and of those folders.
fn replay(name: &str, others: &[&str], run: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut inputs = 0;
    for folder in [&*format!("corpus/{name}")].iter().chain(others) {
        let folder = root.join(folder);
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}")) {
            let path = entry.unwrap().path();
            // Names the input when the target panics.
            println!("{}", path.display());
            run(&fs::read(&path).unwrap());
            inputs += 1;
        }
    }
    assert!(inputs > 0);
}

#[test]
fn executor_corpus() {
    replay("executor", &[], executor::run);
}

#[test]
fn image_decoding_corpus() {
    replay("image_decoding", &[], image_decoding::run);
}

#[test]
fn model_parser_corpus() {
    replay("model_parser", &[], model_parser::run);
}

#[test]
fn onnx_import_corpus() {
    // What other programs write.
    replay("onnx_import", &["../onnx"], onnx_import::run);
}

#[test]
fn register_protocol_corpus() {
    replay("register_protocol", &[], register_protocol::run);
}

#[test]
fn segments_corpus() {
    replay("segments", &[], segments::run);
}

#[test]
fn side_files_corpus() {
    replay("side_files", &[], side_files::run);
}
