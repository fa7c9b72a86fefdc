#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! - [`bounded_file`]: files to read, unless they are absurdly long;
//! - [`spec`]: a `.cfm` file as plain Rust values;
//! - [`writer`] and [`reader`]: those values to bytes and back;
//! - [`float_model`]: the float network before quantization, kept as safetensors beside the `.cfm`;
//! - [`mod@quantize`]: from the float network to integers;
//! - [`output`]: files that are whole or not there at all;
//! - [`onnx`]: files in the ONNX format;
//! - [`random`]: random valid models, images and segments for parity tests;
//! - [`shape`]: the shapes that follow from a structure.
#![deny(missing_docs)]

pub mod bounded_file;
pub mod float_model;
pub mod onnx;
pub mod output;
mod place;
pub mod quantize;
pub mod random;
pub mod reader;
pub mod shape;
pub mod spec;
pub mod writer;

pub use place::Place;
