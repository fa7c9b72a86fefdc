//! Measuring what a report says.

use std::error::Error;
use std::time::Duration;

use cfm_core::model::{ClassKind, Model, Path, Shape};
use cfm_core::segment::SegmentError;
use image::{GrayImage, Luma, RgbImage};

use super::anchors::anchors;
use super::segments::shown;
use super::values::layer_values;
use super::{ClassShare, Noise, OnDataset, Pictures, Report, StageMemory};
use crate::arena_map::ArenaMap;
use crate::core_trace::{self, CoreError, IndexMemory};
use crate::float_network::FloatNetwork;
use crate::inspect::inspect;
use crate::label_map::{LabelMap, LabelMapError};
use crate::memory_bound::check_compare;
use crate::model_file::ModelFile;
use crate::parity::{Naming, ParityError, check};
use crate::photo::{self, triangle};
use crate::picture;
use crate::pipeline::{Pipeline, PipelineError, ProposalMemory, Times};
use crate::post_training;
use crate::trace::{Inputs, Trace};

/// Longest side of the photograph in a report, in pixels.
pub const PHOTO_SIDE: u32 = 960;

/// How many steps [`measure`] takes.
pub const STEPS: u64 = 4;

/// How often the photograph is segmented; the quickest time counts.
const TIMED_RUNS: usize = 3;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The photograph cannot be segmented.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The core cannot compute.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// Core and reference cannot be compared.
    #[error(transparent)]
    Parity(#[from] ParityError),
    /// A superpixel map is refused.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The label map is refused.
    #[error(transparent)]
    LabelMap(#[from] LabelMapError),
}

/// What a report is about.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// What the picture is: the name of its file, or words.
    pub name: String,
    /// The photograph.
    pub photo: &'a RgbImage,
    /// The model.
    pub file: &'a ModelFile,
    /// The command that makes the report, word by word.
    pub command: Vec<String>,
    /// Whether times are measured; without them the same inputs give the same report.
    pub times: bool,
    /// The model on a data set.
    pub evaluation: Option<OnDataset>,
}

/// Measures everything. `pipeline` is that of the subject's model; `step` is told what comes next, [`STEPS`] times.
///
/// # Errors
/// A [`ReportError`] when the photograph cannot be segmented.
pub fn measure(
    subject: Subject<'_>,
    pipeline: &Pipeline<'_>,
    step: impl Fn(&'static str),
) -> Result<Report, ReportError> {
    let model = pipeline.model();
    let photo = subject.photo;
    step("segmenting");
    let times = subject.times.then(|| times(pipeline, photo)).transpose()?;
    let input = pipeline.input(photo)?;
    step("quantization noise");
    Inputs::of_input(pipeline, &input, |inputs| {
        // Before anything is computed that there would be no report of.
        check_compare(model, inputs).map_err(CoreError::from)?;
        let noise = noise(subject.file, pipeline, photo)
            .unwrap_or_else(|error| Noise::NotMeasured(error.to_string()));
        step("float reference");
        let parity = check(model, inputs, Naming::Layers)?;
        step("pictures");
        let trace = core_trace::trace(model, inputs)?;
        let Shape { width, height, .. } = model.input();
        let labels = LabelMap::new(width.into(), height.into(), trace.labels.clone())?;
        let inspection = inspect(model);
        let classes = classes(model, &labels);
        let input = photo::resized(photo, width.into(), height.into());
        let shown_photo = at_most(photo, PHOTO_SIDE);
        let superpixels = inputs.maps.iter();
        let superpixels = superpixels.map(|map| picture::superpixel_panel(&input, map, 2));
        Ok(Report {
            subject: subject.name.clone(),
            photo_size: [photo.width(), photo.height()],
            command: subject.command.clone(),
            version: env!("CARGO_PKG_VERSION"),
            model: subject.file.name(),
            fingerprint: format!("{:08x}", model.fingerprint()),
            unlabelled: unlabelled(&labels, model),
            classes,
            segments: inputs.segments.len(),
            superpixels: inputs.maps.iter().map(|map| map.count()).collect(),
            shown: shown(model, inputs.maps, inputs.segments, &trace.segments),
            parity,
            values: layer_values(&inspection, &hidden_scales(model), &trace),
            noise,
            milliseconds: times,
            memory: memory(pipeline, inputs)?,
            arena: ArenaMap::new(model),
            evaluation: subject.evaluation.clone(),
            pictures: Pictures {
                labels: picture::label_layer(
                    &labels,
                    model,
                    shown_photo.width(),
                    shown_photo.height(),
                ),
                photo: shown_photo,
                superpixels: superpixels.collect(),
                input,
                features: features(model, &trace),
            },
            inspection,
        })
    })?
}

/// The quickest of several runs.
fn times(pipeline: &Pipeline<'_>, photo: &RgbImage) -> Result<Times, PipelineError> {
    let mut best = Times {
        total: Duration::MAX,
        ..Times::default()
    };
    for _ in 0..TIMED_RUNS {
        let times = pipeline.segment(photo)?.times;
        if times.total < best.total {
            best = times;
        }
    }
    Ok(best)
}

/// The integers against the float network.
fn noise(
    file: &ModelFile,
    pipeline: &Pipeline<'_>,
    photo: &RgbImage,
) -> Result<Noise, Box<dyn Error>> {
    let float = file.float()?;
    let network = FloatNetwork::new(pipeline.model(), float.clone())?;
    let given = pipeline.segment_float(&network, photo)?;
    let labels = pipeline.segment(photo)?.labels;
    let pairs = given.labels().iter().zip(labels.labels());
    let same = pairs.filter(|(float, integer)| float == integer).count();
    let input = [pipeline.input(photo)?];
    Ok(Noise::Measured {
        layers: post_training::measure(float, pipeline, &input, || ())?,
        same_labels: same as f64 / labels.labels().len() as f64,
    })
}

fn classes(model: &Model<'_>, labels: &LabelMap) -> Vec<ClassShare> {
    let mut counts = vec![0_u64; 256];
    for &label in labels.labels() {
        counts[usize::from(label)] += 1;
    }
    let pixels = labels.labels().len() as f64;
    let anchors = anchors(labels, model.class_count());
    inspect(model)
        .classes
        .into_iter()
        .zip(anchors)
        .zip(counts)
        .map(|((class, anchor), count)| ClassShare {
            name: class.name,
            kind: class.kind,
            color: class.color,
            share: count as f64 / pixels,
            anchor,
        })
        .collect()
}

/// The share of pixels without a class, or with a background class.
fn unlabelled(labels: &LabelMap, model: &Model<'_>) -> f64 {
    let known: Vec<bool> = model
        .classes()
        .map(|class| class.kind != ClassKind::Background)
        .collect();
    let is_known = |label: u8| known.get(usize::from(label)) == Some(&true);
    let count = labels.labels().iter().filter(|&&label| !is_known(label));
    count.count() as f64 / labels.labels().len() as f64
}

/// Path, index, zero point and exponent of every fully connected layer but the classifier.
fn hidden_scales(model: &Model<'_>) -> Vec<(Path, usize, i8, i8)> {
    let head = model.head();
    let mut scales: Vec<_> = Path::ALL
        .into_iter()
        .flat_map(|path| {
            head.layers(path).enumerate().map(move |(index, layer)| {
                let output = layer.parameters.output;
                (path, index, output.zero_point, output.exponent)
            })
        })
        .collect();
    // The classifier's outputs have 16 bits.
    scales.pop();
    scales
}

/// The mean magnitude of every cell of the feature map, the largest white.
fn features(model: &Model<'_>, trace: &Trace) -> GrayImage {
    let feature = model.feature();
    let zero = i32::from(feature.zero_point);
    let cells = trace.tensors.last().map_or(&[][..], |values| &values[..]);
    let sums: Vec<u64> = cells
        .chunks_exact(usize::from(feature.shape.channels).max(1))
        .map(|cell| {
            let magnitudes = cell.iter().map(|&q| (i32::from(q) - zero).unsigned_abs());
            magnitudes.map(u64::from).sum()
        })
        .collect();
    let largest = sums.iter().copied().max().unwrap_or(0).max(1);
    let width = u32::from(feature.shape.width);
    GrayImage::from_fn(width, feature.shape.height.into(), |x, y| {
        let sum = sums.get((y * width + x) as usize).copied().unwrap_or(0);
        Luma([(sum * 255 / largest) as u8])
    })
}

/// The photograph, made smaller if a side is longer than `side`.
fn at_most(photo: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = photo.dimensions();
    let longest = u64::from(width.max(height));
    if longest <= u64::from(side) {
        return photo.clone();
    }
    let scaled = |n: u32| (u64::from(n) * u64::from(side) / longest).max(1) as u32;
    triangle::resized(photo, scaled(width), scaled(height))
}

fn memory(pipeline: &Pipeline<'_>, inputs: &Inputs<'_>) -> Result<Vec<StageMemory>, SegmentError> {
    let model = pipeline.model();
    let Shape { width, height, .. } = model.input();
    let pixels = usize::from(width) * usize::from(height);
    let maps: usize = inputs.maps.iter().map(|map| 2 * map.labels().len()).sum();
    let mut indices = 0;
    for map in inputs.maps {
        let mut memory = IndexMemory::default();
        memory.build(*map, model)?;
        indices += memory.bytes();
    }
    let logits = size_of::<i16>() * model.class_count() * inputs.segments.len();
    let count = inputs.segments.len();
    let words = cfm_core::labelling::memory_words(inputs.rule, model, inputs.maps, count);
    Ok(vec![
        StageMemory {
            stage: "proposals",
            arena: 0,
            outside: model.input().len() + ProposalMemory::bytes(pipeline.params(), width, height),
            what: "the whole image, and what superpixels and their grouping take at most",
        },
        StageMemory {
            stage: "convolution",
            arena: model.feature_bytes() + model.line_bytes() + model.kernel_bytes(),
            outside: 0,
            what: "nothing: rows go in as they arrive",
        },
        StageMemory {
            stage: "masks, pyramids, scores",
            arena: model.feature_bytes() + model.scratch_bytes(),
            outside: maps + indices + logits,
            what: "superpixel maps and their index, the logits of all segments",
        },
        StageMemory {
            stage: "labelling",
            arena: 0,
            outside: maps + logits + size_of::<u32>() * words + pixels,
            what: "superpixel maps, logits, votes, the label map",
        },
    ])
}
