//! Semantic segmentation by convolutional feature masking, in integers.
#![no_std]
#![deny(missing_docs)]

pub mod calibration;
mod error;
pub mod image;
pub mod model;
pub mod receptive_field;
pub mod requantize;
pub mod segment;
