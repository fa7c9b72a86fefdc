//! The conformance suite: golden cases as data, one suite that compares, and a runner per backend.
//!
//! - [`case`] reads a golden case (model, image, segments, and every tensor the contract derives from them);
//! - [`check`] compares what a backend computes with a case, and notices what it leaves out;
//! - [`backend`] says where kernels come from;
//! - [`core_backend`] runs `cfm-core` with any kernels, on the host and on targets alike (`no_std`, no allocation);
//! - [`cases`] is the list of all cases, embedded, so that firmware carries the same ones;
//! - [`street`] embeds the default model as firmware does.
//!
//! The expected tensors come from the float reference in `sim/`, not from the core. `cargo run -p cfm-conformance
//! --example make_cases` writes `tests/data/` anew; a test fails when the files are not what it would write.
#![no_std]
#![deny(missing_docs)]

pub mod backend;
pub mod case;
pub mod cases;
pub mod check;
pub mod core_backend;
pub mod street;
