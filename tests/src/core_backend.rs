//! `cfm-core` as a backend, with any kernels, in the caller's memory: host and firmware run the same code.

use cfm_core::executor::{ExecuteError, Executor};
use cfm_core::kernels::Kernels;
use cfm_core::labelling::{LabelError, ScoredSegment, label_pixels};
use cfm_core::model::reorder::{ReorderError, reorder};
use cfm_core::model::{Classifier, LabellingRule, Model, ModelError, Path};
use cfm_core::scorer::{ScoreError, Scorer};
use cfm_core::segment::{Run, Segment, SegmentError, SuperpixelMap};
use cfm_core::softmax::softmax;
use cfm_core::superpixel_index::{CellCount, Superpixel, SuperpixelIndex, SuperpixelTally};
use fixed::types::U0F16;
use heapless::Vec;

use crate::backend::Backend;
use crate::case::{BrokenCase, Case, Content, runs, u16s};
use crate::check::{Checker, Failure};
use crate::street::StreetArena;

/// Most superpixel maps in a case.
pub const MAX_MAPS: usize = 4;
/// Most segments in a case.
pub const MAX_SEGMENTS: usize = 16;
/// Most classes of a case's model.
pub const MAX_CASE_CLASSES: usize = 16;
/// Bytes of the longest model file of a case.
pub const MAX_CASE_MODEL: usize = 16 * 1024;

/// Memory for running cases; firmware keeps one in a `static`. [`MEMORY`] is enough for every committed case. Between cases
/// it holds nothing: other tests may use it.
#[derive(Debug)]
#[repr(align(16))]
pub struct Memory {
    /// The arena: larger than any case needs, so that it is one for the default model, too.
    pub arena: StreetArena,
    /// A model file.
    pub model: [u8; MAX_CASE_MODEL],
    ids: [u16; 8 * 1024],
    runs: [Run; 2 * 1024],
    superpixels: [Superpixel; 1280],
    counts: [CellCount; 4 * 1024],
    words: [u32; 12 * 1024],
    labels: [u8; 4 * 1024],
}

/// Fresh memory.
pub const MEMORY: Memory = Memory {
    arena: StreetArena::new(),
    model: [0; MAX_CASE_MODEL],
    ids: [0; 8 * 1024],
    runs: [Run { y: 0, x0: 0, x1: 0 }; 2 * 1024],
    superpixels: [Superpixel::EMPTY; 1280],
    counts: [CellCount::EMPTY; 4 * 1024],
    words: [0; 12 * 1024],
    labels: [0; 4 * 1024],
};

/// Why a case could not be run, or did not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunError {
    /// The case file is broken.
    Case,
    /// [`Memory`] is too small for the case.
    Memory,
    /// The model was refused.
    Model(ModelError),
    /// The model cannot be put into the kernels' order of weights.
    Reorder(ReorderError),
    /// The backbone failed.
    Execute(ExecuteError),
    /// A segment was refused.
    Score(ScoreError),
    /// Labelling failed.
    Label(LabelError),
    /// The output is wrong.
    Failure(Failure),
}

impl From<BrokenCase> for RunError {
    fn from(_: BrokenCase) -> Self {
        Self::Case
    }
}

impl From<ExecuteError> for RunError {
    fn from(error: ExecuteError) -> Self {
        Self::Execute(error)
    }
}

impl From<ScoreError> for RunError {
    fn from(error: ScoreError) -> Self {
        Self::Score(error)
    }
}

impl From<SegmentError> for RunError {
    fn from(error: SegmentError) -> Self {
        Self::Score(ScoreError::Segment(error))
    }
}

/// Runs one case through `cfm-core` with the kernels of `backend` and compares every tensor; returns the number of bytes compared.
///
/// # Errors
/// [`RunError`]: above all [`RunError::Failure`] when a bit differs.
pub fn run_case<B: Backend>(
    file: &[u8],
    backend: &B,
    memory: &mut Memory,
) -> Result<usize, RunError> {
    let case = Case::parse(file)?;
    let file = case.get(Content::Model).ok_or(BrokenCase)?;
    let model = Model::parse(file).map_err(RunError::Model)?;
    let packed = reorder(&model, <B::Kernels<'_>>::WEIGHT_ORDER, &mut memory.model);
    let packed = packed.map_err(RunError::Reorder)?;
    let model = Model::parse(packed).map_err(RunError::Model)?;
    let kernels = backend.kernels(&model);
    let mut checker = Checker::new(case);

    let mut executor = Executor::with_kernels(&model, memory.arena.as_mut_slice(), &kernels)?;
    let image = case.get(Content::Image).ok_or(BrokenCase)?;
    for row in image.chunks_exact(model.input().row_len()) {
        executor.push_row_observed(row, |tensor, y, values| {
            let index = u16::try_from(tensor).unwrap_or(u16::MAX);
            checker.i8s(
                Content::Tensor(index),
                usize::from(y) * values.len(),
                values,
            );
        })?;
    }
    let (features, scratch) = executor.finish()?;
    let mut scorer = Scorer::with_kernels(&model, features, scratch, &kernels)?;

    let mut ids = Pool(&mut memory.ids);
    let mut run_pool = Pool(&mut memory.runs);
    let (mut superpixels, mut counts) = (Pool(&mut memory.superpixels), Pool(&mut memory.counts));
    let mut maps: Vec<SuperpixelIndex<'_>, MAX_MAPS> = Vec::new();
    for index in 0.. {
        let Some(bytes) = case.get(Content::Map(index)) else {
            break;
        };
        let (count, labels) = bytes.split_at_checked(2).ok_or(BrokenCase)?;
        let count = u16s(count).next().ok_or(BrokenCase)?;
        let labels = ids.fill(u16s(labels)).ok_or(RunError::Memory)?;
        let input = model.input();
        let map = SuperpixelMap::new(labels, input.width, input.height, count)?;
        let regions = superpixels
            .take(usize::from(count))
            .ok_or(RunError::Memory)?;
        let tally = SuperpixelTally::new(map, &model, regions)?;
        let counts = counts.take(tally.counts_needed()).ok_or(RunError::Memory)?;
        maps.push(tally.build(counts)?)
            .map_err(|_| RunError::Memory)?;
    }

    let mut logits = [[0_i16; MAX_CASE_CLASSES]; MAX_SEGMENTS];
    let mut scored: Vec<(Segment<'_>, u32), MAX_SEGMENTS> = Vec::new();
    for index in 0..case.segment_count() {
        let segment = match (
            case.get(Content::Runs(index)),
            case.get(Content::Members(index)),
        ) {
            (Some(bytes), _) => Segment::Runs(run_pool.fill(runs(bytes)).ok_or(RunError::Memory)?),
            (None, Some(bytes)) => {
                let (map, members) = bytes.split_at_checked(2).ok_or(BrokenCase)?;
                Segment::Superpixels {
                    map: usize::from(u16s(map).next().ok_or(BrokenCase)?),
                    members: ids.fill(u16s(members)).ok_or(RunError::Memory)?,
                }
            }
            (None, None) => return Err(RunError::Case),
        };
        let logits = logits
            .get_mut(usize::from(index))
            .and_then(|row| row.get_mut(..model.class_count()))
            .ok_or(RunError::Memory)?;
        let area = score(&mut scorer, &segment, &maps, index, logits, &mut checker)?;
        scored.push((segment, area)).map_err(|_| RunError::Memory)?;
        if model.head().classifier == Classifier::Softmax {
            let mut probabilities = [U0F16::ZERO; MAX_CASE_CLASSES];
            softmax(logits, model.head().logit_exponent, &mut probabilities);
            let probabilities = probabilities.iter().take(model.class_count());
            checker.u16s(
                Content::Probabilities(index),
                probabilities.map(|p| p.to_bits()),
            );
        }
    }

    let rule = case.get(Content::Rule).ok_or(BrokenCase)?;
    let rule = LabellingRule::from_bytes(rule).map_err(|_| BrokenCase)?;
    let plain: Vec<SuperpixelMap<'_>, MAX_MAPS> = maps.iter().map(|m| *m.map()).collect();
    let pixels = usize::from(model.input().width) * usize::from(model.input().height);
    let labels = memory.labels.get_mut(..pixels).ok_or(RunError::Memory)?;
    label_pixels(
        &model,
        rule,
        &plain,
        scored.len(),
        |i| {
            let (segment, area) = scored.get(i).copied().unwrap_or((Segment::Runs(&[]), 0));
            let row = logits.get(i).and_then(|row| row.get(..model.class_count()));
            ScoredSegment {
                segment,
                area,
                logits: row.unwrap_or(&[]),
            }
        },
        &mut memory.words,
        labels,
    )
    .map_err(RunError::Label)?;
    checker.bytes(Content::Labels, 0, labels.iter().copied());
    checker.finish().map_err(RunError::Failure)
}

/// Scores segment `index`, showing everything on the way; returns its area.
fn score<K: Kernels>(
    scorer: &mut Scorer<'_, '_, K>,
    segment: &Segment<'_>,
    maps: &[SuperpixelIndex<'_>],
    index: u16,
    logits: &mut [i16],
    checker: &mut Checker<'_>,
) -> Result<u32, RunError> {
    let masked = scorer.project(segment, maps)?;
    let (extent, window) = (masked.extent(), masked.window());
    let window = [window.top, window.left, window.bottom, window.right];
    checker.bytes(
        Content::Extent(index),
        0,
        extent
            .area
            .to_le_bytes()
            .into_iter()
            .chain(window.into_iter().flat_map(u16::to_le_bytes)),
    );
    checker.i8s(Content::Mask(index), 0, masked.mask());
    let pooled = masked.pool();
    checker.i8s(Content::BinMask(index), 0, pooled.bin_mask());
    checker.i8s(Content::SegmentVector(index), 0, pooled.segment_vector());
    checker.i8s(Content::RegionVector(index), 0, pooled.region_vector());
    let mut hidden = 0;
    pooled.classify_observed(logits, |_: Path, _, values| {
        checker.i8s(Content::Hidden(index, hidden), 0, values);
        hidden += 1;
    })?;
    checker.u16s(
        Content::Logits(index),
        logits.iter().map(|l| l.cast_unsigned()),
    );
    Ok(extent.area)
}

/// Hands out parts of a slice.
struct Pool<'a, T>(&'a mut [T]);

impl<'a, T> Pool<'a, T> {
    fn take(&mut self, len: usize) -> Option<&'a mut [T]> {
        let (part, rest) = core::mem::take(&mut self.0).split_at_mut_checked(len)?;
        self.0 = rest;
        Some(part)
    }

    fn fill(&mut self, values: impl Iterator<Item = T> + Clone) -> Option<&'a [T]> {
        let part = self.take(values.clone().count())?;
        for (slot, value) in part.iter_mut().zip(values) {
            *slot = value;
        }
        Some(part)
    }
}
