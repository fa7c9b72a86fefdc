#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! `ENGINE.md` of an exported project is the specification; [`mod@interpret`] executes it word for word, so that it can be held against the
//! core before any hardware runs.
//!
//! | what | module |
//! |---|---|
//! | multipliers, banks, lanes | [`folding`] |
//! | a model to words | [`mod@compile`], [`engine`], [`limits`] |
//! | what the words say | [`description`], [`operation`], [`parameters`] |
//! | parts, what an engine takes of one, how fast it is, which folding is the fastest | [`budget`], [`resources`], [`cycles`], [`mod@fold`] |
//! | the words, executed | [`mod@interpret`] |
//! | streams in, and what the core expects of the ones out | [`stream`], [`mod@golden`] |
//! | all of it as files | [`project`] |
#![deny(missing_docs)]

mod allocate;
mod backbone;
pub mod budget;
pub mod compile;
pub mod cycles;
pub mod description;
pub mod engine;
mod error;
mod filter;
pub mod fold;
pub mod folding;
pub mod golden;
mod head;
pub mod interpret;
pub mod limits;
pub mod operation;
pub mod parameters;
pub mod project;
pub mod resources;
mod schedule;
mod scoring;
pub mod simulation;
pub mod stream;

pub use compile::compile;
pub use engine::Engine;
pub use error::{CompileError, Memory, Part};
pub use filter::ChannelRecord;
pub use fold::fold;
pub use folding::Folding;
pub use limits::Limits;
