//! Networks whose integers are taken over as they are.

mod layers;
mod metadata;
mod multiplier;
mod walk;

use std::collections::HashMap;

use crate::onnx::proto::{DataType, ModelProto};
use crate::quantize::logit_exponent;
use crate::spec::{
    Channel, FcSpec, HeadSpec, InputSpec, ModelSpec, OutputScale, classifier_output,
};

use super::error::{ImportError, Result};
use super::graph::{self, Graph};
use super::pathways::{self, outputs};
use super::{ImportedIntegers, Options, Pixels, imported_from, numbered_classes};
use layers::{Kind, Layers, Numbers, Output, Sum};
use metadata::Metadata;
use multiplier::{Multiplier, is_power_of_two, nominal};
use walk::{Computed, Walker};

/// Whether a graph has a quantized operator or reads integers.
pub fn is_quantized(graph: &Graph<'_>) -> bool {
    const OPERATORS: [&str; 7] = [
        "QuantizeLinear",
        "DequantizeLinear",
        "ConvInteger",
        "MatMulInteger",
        "QGemm",
        "QLinearConv",
        "QLinearMatMul",
    ];
    let integer = |kind| [DataType::Uint8 as i32, DataType::Int8 as i32].contains(&kind);
    let mut nodes = graph.nodes.iter();
    nodes.any(|node| OPERATORS.contains(&&*node.0.op_type))
        || graph.inputs.iter().any(|input| integer(input.elements))
}

/// Reads a quantized network.
pub fn import(
    model: &ModelProto,
    graph: &Graph<'_>,
    image: InputSpec,
    head: Option<&[u8]>,
    options: &Options,
) -> Result<ImportedIntegers> {
    if !options.exact_border {
        return Err(ImportError::Model(
            "the network is quantized; its padding is what it is, and not grey".to_owned(),
        ));
    }
    let integers = graph
        .inputs
        .iter()
        .any(|image| image.elements == DataType::Uint8 as i32);
    if integers && options.pixels != Pixels::default() {
        return Err(ImportError::Model(
            "the network reads pixels as they are; there is no white, mean or deviation to say"
                .to_owned(),
        ));
    }
    let metadata = Metadata::read(model)?;
    let none = HashMap::new();
    let scales = metadata.as_ref().map_or(&none, |known| &known.quantization);
    let mut walker = Walker::of_image(graph, image, scales, options.pixels)?;
    let named = head.is_some();
    let (layers, logits) = match (walker.walk()?, head) {
        (Computed::Map(features), Some(head)) => {
            let head = graph::decode(head)?;
            metadata::check_same_export(model, &head)?;
            let graph = Graph::new(&head, None)?;
            let mut walker = Walker::of_pyramid(&graph, scales, walker.layers, &features)?;
            let logits = walker.walk()?;
            (walker.layers, logits)
        }
        (Computed::Map(_), None) => {
            return Err(ImportError::Head(
                "this is a backbone; a head is needed too, in a file of its own".to_owned(),
            ));
        }
        (_, Some(_)) => {
            return Err(ImportError::Model(
                "the network has a head of its own; name the feature map to replace it".to_owned(),
            ));
        }
        (logits, None) => (walker.layers, logits),
    };
    let mut notes = Vec::new();
    let (mut layers, last) = finish(layers, logits)?;
    let head_options = metadata.as_ref().map_or(&options.head, |known| &known.head);
    let channels = layers.chain.shapes[layers.chain.shapes.len() - 1].channels;
    let head = std::mem::replace(&mut layers.head, pathways::Layers(Vec::new()));
    let logits = scales.get("logits").map(|known| known.exponent);
    let pathways = head.pathways(last, channels, named, head_options)?;
    let head = assemble(pathways, head_options, logits, &mut layers, &mut notes)?;
    if layers.general {
        notes.push(
            "scales of activations that are no powers of two have become part of multipliers"
                .to_owned(),
        );
    }
    if layers.worst > 0.0 {
        notes.push(format!(
            "multipliers are rounded to 15 bits: off by a share of {:.1e} at most (2^-15 = 3.1e-5)",
            layers.worst
        ));
    }
    let count = head
        .joint_fcs
        .last()
        .map_or(0, |fc| usize::from(fc.outputs));
    let classes = match (&metadata, &options.classes) {
        (_, Some(classes)) => classes.clone(),
        (Some(known), None) => known.classes.clone(),
        (None, None) => numbered_classes(count),
    };
    if classes.len() != count {
        return Err(ImportError::Head(format!(
            "it has {count} outputs for {} classes",
            classes.len()
        )));
    }
    let spec = ModelSpec {
        input: image,
        layers: layers.chain.layers,
        head,
        classes,
        labelling: metadata.as_ref().and_then(|known| known.labelling),
        calibration: metadata.as_ref().and_then(|known| known.calibration),
        proposals: metadata.as_ref().and_then(|known| known.proposals.clone()),
        provenance: metadata.map_or_else(|| imported_from(model), |known| known.provenance),
        unknown: Vec::new(),
    };
    Ok(ImportedIntegers { model: spec, notes })
}

/// The classifier, as a layer even if the file leaves its output real.
fn finish(mut layers: Layers, logits: Computed) -> Result<(Layers, usize)> {
    match logits {
        Computed::Logits(last) => Ok((layers, last)),
        Computed::RealLogits(sum) => {
            // 16 bits hold 256 of these steps.
            let scale = bound(&sum) / 256.0;
            let output = Output {
                scale: scale as f32,
                zero: 0,
                unsigned: false,
                range: [i8::MIN.into(), i8::MAX.into()],
                bounded: false,
            };
            // This scale is not the file's.
            let general = layers.general;
            layers
                .finish(*sum, output, true)
                .map_err(ImportError::Head)?;
            layers.general = general;
            let last = layers.head.0.len() - 1;
            Ok((layers, last))
        }
        Computed::Map(_) => Err(ImportError::Head("it does not compute a vector".to_owned())),
    }
}

/// Largest magnitude that the outputs can have.
fn bound(sum: &Sum) -> f64 {
    // Logits have no finer steps than 2^-30.
    let least = f64::from(-16).exp2();
    let Kind::Fc { input, weights, .. } = &sum.kind else {
        return least;
    };
    let zero = i64::from(input.zero.unwrap_or(0));
    let (low, high) = (i64::from(input.low) - zero, i64::from(i8::MAX) - zero);
    let unit = sum.unit.as_deref().unwrap_or_default();
    let filters = weights.chunks_exact((weights.len() / sum.bias.len().max(1)).max(1));
    let channels = filters.zip(&sum.bias).zip(unit);
    channels.fold(least, |most, ((filter, &bias), unit)| {
        let sum = |end: fn(i64, i64, i64) -> i64| -> i64 {
            let weights = filter.iter().map(|&w| i64::from(w));
            bias + weights.map(|w| end(w, low, high)).sum::<i64>()
        };
        let largest = sum(|w, low, high| (w * low).max(w * high));
        let smallest = sum(|w, low, high| (w * low).min(w * high));
        let steps = largest.unsigned_abs().max(smallest.unsigned_abs());
        most.max(steps as f64 * unit)
    })
}

/// The head of the model; `logits` is the exponent of the logits, where it is known.
fn assemble(
    pathways: pathways::Pathways<Numbers>,
    options: &super::HeadOptions,
    logits: Option<i8>,
    layers: &mut Layers,
    notes: &mut Vec<String>,
) -> Result<HeadSpec> {
    let mut logit_exponent = logits.unwrap_or(0);
    let mut fcs = Vec::with_capacity(3);
    for (path, path_layers) in pathways.layers.into_iter().enumerate() {
        let mut specs = Vec::new();
        let count = path_layers.len();
        for (at, layer) in path_layers.into_iter().enumerate() {
            let mut numbers = layer.numbers;
            if path == 2 && at == 0 {
                let inputs = numbers.weights.len() / layer.outputs.max(1);
                for row in numbers.weights.chunks_exact_mut(inputs.max(1)) {
                    row.rotate_left(pathways.rotate);
                }
            }
            let is_classifier = path == 2 && at + 1 == count;
            if is_classifier && numbers.bounded {
                return Err(ImportError::Head(
                    "an activation or a clamp follows after the classifier's fully connected layer"
                        .to_owned(),
                ));
            }
            let (output, step) = if is_classifier {
                if logits.is_none() {
                    logit_exponent = finer(numbers.scale)?;
                    notes.push(format!(
                        "logits have 16 bits, in steps of 2^{logit_exponent}"
                    ));
                }
                (
                    classifier_output(logit_exponent),
                    f64::from(logit_exponent).exp2(),
                )
            } else {
                layers.general |= !is_power_of_two(numbers.scale);
                (eight_bits(&numbers)?, f64::from(numbers.scale))
            };
            let mut channels = Vec::with_capacity(layer.outputs);
            for (unit, &bias) in numbers.unit.iter().zip(&numbers.bias) {
                let multiplier = Multiplier::nearest(unit / step).map_err(ImportError::Head)?;
                layers.worst = layers.worst.max(multiplier.error);
                channels.push(Channel {
                    bias,
                    mantissa: multiplier.mantissa,
                    shift: multiplier.shift,
                });
            }
            specs.push(FcSpec {
                outputs: outputs(layer.outputs)?,
                output,
                weights: numbers.weights,
                channels,
            });
        }
        fcs.push(specs);
    }
    let [segment_fcs, region_fcs, joint_fcs] =
        <[Vec<FcSpec>; 3]>::try_from(fcs).unwrap_or_default();
    Ok(HeadSpec {
        design: pathways.design,
        classifier: options.classifier,
        mask_rule: options.mask_rule,
        segment_levels: pathways.segment_levels,
        region_levels: pathways.region_levels,
        segment_fcs,
        region_fcs,
        joint_fcs,
        logit_exponent,
    })
}

/// The exponent of 16-bit logits that hold whatever 8 bits of `scale` do.
fn finer(scale: f32) -> Result<i8> {
    logit_exponent(256.0 * scale)
        .ok_or_else(|| ImportError::Head(format!("the logits' scale {scale} is no number")))
}

fn eight_bits(numbers: &Numbers) -> Result<OutputScale> {
    let narrow = |value: i32| {
        i8::try_from(value)
            .map_err(|_| ImportError::Head(format!("{value} is no 8-bit value of a hidden layer")))
    };
    Ok(OutputScale {
        zero_point: narrow(numbers.zero)?,
        exponent: nominal(numbers.scale).map_err(ImportError::Head)?,
        low: narrow(numbers.range[0])?,
        high: narrow(numbers.range[1])?,
    })
}
