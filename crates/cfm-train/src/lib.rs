//! Training of convolutional-feature-masking models.
//!
//! A small convolutional backbone and a Design A head are trained on photographs with a label for every pixel, first
//! in floats, then through a [fake quantizer](fake_quantize) that rounds as the integer network will, and written as a
//! `.cfm` file with the float weights beside it. One [`config::Config`] and the data set reproduce a run.
#![deny(missing_docs)]

pub mod augment;
pub mod calibrate;
pub mod checkpoint;
pub mod config;
pub mod confusion;
pub mod data;
pub mod evaluate;
pub mod export;
pub mod fake_quantize;
pub mod loss;
pub mod network;
pub mod pooling;
pub mod projection;
pub mod proposals;
pub mod random;
pub mod sampling;
pub mod schedule;
pub mod train_loop;
