//! How much memory a model can make the host take.
//!
//! Layers may share weights and need none for pooling, so a file of a few hundred bytes can be a valid model whose tensors
//! take gigabytes. On a microcontroller the arena is a number that the program is built for; on the host, a model is
//! refused that takes out of all proportion to its file and to the image that it declares:
//!
//! | what | at most |
//! |---|---|
//! | arena, of which every thread that scores has its scratch memory once more | [`RUN`] |
//! | tensors, real numbers and segments of a comparison, tensor by tensor | [`COMPARE`] |
//!
//! Everything else is bounded elsewhere: the file is held up to three times while it is read, packed layers
//! take at most 64 MiB or 8 times the file (`cfm_core::kernels::X86`), proposals and labelling go by the image's pixels
//! and the parameters' [`max_superpixels`](cfm_proposals::Params::max_superpixels) and
//! [`max_segments`](cfm_proposals::Params::max_segments). `sim/tests/memory/models.rs` measures all of it together.

use cfm_core::model::format::CHANNEL_LEN;
use cfm_core::model::{Model, Operation, Parameters, Path};
use cfm_core::segment::Segment;

use crate::trace::Inputs;

/// Most bytes by the file's length and the image's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// For every model.
    pub base: u64,
    /// For every byte of the file.
    pub file: u64,
    /// For every byte of the image.
    pub image: u64,
}

/// Most bytes of the arena.
pub const RUN: Bound = Bound {
    base: 64 << 20,
    file: 16,
    image: 256,
};

/// Most bytes of a comparison with the float reference, or of an export of all tensors.
pub const COMPARE: Bound = Bound {
    base: 512 << 20,
    file: 64,
    image: 512,
};

impl Bound {
    /// Most bytes for a model.
    #[must_use]
    pub fn most(self, model: &Model<'_>) -> u64 {
        let (file, image) = (model.bytes().len() as u64, model.input().len() as u64);
        self.base + self.file * file + self.image * image
    }

    fn check(self, model: &Model<'_>, bytes: u64) -> Result<(), MemoryError> {
        let most = self.most(model);
        if bytes > most {
            return Err(MemoryError { bytes, most });
        }
        Ok(())
    }
}

/// A model takes too much memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it takes {} MiB of memory, but a model of this length for an image of this size at most {} MiB",
    .bytes >> 20, .most >> 20
)]
pub struct MemoryError {
    /// What it takes, in bytes.
    pub bytes: u64,
    /// What it may take.
    pub most: u64,
}

/// Refuses a model whose arena is larger than [`RUN`].
///
/// # Errors
/// [`MemoryError`].
pub fn check_run(model: &Model<'_>) -> Result<(), MemoryError> {
    RUN.check(model, model.arena_bytes() as u64)
}

/// Refuses a model and segments whose tensors and vectors, by the core and by the reference, take more than [`COMPARE`].
///
/// # Errors
/// [`MemoryError`].
pub fn check_compare(model: &Model<'_>, inputs: &Inputs<'_>) -> Result<(), MemoryError> {
    let bytes = tensors(model)
        .saturating_add(parameters(model))
        .saturating_add(segments(model, inputs));
    COMPARE.check(model, bytes)
}

/// All tensors twice, and the two largest as real numbers; the core's arenas.
fn tensors(model: &Model<'_>) -> u64 {
    let lengths = || {
        model
            .tensors()
            .iter()
            .map(|tensor| tensor.shape.len() as u64)
    };
    let largest = lengths().max().unwrap_or(0);
    let sum: u64 = lengths().sum();
    2 * sum + 16 * largest + 2 * model.arena_bytes() as u64
}

/// All weights of the head and those of the largest layer as real numbers.
fn parameters(model: &Model<'_>) -> u64 {
    let real = |parameters: &Parameters<'_>| {
        let channels = (parameters.channels.len() * CHANNEL_LEN) as u64;
        8 * (parameters.weights.len() as u64 + 2 * channels)
    };
    let convolutions = model.layers().filter_map(|layer| match layer.operation {
        Operation::Conv2d(conv) => Some(real(&conv.parameters)),
        _ => None,
    });
    let paths = Path::ALL.into_iter();
    let head = paths.flat_map(|path| model.head().layers(path));
    convolutions.max().unwrap_or(0) + head.map(|layer| real(&layer.parameters)).sum::<u64>()
}

/// Every segment's pixels, and its mask and vectors twice.
fn segments(model: &Model<'_>, inputs: &Inputs<'_>) -> u64 {
    let areas: Vec<Vec<u32>> = inputs
        .maps
        .iter()
        .map(|map| {
            let mut areas = vec![0; usize::from(map.count())];
            for &label in map.labels() {
                areas[usize::from(label)] += 1;
            }
            areas
        })
        .collect();
    let area = |segment: &Segment<'_>| -> u64 {
        match *segment {
            Segment::Runs(runs) => runs
                .iter()
                .map(|run| u64::from(run.x1.saturating_sub(run.x0)))
                .sum(),
            Segment::Superpixels { map, members } => {
                let areas = areas.get(map).map_or(&[][..], |areas| areas);
                let area = |&member: &u16| areas.get(usize::from(member)).copied().unwrap_or(0);
                members.iter().map(|member| u64::from(area(member))).sum()
            }
        }
    };
    let head = model.head();
    let feature = model.feature().shape;
    let cells = u64::from(feature.height) * u64::from(feature.width);
    let finest = u64::from(head.segment_levels.finest());
    let bins = (head.segment_levels.bin_count() + head.region_levels.bin_count()) as u64;
    let outputs = Path::ALL.into_iter().flat_map(|path| head.layers(path));
    let outputs: u64 = outputs.map(|layer| layer.outputs as u64).sum();
    let vectors = cells
        + finest * finest
        + bins * u64::from(feature.channels)
        + outputs
        + 4 * model.class_count() as u64
        + size_of::<crate::trace::SegmentTrace>() as u64;
    let pixels = |segment| 8 * area(segment);
    inputs
        .segments
        .iter()
        .map(|segment| 2 * vectors + pixels(segment))
        .fold(0, u64::saturating_add)
}
