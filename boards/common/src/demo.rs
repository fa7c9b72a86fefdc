//! A whole image with the default model: rows in, proposals made on the target, labels out.

use cfm_conformance::street::{MODEL, StreetArena};
use cfm_core::executor::{ExecuteError, Executor};
use cfm_core::image::ImageView;
use cfm_core::kernels::Kernels;
use cfm_core::labelling::{LabelError, ScoredSegment, label_pixels};
use cfm_core::model::Shape;
use cfm_core::model::format::tag;
use cfm_core::scorer::{ScoreError, Scorer};
use cfm_core::segment::{Segment, SegmentError};
use cfm_core::superpixel_index::{CellCount, Superpixel, SuperpixelIndex};
use cfm_proposals::{MAX_SCALES, Params, ProposalError, Workspace, propose};
use heapless::Vec;

use crate::clock::Clock;
use crate::report::{Event, Report, Stage};
use crate::rows::{LabelSink, RowSource};

/// The image that the model takes.
pub const INPUT: Shape = MODEL.input();
/// How its proposals are made.
pub const PARAMS: Params = match MODEL.section(tag::PROPOSALS) {
    None => Params::DEFAULT,
    Some(bytes) => match bytes.as_array() {
        None => panic!("the model's section PROP has the wrong length"),
        Some(bytes) => match Params::from_bytes(bytes) {
            Ok(params) => params,
            Err(_) => panic!("the model's section PROP is refused"),
        },
    },
};

const PIXELS: usize = INPUT.width as usize * INPUT.height as usize;
const CLASSES: usize = MODEL.class_count();
const MAPS: usize = PARAMS.scales().len();
const SEGMENTS: usize = PARAMS.max_segments() as usize;
const SUPERPIXELS: usize = PARAMS.max_superpixels() as usize;
/// The larger of what `memory_words` says for pasting and for voting, both with refinement.
const LABEL_WORDS: usize = {
    let paste = 4 * SEGMENTS + 3 * MAPS * SUPERPIXELS;
    let vote = CLASSES * (MAPS * SUPERPIXELS + INPUT.width as usize + 2 * SUPERPIXELS);
    if paste > vote { paste } else { vote }
};

/// Memory for an image; firmware keeps one in a `static`.
#[derive(Debug)]
pub struct Memory {
    arena: StreetArena,
    /// The image: the backbone needs only rows, the proposals look at all of it.
    frame: [u8; INPUT.row_len() * INPUT.height as usize],
    words: [u32; PARAMS.words(INPUT.width, INPUT.height)],
    labels: [u16; PARAMS.labels(INPUT.width, INPUT.height)],
    superpixels: [[Superpixel; SUPERPIXELS]; MAPS],
    /// For the worst image, in which no two neighbours are of one superpixel.
    counts: [[CellCount; PIXELS]; MAPS],
    logits: [[i16; CLASSES]; SEGMENTS],
    label_words: [u32; LABEL_WORDS],
    map: [u8; PIXELS],
}

/// Fresh memory.
pub const MEMORY: Memory = Memory {
    arena: StreetArena::new(),
    frame: [0; _],
    words: [0; _],
    labels: [0; _],
    superpixels: [[Superpixel::EMPTY; _]; _],
    counts: [[CellCount::EMPTY; _]; _],
    logits: [[0; _]; _],
    label_words: [0; _],
    map: [0; _],
};

/// Why an image could not be labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoError<S, L> {
    /// The camera failed.
    Source(S),
    /// Labels could not be put out.
    Sink(L),
    /// The backbone failed.
    Execute(ExecuteError),
    /// Proposals could not be made.
    Propose(ProposalError),
    /// A segment was refused.
    Score(ScoreError),
    /// Labelling failed.
    Label(LabelError),
    /// The memory is too small, which its type rules out.
    Memory,
}

impl<S, L> DemoError<S, L> {
    /// The error in words.
    #[must_use]
    pub const fn message(&self) -> &'static str {
        match self {
            Self::Source(_) => "the camera failed",
            Self::Sink(_) => "the labels could not be put out",
            Self::Execute(error) => error.message(),
            Self::Propose(error) => error.message(),
            Self::Score(error) => error.message(),
            Self::Label(error) => error.message(),
            Self::Memory => "the memory is too small",
        }
    }
}

impl<S, L> From<ExecuteError> for DemoError<S, L> {
    fn from(error: ExecuteError) -> Self {
        Self::Execute(error)
    }
}

impl<S, L> From<SegmentError> for DemoError<S, L> {
    fn from(error: SegmentError) -> Self {
        Self::Score(ScoreError::Segment(error))
    }
}

impl<S, L> From<ScoreError> for DemoError<S, L> {
    fn from(error: ScoreError) -> Self {
        Self::Score(error)
    }
}

/// Takes an image from `source`, labels it, and puts the labels into `sink`; reports how long each stage took.
///
/// # Errors
/// A [`DemoError`]: that of source or sink; others do not occur.
pub fn run<K: Kernels + Clone, S: RowSource, L: LabelSink>(
    kernels: &K,
    source: &mut S,
    sink: &mut L,
    clock: &mut impl Clock,
    report: &mut impl Report,
    memory: &mut Memory,
) -> Result<(), DemoError<S::Error, L::Error>> {
    let start = clock.ticks();
    let mut since = start;
    let mut done = |clock: &mut _, report: &mut _, stage| {
        since = stage_done(clock, report, stage, since);
    };

    source.start().map_err(DemoError::Source)?;
    let mut executor =
        Executor::with_kernels(&MODEL, memory.arena.as_mut_slice(), kernels.clone())?;
    for row in memory.frame.chunks_exact_mut(INPUT.row_len()) {
        source.next_row(row).map_err(DemoError::Source)?;
        executor.push_row(row)?;
    }
    let (features, scratch) = executor.finish()?;
    done(clock, report, Stage::Convolution);

    let image = ImageView::new(&memory.frame, INPUT.width, INPUT.height, INPUT.channels)
        .map_err(|_| DemoError::Memory)?;
    let workspace = Workspace {
        words: &mut memory.words,
        labels: &mut memory.labels,
    };
    let proposals = propose(image, &PARAMS, workspace).map_err(DemoError::Propose)?;
    report.event(&Event::Segments(proposals.len()));
    done(clock, report, Stage::Proposals);

    let mut indices: Vec<SuperpixelIndex<'_>, MAX_SCALES> = Vec::new();
    let slots = memory.superpixels.iter_mut().zip(&mut memory.counts);
    for (&map, (superpixels, counts)) in proposals.maps().iter().zip(slots) {
        let index = SuperpixelIndex::build(map, &MODEL, superpixels, counts)?;
        indices.push(index).map_err(|_| DemoError::Memory)?;
    }
    done(clock, report, Stage::Index);

    let mut scorer = Scorer::with_kernels(&MODEL, features, scratch, kernels.clone())?;
    for (proposal, logits) in proposals.iter().zip(&mut memory.logits) {
        scorer.score(&proposal.segment(), &indices, logits)?;
    }
    done(clock, report, Stage::Scoring);

    let nothing = ScoredSegment {
        segment: Segment::Runs(&[]),
        area: 0,
        logits: &[],
    };
    let scored = |i| {
        let found = proposals.get(i).zip(memory.logits.get(i));
        found.map_or(nothing, |(proposal, logits)| ScoredSegment {
            segment: proposal.segment(),
            area: proposal.area,
            logits,
        })
    };
    label_pixels(
        &MODEL,
        MODEL.labelling(),
        proposals.maps(),
        proposals.len(),
        scored,
        &mut memory.label_words,
        &mut memory.map,
    )
    .map_err(DemoError::Label)?;
    done(clock, report, Stage::Labelling);

    put(sink, &memory.map).map_err(DemoError::Sink)?;
    done(clock, report, Stage::Output);
    stage_done(clock, report, Stage::Total, start);
    Ok(())
}

/// Reports the time since `since` and returns the time now.
pub(crate) fn stage_done(
    clock: &mut impl Clock,
    report: &mut impl Report,
    stage: Stage,
    since: u64,
) -> u64 {
    report.event(&Event::Stage(stage, clock.microseconds_since(since)));
    clock.ticks()
}

/// Puts a label map out, row by row.
pub(crate) fn put<L: LabelSink>(sink: &mut L, map: &[u8]) -> Result<(), L::Error> {
    sink.start()?;
    for row in map.chunks_exact(INPUT.width.into()) {
        sink.put_row(row)?;
    }
    Ok(())
}
