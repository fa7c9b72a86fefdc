//! The fully connected layers as operations on the vectors of a batch.
//!
//! ```text
//! feature memory: | feature map | pooled vectors, even batches | pooled vectors, odd batches | hidden vectors |
//! ```
//!
//! The joint layers read one contiguous vector. When both paths have layers of their own, their outputs are put side by
//! side; when only one has, its output is put beside the other's pooled vector, and so lies among the pooled vectors.

use cfm_core::model::{Design, FullyConnected, Model, Path};

use crate::allocate::{Buffer, allocate, end};
use crate::backbone::{MAX_ROWS, Planned};
use crate::error::{CompileError, Memory, Part};
use crate::filter::{Filter, records};
use crate::folding::Folding;
use crate::limits::Limits;
use crate::operation::{Kind, Operation, Record, Scale};
use crate::scoring::{Entry, pyramid};

/// The head, compiled.
#[derive(Debug)]
pub(crate) struct Scoring<'m> {
    pub(crate) layers: Vec<Planned<'m>>,
    /// Records for even and for odd batches.
    pub(crate) programs: [Vec<Record>; 2],
    pub(crate) entries: Vec<Entry>,
    /// Addresses of the pooled vectors for even and for odd batches.
    pub(crate) pooled: [u32; 2],
    /// End of the last vector.
    pub(crate) words: u32,
}

/// Where a vector lies.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Among the pooled vectors, at an offset.
    Pooled(u64),
    /// In a buffer, at an offset.
    Buffer(usize, u64),
}

/// What a fully connected layer reads.
#[derive(Debug, Clone)]
struct Source {
    place: Place,
    shape: SourceShape,
}

#[derive(Debug, Clone)]
enum SourceShape {
    /// Bins of so many channels each.
    Bins(usize, usize),
    /// Vectors side by side, each beginning with a word: values of each.
    Vectors(Vec<usize>),
}

pub(crate) fn compile<'m>(
    model: &'m Model<'m>,
    folding: Folding,
    limits: &Limits,
    first_operation: usize,
    map_words: u32,
) -> Result<Scoring<'m>, CompileError> {
    let head = model.head();
    let channels = usize::from(model.feature().shape.channels);
    let words = |values: usize| (values as u64).div_ceil(folding.pe.into());
    let groups = words(channels);
    let bins = [
        head.segment_levels.bin_count(),
        head.region_levels.bin_count(),
    ];
    let [segment_words, region_words] = bins.map(|bins| bins as u64 * groups);
    let two = head.design == Design::A;
    let has_layers = [Path::Segment, Path::Region].map(|path| head.layer_count(path) > 0);
    let outputs = head.joint_inputs();
    // A single path with layers lies between both pooled vectors, beside the one that is joined as it is.
    let between = match (two, has_layers) {
        (true, [true, false]) => words(outputs[0]),
        (true, [false, true]) => words(outputs[1]),
        _ => 0,
    };
    let region = segment_words + between;
    let pooled_words = region + region_words;

    let mut plan = Plan {
        folding,
        layers: Vec::new(),
        places: Vec::new(),
        buffers: Vec::new(),
    };
    let pool = |offset: u64, bins: usize| Source {
        place: Place::Pooled(offset),
        shape: SourceShape::Bins(bins, channels),
    };
    // Outputs side by side.
    let joint = (two && has_layers == [true, true])
        .then(|| plan.buffer(outputs.iter().map(|&values| words(values)).sum()));
    let ends = [
        match joint {
            Some(joint) => Some(Place::Buffer(joint, 0)),
            None => two.then_some(Place::Pooled(segment_words)),
        },
        match joint {
            Some(joint) => Some(Place::Buffer(joint, words(outputs[0]))),
            None => Some(Place::Pooled(segment_words)),
        },
    ];
    let segment = plan.chain(model, Path::Segment, pool(0, bins[0]), ends[0])?;
    let source = if two {
        let region_end = plan.chain(model, Path::Region, pool(region, bins[1]), ends[1])?;
        match has_layers {
            [false, false] => pool(0, bins[0] + bins[1]),
            [true, true] | [true, false] | [false, true] => {
                let vectors = |end: &Source| match &end.shape {
                    SourceShape::Bins(bins, channels) => vec![*channels; *bins],
                    SourceShape::Vectors(lengths) => lengths.clone(),
                };
                Source {
                    place: match has_layers {
                        [false, true] => Place::Pooled(0),
                        _ => segment.place,
                    },
                    shape: SourceShape::Vectors([vectors(&segment), vectors(&region_end)].concat()),
                }
            }
        }
    } else {
        segment
    };
    plan.chain(model, Path::Joint, source, None)?;

    let last = plan.layers.len();
    let mut buffers = vec![
        Buffer {
            words: pooled_words,
            from: 0,
            to: last,
        };
        2
    ];
    buffers.append(&mut plan.buffers);
    let addresses = allocate(map_words.into(), &buffers);
    let words = end(map_words.into(), &buffers, &addresses);
    let words = Limits::check(Memory::Feature, words, limits.feature_words)?;
    let programs = [0, 1].map(|parity: usize| {
        let address = |place: Place| match place {
            Place::Pooled(offset) => addresses[parity] + offset,
            Place::Buffer(buffer, offset) => addresses[2 + buffer] + offset,
        } as u32; // below `words`, which has been checked
        let records = plan.layers.iter().zip(&plan.places).enumerate();
        records
            .map(|(at, (layer, &[from, to]))| Record::Run {
                operation: (first_operation + at) as u32,
                first_row: 0,
                rows: layer.operation.kernel[0],
                write: to.map_or(0, address),
                read: from.map_or(0, address),
                second: 0,
            })
            .collect()
    });
    Ok(Scoring {
        layers: plan.layers,
        programs,
        // Below `words` as well.
        entries: pyramid(head, groups as u32, 0, region as u32),
        pooled: [addresses[0] as u32, addresses[1] as u32],
        words,
    })
}

struct Plan<'m> {
    folding: Folding,
    layers: Vec<Planned<'m>>,
    /// What each layer reads and writes; the classifier writes logits.
    places: Vec<[Option<Place>; 2]>,
    buffers: Vec<Buffer>,
}

impl<'m> Plan<'m> {
    /// A buffer that nothing uses yet.
    fn buffer(&mut self, words: u64) -> usize {
        self.buffers.push(Buffer {
            words,
            from: usize::MAX,
            to: 0,
        });
        self.buffers.len() - 1
    }

    fn touch(&mut self, place: Place, at: usize) {
        if let Place::Buffer(buffer, _) = place {
            let buffer = &mut self.buffers[buffer];
            buffer.from = buffer.from.min(at);
            buffer.to = buffer.to.max(at);
        }
    }

    /// Plans the layers of a path, the last of which writes to `end`, or to a buffer of its own.
    fn chain(
        &mut self,
        model: &'m Model<'m>,
        path: Path,
        source: Source,
        end: Option<Place>,
    ) -> Result<Source, CompileError> {
        let head = model.head();
        let count = head.layer_count(path);
        let mut source = source;
        for (index, layer) in head.layers(path).enumerate() {
            let logits = path == Path::Joint && index + 1 == count;
            let at = self.layers.len();
            let place = match end {
                Some(end) if index + 1 == count => end,
                _ => {
                    let words = (layer.outputs as u64).div_ceil(self.folding.pe.into());
                    Place::Buffer(self.buffer(if logits { 0 } else { words }), 0)
                }
            };
            let part = Part::fully_connected(path, index);
            let planned = fully_connected(self.folding, part, layer, &source.shape, logits)?;
            self.layers.push(planned);
            self.touch(source.place, at);
            self.touch(place, at);
            self.places
                .push([Some(source.place), (!logits).then_some(place)]);
            source = Source {
                place,
                shape: SourceShape::Vectors(vec![layer.outputs]),
            };
        }
        Ok(source)
    }
}

fn fully_connected<'m>(
    folding: Folding,
    part: Part,
    layer: FullyConnected<'m>,
    source: &SourceShape,
    logits: bool,
) -> Result<Planned<'m>, CompileError> {
    let pe = folding.pe as usize;
    let (kernel_rows, inputs, slots) = match source {
        SourceShape::Bins(bins, channels) => {
            if *bins > MAX_ROWS {
                return Err(CompileError::Bins { part, bins: *bins });
            }
            (*bins, *channels, (0..bins * channels).map(Some).collect())
        }
        SourceShape::Vectors(lengths) => {
            let mut slots = Vec::new();
            let mut next = 0;
            for &length in lengths {
                // Every vector begins with a word; what the one before has to spare counts nothing.
                slots.resize(slots.len().next_multiple_of(pe), None);
                slots.extend((next..next + length).map(Some));
                next += length;
            }
            (1, slots.len(), slots)
        }
    };
    if inputs > usize::from(u16::MAX) {
        return Err(CompileError::Inputs {
            part,
            inputs: inputs as u64,
        });
    }
    let parameters = layer.parameters;
    let output = parameters.output;
    let in_groups = inputs.div_ceil(pe) as u32;
    let operation = Operation {
        kind: Kind::Dense,
        inputs: inputs as u32,
        in_groups,
        out_groups: layer.outputs.div_ceil(pe) as u32,
        out_channels: layer.outputs as u32,
        blocks: 1,
        kernel: [kernel_rows as u32, 1],
        stride: 1,
        width: folding.lanes,
        start: 0,
        dilation: 0,
        row_step: in_groups,
        ring: [0; 2],
        weights: 0,
        weight_words: 0,
        external: false,
        logits,
        channels: 0,
        scale: Scale {
            z_in: 0,
            z_out: output.zero_point,
            low: output.low,
            high: output.high,
        },
        add_weights: [0; 2],
    };
    Ok(Planned {
        part,
        operation,
        records: records(&parameters, folding).collect(),
        filter: Filter::FullyConnected { parameters, slots },
        runs: 1,
        products: layer.inputs as u64 * layer.outputs as u64,
    })
}
