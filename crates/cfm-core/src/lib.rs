//! Semantic segmentation by convolutional feature masking, in integers.
#![no_std]
#![deny(missing_docs)]

mod error;
pub mod image;
pub mod segment;
