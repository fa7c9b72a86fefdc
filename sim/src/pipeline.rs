//! The whole path from a photograph to a class for every pixel, with the core's integer arithmetic.

mod logits;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cfm_core::executor::{ExecuteError, Executor};
use cfm_core::feature_map::FeatureMap;
use cfm_core::image::{ImageError, ImageView};
use cfm_core::kernels::{NativeFor, native_for};
use cfm_core::labelling::{LabelError, ScoredSegment, VOID};
use cfm_core::model::format::tag;
use cfm_core::model::{ClassKind, LabellingRule, Model, Shape};
use cfm_core::scorer::{ScoreError, Scorer};
use cfm_core::segment::{Run, Segment, SegmentError, SuperpixelMap};
use cfm_core::superpixel_index::SuperpixelIndex;
use cfm_proposals::{
    MAX_PIXELS, Params, ParamsError, ProposalError, Proposals, Workspace, propose,
};
use image::RgbImage;
use rayon::prelude::*;
use serde::{Serialize, Serializer};

use crate::core_trace::IndexMemory;
use crate::float_network::{FloatNetwork, FloatNetworkError};
use crate::import::{FitError, Segments};
use crate::label_map::{LabelMap, LabelMapError};
use crate::labelling::label;
use crate::memory_bound::{MemoryError, check_run};
use crate::photo;
use crate::trace::Inputs;

/// Why a photograph cannot be segmented.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The model's input is neither RGB nor grey.
    #[error("the model takes {0} samples per pixel; photographs have 1 or 3")]
    Channels(u16),
    /// The model's input has too many pixels for the proposals.
    #[error("the model takes {width}x{height} pixels; proposals are made for at most {MAX_PIXELS}")]
    InputSize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// The model takes far more memory than its length and its input explain.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The labels are to be refined by a superpixel map that the proposals do not make.
    #[error("labels cannot be refined by superpixel map {map}: there are {maps}, counted from 0")]
    RefinementMap {
        /// The map.
        map: u8,
        /// How many there are.
        maps: usize,
    },
    /// The model's `PROP` section has the wrong length.
    #[error("section PROP: it has {0} bytes instead of {len}", len = Params::BYTES)]
    ParamsLength(usize),
    /// The model's `PROP` section is refused.
    #[error("section PROP: {0}")]
    Params(#[from] ParamsError),
    /// The image is refused.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// No proposals can be made.
    #[error(transparent)]
    Proposals(#[from] ProposalError),
    /// The feature map cannot be computed.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// A superpixel map is refused.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// A segment cannot be scored.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// The pixels cannot be labelled.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// The float network cannot compute.
    #[error(transparent)]
    Float(#[from] FloatNetworkError),
    /// The given segments do not fit the photograph.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// None of the given segments has a pixel of the network's input.
    #[error("no segment has a pixel at the size of the network's input")]
    NoSegment,
    /// The logits are not those of this photograph's segments.
    #[error("{found} logits; there must be {segments} segments times {classes} classes")]
    Logits {
        /// Logits given.
        found: usize,
        /// Proposals of the photograph.
        segments: usize,
        /// Classes of the model.
        classes: usize,
    },
    /// The label map is refused.
    #[error(transparent)]
    LabelMap(#[from] LabelMapError),
}

/// A photograph at the size and with the samples that the network takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkInput {
    pixels: Vec<u8>,
    shape: Shape,
}

impl NetworkInput {
    /// Brings a photograph to the network's size; a network with one sample per pixel sees it in grey.
    ///
    /// # Errors
    /// [`PipelineError::Channels`] for a network with neither one nor three samples per pixel.
    pub fn new(photo: &RgbImage, shape: Shape) -> Result<Self, PipelineError> {
        let resized = photo::resized(photo, shape.width.into(), shape.height.into());
        let pixels = match shape.channels {
            1 => image::imageops::grayscale(&resized).into_raw(),
            3 => resized.into_raw(),
            channels => return Err(PipelineError::Channels(channels)),
        };
        Ok(Self { pixels, shape })
    }

    /// The image as the core takes it.
    ///
    /// # Errors
    /// [`ImageError`] never occurs for a model that was parsed.
    pub fn view(&self) -> Result<ImageView<'_>, ImageError> {
        let Shape {
            height,
            width,
            channels,
        } = self.shape;
        ImageView::new(&self.pixels, width, height, channels)
    }
}

/// Memory in which the proposals of one image live.
#[derive(Debug, Default)]
pub struct ProposalMemory {
    words: Vec<u32>,
    labels: Vec<u16>,
}

impl ProposalMemory {
    /// Makes the proposals of an image.
    ///
    /// # Errors
    /// A [`ProposalError`] for an image that is too large or has neither one nor three samples per pixel.
    pub fn propose(
        &mut self,
        image: ImageView<'_>,
        params: &Params,
    ) -> Result<Proposals<'_>, ProposalError> {
        if u32::from(image.width()) * u32::from(image.height()) > MAX_PIXELS {
            return Err(ProposalError::TooManyPixels);
        }
        let (width, height) = (image.width(), image.height());
        self.words.resize(params.words(width, height), 0);
        self.labels.resize(params.labels(width, height), 0);
        let workspace = Workspace {
            words: &mut self.words,
            labels: &mut self.labels,
        };
        propose(image, params, workspace)
    }

    /// Bytes that proposals with these parameters take for an image of `width x height` pixels.
    #[must_use]
    pub fn bytes(params: &Params, width: u16, height: u16) -> usize {
        size_of::<u32>() * params.words(width, height)
            + size_of::<u16>() * params.labels(width, height)
    }
}

/// How long each stage took, by the clock on the wall.
///
/// Segments are scored in parallel. What that took is divided between [`masks_spp`](Self::masks_spp) and
/// [`fc`](Self::fc) as the threads' own times for the two are divided, since they do both in turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Times {
    /// Convolving the image, once.
    #[serde(serialize_with = "milliseconds")]
    pub conv: Duration,
    /// Making the proposals.
    #[serde(serialize_with = "milliseconds")]
    pub proposals: Duration,
    /// Projecting the segments onto the feature map, masking and pooling.
    #[serde(serialize_with = "milliseconds")]
    pub masks_spp: Duration,
    /// The fully connected layers and the classifier.
    #[serde(serialize_with = "milliseconds")]
    pub fc: Duration,
    /// From the scores of segments to the classes of pixels.
    #[serde(serialize_with = "milliseconds")]
    pub labelling: Duration,
    /// Everything, the resizing of the photograph included.
    #[serde(serialize_with = "milliseconds")]
    pub total: Duration,
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_micros() as f64 / 1000.0)
}

/// What threads spent on scoring segments.
#[derive(Debug, Clone, Copy, Default)]
struct ThreadTimes {
    masks_spp: Duration,
    fc: Duration,
}

/// Segments that a thread takes at a time: enough to be worth its scratch memory.
const SEGMENTS_AT_ONCE: usize = 32;

/// A segmented photograph.
#[derive(Debug, Clone)]
pub struct Segmentation {
    /// The index of a class of the model for every pixel of the network's input, or [`VOID`].
    pub labels: LabelMap,
    /// How many segments were scored.
    pub segments: usize,
    /// How long it took.
    pub times: Times,
}

impl Segmentation {
    /// The share of pixels of each of `classes` classes.
    #[must_use]
    pub fn shares(&self, classes: usize) -> Vec<f64> {
        let mut counts = vec![0_usize; classes];
        for &label in self.labels.labels() {
            if let Some(count) = counts.get_mut(usize::from(label)) {
                *count += 1;
            }
        }
        let pixels = self.labels.labels().len() as f64;
        counts.iter().map(|&count| count as f64 / pixels).collect()
    }
}

/// The segments of a photograph with the classifier's verdict on each.
#[derive(Debug, Clone, Copy)]
pub struct ScoredPhoto<'a> {
    model: &'a Model<'a>,
    maps: &'a [SuperpixelMap<'a>],
    /// Segments with their areas.
    segments: &'a [(Segment<'a>, u32)],
    /// One per segment and class.
    logits: &'a [i16],
    /// What came before the labelling.
    times: Times,
}

impl ScoredPhoto<'_> {
    /// Labels every pixel by `rule`.
    ///
    /// # Errors
    /// [`LabelError::RefinementMap`] for a rule that refines by a superpixel map that there is not; segments from elsewhere
    /// have none.
    pub fn label(&self, rule: LabellingRule) -> Result<Segmentation, PipelineError> {
        let clock = Instant::now();
        let segments: Vec<ScoredSegment<'_>> = self
            .segments
            .iter()
            .zip(self.logits.chunks_exact(self.model.class_count()))
            .map(|(&(segment, area), logits)| ScoredSegment {
                segment,
                area,
                logits,
            })
            .collect();
        let labels = label(self.model, rule, self.maps, segments.len(), |i| segments[i])?;
        let Shape { width, height, .. } = self.model.input();
        let labels = LabelMap::new(width.into(), height.into(), labels)?;
        let labelling = clock.elapsed();
        Ok(Segmentation {
            labels,
            segments: segments.len(),
            times: Times {
                labelling,
                total: self.times.total + labelling,
                ..self.times
            },
        })
    }
}

/// A photograph with the segments that are to be classified.
#[derive(Debug, Clone, Copy)]
struct Candidates<'a> {
    /// When work on the photograph began.
    start: Instant,
    input: &'a NetworkInput,
    maps: &'a [SuperpixelMap<'a>],
    /// Segments with their areas.
    segments: &'a [(Segment<'a>, u32)],
    /// What came before.
    times: Times,
}

/// A model, ready to segment photographs.
#[derive(Debug, Clone)]
pub struct Pipeline<'m> {
    model: &'m Model<'m>,
    kernels: Arc<NativeFor<'m>>,
    params: Params,
    labelling: LabellingRule,
}

impl<'m> Pipeline<'m> {
    /// A pipeline with the model's labelling rule, and the proposal parameters that it carries, or the default ones.
    ///
    /// # Errors
    /// When the model's `PROP` section is broken or lacks the scale that its labels are refined by, its input is nothing
    /// that a photograph can be brought to, or it takes more memory than [`memory_bound`](crate::memory_bound) allows.
    pub fn new(model: &'m Model<'m>) -> Result<Self, PipelineError> {
        let Shape {
            height,
            width,
            channels,
        } = model.input();
        if channels != 1 && channels != 3 {
            return Err(PipelineError::Channels(channels));
        }
        if u32::from(width) * u32::from(height) > MAX_PIXELS {
            return Err(PipelineError::InputSize { width, height });
        }
        check_run(model)?;
        let params = match model.section(tag::PROPOSALS) {
            None => Params::DEFAULT,
            Some(bytes) => {
                let bytes = bytes
                    .try_into()
                    .map_err(|_| PipelineError::ParamsLength(bytes.len()))?;
                Params::from_bytes(bytes)?
            }
        };
        let pipeline = Self {
            model,
            kernels: Arc::new(native_for(model)),
            params,
            labelling: LabellingRule::DEFAULT,
        };
        pipeline.with_labelling(model.labelling())
    }

    /// The same pipeline with another labelling rule.
    ///
    /// # Errors
    /// [`PipelineError::RefinementMap`] for a rule that refines by a superpixel map that the proposals do not make.
    pub fn with_labelling(self, rule: LabellingRule) -> Result<Self, PipelineError> {
        let maps = self.params.scales().len();
        match rule.refinement {
            Some(map) if usize::from(map) >= maps => {
                Err(PipelineError::RefinementMap { map, maps })
            }
            _ => Ok(Self {
                labelling: rule,
                ..self
            }),
        }
    }

    /// The model.
    #[must_use]
    pub const fn model(&self) -> &'m Model<'m> {
        self.model
    }

    /// The labelling rule.
    #[must_use]
    pub const fn labelling(&self) -> LabellingRule {
        self.labelling
    }

    /// The proposal parameters.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// The photograph as the network takes it.
    ///
    /// # Errors
    /// As [`NetworkInput::new`].
    pub fn input(&self, photo: &RgbImage) -> Result<NetworkInput, PipelineError> {
        NetworkInput::new(photo, self.model.input())
    }

    /// Labels every pixel of a photograph.
    ///
    /// # Errors
    /// A [`PipelineError`] that the constructor could not foresee; none is known.
    pub fn segment(&self, photo: &RgbImage) -> Result<Segmentation, PipelineError> {
        self.score(photo, |scored| scored.label(self.labelling))
    }

    /// Calls `with` with the scored segments of a photograph, which can be labelled by any number of rules.
    ///
    /// # Errors
    /// Those of `with`, and as [`segment`](Self::segment).
    pub fn score<T>(
        &self,
        photo: &RgbImage,
        with: impl FnOnce(&ScoredPhoto<'_>) -> Result<T, PipelineError>,
    ) -> Result<T, PipelineError> {
        self.proposed(photo, |candidates| self.scored(candidates, with))
    }

    /// Calls `with` with the proposals of a photograph.
    fn proposed<T>(
        &self,
        photo: &RgbImage,
        with: impl FnOnce(Candidates<'_>) -> Result<T, PipelineError>,
    ) -> Result<T, PipelineError> {
        let start = Instant::now();
        let input = self.input(photo)?;
        let mut memory = ProposalMemory::default();
        let clock = Instant::now();
        let proposals = memory.propose(input.view()?, &self.params)?;
        let segments: Vec<(Segment<'_>, u32)> = proposals
            .iter()
            .map(|proposal| (proposal.segment(), proposal.area))
            .collect();
        with(Candidates {
            start,
            input: &input,
            maps: proposals.maps(),
            segments: &segments,
            times: Times {
                proposals: clock.elapsed(),
                ..Times::default()
            },
        })
    }

    /// Segments from elsewhere, brought to the size of the network's input.
    ///
    /// # Errors
    /// [`PipelineError::Fit`] or [`PipelineError::NoSegment`].
    pub fn fitted(&self, photo: &RgbImage, segments: &Segments) -> Result<Segments, PipelineError> {
        let Shape { height, width, .. } = self.model.input();
        let resized = segments.fitted(photo.dimensions(), width, height)?;
        if resized.is_empty() {
            return Err(PipelineError::NoSegment);
        }
        Ok(resized)
    }

    /// Labels every pixel of a photograph by segments from elsewhere, which are brought to the size of the network's
    /// input. Pixels that no segment covers have no class.
    ///
    /// # Errors
    /// As [`Pipeline::fitted`]; [`LabelError::RefinementMap`] if the rule refines, since there are no superpixels; or
    /// as [`Pipeline::segment`].
    pub fn segment_by(
        &self,
        photo: &RgbImage,
        segments: &Segments,
    ) -> Result<Segmentation, PipelineError> {
        let start = Instant::now();
        let input = self.input(photo)?;
        let clock = Instant::now();
        let resized = self.fitted(photo, segments)?;
        let area = |runs: &[Run]| runs.iter().map(|run| u32::from(run.x1 - run.x0)).sum();
        let segments: Vec<(Segment<'_>, u32)> = resized
            .iter()
            .map(|runs| (Segment::Runs(runs), area(runs)))
            .collect();
        let candidates = Candidates {
            start,
            input: &input,
            maps: &[],
            segments: &segments,
            times: Times {
                proposals: clock.elapsed(),
                ..Times::default()
            },
        };
        self.scored(candidates, |scored| scored.label(self.labelling))
    }

    /// Convolves the image, scores segments with their areas, and calls `with` with the scores.
    fn scored<T>(
        &self,
        candidates: Candidates<'_>,
        with: impl FnOnce(&ScoredPhoto<'_>) -> Result<T, PipelineError>,
    ) -> Result<T, PipelineError> {
        let Candidates {
            start,
            input,
            maps,
            segments,
            mut times,
        } = candidates;
        let model = self.model;
        let image = input.view()?;
        let clock = Instant::now();
        let kernels = &*self.kernels;
        let mut arena = vec![0; model.arena_bytes()];
        let mut executor = Executor::with_kernels(model, &mut arena, kernels)?;
        executor.push_image(&image)?;
        let (features, _) = executor.finish()?;
        times.conv = clock.elapsed();

        let clock = Instant::now();
        let mut memory = Vec::new();
        let indices = IndexMemory::build_all(&mut memory, maps, model)?;
        let indexed = clock.elapsed();
        let mut logits = vec![0_i16; segments.len() * model.class_count()];
        let threads = self.classify(features, segments, &indices, &mut logits)?;
        let scored = clock.elapsed() - indexed;
        // Of no time at all, both have none.
        let sum = (threads.masks_spp + threads.fc).max(Duration::from_nanos(1));
        times.fc = scored.mul_f64(threads.fc.div_duration_f64(sum));
        times.masks_spp = indexed + scored.saturating_sub(times.fc);

        times.total = start.elapsed();
        with(&ScoredPhoto {
            model,
            maps,
            segments,
            logits: &logits,
            times,
        })
    }

    /// Writes the logits of every segment, in parallel; the time that all threads together took for each of the two steps.
    fn classify(
        &self,
        features: FeatureMap<'_>,
        segments: &[(Segment<'_>, u32)],
        indices: &[SuperpixelIndex<'_>],
        logits: &mut [i16],
    ) -> Result<ThreadTimes, ScoreError> {
        let model = self.model;
        let classes = model.class_count();
        segments
            .par_chunks(SEGMENTS_AT_ONCE)
            .zip(logits.par_chunks_mut(SEGMENTS_AT_ONCE * classes))
            .map_init(
                || vec![0; model.scratch_bytes()],
                |scratch, (segments, logits)| {
                    let mut times = ThreadTimes::default();
                    let mut scorer =
                        Scorer::with_kernels(model, features, scratch, &*self.kernels)?;
                    for ((segment, _), logits) in
                        segments.iter().zip(logits.chunks_exact_mut(classes))
                    {
                        let clock = Instant::now();
                        let pooled = scorer.project(segment, indices)?.pool();
                        let pooling = clock.elapsed();
                        pooled.classify(logits)?;
                        times.masks_spp += pooling;
                        times.fc += clock.elapsed() - pooling;
                    }
                    Ok(times)
                },
            )
            .try_reduce(ThreadTimes::default, |a, b| {
                Ok(ThreadTimes {
                    masks_spp: a.masks_spp + b.masks_spp,
                    fc: a.fc + b.fc,
                })
            })
    }

    /// The class indices that the float network gives the pixels of a photograph, with the same proposals, masks and
    /// labelling.
    ///
    /// # Errors
    /// [`PipelineError::Float`] when `network` is not that of this model.
    pub fn segment_float(
        &self,
        network: &FloatNetwork<'_>,
        photo: &RgbImage,
    ) -> Result<LabelMap, PipelineError> {
        let input = self.input(photo)?;
        let image = input.view()?;
        let mut memory = ProposalMemory::default();
        let proposals = memory.propose(image, &self.params)?;
        let segments: Vec<Segment<'_>> = proposals.iter().map(|p| p.segment()).collect();
        let scores = network.label(&Inputs {
            image,
            maps: proposals.maps(),
            segments: &segments,
            rule: self.labelling,
        })?;
        let (width, height) = (image.width().into(), image.height().into());
        Ok(LabelMap::new(width, height, scores.labels)?)
    }

    /// The value in label images of each class index (and [`VOID`] for [`VOID`] and background classes).
    #[must_use]
    pub fn label_values(&self) -> [u8; 256] {
        let mut values = [VOID; 256];
        for (index, class) in self.model.classes().enumerate() {
            if class.kind != ClassKind::Background {
                values[index] = class.label;
            }
        }
        values
    }
}
