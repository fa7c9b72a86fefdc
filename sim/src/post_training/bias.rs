//! Sequential bias correction: the quantized network runs layer by layer on all photographs, and every layer's bias is
//! corrected before the next one reads its output.
//!
//! The quantized network is computed in f32 on dequantized weights, with every output rounded to its scale. It is the
//! integer network up to the rounding of sums beyond 24 bits, which means over many cells do not notice.

use cfm_core::model::{Design, Path, Shape};
use cfm_model::Place;
use cfm_model::float_model::{FloatFc, FloatLayer, FloatModel};
use cfm_model::quantize::bias_correction::{ChannelMeans, correct_bias};
use cfm_model::quantize::{QuantizeError, WeightScales, dequantized, quantize_with};
use cfm_model::spec::OutputScale;
use rayon::prelude::*;

use super::observe::Observed;
use super::{PerLayer, PostTrainingError};
use crate::float_network::head::{pooled, sums};
use crate::float_network::layers::{Convolution, add, avg_pool, max_pool};
use crate::float_network::{SegmentMask, Tensor};
use crate::pipeline::{NetworkInput, PipelineError};

/// Corrects all biases of `float`, whose scales have been chosen.
pub(super) fn correct(
    float: &mut FloatModel,
    scales: WeightScales,
    images: &[NetworkInput],
    observed: &Observed,
    done: &(impl Fn() + Sync),
) -> Result<(), PostTrainingError> {
    let shapes = float.tensor_shapes()?;
    let mut tensors = Vec::with_capacity(images.len());
    for image in images {
        let view = image.view().map_err(PipelineError::from)?;
        tensors.push(vec![Some(Tensor::image(shapes[0], view.pixels()))]);
    }
    let outputs = quantize_with(float, scales)?.tensor_scales();
    for i in 0..float.layers.len() {
        layer(
            float,
            scales,
            i,
            &shapes,
            outputs[i + 1],
            &observed.means,
            &mut tensors,
        )?;
        let needed: Vec<bool> = (0..=i + 1)
            .map(|tensor| {
                let later = &float.layers[i + 1..];
                tensor == float.layers.len()
                    || later
                        .iter()
                        .any(|l| l.shape().inputs().any(|t| t == tensor))
            })
            .collect();
        for tensors in &mut tensors {
            for (tensor, &needed) in tensors.iter_mut().zip(&needed) {
                if !needed {
                    *tensor = None;
                }
            }
        }
    }
    head(float, scales, &tensors, observed)?;
    images.iter().for_each(|_| done());
    Ok(())
}

/// Rounds to the integers of `scale`, in real values: activation and clipping at once.
fn round(values: &mut [f32], scale: OutputScale) {
    let zero = f64::from(scale.zero_point);
    let step = 2f64.powi(scale.exponent.into());
    let (low, high) = (f64::from(scale.low) - zero, f64::from(scale.high) - zero);
    for value in values {
        let steps = (f64::from(*value) / step).round_ties_even();
        *value = (steps.clamp(low, high) * step) as f32;
    }
}

/// Corrects layer `i` if it has a bias, and appends its output to the tensors of every image.
fn layer(
    float: &mut FloatModel,
    scales: WeightScales,
    i: usize,
    shapes: &[Shape],
    output: OutputScale,
    means: &PerLayer<ChannelMeans>,
    tensors: &mut [Vec<Option<Tensor>>],
) -> Result<(), PostTrainingError> {
    let shape = shapes[i + 1];
    let outputs: Vec<Option<Tensor>> = match &float.layers[i] {
        FloatLayer::Conv2d(conv) => {
            let input = conv.input;
            let real = real_layer(float, scales, i)?;
            let Some((convolution, bias)) = real else {
                return Ok(());
            };
            let mut sums: Vec<Option<Tensor>> = tensors
                .par_iter()
                .map(|tensors| Some(convolution.sums(tensors[input].as_ref()?, shape)))
                .collect();
            let channels = usize::from(shape.channels);
            let each = sums.par_iter().flatten().map(|sums| {
                let mut means = ChannelMeans::new(channels);
                means.add(&sums.data);
                means
            });
            // One after the other, so that rounding does not depend on the threads.
            let mut quantized = ChannelMeans::new(channels);
            for means in each.collect::<Vec<_>>() {
                quantized.merge(&means);
            }
            if let (FloatLayer::Conv2d(conv), Some(expected)) =
                (&mut float.layers[i], means.get(Place::Layer(i)))
            {
                correct_bias(&mut conv.bias, expected, &quantized);
            }
            let corrected = real_layer(float, scales, i)?.map_or(bias.clone(), |(_, bias)| bias);
            sums.par_iter_mut().flatten().for_each(|sums| {
                for cell in sums.data.chunks_exact_mut(channels.max(1)) {
                    for (sum, (new, old)) in cell.iter_mut().zip(corrected.iter().zip(&bias)) {
                        *sum += new - old;
                    }
                }
                round(&mut sums.data, output);
            });
            sums
        }
        other => tensors
            .par_iter()
            .map(|tensors| {
                let mut tensor = match other {
                    FloatLayer::MaxPool(pool) => {
                        max_pool(&pool.window, tensors[pool.input].as_ref()?, shape)
                    }
                    FloatLayer::AvgPool(pool) => {
                        avg_pool(&pool.window, tensors[pool.input].as_ref()?, shape)
                    }
                    FloatLayer::Add(layer) => {
                        let [a, b] = layer.inputs;
                        add(layer, tensors[a].as_ref()?, tensors[b].as_ref()?)
                    }
                    FloatLayer::Conv2d(_) => return None,
                };
                round(&mut tensor.data, output);
                Some(tensor)
            })
            .collect(),
    };
    for (tensors, output) in tensors.iter_mut().zip(outputs) {
        tensors.push(output);
    }
    Ok(())
}

/// Convolution `i` with the weights and the bias that its integers stand for.
fn real_layer(
    float: &FloatModel,
    scales: WeightScales,
    i: usize,
) -> Result<Option<(Convolution, Vec<f32>)>, QuantizeError> {
    let mut real = dequantized(&quantize_with(float, scales)?, float);
    Ok(match real.layers.swap_remove(i) {
        FloatLayer::Conv2d(conv) => {
            let bias = conv.bias.clone();
            Some((Convolution::new(conv), bias))
        }
        _ => None,
    })
}

/// Corrects the fully connected layers, on the segments of all images.
fn head(
    float: &mut FloatModel,
    scales: WeightScales,
    tensors: &[Vec<Option<Tensor>>],
    observed: &Observed,
) -> Result<(), PostTrainingError> {
    let segments: Vec<(&Tensor, &SegmentMask)> = tensors
        .iter()
        .zip(&observed.masks)
        .filter_map(|(tensors, masks)| Some((tensors.last()?.as_ref()?, masks)))
        .flat_map(|(features, masks)| masks.iter().map(move |mask| (features, mask)))
        .collect();
    let (mut segment, mut region): (Vec<_>, Vec<_>) = segments
        .par_iter()
        .map(|(features, mask)| {
            let [segment, region] = pooled(&float.head, features, mask);
            (segment, region)
        })
        .unzip();
    chain(float, scales, Path::Segment, &mut segment, observed)?;
    if float.head.design == Design::A {
        chain(float, scales, Path::Region, &mut region, observed)?;
    }
    for (segment, region) in segment.iter_mut().zip(region) {
        segment.extend(region);
    }
    chain(float, scales, Path::Joint, &mut segment, observed)
}

/// Corrects the layers of a path; `vectors`, one per segment, go through it.
fn chain(
    float: &mut FloatModel,
    scales: WeightScales,
    path: Path,
    vectors: &mut [Vec<f32>],
    observed: &Observed,
) -> Result<(), PostTrainingError> {
    for i in 0..float.head.fcs(path).len() {
        let place = Place::FullyConnected(path, i);
        let real = dequantized(&quantize_with(float, scales)?, float);
        let layer = &real.head.fcs(path)[i];
        vectors
            .par_iter_mut()
            .for_each(|vector| *vector = sums(layer, vector));
        let mut quantized = ChannelMeans::new(layer.bias.len());
        for vector in &*vectors {
            quantized.add(vector);
        }
        if let Some(expected) = observed.means.get(place) {
            correct_bias(&mut fc(float, path, i).bias, expected, &quantized);
        }
        let corrected = dequantized(&quantize_with(float, scales)?, float);
        let corrected = &corrected.head.fcs(path)[i].bias;
        let output = layer.output.output_scale();
        vectors.par_iter_mut().for_each(|vector| {
            for (sum, (new, old)) in vector.iter_mut().zip(corrected.iter().zip(&layer.bias)) {
                *sum += new - old;
            }
            // The classifier's logits go nowhere.
            round(vector, output);
        });
    }
    Ok(())
}

fn fc(float: &mut FloatModel, path: Path, i: usize) -> &mut FloatFc {
    let fcs = match path {
        Path::Segment => &mut float.head.segment_fcs,
        Path::Region => &mut float.head.region_fcs,
        Path::Joint => &mut float.head.joint_fcs,
    };
    &mut fcs[i]
}
