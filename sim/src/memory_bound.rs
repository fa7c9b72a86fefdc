//! How much memory a model can make the host take.
//!
//! Layers may share weights and need none for pooling, so a file of a few hundred bytes can be a valid model whose tensors
//! take gigabytes. On a microcontroller the arena is a number that the program is built for; on the host, a model is
//! refused that takes out of all proportion to its file and to the image that it declares, before the memory is taken:
//!
//! | what, for each photograph at a time | at most | asked by |
//! |---|---|---|
//! | arena, of which every thread that scores has its scratch memory once more | [`RUN`] | [`Pipeline::new`] |
//! | tensors, real numbers, votes and segments of a comparison with the float reference, or of an export of all tensors | [`COMPARE`] | [`core_trace`](crate::core_trace), reports, calibration |
//! | tensors of the float network that live at a time | [`COMPARE`] | [`FloatNetwork::new`] |
//! | what calibration keeps of a photograph while it looks at others | [`COMPARE`] | [`post_training`](crate::post_training) |
//! | the masks of all segments, pixel by pixel | [`COMPARE`] | [`onnx_inputs`](crate::onnx_inputs) |
//! | what an engine must show, as bytes and as text | [`COMPARE`] | `cfm export rtl`, `cfm export hls`, `cfm parity --backend` |
//!
//! What is not in this table has a bound of its own. A file of a model or of float weights is held up to three times while
//! it is read, and its layers, where each gets weights of its own, take at most 64 MiB or 4 times the file
//! ([`cfm_model::reader`]), in f32 as much as the file of float weights, of which calibration has a few copies. Provenance
//! and the header of float weights have at most a mebibyte each. Packed layers take at most 64 MiB or 8 times the file
//! (`cfm_core::kernels::X86`), an engine's weights at most its [`Limits`](cfm_hardware::limits::Limits). Proposals and
//! labelling go by the image's pixels and the parameters' [`max_superpixels`](cfm_proposals::Params::max_superpixels) and
//! [`max_segments`](cfm_proposals::Params::max_segments). `sim/tests/memory/models.rs` measures all of it.
//!
//! [`Pipeline::new`]: crate::pipeline::Pipeline::new
//! [`FloatNetwork::new`]: crate::float_network::FloatNetwork::new

use cfm_core::model::format::CHANNEL_LEN;
use cfm_core::model::{Model, Operation, Parameters, Path};
use cfm_core::segment::Segment;
use cfm_hardware::Engine;
use cfm_hardware::project;

use crate::post_training::SEGMENTS;
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

/// Most bytes of a comparison with the float reference, of an export of all tensors, and of the float network.
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

    fn check(self, model: &Model<'_>, what: &'static str, bytes: u64) -> Result<(), MemoryError> {
        let most = self.most(model);
        if bytes > most {
            return Err(MemoryError { what, bytes, most });
        }
        Ok(())
    }
}

/// A model takes too much memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} takes {} MiB of memory, but may take at most {} MiB for a model of this length and an image of this size",
    .bytes >> 20, .most >> 20
)]
pub struct MemoryError {
    /// What takes it, as errors say.
    pub what: &'static str,
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
    RUN.check(model, "the arena", model.arena_bytes() as u64)
}

/// Refuses a model and segments whose tensors, vectors and votes, by the core and by the reference, take more than
/// [`COMPARE`].
///
/// # Errors
/// [`MemoryError`].
pub fn check_compare(model: &Model<'_>, inputs: &Inputs<'_>) -> Result<(), MemoryError> {
    let bytes = tensors(model)
        .saturating_add(parameters(model))
        .saturating_add(votes(model, inputs))
        .saturating_add(segments(model, inputs));
    COMPARE.check(model, "the comparison of all tensors", bytes)
}

/// Refuses a model whose float network takes more than [`COMPARE`] for a photograph.
///
/// # Errors
/// [`MemoryError`].
pub fn check_float(model: &Model<'_>) -> Result<(), MemoryError> {
    COMPARE.check(model, "the float network", float(model))
}

/// Refuses a model the tensors of whose float network, all of them at once, take more than [`COMPARE`].
///
/// # Errors
/// [`MemoryError`].
pub fn check_float_tensors(model: &Model<'_>) -> Result<(), MemoryError> {
    let lengths = model.tensors().iter().map(|t| t.shape.len() as u64);
    COMPARE.check(model, "the float network", 4 * lengths.sum::<u64>())
}

/// Refuses a model of whose float network calibration would keep more than [`COMPARE`] for every photograph.
///
/// # Errors
/// [`MemoryError`].
pub fn check_calibration(model: &Model<'_>) -> Result<(), MemoryError> {
    let channels = model.tensors().iter();
    let channels: u64 = channels
        .map(|tensor| u64::from(tensor.shape.channels))
        .sum();
    let means = 16 * (channels + outputs(model));
    let segment = mask(model) + vectors(model);
    COMPARE.check(
        model,
        "the calibration of the float network",
        float(model) + model.input().len() as u64 + means + SEGMENTS as u64 * segment,
    )
}

/// Refuses a model and a number of segments whose masks, a byte a pixel, take more than [`COMPARE`].
///
/// # Errors
/// [`MemoryError`].
pub fn check_masks(model: &Model<'_>, segments: usize) -> Result<(), MemoryError> {
    let input = model.input();
    let pixels = u64::from(input.height) * u64::from(input.width);
    let bytes = pixels.saturating_mul(segments as u64);
    COMPARE.check(model, "the file of all segments' masks", bytes)
}

/// Refuses a model and segments of which the project of `engine` takes more than [`COMPARE`].
///
/// # Errors
/// [`MemoryError`].
pub fn check_project(
    model: &Model<'_>,
    engine: &Engine,
    inputs: &Inputs<'_>,
) -> Result<(), MemoryError> {
    // A run of a pixel or more, in a list that grows.
    let runs = areas(inputs).map(|area| 18 * area);
    let runs = runs.fold(0, u64::saturating_add);
    let project = project::most_bytes(model, engine, inputs.segments.len());
    COMPARE.check(
        model,
        "all that the engine must show",
        project.saturating_add(runs),
    )
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

/// The votes of a row of pixels, or of all superpixels that labels are refined by, those that every segment gives, and
/// what is pasted.
fn votes(model: &Model<'_>, inputs: &Inputs<'_>) -> u64 {
    let input = model.input();
    let (width, height) = (u64::from(input.width), u64::from(input.height));
    let classes = model.class_count() as u64;
    let map = inputs.rule.refinement.map(usize::from);
    let map = map.and_then(|map| inputs.maps.get(map));
    let superpixels = map.map_or(0, |map| u64::from(map.count()));
    (width + superpixels) * (16 * classes + 64)
        + inputs.segments.len() as u64 * (4 * classes + 64)
        + 32 * width * height
}

/// Every segment's pixels, and its mask and vectors twice.
fn segments(model: &Model<'_>, inputs: &Inputs<'_>) -> u64 {
    let head = model.head();
    let bins = (head.segment_levels.bin_count() + head.region_levels.bin_count()) as u64;
    let vectors = mask(model)
        + bins * u64::from(model.feature().shape.channels)
        + outputs(model)
        + 4 * model.class_count() as u64
        + size_of::<crate::trace::SegmentTrace>() as u64;
    areas(inputs)
        .map(|area| 2 * vectors + 8 * area)
        .fold(0, u64::saturating_add)
}

/// The pixels of every segment.
fn areas(inputs: &Inputs<'_>) -> impl Iterator<Item = u64> {
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
    inputs.segments.iter().map(move |segment| match *segment {
        Segment::Runs(runs) => runs
            .iter()
            .map(|run| u64::from(run.x1.saturating_sub(run.x0)))
            .sum(),
        Segment::Superpixels { map, members } => {
            let areas = areas.get(map).map_or(&[][..], |areas| areas);
            let area = |&member: &u16| areas.get(usize::from(member)).copied().unwrap_or(0);
            members.iter().map(|member| u64::from(area(member))).sum()
        }
    })
}

/// A segment's mask over the cells, and over the finest bins.
fn mask(model: &Model<'_>) -> u64 {
    let feature = model.feature().shape;
    let finest = u64::from(model.head().segment_levels.finest());
    u64::from(feature.height) * u64::from(feature.width) + finest * finest
}

/// The outputs of all fully connected layers.
fn outputs(model: &Model<'_>) -> u64 {
    let layers = Path::ALL.into_iter();
    let layers = layers.flat_map(|path| model.head().layers(path));
    layers.map(|layer| layer.outputs as u64).sum()
}

/// The tensors of the float network that live at a time, and what the logits of a segment take.
fn float(model: &Model<'_>) -> u64 {
    let tensors = model.tensors();
    // The number of the layer that reads a tensor last; the feature map's readers come after all layers.
    let mut last = vec![model.layer_count(); tensors.len()];
    for (at, layer) in model.layers().enumerate() {
        for input in std::iter::once(layer.input).chain(layer.operation.second()) {
            last[input] = at;
        }
    }
    let living = (0..model.layer_count()).map(|at| {
        let made = tensors.iter().zip(&last).take(at + 2);
        made.filter(|&(_, &last)| last >= at)
            .map(|(tensor, _)| tensor.shape.len() as u64)
            .sum::<u64>()
    });
    let blank = (model.feature_bytes() + model.scratch_bytes()) as u64;
    4 * living.max().unwrap_or(0) + blank + mask(model) + vectors(model)
}

/// The vectors of a segment as real numbers, in lists that grow.
fn vectors(model: &Model<'_>) -> u64 {
    let head = model.head();
    let bins = (head.segment_levels.bin_count() + head.region_levels.bin_count()) as u64;
    12 * (bins * u64::from(model.feature().shape.channels) + outputs(model)) + 256
}
