//! ONNX files, as far as networks of this project need them.
//!
//! - [`export`]: a model as ONNX files that compute the same integers;
//! - [`proto`]: the messages that a file consists of.

pub mod export;
pub mod proto;
