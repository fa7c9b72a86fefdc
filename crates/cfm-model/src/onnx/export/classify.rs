//! The fully connected layers: pyramid vectors to logits. Exact for any multiplier, as [`requantize`](super::requantize)
//! explains.

use cfm_core::model::{Design, Path};

use super::backbone::real_biases;
use super::graph::{Attribute, Graph, Length, Value};
use super::requantize::{multiplier, requantize, scale, unsigned};
use crate::onnx::proto::DataType;
use crate::spec::{FcSpec, HeadSpec, ModelSpec};

/// Name of layer `at` of a path.
pub(super) fn fc_name(head: &HeadSpec, path: Path, at: usize) -> String {
    let name = match path {
        Path::Segment => "segment",
        Path::Region => "region",
        Path::Joint if at + 1 == head.joint_fcs.len() => return "logits".to_owned(),
        Path::Joint => "joint",
    };
    format!("{name}_fc_{at}")
}

/// A vector per segment.
struct Vector {
    name: Value,
    zero_point: i8,
}

/// Declares the pyramid vectors as inputs, of `channels` channels per bin.
pub(super) fn declare_vectors(graph: &mut Graph, head: &HeadSpec, channels: u16) {
    let shape = head.shape();
    let mut declare = |name: &str, bins: usize| {
        let length = Length::Fixed(bins * usize::from(channels));
        graph.input(name, DataType::Uint8, &[Length::Segments, length]);
    };
    declare("segment_vector", shape.segment_bins);
    if head.design == Design::A {
        declare("region_vector", shape.region_bins);
    }
}

/// Adds the layers after `segment_vector` and, in Design A, `region_vector`; the last node writes `logits`, which becomes an
/// output.
pub(super) fn add(graph: &mut Graph, spec: &ModelSpec, feature_zero_point: i8) {
    let head = &spec.head;
    let path = |graph: &mut Graph, path: Path, vector: Vector| {
        let mut current = vector;
        for (at, layer) in head.fcs(path).iter().enumerate() {
            let name = fc_name(head, path, at);
            current = fully_connected(graph, layer, &current, &name);
        }
        current
    };
    let vector = |name: &str| Vector {
        name: name.to_owned(),
        zero_point: feature_zero_point,
    };
    let segment = path(graph, Path::Segment, vector("segment_vector"));
    let joint = if head.design == Design::A {
        let region = path(graph, Path::Region, vector("region_vector"));
        // Both paths end with the same zero point.
        Vector {
            name: graph.concat(&[segment.name, region.name]),
            zero_point: segment.zero_point,
        }
    } else {
        segment
    };
    path(graph, Path::Joint, joint);
    let shape = [Length::Segments, Length::Fixed(spec.classes.len())];
    graph.output("logits", DataType::Int16, &shape);
}

fn fully_connected(graph: &mut Graph, layer: &FcSpec, input: &Vector, name: &str) -> Vector {
    let outputs = usize::from(layer.outputs);
    let inputs = layer.weights.len() / outputs.max(1);
    // From (out, in) to (in, out).
    let weights: Vec<i8> = (0..inputs)
        .flat_map(|i| layer.weights.iter().skip(i).step_by(inputs).copied())
        .collect();
    let weights = graph.initializer(&format!("{name}.weights"), &[inputs, outputs], &weights);
    let zero_point = graph.scalar(unsigned(input.zero_point));
    let operands = [&input.name, &weights, &zero_point].map(String::as_str);
    let sums = graph.apply("MatMulInteger", &operands);
    let biases = real_biases(&layer.weights, &layer.channels, input.zero_point);
    let biases = graph.initializer(&format!("{name}.bias"), &[outputs], &biases);
    let accumulators = graph.apply("Add", &[&sums, &biases]);
    let multipliers: Vec<f64> = layer.channels.iter().map(multiplier).collect();
    let multipliers = graph.initializer(&format!("{name}.multiplier"), &[outputs], &multipliers);
    if name == "logits" {
        let steps = scale(graph, &accumulators, &multipliers);
        let rounded = graph.apply("Round", &[&steps]);
        let bounds = [i16::MIN, i16::MAX].map(|bound| graph.scalar(f64::from(bound)));
        let clipped = graph.apply("Clip", &[&rounded, &bounds[0], &bounds[1]]);
        let to = [("to", Attribute::to(DataType::Int16))];
        graph.named(name, "Cast", &[&clipped], &to);
    } else {
        requantize(graph, &accumulators, &multipliers, &layer.output, name);
    }
    Vector {
        name: name.to_owned(),
        zero_point: layer.output.zero_point,
    }
}
