//! The backbone in float operators: the real numbers that a model's integers stand for, without re-quantization.
//!
//! This is what the integers are measured against: it computes other numbers, within the error of quantization.

use cfm_core::model::Model;
use cfm_core::requantize::OutputScale;

use super::backbone::{conv_window, pool_window, tensor_name};
use super::graph::{Attribute, Graph, Length, Value};
use super::requantize::power_of_two;
use super::{ExportError, file, per_input};
use crate::onnx::proto::{DataType, ModelProto};
use crate::quantize::real_parameters;
use crate::spec::{LayerSpec, ModelSpec};

/// Writes a model's backbone in float operators.
///
/// Input `image`, f32 `[1, channels, height, width]`: `(pixel - 128) / 128`; output `features`, f32 likewise.
///
/// # Errors
/// As [`export`](super::export).
pub fn export_float(model: &Model<'_>) -> Result<ModelProto, ExportError> {
    let spec = ModelSpec::try_from(model)?;
    let shapes = spec.tensor_shapes()?;
    let scales = spec.tensor_scales();
    let nchw = |at: usize| {
        let shape = shapes[at];
        [1, shape.channels, shape.height, shape.width].map(|length| Length::Fixed(length.into()))
    };
    let mut graph = Graph::new("backbone");
    graph.input("image", DataType::Float, &nchw(0));
    for (layer, at) in spec.layers.iter().zip(1..) {
        let name = |at| tensor_name(at, spec.layers.len());
        let output = name(at);
        match layer {
            LayerSpec::Conv2d(conv) => {
                let filter_len = conv.weights.len() / usize::from(conv.out_channels).max(1);
                let (weights, biases) = real_parameters(
                    &conv.weights,
                    &conv.channels,
                    scales[conv.input],
                    conv.output,
                );
                let [rows, columns] = conv.window.kernel.map(usize::from);
                let outputs = usize::from(conv.out_channels);
                let inputs = filter_len / (rows * columns).max(1);
                let weights = per_input(&weights, filter_len, inputs);
                let shape = [outputs, inputs, rows, columns];
                let weights = graph.initializer(&format!("{output}.weights"), &shape, &weights);
                let bias = graph.initializer(&format!("{output}.bias"), &[outputs], &biases);
                let sums = graph.apply_with(
                    "Conv",
                    &[&name(conv.input), &weights, &bias],
                    &conv_window(&conv.window, conv.groups),
                );
                activate(&mut graph, &sums, conv.output, &output);
            }
            LayerSpec::MaxPool(pool) => {
                let window = pool_window(pool, shapes[pool.input], shapes[at]);
                graph.named(&output, "MaxPool", &[&name(pool.input)], &window);
            }
            LayerSpec::AvgPool(pool) => {
                let [kernel, strides, pads] = pool_window(pool, shapes[pool.input], shapes[at]);
                let inside = ("count_include_pad", Attribute::Int(0));
                let window = [kernel, strides, pads, inside];
                graph.named(&output, "AveragePool", &[&name(pool.input)], &window);
            }
            LayerSpec::Add(sum) => {
                let [a, b] = sum.inputs.map(name);
                let total = graph.apply("Add", &[&a, &b]);
                activate(&mut graph, &total, sum.output, &output);
            }
        }
    }
    graph.output("features", DataType::Float, &nchw(spec.layers.len()));
    Ok(file(&spec, graph, "float"))
}

/// The activation that the clamp of `scale` is: ReLU if it begins at zero, and an end that is not that of the range.
fn activate(graph: &mut Graph, value: &str, scale: OutputScale, name: &str) -> Value {
    let real = |q: i8| {
        let steps = f64::from(q) - f64::from(scale.zero_point);
        (steps * power_of_two(scale.exponent.into())) as f32
    };
    let low = (scale.low == scale.zero_point || scale.low > i8::MIN).then(|| real(scale.low));
    let high = (scale.high < i8::MAX).then(|| real(scale.high));
    match (low, high) {
        (None, None) => graph.rename(value, name),
        (Some(0.0), None) => graph.named(name, "Relu", &[value], &[]),
        (low, high) => {
            // An input that is left out has no name.
            let mut bound = |bound: Option<f32>| bound.map_or(String::new(), |x| graph.scalar(x));
            let (low, high) = (bound(low), bound(high));
            graph.named(name, "Clip", &[value, &low, &high], &[])
        }
    }
}
