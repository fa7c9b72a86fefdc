//! What a trained model is worth: measured as `cfm eval` measures it, by the integer core and by the float network.

use cfm_core::model::{Model, ModelError};
use cfm_model::float_model::FloatModel;
use cfm_sim::dataset::Dataset;
use cfm_sim::evaluate::{ClassMatch, EvaluateError, Evaluation, evaluate};
use cfm_sim::float_network::{FloatNetwork, FloatNetworkError};
use cfm_sim::pipeline::{Pipeline, PipelineError};

use crate::export::{self, ExportError};

/// A model's measures on some photographs.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Measured {
    /// The integer core's.
    pub int8: Evaluation,
    /// Those of the float weights that the integers were rounded from.
    pub float: Evaluation,
}

/// Why a model cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// It cannot be quantized.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The core refuses it.
    #[error("the core refuses the model: {0}")]
    Model(#[from] ModelError),
    /// Its proposals make no sense.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The float network does not belong to the integers.
    #[error(transparent)]
    Float(#[from] FloatNetworkError),
    /// The photographs cannot be labelled or compared.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
}

/// Measures `model`, quantized and as it is, on the photographs `ids` of a data set. `done` is called after each.
///
/// # Errors
/// The first [`MeasureError`] that occurs.
pub fn measure(
    model: &FloatModel,
    dataset: &Dataset,
    ids: &[String],
    done: impl Fn() + Sync,
) -> Result<Measured, MeasureError> {
    let bytes = export::to_cfm(model)?;
    let core = Model::parse(&bytes)?;
    let pipeline = Pipeline::new(&core)?;
    let network = FloatNetwork::new(&core, model.clone())?;
    let classes = ClassMatch::new(&core, dataset.description())?;
    let evaluations = evaluate(
        dataset,
        ids,
        &classes,
        |photo| {
            let int8 = pipeline.segment(photo)?.labels;
            Ok::<_, PipelineError>(vec![int8, pipeline.segment_float(&network, photo)?])
        },
        done,
    )?;
    // Without photographs there is nothing to compare.
    let [int8, float] = evaluations.try_into().map_err(|_| EvaluateError::NoTruth)?;
    Ok(Measured { int8, float })
}
