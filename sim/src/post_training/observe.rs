//! The float network on the calibration photographs.

use std::sync::{Mutex, PoisonError};

use cfm_core::segment::Segment;
use cfm_model::Place;
use cfm_model::float_model::FloatModel;
use cfm_model::quantize::bias_correction::ChannelMeans;
use cfm_model::quantize::range::Histogram;
use rayon::prelude::*;

use super::{PerLayer, PostTrainingError, SEGMENTS};
use crate::core_trace::CoreError;
use crate::float_network::{FloatNetwork, Observer, SegmentMask};
use crate::memory_bound::check_compare;
use crate::pipeline::{NetworkInput, Pipeline, PipelineError};
use crate::trace::Inputs;

/// What was seen.
pub(super) struct Observed {
    /// How often every layer's output takes which values.
    pub histograms: PerLayer<Histogram>,
    /// The mean of every channel of a layer's sums.
    pub means: PerLayer<ChannelMeans>,
    /// The masks of the segments of every image.
    pub masks: Vec<Vec<SegmentMask>>,
}

/// Calls `with` with an image and at most [`SEGMENTS`] of its proposals, evenly spread.
pub(super) fn with_segments<T>(
    pipeline: &Pipeline<'_>,
    image: &NetworkInput,
    with: impl FnOnce(&Inputs<'_>) -> T,
) -> Result<T, PipelineError> {
    Inputs::of_input(pipeline, image, |inputs| {
        let count = inputs.segments.len();
        let taken = count.min(SEGMENTS);
        let segments: Vec<Segment<'_>> = (0..taken)
            .map(|i| inputs.segments[i * count / taken])
            .collect();
        with(&Inputs {
            segments: &segments,
            ..*inputs
        })
    })
}

/// Counts values and adds up sums; remembers the first layer whose output is not finite.
struct Watch<'a> {
    histograms: &'a Mutex<PerLayer<Histogram>>,
    means: PerLayer<ChannelMeans>,
    broken: Option<Place>,
}

impl Observer for Watch<'_> {
    fn sums(&mut self, place: Place, sums: &[f32]) {
        if let Some(means) = self.means.get_mut(place) {
            means.add(sums);
        }
    }

    fn output(&mut self, place: Place, output: &[f32]) {
        // Counts are never half done: a panic elsewhere does not spoil them.
        let mut histograms = self
            .histograms
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(histogram) = histograms.get_mut(place)
            && histogram.add(output).is_err()
        {
            self.broken.get_or_insert(place);
        }
    }
}

/// Runs the float network on all images and on segments of them.
pub(super) fn observe(
    network: &FloatNetwork<'_>,
    float: &FloatModel,
    pipeline: &Pipeline<'_>,
    images: &[NetworkInput],
    done: &(impl Fn() + Sync),
) -> Result<Observed, PostTrainingError> {
    let histograms = Mutex::new(PerLayer::new(float, |_| Histogram::default())?);
    let empty = PerLayer::new(float, ChannelMeans::new)?;
    let seen = images
        .par_iter()
        .map(|image| {
            let mut watch = Watch {
                histograms: &histograms,
                means: empty.clone(),
                broken: None,
            };
            let masks = with_segments(pipeline, image, |inputs| {
                // What the integers will be compared on: better refused now than when all else is done.
                check_compare(pipeline.model(), inputs).map_err(CoreError::from)?;
                let features = network.features(&inputs.image, &mut watch)?;
                let masks = network.masks(inputs)?;
                for mask in &masks {
                    network.logits(&features, mask, &mut watch);
                }
                Ok::<_, PostTrainingError>(masks)
            })??;
            if let Some(place) = watch.broken {
                return Err(PostTrainingError::NotFinite(place));
            }
            done();
            Ok((watch.means, masks))
        })
        .collect::<Result<Vec<_>, _>>()?;
    // In the order of the images, so that the rounding of the sums does not depend on the threads.
    let mut means = empty;
    let mut masks = Vec::with_capacity(seen.len());
    for (more, segments) in seen {
        for ((_, means), (_, more)) in means.0.iter_mut().zip(&more.0) {
            means.merge(more);
        }
        masks.push(segments);
    }
    Ok(Observed {
        histograms: histograms
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner),
        means,
        masks,
    })
}

/// Keeps the largest magnitude of every channel of the backbone's layers.
struct Largest(Vec<Vec<f32>>);

impl Observer for Largest {
    fn output(&mut self, place: Place, output: &[f32]) {
        if let Place::Layer(layer) = place {
            let largest = &mut self.0[layer];
            for cell in output.chunks_exact(largest.len().max(1)) {
                for (largest, value) in largest.iter_mut().zip(cell) {
                    *largest = largest.max(value.abs());
                }
            }
        }
    }
}

/// The largest magnitude of every output channel of every layer of the backbone.
pub(super) fn channel_ranges(
    network: &FloatNetwork<'_>,
    float: &FloatModel,
    images: &[NetworkInput],
    done: &(impl Fn() + Sync),
) -> Result<Vec<Vec<f32>>, PostTrainingError> {
    let shapes = float.tensor_shapes()?;
    let empty = || {
        let channels = shapes.iter().skip(1).map(|shape| shape.channels.into());
        Largest(channels.map(|channels| vec![0.0_f32; channels]).collect())
    };
    let largest = images
        .par_iter()
        .map(|image| {
            let mut largest = empty();
            let view = image.view().map_err(PipelineError::from)?;
            network.features(&view, &mut largest)?;
            done();
            Ok::<_, PostTrainingError>(largest)
        })
        .try_reduce(empty, |mut a, b| {
            for (a, b) in a.0.iter_mut().flatten().zip(b.0.iter().flatten()) {
                *a = a.max(*b);
            }
            Ok(a)
        })?;
    Ok(largest.0)
}
