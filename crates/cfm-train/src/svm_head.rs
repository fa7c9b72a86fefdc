//! Support vector machines in the place of the softmax, on what the trained head's fully connected layers say.
//!
//! The training goes as always, with a softmax. Then all segments of the training photographs that are examples of
//! anything, as they are and not as augmented, go through the quantized network, and the machines are trained on the
//! 8-bit outputs of the fully connected layers. There is a machine for every output, the one for "mixed" or background
//! as well: where it wins, a segment pastes its class last.

use cfm_core::model::Model;
use cfm_model::quantize::range::{Histogram, NotFinite};
use rayon::prelude::*;

use crate::config::Config;
use crate::fake_quantize::{ACTIVATION_STEPS, to_vec};
use crate::network::{Exponents, Network, image_tensor};
use crate::pooling::FlatFeatures;
use crate::projection::ProjectionError;
use crate::sampling::Source;
use crate::svm::{Features, Machine, one_against_the_rest};

/// Why no machines can be trained.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// The candidates do not fit the model's input.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    /// There is nothing to train them on.
    #[error(
        "no segment of the training photographs is an example of anything: there is nothing to train support vector \
         machines on"
    )]
    NoExample,
    /// A machine has diverged.
    #[error("a support vector machine has diverged: {0}")]
    NotFinite(#[from] NotFinite),
}

/// Trains a machine for every output of the head; gives them with the exponent of their margins.
///
/// `network` is folded and without gradients; `model` has its geometry. `done` is called after each machine.
///
/// # Errors
/// [`FitError`].
pub fn fit(
    network: &Network,
    exponents: &Exponents,
    sources: &[Source<'_>],
    model: &Model<'_>,
    config: &Config,
    done: impl Fn() + Sync,
) -> Result<(Vec<Machine>, i32), FitError> {
    let seen = sources
        .par_iter()
        .map(|source| see(network, exponents, source, model, config))
        .collect::<Result<Vec<_>, _>>()?;
    let (steps, classes): (Vec<Vec<u8>>, Vec<Vec<u8>>) = seen.into_iter().unzip();
    let [outputs, width] = network.head.classifier.weight.val().dims();
    let features = Features {
        steps: steps.concat(),
        width,
        step: 2f64.powi(exponents.hidden),
    };
    let classes = classes.concat();
    if classes.is_empty() {
        return Err(FitError::NoExample);
    }
    let machines =
        one_against_the_rest(&features, &classes, outputs, &config.svm, config.seed, done);
    let margins: Vec<f32> = machines
        .par_iter()
        .flat_map_iter(|machine| {
            (0..features.len()).map(|index| machine.margin(&features, index) as f32)
        })
        .collect();
    let mut histogram = Histogram::default();
    histogram.add(&margins)?;
    Ok((machines, histogram.logit_exponent().into()))
}

/// The outputs of the fully connected layers for the segments of one photograph, in steps, and the segments' classes.
fn see(
    network: &Network,
    exponents: &Exponents,
    source: &Source<'_>,
    model: &Model<'_>,
    config: &Config,
) -> Result<(Vec<u8>, Vec<u8>), ProjectionError> {
    let (projected, classes): (Vec<_>, Vec<u8>) = source.all(model)?.into_iter().unzip();
    if classes.is_empty() {
        return Ok((Vec::new(), classes));
    }
    let device = network.side.weight.val().device();
    let (width, height) = (config.input.width.into(), config.input.height.into());
    let images = image_tensor(&[&source.photo.pixels], width, height, &device);
    let features = FlatFeatures::new(network.features(images, Some(exponents)));
    let pooled = features
        .pool_paths(0, &projected, network.head.pyramid())
        .map(|path| path.matrix(classes.len(), &device));
    let step = 2f32.powi(-exponents.hidden);
    let steps = to_vec(network.head.hidden(pooled, Some(exponents)))
        .into_iter()
        .map(|x| (x * step).clamp(0.0, ACTIVATION_STEPS) as u8)
        .collect();
    Ok((steps, classes))
}
