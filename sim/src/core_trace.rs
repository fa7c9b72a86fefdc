//! The core's side of a comparison: the row-by-row executor, the scorer and the labelling, with everything that they
//! show on the way written down.

use std::hint::black_box;
use std::time::{Duration, Instant};

use cfm_core::executor::{ExecuteError, Executor};
use cfm_core::feature_map::FeatureMap;
use cfm_core::image::ImageView;
use cfm_core::kernels::{Kernels, native_for};
use cfm_core::labelling::{LabelError, ScoredSegment};
use cfm_core::model::{Classifier, Model};
use cfm_core::scorer::{ScoreError, Scorer};
use cfm_core::segment::{Segment, SegmentError, SuperpixelMap};
use cfm_core::softmax::softmax;
use cfm_core::superpixel_index::{CellCount, Superpixel, SuperpixelIndex, SuperpixelTally};
use fixed::types::U0F16;

use crate::labelling::label;
use crate::memory_bound::{MemoryError, check_compare};
use crate::trace::{Inputs, SegmentTrace, Trace};

/// Why the core cannot compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CoreError {
    /// The image is refused.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// A superpixel map is refused.
    #[error("superpixel map {0}: {1}")]
    Map(usize, SegmentError),
    /// The scorer is refused its memory or feature map.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// A segment is refused.
    #[error("segment {0}: {1}")]
    Segment(usize, ScoreError),
    /// The labelling is refused.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// The tensors and vectors would take too much memory.
    #[error("{0}; fewer segments take less")]
    Memory(#[from] MemoryError),
}

/// The core's numbers for an image and its segments, with the host's fastest kernels.
///
/// # Errors
/// A [`CoreError`] for an image of another size than the model's input, a broken segment, or a model that would take too
/// much memory.
pub fn trace(model: &Model<'_>, inputs: &Inputs<'_>) -> Result<Trace, CoreError> {
    trace_with(model, inputs, &native_for(model))
}

/// [`trace`] with kernels of the caller's choice.
///
/// # Errors
/// As [`trace`].
pub fn trace_with<K: Kernels + Copy>(
    model: &Model<'_>,
    inputs: &Inputs<'_>,
    kernels: K,
) -> Result<Trace, CoreError> {
    let Inputs {
        image,
        maps,
        segments,
        rule,
    } = *inputs;
    check_compare(model, inputs)?;
    let mut arena = vec![0; model.arena_bytes()];
    let mut executor = Executor::with_kernels(model, &mut arena, kernels)?;
    let mut tensors = vec![Vec::new(); model.tensors().len()];
    for row in image.rows() {
        executor.push_row_observed(row, |tensor, _, values| {
            tensors[tensor].extend_from_slice(values);
        })?;
    }
    let (features, scratch) = executor.finish()?;
    let mut scorer = Scorer::with_kernels(model, features, scratch, kernels)?;

    let mut indices = Vec::with_capacity(maps.len());
    let mut memory: Vec<IndexMemory> = Vec::new();
    memory.resize_with(maps.len(), IndexMemory::default);
    for (at, (map, memory)) in maps.iter().zip(&mut memory).enumerate() {
        let index = memory.build(*map, model);
        indices.push(index.map_err(|error| CoreError::Map(at, error))?);
    }
    let segment_traces = segments
        .iter()
        .enumerate()
        .map(|(at, segment)| {
            score(&mut scorer, model, segment, &indices)
                .map_err(|error| CoreError::Segment(at, error))
        })
        .collect::<Result<Vec<_>, _>>()?;

    let labels = label(model, rule, maps, segments.len(), |at| ScoredSegment {
        segment: segments[at],
        area: segment_traces[at].area,
        logits: &segment_traces[at].logits,
    })?;
    Ok(Trace {
        tensors,
        segments: segment_traces,
        labels,
    })
}

/// The feature map by the whole-image call instead of row by row.
///
/// # Errors
/// [`ExecuteError`] for an image of another size than the model's input.
pub fn whole_image<K: Kernels>(
    model: &Model<'_>,
    image: &ImageView<'_>,
    kernels: K,
) -> Result<Vec<i8>, ExecuteError> {
    // Memory that is not zeroed beforehand must not matter.
    let mut arena = vec![-86; model.arena_bytes()];
    let mut executor = Executor::with_kernels(model, &mut arena, kernels)?;
    executor.push_image(image)?;
    let (features, _) = executor.finish()?;
    Ok(features.data().to_vec())
}

/// The logits of every segment by the scorer's single call, on the feature map `features`.
///
/// # Errors
/// A [`ScoreError`] for a broken segment or a feature map of another length.
pub fn logits<K: Kernels>(
    model: &Model<'_>,
    features: &[i8],
    inputs: &Inputs<'_>,
    kernels: K,
) -> Result<Vec<Vec<i16>>, ScoreError> {
    for_each_segment(model, features, inputs, kernels, |scorer, segment, maps| {
        let mut logits = vec![0; model.class_count()];
        scorer.score(segment, maps, &mut logits)?;
        Ok(logits)
    })
}

/// How long the fully connected layers of all segments take, without masks and pooling.
///
/// # Errors
/// As [`logits`].
pub fn classification_time<K: Kernels>(
    model: &Model<'_>,
    features: &[i8],
    inputs: &Inputs<'_>,
    kernels: K,
) -> Result<Duration, ScoreError> {
    let mut logits = vec![0; model.class_count()];
    let times = for_each_segment(model, features, inputs, kernels, |scorer, segment, maps| {
        let pooled = scorer.project(segment, maps)?.pool();
        let clock = Instant::now();
        pooled.classify(&mut logits)?;
        let time = clock.elapsed();
        black_box(&logits);
        Ok(time)
    })?;
    Ok(times.iter().sum())
}

/// What `work` makes of every segment.
fn for_each_segment<K: Kernels, T>(
    model: &Model<'_>,
    features: &[i8],
    inputs: &Inputs<'_>,
    kernels: K,
    mut work: impl FnMut(
        &mut Scorer<'_, '_, K>,
        &Segment<'_>,
        &[SuperpixelIndex<'_>],
    ) -> Result<T, ScoreError>,
) -> Result<Vec<T>, ScoreError> {
    let features = FeatureMap::new(features, model.feature()).ok_or(ScoreError::FeatureMap)?;
    let mut scratch = vec![-86; model.scratch_bytes()];
    let mut scorer = Scorer::with_kernels(model, features, &mut scratch, kernels)?;
    let mut memory = Vec::new();
    let indices = IndexMemory::build_all(&mut memory, inputs.maps, model)?;
    inputs
        .segments
        .iter()
        .map(|segment| work(&mut scorer, segment, &indices))
        .collect()
}

/// The memory that a superpixel index lives in.
#[derive(Debug, Default)]
pub struct IndexMemory {
    superpixels: Vec<Superpixel>,
    counts: Vec<CellCount>,
}

impl IndexMemory {
    /// Builds the index of a map.
    ///
    /// # Errors
    /// [`SegmentError::MapSize`] for a map of another size than the model's input.
    pub fn build<'a>(
        &'a mut self,
        map: SuperpixelMap<'a>,
        model: &Model<'_>,
    ) -> Result<SuperpixelIndex<'a>, SegmentError> {
        self.superpixels = vec![Superpixel::EMPTY; usize::from(map.count())];
        let tally = SuperpixelTally::new(map, model, &mut self.superpixels)?;
        self.counts = vec![CellCount::EMPTY; tally.counts_needed()];
        tally.build(&mut self.counts)
    }

    /// Builds the indices of several maps, in order, in as many memories.
    ///
    /// # Errors
    /// As [`build`](Self::build), for the first map that has one.
    pub fn build_all<'a>(
        memory: &'a mut Vec<Self>,
        maps: &[SuperpixelMap<'a>],
        model: &Model<'_>,
    ) -> Result<Vec<SuperpixelIndex<'a>>, SegmentError> {
        memory.resize_with(maps.len(), Self::default);
        maps.iter()
            .zip(memory)
            .map(|(map, memory)| memory.build(*map, model))
            .collect()
    }

    /// Bytes that the last index takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&self.superpixels[..]) + size_of_val(&self.counts[..])
    }
}

fn score<K: Kernels>(
    scorer: &mut Scorer<'_, '_, K>,
    model: &Model<'_>,
    segment: &Segment<'_>,
    maps: &[SuperpixelIndex<'_>],
) -> Result<SegmentTrace, ScoreError> {
    let masked = scorer.project(segment, maps)?;
    let window = masked.window();
    let mut trace = SegmentTrace {
        area: masked.extent().area,
        window: [window.top, window.left, window.bottom, window.right],
        mask: masked
            .mask()
            .iter()
            .map(|bit| bit.cast_unsigned())
            .collect(),
        logits: vec![0; model.class_count()],
        ..SegmentTrace::default()
    };
    let pooled = masked.pool();
    trace.bin_mask = pooled
        .bin_mask()
        .iter()
        .map(|bit| bit.cast_unsigned())
        .collect();
    trace.segment_vector = pooled.segment_vector().to_vec();
    trace.region_vector = pooled.region_vector().to_vec();
    pooled.classify_observed(&mut trace.logits, |_, _, values| {
        trace.hidden.push(values.to_vec());
    })?;
    let head = model.head();
    if head.classifier == Classifier::Softmax {
        let mut probabilities = vec![U0F16::ZERO; trace.logits.len()];
        softmax(&trace.logits, head.logit_exponent, &mut probabilities);
        trace.probabilities = probabilities.iter().map(|p| p.to_bits()).collect();
    }
    Ok(trace)
}
