//! The host simulator: the whole path on photographs, the float reference that it must equal bit for bit, and what the
//! `cfm` command is made of.
//!
//! | what | module |
//! |---|---|
//! | a photograph to a class for every pixel, timed by stage | [`pipeline`] |
//! | photographs, label maps, data sets, scenes rendered in their place | [`photo`], [`photo_list`](mod@photo_list), [`photo_stream`], [`label_map`], [`dataset`], [`scene`] |
//! | the models that come with it, model files, memory | [`built_in`], [`model_file`], [`mod@inspect`], [`arena_map`] |
//! | how good the labels are, in one go or in parts | [`metrics`], [`mod@evaluate`], [`eval_part`] |
//! | how candidate segments are made, or read from files, and how good they are | [`proposal_config`], [`import`], [`truth`], [`proposal_quality`] |
//! | the same numbers once more, in f64, and whether they agree | [`reference`](mod@reference), [`core_trace`], [`trace`], [`parity`] |
//! | the network before quantization, and calibrating its integers | [`float_network`], [`post_training`] |
//! | every number as files for others to recompute | [`vectors`] |
//! | a model as C source | [`c_source`] |
//! | what a model in the ONNX format takes for a photograph | [`onnx_inputs`] |
//! | how long the parts take, beside what could be in their place | [`benchmark`] |
//! | all of it on one page for a browser | [`report`] |
//! | pictures, plots and other output files | [`picture`], [`plot`], [`output`] |
//!
//! # Host simulation in your CI
//!
//! [`assert_parity`] is for the tests of whoever makes a model or kernels: it computes a photograph with the core and with
//! the float reference, proposals, labels and all, and panics with the first tensor that differs, the position and both
//! values.
//!
//! ```
//! use cfm_sim::model_file::ModelFile;
//! use cfm_sim::{assert_parity, check_parity, photo, scene::Scene};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # std::env::set_current_dir(&folder)?;
//! # std::fs::write("street.cfm", cfm_sim::built_in::STREET.cfm)?;
//! # Scene::render(60, 45, 2).photo.save("frame.png")?;
//! let file = ModelFile::open(Some("street.cfm".as_ref()))?;
//! let model = file.parse()?;
//! assert_parity(&model, &photo::open("frame.png".as_ref())?);
//!
//! // Without a photograph at hand, and without a panic:
//! let report = check_parity(&model, &Scene::render(480, 360, 1).photo)?;
//! assert!(report.is_exact(), "{report}");
//! # Ok(())
//! # }
//! ```
//!
//! [`parity::PhotoCheck`] takes segments from elsewhere, or kernels of your own; [`parity::random`] makes random models.
#![deny(missing_docs)]

pub mod arena_map;
pub mod benchmark;
pub mod built_in;
pub mod c_source;
pub mod core_trace;
pub mod dataset;
pub mod eval_part;
pub mod evaluate;
pub mod float_network;
pub mod import;
pub mod inspect;
pub mod label_map;
pub mod labelling;
pub mod memory_bound;
pub mod metrics;
pub mod model_file;
pub mod onnx_inputs;
pub mod output;
pub mod parity;
pub mod photo;
pub mod photo_list;
pub mod photo_stream;
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

pub use image::RgbImage;
pub use parity::{assert_parity, check_parity};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
