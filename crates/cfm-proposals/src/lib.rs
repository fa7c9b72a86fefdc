//! Segment proposals for convolutional feature masking (CFM): superpixels and their hierarchical grouping, in
//! integers.
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
//!
//! ```
//! use cfm_core::image::ImageView;
//! use cfm_proposals::{Params, ProposalError, Smoothing, Workspace, propose};
//!
//! const WIDTH: u16 = 32;
//! const HEIGHT: u16 = 24;
//! const PARAMS: Params = Params::DEFAULT.with_smoothing(Smoothing::None);
//! let mut words = [0; PARAMS.words(WIDTH, HEIGHT)];
//! let mut labels = [0; PARAMS.labels(WIDTH, HEIGHT)];
//!
//! // The left half is dark, the right half is bright.
//! let pixels: Vec<u8> = (0..HEIGHT * WIDTH)
//!     .flat_map(|i| [if i % WIDTH < WIDTH / 2 { 20 } else { 220 }; 3])
//!     .collect();
//! let image = ImageView::rgb(&pixels, WIDTH, HEIGHT).unwrap();
//! let proposals = propose(
//!     image,
//!     &PARAMS,
//!     Workspace { words: &mut words, labels: &mut labels },
//! )?;
//! // Both halves and the whole, once each although all scales find them.
//! let areas: Vec<u32> = proposals.iter().map(|proposal| proposal.area).collect();
//! assert_eq!(areas, [384, 384, 768]);
//! # Ok::<(), ProposalError>(())
//! ```
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
