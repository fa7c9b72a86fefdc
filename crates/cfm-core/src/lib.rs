//! Semantic segmentation by convolutional feature masking, in integers.
#![no_std]
#![deny(missing_docs)]

pub mod arena;
pub mod calibration;
mod error;
pub mod executor;
pub mod feature_map;
pub mod image;
pub mod kernels;
pub mod labelling;
pub mod mask;
pub mod model;
pub mod receptive_field;
pub mod requantize;
pub mod scorer;
pub mod segment;
pub mod softmax;
pub mod spatial_pyramid;
pub mod superpixel_index;
