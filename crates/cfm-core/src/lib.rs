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
//! All results are integers and the same on every target. Nothing here panics or allocates, but for the kernels for
//! x86-64 (feature `x86`), which pack a model's layers; every buffer is the caller's, and [`Model::arena_bytes`](model::Model::arena_bytes) says at compile time how large.
//!
//! # In firmware
//!
//! ```
//! use cfm_core::segment::{Run, Segment};
//! use cfm_core::{arena::Arena, executor::Executor, include_model, model::Model, scorer::Scorer};
//!
//! // Parsed and validated by the compiler: a broken file does not build, and the arena's size is a constant.
//! const STREET: Model<'static> = include_model!("../data/small.cfm");
//! static MODEL: Model<'static> = STREET;
//! const ARENA: usize = STREET.arena_bytes();
//!
//! fn score<'r>(
//!     rows: impl Iterator<Item = &'r [u8]>,
//!     segments: &[&[Run]],
//!     arena: &mut Arena<ARENA>,
//!     mut verdict: impl FnMut(usize, &[i16]),
//! ) -> Result<(), Error> {
//!     let mut executor = Executor::new(&MODEL, arena.as_mut_slice())?;
//!     for row in rows {
//!         executor.push_row(row)?; // as the camera delivers them: there is no frame buffer
//!     }
//!     let (features, scratch) = executor.finish()?;
//!     let mut scorer = Scorer::new(&MODEL, features, scratch)?;
//!     for (i, segment) in segments.iter().enumerate() {
//!         let mut logits = [0; 12];
//!         scorer.score(&Segment::Runs(segment), &[], &mut logits)?;
//!         verdict(i, &logits); // one per class of the model
//!     }
//!     Ok(())
//! }
//! # type Error = Box<dyn core::error::Error>;
//! # let row = [128; 720];
//! # let (mut arena, mut verdicts) = (Arena::new(), 0);
//! # let segment = [Run { y: 90, x0: 40, x1: 200 }];
//! # score([&row[..]; 180].into_iter(), &[&segment], &mut arena, |_, l| verdicts += l.len()).unwrap();
//! # assert_eq!(verdicts, 12);
//! ```
//!
//! Segments usually come from `cfm-proposals`, as sets of superpixels with a
//! [`SuperpixelIndex`](superpixel_index::SuperpixelIndex) per map, and [`labelling`] turns all logits into one class
//! per pixel.
#![no_std]
#![deny(missing_docs)]

// Without an operating system there is nothing to ask; docs.rs documents such a target with all features.
#[cfg(all(feature = "std", not(target_os = "none")))]
extern crate std;

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
pub mod sort;
pub mod spatial_pyramid;
pub mod superpixel_index;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
