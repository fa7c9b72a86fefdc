//! What each target does with an input. `fuzz_targets/` hands these functions to libFuzzer, `tests/corpus.rs` runs them on
//! the committed inputs with the usual compiler.

pub mod executor;
pub mod image_decoding;
pub mod model_parser;
pub mod onnx_import;
pub mod register_protocol;
pub mod segments;
pub mod side_files;
