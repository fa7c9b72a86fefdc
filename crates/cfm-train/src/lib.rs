//! Training of convolutional-feature-masking models.
//!
//! A small convolutional backbone and a Design A head are trained on photographs with a label for every pixel, first
//! in floats, then through a [fake quantizer](fake_quantize) that rounds as the integer network will, and written as a
//! `.cfm` file with the float weights beside it. One [`config::Config`] and the data set reproduce a run.
#![deny(missing_docs)]

pub mod augment;
pub mod config;
pub mod data;
pub mod fake_quantize;
pub mod network;
pub mod random;
