//! ONNX files, as far as networks of this project need them.

pub mod import;
pub mod proto;
