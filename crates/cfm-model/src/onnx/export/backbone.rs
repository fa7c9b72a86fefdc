//! The backbone: the image to the feature map, layer by layer.

use cfm_core::model::{Shape, Window};
use cfm_core::requantize::OutputScale;

use super::graph::{Attribute, Graph, Length, Value};
use super::requantize::{Reach, multiplier, power_of_two, requantize, round_to_u8, unsigned};
use super::{Format, per_input};
use crate::onnx::proto::DataType;
use crate::spec::{AddSpec, ConvSpec, LayerSpec, ModelSpec, PoolSpec};

/// Name of tensor `at` of a backbone with `layers` layers.
pub(super) fn tensor_name(at: usize, layers: usize) -> String {
    match at {
        0 => "image".to_owned(),
        _ if at == layers => "features".to_owned(),
        _ => format!("tensor_{at}"),
    }
}

/// A tensor of the graph.
struct Tensor {
    name: Value,
    shape: Shape,
    /// Its scale, and the clamp that its values keep to.
    scale: OutputScale,
}

impl Tensor {
    /// The zero point as a constant of the tensor's own type.
    fn zero_point(&self, graph: &mut Graph) -> Value {
        graph.scalar(unsigned(self.scale.zero_point))
    }

    /// The scale as a constant.
    fn scale(&self, graph: &mut Graph) -> Value {
        scale_constant(graph, self.scale.exponent)
    }

    fn dequantize(&self, graph: &mut Graph) -> Value {
        let (scale, zero_point) = (self.scale(graph), self.zero_point(graph));
        graph.apply("DequantizeLinear", &[&self.name, &scale, &zero_point])
    }

    /// The bounds of `q - zero_point`, padding included.
    fn real_bounds(&self) -> (i32, i32) {
        let scale = &self.scale;
        let zero = i32::from(scale.zero_point);
        (
            (i32::from(scale.low) - zero).min(0),
            (i32::from(scale.high) - zero).max(0),
        )
    }
}

fn scale_constant(graph: &mut Graph, exponent: i8) -> Value {
    // Exponents are above -127.
    graph.scalar(power_of_two(exponent.into()) as f32)
}

/// Adds the backbone to a graph with the input `image`; the last node writes `features`.
pub(super) fn add(graph: &mut Graph, spec: &ModelSpec, shapes: &[Shape], format: Format) {
    let scales = spec.tensor_scales();
    let mut tensors: Vec<Tensor> = Vec::new();
    for (at, (&shape, scale)) in shapes.iter().zip(scales).enumerate() {
        let name = tensor_name(at, spec.layers.len());
        let output = Tensor { name, shape, scale };
        match at.checked_sub(1).map(|layer| &spec.layers[layer]) {
            None => {
                let shape = [1, shape.channels, shape.height, shape.width];
                let shape = shape.map(|length| Length::Fixed(length.into()));
                graph.input(&output.name, DataType::Uint8, &shape);
            }
            Some(LayerSpec::Conv2d(conv)) => {
                convolution(graph, conv, &tensors[conv.input], &output, format);
            }
            Some(LayerSpec::MaxPool(pool)) => {
                let input = &tensors[pool.input];
                let window = pool_window(pool, input.shape, output.shape);
                graph.named(&output.name, "MaxPool", &[&input.name], &window);
            }
            Some(LayerSpec::AvgPool(pool)) => {
                average(graph, pool, &tensors[pool.input], &output, format);
            }
            Some(LayerSpec::Add(sum)) => {
                let inputs = sum.inputs.map(|input| &tensors[input]);
                addition(graph, sum, inputs, &output, format);
            }
        }
        tensors.push(output);
    }
}

/// Declares `features` as an output of the graph.
pub(super) fn declare_features(graph: &mut Graph, shape: Shape) {
    let shape = [1, shape.channels, shape.height, shape.width];
    let shape = shape.map(|length| Length::Fixed(length.into()));
    graph.output("features", DataType::Uint8, &shape);
}

fn pair(values: [u8; 2]) -> Attribute {
    Attribute::Ints(values.map(i64::from).to_vec())
}

pub(super) fn pool_window(
    pool: &PoolSpec,
    input: Shape,
    output: Shape,
) -> [(&'static str, Attribute); 3] {
    let window = &pool.window;
    let [top, left, bottom, right] = window.padding.map(i64::from);
    let trailing = |axis: usize, padding: i64, before: i64, input: u16, output: u16| {
        let [kernel, stride] = [window.kernel, window.stride].map(|pair| i64::from(pair[axis]));
        // ONNX wants less padding than kernel; what no window reaches is left out.
        if padding < kernel {
            return padding;
        }
        let end = (i64::from(output) - 1) * stride + kernel;
        (end - before - i64::from(input)).max(0)
    };
    let bottom = trailing(0, bottom, top, input.height, output.height);
    let right = trailing(1, right, left, input.width, output.width);
    [
        ("kernel_shape", pair(window.kernel)),
        ("strides", pair(window.stride)),
        ("pads", Attribute::Ints(vec![top, left, bottom, right])),
    ]
}

pub(super) fn conv_window(window: &Window, groups: u16) -> [(&'static str, Attribute); 5] {
    let pads = window.padding.map(i64::from).to_vec();
    [
        ("kernel_shape", pair(window.kernel)),
        ("strides", pair(window.stride)),
        ("dilations", pair(window.dilation)),
        ("pads", Attribute::Ints(pads)),
        ("group", Attribute::Int(groups.into())),
    ]
}

/// Clamps `value` to the range of `output`, if u8 does not; the result is called `output.name`.
fn clip(graph: &mut Graph, value: &str, output: &Tensor) {
    let bounds = [output.scale.low, output.scale.high].map(|bound| graph.scalar(unsigned(bound)));
    graph.named(&output.name, "Clip", &[value, &bounds[0], &bounds[1]], &[]);
}

/// Adds the operator that writes `output` before its clamp, then the clamp if there is one.
fn clamped(
    graph: &mut Graph,
    operator: &str,
    inputs: &[&str],
    attributes: &[(&str, Attribute)],
    output: &Tensor,
) {
    if (output.scale.low, output.scale.high) == (i8::MIN, i8::MAX) {
        graph.named(&output.name, operator, inputs, attributes);
    } else {
        let value = graph.apply_with(operator, inputs, attributes);
        clip(graph, &value, output);
    }
}

/// The real biases: without the folded `- zero_point * sum w`.
///
/// Each fits, since the reader bounds `255 * sum |w| + |bias|` by what an i32 holds.
pub(super) fn real_biases(
    weights: &[i8],
    channels: &[cfm_core::requantize::Channel],
    zero_point: i8,
) -> Vec<i32> {
    let filter_len = weights.len() / channels.len().max(1);
    channels
        .iter()
        .zip(weights.chunks_exact(filter_len.max(1)))
        .map(|(channel, filter)| {
            let sum: i32 = filter.iter().map(|&w| i32::from(w)).sum();
            channel.bias + i32::from(zero_point) * sum
        })
        .collect()
}

fn convolution(
    graph: &mut Graph,
    conv: &ConvSpec,
    input: &Tensor,
    output: &Tensor,
    format: Format,
) {
    let name = &output.name;
    let outputs = usize::from(conv.out_channels);
    let [rows, columns] = conv.window.kernel.map(usize::from);
    let inputs = usize::from(input.shape.channels / conv.groups.max(1));
    let filter_len = rows * columns * inputs;
    let weights = per_input(&conv.weights, filter_len, inputs);
    let shape = [outputs, inputs, rows, columns];
    let weights = graph.initializer(&format!("{name}.weights"), &shape, &weights);
    let biases = real_biases(&conv.weights, &conv.channels, input.scale.zero_point);
    let window = conv_window(&conv.window, conv.groups);

    let scales = if format == Format::Integer {
        None
    } else {
        float_scales(conv, &biases, input, output, format)
    };
    let Some(scales) = scales else {
        let zero_point = input.zero_point(graph);
        let inputs = [&input.name, &weights, &zero_point].map(String::as_str);
        let sums = graph.apply_with("ConvInteger", &inputs, &window);
        let per_channel = [1, outputs, 1, 1];
        let bias = graph.initializer(&format!("{name}.bias"), &per_channel, &biases);
        let accumulators = graph.apply("Add", &[&sums, &bias]);
        let multipliers: Vec<f64> = conv.channels.iter().map(multiplier).collect();
        let multipliers =
            graph.initializer(&format!("{name}.multiplier"), &per_channel, &multipliers);
        requantize(graph, &accumulators, &multipliers, &output.scale, name);
        return;
    };

    let bias = graph.initializer(&format!("{name}.bias"), &[outputs], &biases);
    let weight_scale = graph.initializer(&format!("{name}.weight_scale"), &[outputs], &scales);
    let (out_scale, out_zero) = (output.scale(graph), output.zero_point(graph));
    let zeros = vec![0_i8; outputs];
    // Not shared, since runtimes convert weights with their zero points, layer by layer.
    let weight_zero = graph.initializer(&format!("{name}.weight_zero_point"), &[outputs], &zeros);
    if format == Format::QLinear {
        let (scale, zero_point) = (input.scale(graph), input.zero_point(graph));
        let inputs = [
            &input.name,
            &scale,
            &zero_point,
            &weights,
            &weight_scale,
            &weight_zero,
            &out_scale,
            &out_zero,
            &bias,
        ];
        let inputs = inputs.map(String::as_str);
        clamped(graph, "QLinearConv", &inputs, &window, output);
        return;
    }
    // An accumulator's scale: a power of two times the weight's, so nothing is lost.
    let step = power_of_two(input.scale.exponent.into()) as f32;
    let bias_scales: Vec<f32> = scales.iter().map(|scale| scale * step).collect();
    let bias_scale = graph.initializer(&format!("{name}.bias_scale"), &[outputs], &bias_scales);
    let axis = [("axis", Attribute::Int(0))];
    let x = input.dequantize(graph);
    let weights = [&weights, &weight_scale, &weight_zero].map(String::as_str);
    let weights = graph.apply_with("DequantizeLinear", &weights, &axis);
    let bias = graph.apply_with("DequantizeLinear", &[&bias, &bias_scale], &axis);
    let sums = graph.apply_with("Conv", &[&x, &weights, &bias], &window);
    let inputs = [&sums, &out_scale, &out_zero].map(String::as_str);
    clamped(graph, "QuantizeLinear", &inputs, &[], output);
}

/// The scales of the weights of all output channels, or `None` if float operators cannot compute the layer.
fn float_scales(
    conv: &ConvSpec,
    biases: &[i32],
    input: &Tensor,
    output: &Tensor,
    format: Format,
) -> Option<Vec<f32>> {
    let (low, high) = input.real_bounds();
    let filter_len = conv.weights.len() / conv.channels.len().max(1);
    let filters = conv.weights.chunks_exact(filter_len.max(1));
    let distance = i32::from(output.scale.exponent) - i32::from(input.scale.exponent);
    let channels = conv.channels.iter().zip(filters).zip(biases);
    channels
        .map(|((channel, filter), &bias)| {
            let reach = Reach::new(filter, bias, low, high);
            // A 15-bit mantissa: exact unless it leaves the normal range.
            let scale = (multiplier(channel) * power_of_two(distance)) as f32;
            // Dequantized weights are real numbers of up to 127 steps.
            let real = format != Format::Qdq || (127.0 * scale).is_finite();
            let fits = scale.is_normal() && real && reach.allows_float(channel, &output.scale);
            fits.then_some(scale)
        })
        .collect()
}

/// The mean of at most 255 x 255 cells in f32, which is exact up to the rounding of the division; and that hits a tie only
/// where there is one: the quotient is below 256 and so rounded by at most 2^-17, while a quotient that is no tie is at
/// least `1 / (2 * 255^2)`, which is more, away from any.
///
/// A fused kernel adds the zero point before it rounds: that is a second rounding by 2^-17, which 2^14 cells allow, and
/// ties go the right way only for an even zero point.
fn average(graph: &mut Graph, pool: &PoolSpec, input: &Tensor, output: &Tensor, format: Format) {
    let [kernel, strides, pads] = pool_window(pool, input.shape, output.shape);
    let window = [
        kernel,
        strides,
        pads,
        ("count_include_pad", Attribute::Int(0)),
    ];
    let [rows, columns] = pool.window.kernel.map(u32::from);
    let fused_is_exact = rows * columns <= 1 << 14 && output.scale.zero_point % 2 == 0;
    if format != Format::Integer && fused_is_exact {
        let x = input.dequantize(graph);
        let mean = graph.apply_with("AveragePool", &[&x], &window);
        let (scale, zero_point) = (output.scale(graph), output.zero_point(graph));
        let inputs = [&mean, &scale, &zero_point].map(String::as_str);
        graph.named(&output.name, "QuantizeLinear", &inputs, &[]);
        return;
    }
    let x = graph.cast(&input.name, DataType::Float);
    let zero_point = graph.scalar(f32::from(unsigned(input.scale.zero_point)));
    let x = graph.apply("Sub", &[&x, &zero_point]);
    let mean = graph.apply_with("AveragePool", &[&x], &window);
    let rounded = graph.apply("Round", &[&mean]);
    let sum = graph.apply("Add", &[&rounded, &zero_point]);
    let to = [("to", Attribute::to(DataType::Uint8))];
    graph.named(&output.name, "Cast", &[&sum], &to);
}

fn addition(
    graph: &mut Graph,
    sum: &AddSpec,
    inputs: [&Tensor; 2],
    output: &Tensor,
    format: Format,
) {
    if format != Format::Integer && float_sum_is_exact(sum, inputs) {
        let [a, b] = inputs.map(|input| input.dequantize(graph));
        let total = graph.apply("Add", &[&a, &b]);
        let (scale, zero_point) = (output.scale(graph), output.zero_point(graph));
        let inputs = [&total, &scale, &zero_point].map(String::as_str);
        clamped(graph, "QuantizeLinear", &inputs, &[], output);
        return;
    }
    // Exponents are at most 32 apart, so a sum has no more than 8 + 32 + 1 bits.
    let [a, b] = inputs.map(|input| {
        let real = graph.cast(&input.name, DataType::Double);
        let zero_point = graph.scalar(f64::from(unsigned(input.scale.zero_point)));
        let real = graph.apply("Sub", &[&real, &zero_point]);
        let distance = i32::from(input.scale.exponent) - i32::from(sum.output.exponent);
        let steps = graph.scalar(power_of_two(distance));
        graph.apply("Mul", &[&real, &steps])
    });
    let total = graph.apply("Add", &[&a, &b]);
    round_to_u8(graph, &total, &output.scale, &output.name);
}

/// Whether the sum in f32 is what the contract says, also in a fused kernel, which sums
/// `z_out - r_a z_a - r_b z_b + r_a a + r_b b` with the ratios r of the scales, and rounds then.
fn float_sum_is_exact(sum: &AddSpec, inputs: [&Tensor; 2]) -> bool {
    let [a, b] = inputs.map(|input| input.scale.exponent);
    let out = sum.output.exponent;
    // Every term has 8 bits above the finest step, and there are at most five.
    let spread = a.max(b).max(out).abs_diff(a.min(b).min(out));
    // The zero point is added before a tie goes to even.
    let ties_are_safe = sum.output.zero_point % 2 == 0 || out <= a.min(b);
    spread <= 24 - 8 - 3 && ties_are_safe
}
