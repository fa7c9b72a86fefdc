//! Semantic segmentation by convolutional feature masking (CFM), in integers, without an allocator.
//!
//! The image is convolved **once**; candidate segments are projected onto the feature map as low-resolution binary
//! masks; the masked features are pooled with a spatial pyramid and classified; the classified segments label every
//! pixel (Dai, He, Sun: *Convolutional Feature Masking for Joint Object and Stuff Segmentation*, CVPR 2015; patent
//! WO2016/197303).
//!
//! | step | module |
//! |---|---|
//! | a model file, checked at compile time or at run time | [`model`] (bytes: [`model::format`]) |
//! | image rows in, feature map out | [`executor`], [`kernels`], [`requantize`] |
//! | which pixels a feature cell stands for | [`receptive_field`] |
//! | segments and superpixels | [`segment`], [`superpixel_index`] |
//! | mask, pool, classify | [`scorer`], [`mask`], [`spatial_pyramid`] |
//! | scores | [`mod@softmax`], [`calibration`] |
//! | one class per pixel | [`labelling`] |
//!
//! All results are integers and the same on every target. Nothing here panics, allocates or is `unsafe`; every
//! buffer is the caller's, and [`Model::arena_bytes`](model::Model::arena_bytes) says at compile time how large.
//!
//! # In firmware
//!
//! ```
//! # mod firmware {
//! use cfm_core::{arena::Arena, executor::Executor, include_model, model::Model, scorer::Scorer};
//! use cfm_core::segment::{Run, Segment};
//!
//! // A broken file is a compile error; the arena's size is known before flashing.
//! static MODEL: Model<'static> = include_model!("../../../sim/models/street.cfm");
//! const ARENA: usize = include_model!("../../../sim/models/street.cfm").arena_bytes();
//!
//! # pub fn rows() -> impl Iterator<Item = [u8; 720]> { (0..180).map(|_| [128; 720]) }
//! pub fn best_class(arena: &mut Arena<ARENA>) -> Result<u8, Box<dyn core::error::Error>> {
//!     let mut executor = Executor::new(&MODEL, arena.as_mut_slice())?;
//!     for row in rows() {
//!         executor.push_row(&row)?; // as the camera delivers them
//!     }
//!     let (features, scratch) = executor.finish()?;
//!     let mut scorer = Scorer::new(&MODEL, features, scratch)?;
//!     let segment = [Run { y: 90, x0: 40, x1: 200 }]; // usually from `cfm-proposals`
//!     let mut logits = [0; 12];
//!     scorer.score(&Segment::Runs(&segment), &[], &mut logits)?;
//!     Ok((0..12).max_by_key(|&class| logits[usize::from(class)]).unwrap_or(0))
//! }
//! # }
//! # let mut arena = cfm_core::arena::Arena::new();
//! # assert!(firmware::best_class(&mut arena).unwrap() < 12);
//! ```
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
