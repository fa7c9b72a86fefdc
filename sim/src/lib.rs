//! The host simulator: the whole path on photographs, the float reference that it must equal bit for bit, and what the
//! `cfm` command is made of.
//!
//! | what | module |
//! |---|---|
//! | a photograph to a class for every pixel, timed by stage | [`pipeline`] |
//! | photographs, label maps, data sets, scenes rendered in their place | [`photo`], [`photo_list`](mod@photo_list), [`label_map`], [`dataset`], [`scene`] |
//! | the models that come with it, model files, memory | [`built_in`], [`model_file`], [`mod@inspect`], [`arena_map`] |
//! | how good the labels are | [`metrics`], [`mod@evaluate`] |
//! | how candidate segments are made, or read from files, and how good they are | [`proposal_config`], [`import`], [`truth`], [`proposal_quality`] |
//! | the same numbers once more, in f64, and whether they agree | [`reference`](mod@reference), [`core_trace`], [`trace`], [`parity`] |
//! | the network before quantization, and calibrating its integers | [`float_network`], [`post_training`] |
//! | every number as files for others to recompute | [`vectors`] |
//! | a model as C source | [`c_source`] |
//! | all of it on one page for a browser | [`report`] |
//! | pictures, plots and other output files | [`picture`], [`plot`], [`output`] |
#![deny(missing_docs)]

pub mod arena_map;
pub mod built_in;
pub mod c_source;
pub mod core_trace;
pub mod dataset;
pub mod evaluate;
pub mod float_network;
pub mod import;
pub mod inspect;
pub mod label_map;
pub mod labelling;
pub mod metrics;
pub mod model_file;
pub mod output;
pub mod parity;
pub mod photo;
pub mod photo_list;
pub mod picture;
pub mod pipeline;
pub mod plot;
pub mod post_training;
pub mod proposal_config;
pub mod proposal_quality;
pub mod reference;
pub mod report;
pub mod scene;
pub mod trace;
pub mod truth;
pub mod vectors;
