//! How far the integers of the finished model are from the float network.

use cfm_core::model::{Model, Path};
use cfm_model::Place;
use cfm_model::quantize::range::Histogram;
use cfm_model::spec::{LayerSpec, ModelSpec, OutputScale};
use rayon::prelude::*;
use serde::Serialize;

use super::observe::with_segments;
use super::{PerLayer, PostTrainingError};
use crate::core_trace;
use crate::float_network::{FloatNetwork, Observer};
use crate::pipeline::{NetworkInput, Pipeline};
use crate::trace::Trace;

/// What became of a layer's output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerReport {
    /// Which layer: as errors name it.
    pub layer: String,
    /// What the layer is.
    pub kind: &'static str,
    /// One quantization step is `2^exponent`.
    pub exponent: i8,
    /// The integer that stands for zero.
    pub zero_point: i8,
    /// The largest magnitude that the float network computes.
    pub max: f32,
    /// The share of the float network's values beyond the scale.
    pub clipped: f64,
    /// Signal to quantization noise in dB, everything that came in from earlier layers included: `10 log10` of the
    /// float network's energy over that of the difference. `None` where one of the two is zero.
    pub sqnr_db: Option<f64>,
}

/// Energy of a layer's output, and of its error.
#[derive(Debug, Clone, Copy, Default)]
struct Energy {
    signal: f64,
    noise: f64,
}

impl Energy {
    /// Adds float values, and the integers of `scale` in their place.
    fn add(&mut self, float: &[f32], integers: impl IntoIterator<Item = i32>, scale: OutputScale) {
        let step = 2f64.powi(scale.exponent.into());
        for (&x, q) in float.iter().zip(integers) {
            let x = f64::from(x);
            let real = f64::from(q - i32::from(scale.zero_point)) * step;
            self.signal += x * x;
            self.noise += (x - real).powi(2);
        }
    }

    fn decibels(&self) -> Option<f64> {
        let decibels = 10.0 * (self.signal / self.noise).log10();
        decibels.is_finite().then_some(decibels)
    }
}

/// Holds the float network's outputs, as they are computed, against the integers in their place. To keep them all until
/// the end would take four times the tensors' memory.
struct Comparison<'a> {
    scales: &'a [OutputScale],
    energies: Vec<Energy>,
    /// The integers of all layers, those of the head for every segment, in the order in which they are computed.
    integers: Box<dyn Iterator<Item = (usize, Integers<'a>)> + 'a>,
}

/// The integers of a layer's output.
enum Integers<'a> {
    Values(&'a [i8]),
    Logits(&'a [i16]),
}

impl<'a> Comparison<'a> {
    fn new(trace: &'a Trace, scales: &'a [OutputScale]) -> Self {
        let backbone = trace.tensors.len() - 1;
        let layers = trace.tensors.iter().skip(1);
        let layers = layers.map(|values| Integers::Values(values)).enumerate();
        let head = trace.segments.iter().flat_map(move |segment| {
            let hidden = segment.hidden.iter();
            let hidden = hidden.map(|values| Integers::Values(values));
            let logits = Integers::Logits(&segment.logits);
            (backbone..).zip(hidden.chain(std::iter::once(logits)))
        });
        Self {
            scales,
            energies: vec![Energy::default(); scales.len()],
            integers: Box::new(layers.chain(head)),
        }
    }
}

impl Observer for Comparison<'_> {
    fn output(&mut self, _: Place, output: &[f32]) {
        if let Some((place, integers)) = self.integers.next()
            && let (Some(energy), Some(scale)) =
                (self.energies.get_mut(place), self.scales.get(place))
        {
            match integers {
                Integers::Values(q) => energy.add(output, q.iter().map(|&q| q.into()), *scale),
                Integers::Logits(q) => energy.add(output, q.iter().map(|&q| q.into()), *scale),
            }
        }
    }
}

/// Every layer of `spec`, which is `model`, against the float `network` on the images and segments of them.
pub(super) fn measure(
    network: &FloatNetwork<'_>,
    spec: &ModelSpec,
    model: &Model<'_>,
    pipeline: &Pipeline<'_>,
    images: &[NetworkInput],
    histograms: &PerLayer<Histogram>,
    done: &(impl Fn() + Sync),
) -> Result<Vec<LayerReport>, PostTrainingError> {
    let scales = scales(spec);
    let each = images
        .par_iter()
        .map(|image| {
            let energies = with_segments(pipeline, image, |inputs| {
                let trace = core_trace::trace(model, inputs)?;
                let mut comparison = Comparison::new(&trace, &scales);
                let features = network.features(&inputs.image, &mut comparison)?;
                for mask in &network.masks(inputs)? {
                    network.logits(&features, mask, &mut comparison);
                }
                Ok::<_, PostTrainingError>(comparison.energies)
            })??;
            done();
            Ok(energies)
        })
        .collect::<Result<Vec<_>, PostTrainingError>>()?;
    let mut energies = vec![Energy::default(); scales.len()];
    for image in each {
        for (all, one) in energies.iter_mut().zip(image) {
            all.signal += one.signal;
            all.noise += one.noise;
        }
    }
    let logits = Place::FullyConnected(Path::Joint, spec.head.joint_fcs.len().saturating_sub(1));
    let layers = histograms.0.iter().zip(scales.iter().zip(energies));
    Ok(layers
        .map(|((place, histogram), (scale, energy))| LayerReport {
            layer: place.to_string(),
            kind: kind(spec, *place),
            exponent: scale.exponent,
            zero_point: scale.zero_point,
            max: histogram.max_abs(),
            // Sixteen bits at twice the room of the largest clip nothing, and 8-bit limits say nothing about them.
            clipped: if *place == logits {
                0.0
            } else {
                histogram.clipped(scale)
            },
            sqnr_db: energy.decibels(),
        })
        .collect())
}

/// The scale of every layer's output, in the order of the model file.
fn scales(spec: &ModelSpec) -> Vec<OutputScale> {
    let mut scales = spec.tensor_scales();
    scales.remove(0);
    for path in Path::ALL {
        scales.extend(spec.head.fcs(path).iter().map(|fc| fc.output));
    }
    scales
}

fn kind(spec: &ModelSpec, place: Place) -> &'static str {
    match place {
        Place::Layer(i) => match spec.layers.get(i) {
            Some(LayerSpec::Conv2d(_)) => "conv2d",
            Some(LayerSpec::MaxPool(_)) => "max pool",
            Some(LayerSpec::AvgPool(_)) => "avg pool",
            Some(LayerSpec::Add(_)) | None => "add",
        },
        Place::FullyConnected(..) => "fully connected",
    }
}
