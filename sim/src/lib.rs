//! See the README.

pub mod dataset;
pub mod label_map;
pub mod photo;
pub mod reference;
pub mod scene;
pub mod core_trace;
pub mod parity;
pub mod trace;
pub mod vectors;
pub mod pipeline;
pub mod metrics;
pub mod evaluate;
pub mod float_network;
pub mod default_model;
pub mod inspect;
pub mod model_file;
pub mod output;
pub mod picture;
