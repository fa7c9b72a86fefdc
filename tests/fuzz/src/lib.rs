//! The fuzz targets, and what they share.
#![deny(missing_docs)]

pub mod arbitrary_engine;
pub mod model_run;
pub mod protobuf;
pub mod scratch_file;
pub mod targets;
