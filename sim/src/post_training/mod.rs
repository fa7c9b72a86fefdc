//! Post-training quantization: the integers of a float network, calibrated on photographs and without any training.
//!
//! 1. **Equalize** channels of consecutive convolutions ([`cfm_model::quantize::equalize`]).
//! 2. **Observe** the float network on the calibration photographs: a histogram of every activation, the mean of every
//!    channel's sums. The head is observed on the model's own proposals, at most [`SEGMENTS`] of a photograph.
//! 3. **Choose** the scale of every activation ([`cfm_model::quantize::range`]), and of the logits.
//! 4. **Correct** the biases, layer by layer ([`cfm_model::quantize::bias_correction`]): the quantized network runs on
//!    the photographs, every layer on inputs from the corrected layers before it.
//! 5. **Measure** what is left with the integers themselves: signal to quantization noise, and clipped values.
//!
//! Everything is deterministic: the same photographs in the same order give the same model, whatever the threads do.

mod bias;
mod measure;
mod observe;
mod scales;

use cfm_core::executor::ExecuteError;
use cfm_core::model::{Model, ModelError, Path};
use cfm_model::Place;
use cfm_model::float_model::FloatModel;
use cfm_model::quantize::equalize::{Pair, Ranges, equalize};
use cfm_model::quantize::range::RangeMethod;
use cfm_model::quantize::{QuantizeError, WeightScales, check_finite, quantize_with};
use cfm_model::reader::SpecError;
use cfm_model::shape::ShapeError;
use cfm_model::spec::ModelSpec;
use cfm_model::writer::WriteError;

use crate::core_trace::CoreError;
use crate::float_network::{FloatNetwork, FloatNetworkError};
use crate::memory_bound::{MemoryError, check_calibration};
use crate::pipeline::{NetworkInput, Pipeline, PipelineError};

pub use measure::LayerReport;

/// Most proposals of a photograph that the head is calibrated on, evenly spread.
pub const SEGMENTS: usize = 64;

/// The key under which the model's provenance tells how it was quantized.
pub const PROVENANCE: &str = "post-training quantization";

/// Which channels are equalized, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Equalization {
    /// None.
    Off,
    /// Weights of consecutive convolutions against each other.
    Weights,
    /// The range of an activation's channel against the weights that read it.
    Activations,
}

/// How a float network is quantized.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// How the ranges of activations are chosen.
    pub range: RangeMethod,
    /// How the scales of weights are chosen.
    pub scales: WeightScales,
    /// Which channels are equalized.
    pub equalization: Equalization,
    /// Whether the mean error of every layer goes into its bias.
    pub bias_correction: bool,
}

impl Options {
    /// How often every photograph is looked at.
    #[must_use]
    pub fn passes(&self) -> usize {
        2 + usize::from(self.equalization == Equalization::Activations)
            + usize::from(self.bias_correction)
    }
}

/// A calibrated model.
#[derive(Debug, Clone)]
pub struct Quantized {
    /// The bytes of the `.cfm`.
    pub cfm: Vec<u8>,
    /// The pairs of layers that were equalized.
    pub equalized: Vec<Pair>,
    /// How many segments the head was calibrated on.
    pub segments: usize,
    /// What became of every layer, in the order of the model file.
    pub layers: Vec<LayerReport>,
}

/// Why a float network cannot be quantized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostTrainingError {
    /// There is nothing to calibrate on.
    #[error("there is no photograph to calibrate on")]
    NoImages,
    /// The layers do not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The float network does not fit the model, or cannot compute.
    #[error(transparent)]
    Float(#[from] FloatNetworkError),
    /// A photograph is not of the size of the model's input.
    #[error(transparent)]
    Image(#[from] ExecuteError),
    /// No proposals can be made.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The float network computes an infinity, or nothing that is a number.
    #[error("{0}: the float network's output is infinite or not a number")]
    NotFinite(Place),
    /// The numbers do not fit the integers.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// The structure does not fit the file format.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The new model is refused.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The layers of the model share too much.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The new model cannot compute.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// What is kept of every photograph would take too much memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// Quantizes `float`, which has the structure of the pipeline's model, calibrated on `images`. `done` is called
/// [`Options::passes`] times for every image.
///
/// # Errors
/// A [`PostTrainingError`].
pub fn quantize(
    mut float: FloatModel,
    pipeline: &Pipeline<'_>,
    images: &[NetworkInput],
    options: &Options,
    done: impl Fn() + Sync,
) -> Result<Quantized, PostTrainingError> {
    if images.is_empty() {
        return Err(PostTrainingError::NoImages);
    }
    check_finite(&float)?;
    let model = pipeline.model();
    check_calibration(model)?;
    // Also checks that all numbers are there.
    let network = FloatNetwork::new(model, float.clone())?;
    let equalized = match options.equalization {
        Equalization::Off => Vec::new(),
        Equalization::Weights => equalize(&mut float, Ranges::Weights)?,
        Equalization::Activations => {
            let ranges = observe::channel_ranges(&network, &float, images, &done)?;
            equalize(&mut float, Ranges::Outputs(&ranges))?
        }
    };
    let network = FloatNetwork::new(model, float.clone())?;
    let observed = observe::observe(&network, &float, pipeline, images, &done)?;
    scales::choose(&mut float, &observed.histograms, options.range);
    if options.bias_correction {
        bias::correct(&mut float, options.scales, images, &observed, &done)?;
    }
    float.provenance.retain(|(key, _)| key != PROVENANCE);
    let how = describe(options, images.len());
    float.provenance.push((PROVENANCE.to_owned(), how));
    let spec = quantize_with(&float, options.scales)?;
    let cfm = spec.to_bytes()?;
    let layers = {
        let quantized = Model::parse(&cfm)?;
        let histograms = &observed.histograms;
        measure::measure(
            &network, &spec, &quantized, pipeline, images, histograms, &done,
        )?
    };
    Ok(Quantized {
        cfm,
        equalized,
        segments: observed.masks.iter().map(Vec::len).sum(),
        layers,
    })
}

/// How far the integers of the pipeline's model are from `float`, the network that it was quantized from, on `images`
/// and at most [`SEGMENTS`] proposals of each. `done` is called twice for every image.
///
/// # Errors
/// A [`PostTrainingError`].
pub fn measure(
    float: FloatModel,
    pipeline: &Pipeline<'_>,
    images: &[NetworkInput],
    done: impl Fn() + Sync,
) -> Result<Vec<LayerReport>, PostTrainingError> {
    let model = pipeline.model();
    check_calibration(model)?;
    let spec = ModelSpec::try_from(model)?;
    let network = FloatNetwork::new(model, float.clone())?;
    let histograms = observe::observe(&network, &float, pipeline, images, &done)?.histograms;
    measure::measure(&network, &spec, model, pipeline, images, &histograms, &done)
}

fn describe(options: &Options, images: usize) -> String {
    let equalization = match options.equalization {
        Equalization::Off => "no equalization",
        Equalization::Weights => "weights equalized",
        Equalization::Activations => "activations equalized",
    };
    let correction = if options.bias_correction {
        "biases corrected"
    } else {
        "biases as they are"
    };
    let scales = match options.scales {
        WeightScales::PowerOfTwo => "power-of-two weight scales",
        WeightScales::General => "general weight scales",
    };
    format!(
        "range {}, {equalization}, {correction}, {scales}, {images} photographs",
        options.range
    )
}

/// All layers, in the order of the model file, with the number of their output channels.
fn places(float: &FloatModel) -> Result<Vec<(Place, usize)>, ShapeError> {
    let shapes = float.tensor_shapes()?;
    let layers = shapes.iter().skip(1).enumerate();
    let mut places: Vec<(Place, usize)> = layers
        .map(|(i, shape)| (Place::Layer(i), shape.channels.into()))
        .collect();
    for path in Path::ALL {
        let fcs = float.head.fcs(path).iter().enumerate();
        places.extend(fcs.map(|(i, fc)| (Place::FullyConnected(path, i), fc.outputs.into())));
    }
    Ok(places)
}

/// A value for every layer.
#[derive(Debug, Clone)]
struct PerLayer<T>(Vec<(Place, T)>);

impl<T> PerLayer<T> {
    /// A value made of every layer's number of output channels.
    fn new(float: &FloatModel, make: impl Fn(usize) -> T) -> Result<Self, ShapeError> {
        let places = places(float)?.into_iter();
        Ok(Self(
            places
                .map(|(place, outputs)| (place, make(outputs)))
                .collect(),
        ))
    }

    fn get(&self, place: Place) -> Option<&T> {
        let found = self.0.iter().find(|(other, _)| *other == place);
        found.map(|(_, value)| value)
    }

    fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        let found = self.0.iter_mut().find(|(other, _)| *other == place);
        found.map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests;
