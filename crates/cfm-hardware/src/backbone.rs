//! The backbone's layers as operations on rings of rows.

use cfm_core::model::{Layer, Model, Operation as LayerOperation, Parameters, Window};

use crate::allocate::{Buffer, allocate, end};
use crate::error::{CompileError, Memory, Part};
use crate::filter::{ChannelRecord, Filter, records};
use crate::folding::{Folding, Layout};
use crate::limits::Limits;
use crate::operation::{Kind, Operation, Record, Scale};
use crate::schedule::{Step, steps};

/// Largest horizontal stride.
const MAX_STRIDE: u32 = 15;
/// Largest shift of an addition's input: `2^14` is the largest power of two that 16 bits hold with a sign.
const MAX_ADD_SHIFT: u32 = 14;
/// Most rows of a kernel, and so most bins of a fully connected layer.
pub(crate) const MAX_ROWS: usize = 255;

/// A layer on its way to an operation: all but the place of its weights.
#[derive(Debug, Clone)]
pub(crate) struct Planned<'m> {
    pub(crate) part: Part,
    pub(crate) operation: Operation,
    pub(crate) filter: Filter<'m>,
    pub(crate) records: Vec<ChannelRecord>,
    /// How often it runs: rows of an image, or once a batch.
    pub(crate) runs: u32,
    /// Products that the layer needs: of an image, or of a segment.
    pub(crate) products: u64,
}

/// The place of a tensor's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ring {
    pub(crate) layout: Layout,
    pub(crate) first: u32,
    pub(crate) rows: u32,
    pub(crate) row_words: u32,
}

impl Ring {
    pub(crate) const fn row(&self, y: u32) -> u32 {
        self.first + y % self.rows * self.row_words
    }

    pub(crate) const fn words(&self) -> u32 {
        self.rows * self.row_words
    }
}

/// The backbone, compiled.
#[derive(Debug)]
pub(crate) struct Backbone<'m> {
    pub(crate) layers: Vec<Planned<'m>>,
    pub(crate) rings: Vec<Ring>,
    pub(crate) program: Vec<Record>,
    /// Words of the feature map, which lies at 0.
    pub(crate) map_words: u32,
    /// End of the last ring.
    pub(crate) words: u32,
}

pub(crate) fn compile<'m>(
    model: &'m Model<'m>,
    folding: Folding,
    limits: &Limits,
) -> Result<Backbone<'m>, CompileError> {
    let steps = steps(model);
    let (rings, words) = place(model, folding, limits, &steps)?;
    let layers = model
        .layers()
        .enumerate()
        .map(|(index, layer)| plan(model, folding, &rings, index, &layer))
        .collect::<Result<Vec<_>, _>>()?;
    let program = steps
        .iter()
        .map(|step| match *step {
            Step::Image => Record::Wait,
            Step::Row { layer, y } => record(model, &rings, layer, y),
        })
        .collect();
    let map_words = rings.last().map_or(0, Ring::words);
    Ok(Backbone {
        layers,
        rings,
        program,
        map_words,
        words,
    })
}

/// The rings of all tensors: the feature map at 0, where it outlives the others.
fn place(
    model: &Model<'_>,
    folding: Folding,
    limits: &Limits,
    steps: &[Step],
) -> Result<(Vec<Ring>, u32), CompileError> {
    let tensors = model.tensors();
    let last = tensors.len() - 1;
    let shapes: Vec<(Layout, u64)> = tensors
        .iter()
        .enumerate()
        .map(|(t, tensor)| {
            let shape = tensor.shape;
            let layout = Layout::of(shape.width.into(), shape.channels.into(), folding);
            // The next row of the image arrives while this one is worked on.
            let early = u64::from(t == 0);
            (layout, u64::from(tensor.rows) + early)
        })
        .collect();
    let mut buffers: Vec<Buffer> = shapes
        .iter()
        .map(|(layout, rows)| Buffer {
            words: layout.row_words() * rows,
            from: usize::MAX,
            to: 0,
        })
        .collect();
    // The image's first row arrives before the first step.
    buffers[0].from = 0;
    for (at, step) in steps.iter().enumerate() {
        let mut touch = |tensor: usize| {
            buffers[tensor].from = buffers[tensor].from.min(at);
            buffers[tensor].to = buffers[tensor].to.max(at);
        };
        match *step {
            Step::Image => touch(0),
            Step::Row { layer, .. } => {
                touch(layer + 1);
                if let Some(layer) = model.layer(layer) {
                    touch(layer.input);
                    if let LayerOperation::Add { second, .. } = layer.operation {
                        touch(second);
                    }
                }
            }
        }
    }
    let map = buffers.remove(last);
    let mut addresses = allocate(map.words, &buffers);
    let words = end(map.words, &buffers, &addresses);
    let words = Limits::check(Memory::Feature, words, limits.feature_words)?;
    addresses.push(0);
    let rings = shapes
        .iter()
        .zip(&addresses)
        .map(|(&(layout, rows), &first)| Ring {
            layout,
            // All below `words`, which has been checked.
            first: first as u32,
            rows: rows as u32,
            row_words: layout.row_words() as u32,
        })
        .collect();
    Ok((rings, words))
}

fn plan<'m>(
    model: &'m Model<'m>,
    folding: Folding,
    rings: &[Ring],
    index: usize,
    layer: &Layer<'m>,
) -> Result<Planned<'m>, CompileError> {
    let part = Part::Layer(index);
    let (input, output) = (model.tensors()[layer.input], model.tensors()[index + 1]);
    let (from, to) = (rings[layer.input], rings[index + 1]);
    let inputs = u32::from(input.shape.channels);
    let outputs = u32::from(output.shape.channels);
    let window = match &layer.operation {
        LayerOperation::Conv2d(conv) => conv.window,
        LayerOperation::MaxPool { window } | LayerOperation::AvgPool { window } => *window,
        LayerOperation::Add { .. } => Window {
            kernel: [2, 1],
            ..Window::UNIT
        },
    };
    // A row of a single cell takes no step.
    let stride = match output.shape.width {
        1 => 1,
        _ => u32::from(window.stride[1]),
    };
    if stride > MAX_STRIDE {
        return Err(CompileError::Stride { part, stride });
    }
    let mut operation = Operation {
        kind: Kind::Dense,
        inputs,
        in_groups: from.layout.groups,
        out_groups: to.layout.groups,
        out_channels: outputs,
        blocks: to.layout.blocks,
        kernel: window.kernel.map(u32::from),
        stride,
        width: input.shape.width.into(),
        start: -i32::from(window.padding[1]),
        dilation: window.dilation[1].into(),
        // Beyond 16 bits it is of no use: two kernel rows inside the tensor would be further apart than the ring is long.
        row_step: u16::try_from(u32::from(window.dilation[0]) * from.row_words)
            .map_or(0, u32::from),
        ring: [from.first, from.words()],
        weights: 0,
        weight_words: 0,
        external: false,
        logits: false,
        channels: 0,
        scale: Scale {
            z_in: input.zero_point,
            z_out: output.zero_point,
            low: i8::MIN,
            high: i8::MAX,
        },
        add_weights: [0; 2],
    };
    let cells = output.shape.len() as u64;
    let [rows, columns] = window.kernel.map(u64::from);
    let mut taken = Taken {
        filter: Filter::None,
        records: Vec::new(),
        products: 0,
    };
    match layer.operation {
        LayerOperation::Conv2d(conv) => {
            let depthwise =
                conv.groups > 1 && u32::from(conv.groups) == inputs && inputs == outputs;
            let group_inputs = u64::from(inputs / u32::from(conv.groups.max(1)));
            taken.products = cells * rows * columns * group_inputs;
            set_output(&mut operation, &conv.parameters);
            taken.records = records(&conv.parameters, folding).collect();
            taken.filter = if depthwise {
                operation.kind = Kind::Depthwise;
                Filter::Depthwise { conv }
            } else {
                Filter::Conv { conv, inputs }
            };
        }
        LayerOperation::MaxPool { .. } => operation.kind = Kind::MaxPool,
        LayerOperation::AvgPool { .. } => operation.kind = Kind::AvgPool,
        LayerOperation::Add {
            second,
            output: scale,
        } => {
            let other = model.tensors()[second];
            let finest = input.exponent.min(other.exponent).min(scale.exponent);
            let shifts = [input.exponent, other.exponent].map(|e| u32::from(e.abs_diff(finest)));
            let shift = shifts[0].max(shifts[1]);
            if shift > MAX_ADD_SHIFT {
                return Err(CompileError::AddShift { part, shift });
            }
            operation.kind = Kind::Add;
            operation.add_weights = shifts.map(|shift| 1 << shift);
            (operation.scale.low, operation.scale.high) = (scale.low, scale.high);
            let aligned = |z: i8, shift: u32| i32::from(z) << shift;
            let record = ChannelRecord {
                bias: -aligned(input.zero_point, shifts[0]) - aligned(other.zero_point, shifts[1]),
                shift: 14 + scale.exponent.abs_diff(finest),
                ..ChannelRecord::UNUSED
            };
            let spare = operation.out_groups * folding.pe - outputs;
            taken.records = vec![record; outputs as usize];
            taken
                .records
                .extend(std::iter::repeat_n(ChannelRecord::UNUSED, spare as usize));
        }
    }
    Ok(Planned {
        part,
        operation,
        filter: taken.filter,
        records: taken.records,
        runs: output.shape.height.into(),
        products: taken.products,
    })
}

/// What an operation takes from its layer besides the descriptor.
struct Taken<'m> {
    filter: Filter<'m>,
    records: Vec<ChannelRecord>,
    products: u64,
}

fn set_output(operation: &mut Operation, parameters: &Parameters<'_>) {
    let output = parameters.output;
    operation.scale.z_out = output.zero_point;
    operation.scale.low = output.low;
    operation.scale.high = output.high;
}

fn record(model: &Model<'_>, rings: &[Ring], index: usize, y: u16) -> Record {
    let write = rings[index + 1].row(y.into());
    let operation = index as u32;
    let Some(layer) = model.layer(index) else {
        return Record::Wait;
    };
    let from = rings[layer.input];
    let window = match layer.operation {
        LayerOperation::Conv2d(conv) => conv.window,
        LayerOperation::MaxPool { window } | LayerOperation::AvgPool { window } => window,
        LayerOperation::Add { second, .. } => {
            return Record::Run {
                operation,
                first_row: 0,
                rows: 2,
                write,
                read: from.row(y.into()),
                second: rings[second].row(y.into()),
            };
        }
    };
    let height = i32::from(model.tensors()[layer.input].shape.height);
    let top = i32::from(y) * i32::from(window.stride[0]) - i32::from(window.padding[0]);
    let row = |ky: i32| top + ky * i32::from(window.dilation[0]);
    let mut inside = (0..i32::from(window.kernel[0])).filter(|&ky| (0..height).contains(&row(ky)));
    let first_row = inside.next();
    let rows = inside.count() as u32 + u32::from(first_row.is_some());
    let first_row = first_row.unwrap_or(0);
    Record::Run {
        operation,
        first_row: first_row.cast_unsigned(),
        rows,
        write,
        read: match u32::try_from(row(first_row)) {
            Ok(y) if rows > 0 => from.row(y),
            _ => from.first,
        },
        second: 0,
    }
}
