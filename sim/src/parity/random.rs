//! Parity on random models, images and segments.

use std::fmt;

use cfm_core::kernels::Kernels;
use cfm_core::model::Model;
use cfm_model::random::{Options, random_image, random_model, random_segments};
use rayon::prelude::*;
use serde::Serialize;

use super::names::place;
use super::{Naming, ParityError, ParityReport, check, check_with};
use crate::trace::Inputs;

/// Segments per random model.
pub const SEGMENTS: usize = 12;

/// A random model on which core and reference do not agree.
#[derive(Debug, Clone, Serialize)]
pub struct RandomFailure {
    /// The seed that makes the model, the image and the segments.
    pub seed: u64,
    /// What was refused, if nothing could be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The comparison, by the model's own layers.
    pub report: ParityReport,
}

impl fmt::Display for RandomFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.refused {
            Some(refused) => write!(f, "random model {}: {refused}", self.seed),
            None => write!(
                f,
                "core and reference differ on random model {}\n{}",
                self.seed, self.report
            ),
        }
    }
}

impl std::error::Error for RandomFailure {}

/// Compares every tensor of one random model, whose seed also makes the image and the segments.
///
/// # Errors
/// [`RandomFailure`] on any difference, or when either side refuses something.
pub fn check_one(seed: u64, options: &Options) -> Result<ParityReport, Box<RandomFailure>> {
    check_seed(seed, options, check)
}

/// [`check_one`] for the core with kernels of the caller's choice.
///
/// # Errors
/// As [`check_one`].
pub fn check_one_with<K: Kernels + Copy>(
    seed: u64,
    options: &Options,
    kernels: K,
) -> Result<ParityReport, Box<RandomFailure>> {
    check_seed(seed, options, |model, inputs, naming| {
        check_with(model, inputs, naming, kernels)
    })
}

fn check_seed(
    seed: u64,
    options: &Options,
    check: impl Fn(&Model<'_>, &Inputs<'_>, Naming) -> Result<ParityReport, ParityError>,
) -> Result<ParityReport, Box<RandomFailure>> {
    let refused = |error: &dyn fmt::Display| {
        Box::new(RandomFailure {
            seed,
            refused: Some(error.to_string()),
            report: ParityReport::default(),
        })
    };
    let spec = random_model(seed, options);
    let bytes = spec.to_bytes().map_err(|error| refused(&error))?;
    let model = Model::parse(&bytes).map_err(|error| refused(&error))?;
    let image = random_image(seed, spec.input);
    let segments = random_segments(seed, spec.input.width, spec.input.height, SEGMENTS);
    let inputs = Inputs {
        image: image.view().map_err(|error| refused(&error))?,
        maps: &segments.map_views().map_err(|error| refused(&error))?,
        segments: &segments.views(),
        rule: segments.applicable(model.labelling()),
    };
    let check = |naming| check(&model, &inputs, naming);
    let report = check(Naming::Kinds).map_err(|error| refused(&error))?;
    if report.is_exact() {
        return Ok(report);
    }
    Err(Box::new(RandomFailure {
        seed,
        refused: None,
        report: check(Naming::Layers).map_err(|error| refused(&error))?,
    }))
}

/// Compares `count` random models with the seeds from `first_seed` on, in parallel, and stops at the first difference.
/// `done` is called after each model.
///
/// # Errors
/// The [`RandomFailure`] of a model that differs.
pub fn check_many(
    first_seed: u64,
    count: u64,
    options: &Options,
    done: impl Fn() + Sync,
) -> Result<ParityReport, Box<RandomFailure>> {
    let mut report = (0..count)
        .into_par_iter()
        .map(|i| {
            let report = check_one(first_seed.wrapping_add(i), options);
            done();
            report
        })
        .try_reduce(ParityReport::default, |a, b| Ok(a.merge(b)))?;
    report
        .tensors
        .sort_by(|a, b| place(&a.name).cmp(&place(&b.name)));
    Ok(report)
}
