//! ONNX files, as far as networks of this project need them.
//!
//! - [`export`]: a model as ONNX files that compute the same integers;
//! - [`import`]: float and quantized networks from ONNX files;
//! - [`proto`]: the messages that a file consists of.

pub mod export;
pub mod import;
pub mod proto;
