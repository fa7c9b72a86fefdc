#![doc = include_str!("../README.md")]
//!
//! # Steps
//!
//! CFM (Dai, He and Sun, "Convolutional Feature Masking for Joint Object and Stuff Segmentation", CVPR 2015) classifies
//! candidate segments that come from elsewhere, from bottom-up methods on superpixels such as selective search. This
//! crate is one such source:
//!
//! 1. [`felzenszwalb`] over-segments the image by graph, or [`slic`] by gradient descent, once per [`Scale`];
//! 2. [`grouping`] merges the superpixels of each map step by step, once per [`Mix`] of similarities, and
//!    [`combinatorial`] by the strength of their boundaries;
//! 3. [`propose`] collects superpixels and groups, and pairs and triples of neighbouring groups, each set of pixels
//!    once, and ranks them.
//!
//! [`Params`] choose among all that, and the [`ColourSpace`]s. [`Params::DEFAULT`] suits road scenes and small targets,
//! [`Params::SCENE`] photographs of any kind.
//!
//! Everything is integer arithmetic with stated rounding and tie-breaks: the same image and [`Params`] give the same
//! proposals on every target. Nothing is allocated; memory comes from the caller and its size from `const` functions,
//! so that it can be a `static`. With less memory than is best the same result takes longer.
#![no_std]
#![deny(missing_docs)]

mod adjacency;
mod arena;
mod bytes;
mod collector;
mod colour;
pub mod combinatorial;
mod diversity;
mod edges;
mod error;
pub mod felzenszwalb;
mod forest;
pub mod grouping;
mod histogram;
mod memory;
mod params;
mod proposal;
mod region;
pub mod slic;
mod smooth;
mod tree;

pub use colour::ColourSpace;
pub use diversity::Ranking;
pub use error::ProposalError;
pub use memory::Workspace;
pub use params::{
    MAX_K, MAX_MIXES, MAX_SCALES, MAX_SUPERPIXELS, Mix, Params, ParamsError, Scale, Smoothing,
};
pub use proposal::{Iter, Proposal, Proposals, propose};

/// Most pixels of an image; with it no product of areas exceeds 64 bits.
pub const MAX_PIXELS: u32 = 1 << 22;
