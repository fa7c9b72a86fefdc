//! Reading and validating the backbone: shapes, scales, windows, accumulators, geometry.

use super::bytes::{slice, u8_at, u16_at, u32_at};
use super::error::{ModelError, ModelErrorKind, Part, attempt, ensure};
use super::format::{CHANNEL_LEN, LAYER_LEN, MAX_LAYERS, MAX_TENSORS, tag};
use super::layer::{
    Channels, Conv2d, Layer, Operation, Parameters, Shape, Tensor, Window, output_scale_at,
    window_at,
};
use super::shape_in_range;
use super::weight_order::{QUAD, WeightOrder, WeightSection};
use crate::receptive_field::Axis;
use crate::requantize::{MANTISSA_MAX, MANTISSA_MIN, OutputScale, SHIFT_MAX};

/// How far apart the exponents of an addition may be: the sum then stays below 2^62.
const MAX_ADD_DISTANCE: i32 = 32;

/// Reads all layers, fills in the tensors they write, and returns their number and the geometry.
pub(super) const fn parse(
    section: &[u8],
    weights: WeightSection<'_>,
    channels: &[u8],
    tensors: &mut [Tensor; MAX_TENSORS],
) -> Result<(usize, Axis, Axis), ModelError> {
    let part = Part::Section(tag::LAYERS);
    ensure!(section.len().is_multiple_of(LAYER_LEN), SectionLength, part);
    let count = section.len() / LAYER_LEN;
    ensure!(count >= 1 && count <= MAX_LAYERS, LayerCount, part);

    let image = tensors[0].shape;
    let mut axes = [(Axis::identity(image.height), Axis::identity(image.width)); MAX_TENSORS];
    let mut read = [false; MAX_TENSORS];
    let mut i = 0;
    while i < count {
        let part = Part::Layer(i as u16);
        let Some(record) = slice(section, (i * LAYER_LEN) as u64, LAYER_LEN as u64) else {
            return Err(ModelError::new(ModelErrorKind::SectionLength, part));
        };
        let input = u16_at(record, 2) as usize;
        let second = u16_at(record, 4) as usize;
        ensure!(u8_at(record, 1) == 0, Reserved, part);
        ensure!(input <= i, Input, part);
        read[input] = true;
        let kind = u8_at(record, 0);
        let output = match kind {
            0 => attempt!(convolution(record, tensors[input], weights, channels, part)),
            1 | 2 => attempt!(pooling(record, tensors[input], part)),
            3 => {
                ensure!(second <= i, Input, part);
                read[second] = true;
                attempt!(addition(record, tensors[input], tensors[second], part))
            }
            _ => return Err(ModelError::new(ModelErrorKind::Kind, part)),
        };
        ensure!(kind == 3 || second == 0, Reserved, part);
        ensure!(shape_in_range(output.shape), Dimension, part);
        ensure!(output.shape.channels == u16_at(record, 6), Dimension, part);
        tensors[i + 1] = output;

        let window = window_at(record);
        let (rows, columns) = axes[input];
        axes[i + 1] = match (
            rows.through(
                window.kernel[0],
                window.dilation[0],
                window.stride[0],
                window.padding[0],
                output.shape.height,
            ),
            columns.through(
                window.kernel[1],
                window.dilation[1],
                window.stride[1],
                window.padding[1],
                output.shape.width,
            ),
        ) {
            (Some(rows), Some(columns)) => (rows, columns),
            _ => return Err(ModelError::new(ModelErrorKind::Geometry, part)),
        };
        // The receptive fields of an addition are those of its first input; the second must be aligned with it.
        if kind == 3 {
            // As above; asked again, to keep the panic path out.
            ensure!(second <= i, Input, part);
            let (other_rows, other_columns) = axes[second];
            ensure!(
                rows.jump() == other_rows.jump() && columns.jump() == other_columns.jump(),
                AddInputs,
                part
            );
        }
        i += 1;
    }
    let mut t = 0;
    while t < count {
        ensure!(read[t], DeadTensor, Part::Layer(t.saturating_sub(1) as u16));
        t += 1;
    }
    let (rows, columns) = axes[count];
    Ok((count, rows, columns))
}

/// The view of a validated record.
pub(super) const fn layer<'a>(
    record: &[u8],
    weights: WeightSection<'a>,
    channels: &'a [u8],
    tensors: &[Tensor; MAX_TENSORS],
) -> Layer<'a> {
    let input = u16_at(record, 2) as usize;
    let window = window_at(record);
    let operation = match u8_at(record, 0) {
        0 => {
            let groups = u16_at(record, 18);
            let inputs = if input < MAX_TENSORS {
                tensors[input].shape.channels
            } else {
                0
            };
            Operation::Conv2d(Conv2d {
                window,
                groups,
                parameters: match parameters(
                    weights,
                    u32_at(record, 24),
                    channels,
                    u32_at(record, 28),
                    filter_len(window, inputs, groups),
                    groups,
                    u16_at(record, 6) as u64,
                    output_scale_at(record, 20),
                ) {
                    Some(parameters) => parameters,
                    None => Parameters {
                        weights: &[],
                        order: WeightOrder::Rows,
                        channels: Channels::new(&[]),
                        output: output_scale_at(record, 20),
                    },
                },
            })
        }
        1 => Operation::MaxPool { window },
        2 => Operation::AvgPool { window },
        _ => Operation::Add {
            second: u16_at(record, 4) as usize,
            output: output_scale_at(record, 20),
        },
    };
    Layer { input, operation }
}

/// Weights per output channel.
const fn filter_len(window: Window, inputs: u16, groups: u16) -> u64 {
    let inputs = match inputs.checked_div(groups) {
        Some(inputs) => inputs as u64,
        None => 0,
    };
    window.kernel[0] as u64 * window.kernel[1] as u64 * inputs
}

/// The weights and channel records of a layer with `outputs` filters of `filter_len` weights.
#[allow(clippy::too_many_arguments)] // one per field of a record
pub(super) const fn parameters<'a>(
    weights: WeightSection<'a>,
    weight_offset: u32,
    channels: &'a [u8],
    first_channel: u32,
    filter_len: u64,
    groups: u16,
    outputs: u64,
    output: OutputScale,
) -> Option<Parameters<'a>> {
    match (
        slice(weights.bytes, weight_offset as u64, filter_len * outputs),
        slice(
            channels,
            first_channel as u64 * CHANNEL_LEN as u64,
            outputs * CHANNEL_LEN as u64,
        ),
    ) {
        (Some(bytes), Some(channels)) => Some(Parameters {
            weights: bytes,
            order: weights.order.of_layer(groups, outputs, weight_offset),
            channels: Channels::new(channels),
            output,
        }),
        _ => None,
    }
}

/// `|w|` by byte: the loop over all weights also runs in the compiler's interpreter, where calls are what costs.
const MAGNITUDE: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8 as i8).unsigned_abs();
        byte += 1;
    }
    table
};

/// Checks every weight, multiplier and the accumulator bound `sum |w| * 255 + |bias| <= 2^31 - 1`.
pub(super) const fn check_parameters(
    parameters: &Parameters<'_>,
    part: Part,
) -> Result<(), ModelError> {
    let outputs = parameters.channels.len();
    ensure!(outputs > 0, Dimension, part);
    let filter_len = parameters.filter_len();
    let mut o = 0;
    while o < outputs {
        let channel = parameters.channels.get(o);
        ensure!(
            channel.mantissa >= MANTISSA_MIN
                && channel.mantissa <= MANTISSA_MAX
                && channel.shift <= SHIFT_MAX,
            Multiplier,
            part
        );
        ensure!(parameters.channels.reserved_is_zero(o), Reserved, part);
        let mut magnitude = 0_u64;
        let mut seen = 0;
        match parameters.order {
            WeightOrder::Rows => {
                let mut at = o * filter_len;
                let end = at + filter_len;
                // Always so; asked, to keep the panic path out.
                ensure!(end <= parameters.weights.len(), ParameterRange, part);
                while at < end {
                    let weight = MAGNITUDE[parameters.weights[at] as usize];
                    magnitude += weight as u64;
                    seen |= weight;
                    at += 1;
                }
            }
            WeightOrder::Quads => {
                // `Parameters::weight` without calls, which are what costs in the compiler's interpreter.
                let half = o % QUAD / 2;
                let second = o % 2;
                let quad = o / QUAD * QUAD * filter_len;
                let mut place = quad + 4 * half;
                let mut at = 0;
                while at < filter_len {
                    if at + 1 == filter_len && at % 2 == 0 {
                        place = quad + QUAD * at + 2 * half;
                    }
                    // As above.
                    let len = parameters.weights.len();
                    ensure!(place < len && place + 1 < len, ParameterRange, part);
                    let low = parameters.weights[place];
                    let byte = if second == 1 {
                        (parameters.weights[place + 1] as u16 + (low >> 7) as u16) as u8
                    } else {
                        low
                    };
                    let weight = MAGNITUDE[byte as usize];
                    magnitude += weight as u64;
                    seen |= weight;
                    place += if at % 2 == 0 { 2 } else { 6 };
                    at += 1;
                }
            }
        }
        ensure!(seen <= i8::MAX as u8, WeightValue, part);
        ensure!(
            magnitude * 255 + channel.bias.unsigned_abs() as u64 <= i32::MAX as u64,
            Accumulator,
            part
        );
        o += 1;
    }
    Ok(())
}

/// The range of `OutputScale` fields that keeps the fused activation meaningful.
pub(super) const fn check_output(output: OutputScale, part: Part) -> Result<(), ModelError> {
    ensure!(output.low <= output.high, OutputScale, part);
    ensure!(
        output.exponent >= -64 && output.exponent <= 63,
        OutputScale,
        part
    );
    Ok(())
}

const fn convolution(
    record: &[u8],
    input: Tensor,
    weights: WeightSection<'_>,
    channels: &[u8],
    part: Part,
) -> Result<Tensor, ModelError> {
    let window = window_at(record);
    let groups = u16_at(record, 18);
    let outputs = u16_at(record, 6);
    let output = output_scale_at(record, 20);
    ensure!(outputs > 0, Dimension, part);
    ensure!(
        groups > 0 && input.shape.channels.is_multiple_of(groups) && outputs.is_multiple_of(groups),
        Groups,
        part
    );
    let shape = attempt!(output_shape(window, input.shape, outputs, part));
    attempt!(check_output(output, part));
    match parameters(
        weights,
        u32_at(record, 24),
        channels,
        u32_at(record, 28),
        filter_len(window, input.shape.channels, groups),
        groups,
        outputs as u64,
        output,
    ) {
        Some(parameters) => attempt!(check_parameters(&parameters, part)),
        None => return Err(ModelError::new(ModelErrorKind::ParameterRange, part)),
    }
    Ok(Tensor {
        shape,
        zero_point: output.zero_point,
        exponent: output.exponent,
        rows: 1,
    })
}

const fn pooling(record: &[u8], input: Tensor, part: Part) -> Result<Tensor, ModelError> {
    let window = window_at(record);
    let output = output_scale_at(record, 20);
    ensure!(
        window.dilation[0] == 1
            && window.dilation[1] == 1
            && u16_at(record, 18) == 1
            && u32_at(record, 24) == 0
            && u32_at(record, 28) == 0,
        Reserved,
        part
    );
    ensure!(
        output.zero_point == input.zero_point
            && output.exponent == input.exponent
            && output.low == i8::MIN
            && output.high == i8::MAX,
        OutputScale,
        part
    );
    let shape = attempt!(output_shape(
        window,
        input.shape,
        input.shape.channels,
        part
    ));
    ensure!(
        every_window_has_a_cell(window, 0, input.shape.height, shape.height)
            && every_window_has_a_cell(window, 1, input.shape.width, shape.width),
        PoolPadding,
        part
    );
    Ok(Tensor {
        shape,
        rows: 1,
        ..input
    })
}

const fn every_window_has_a_cell(window: Window, axis: usize, n: u16, outputs: u16) -> bool {
    let last = (outputs as u32 - 1) * window.stride[axis] as u32;
    window.padding[axis] < window.kernel[axis] && last < n as u32 + window.padding[axis] as u32
}

const fn addition(
    record: &[u8],
    first: Tensor,
    second: Tensor,
    part: Part,
) -> Result<Tensor, ModelError> {
    let window = window_at(record);
    let output = output_scale_at(record, 20);
    let mut at = 8;
    while at < 20 {
        let expected = if at < 14 || at == 18 { 1 } else { 0 };
        ensure!(u8_at(record, at) == expected, Reserved, part);
        at += 1;
    }
    ensure!(
        u32_at(record, 24) == 0 && u32_at(record, 28) == 0,
        Reserved,
        part
    );
    ensure!(
        first.shape.height == second.shape.height
            && first.shape.width == second.shape.width
            && first.shape.channels == second.shape.channels,
        AddInputs,
        part
    );
    attempt!(check_output(output, part));
    ensure!(
        distance(first.exponent, second.exponent) <= MAX_ADD_DISTANCE
            && distance(first.exponent, output.exponent) <= MAX_ADD_DISTANCE
            && distance(second.exponent, output.exponent) <= MAX_ADD_DISTANCE,
        AddInputs,
        part
    );
    attempt!(output_shape(
        window,
        first.shape,
        first.shape.channels,
        part
    ));
    Ok(Tensor {
        shape: first.shape,
        zero_point: output.zero_point,
        exponent: output.exponent,
        rows: 1,
    })
}

const fn distance(a: i8, b: i8) -> i32 {
    (a as i32 - b as i32).abs()
}

const fn output_shape(
    window: Window,
    input: Shape,
    channels: u16,
    part: Part,
) -> Result<Shape, ModelError> {
    let mut axis = 0;
    while axis < 2 {
        ensure!(
            window.kernel[axis] > 0 && window.stride[axis] > 0 && window.dilation[axis] > 0,
            Window,
            part
        );
        axis += 1;
    }
    match (
        window.output_len(0, input.height),
        window.output_len(1, input.width),
    ) {
        (Some(height), Some(width)) => Ok(Shape {
            height,
            width,
            channels,
        }),
        _ => Err(ModelError::new(ModelErrorKind::Window, part)),
    }
}
