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
use cfm_proposals::{MAX_SCALES, Params, ProposalError, Proposals, Workspace, propose};
use heapless::Vec;

use crate::clock::Clock;
use crate::report::{Event, Report, Stage};
use crate::rows::{LabelSink, RowSource};
use crate::stopwatch::Stopwatch;

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
pub(crate) const CLASSES: usize = MODEL.class_count();
const MAPS: usize = PARAMS.scales().len();
pub(crate) const SEGMENTS: usize = PARAMS.max_segments() as usize;
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
    pub(crate) arena: StreetArena,
    /// The image: the backbone needs only rows, the proposals look at all of it.
    pub(crate) frame: [u8; INPUT.row_len() * INPUT.height as usize],
    pub(crate) work: Work,
}

/// The memory besides arena and image.
#[derive(Debug)]
pub(crate) struct Work {
    words: [u32; PARAMS.words(INPUT.width, INPUT.height)],
    labels: [u16; PARAMS.labels(INPUT.width, INPUT.height)],
    superpixels: [[Superpixel; SUPERPIXELS]; MAPS],
    /// For the worst image, in which no two neighbours are of one superpixel.
    counts: [[CellCount; PIXELS]; MAPS],
    logits: Logits,
    label_words: [u32; LABEL_WORDS],
    map: [u8; PIXELS],
}

/// The logits of every segment.
pub(crate) type Logits = [[i16; CLASSES]; SEGMENTS];

/// Fresh memory.
pub const MEMORY: Memory = Memory {
    arena: StreetArena::new(),
    frame: [0; _],
    work: Work {
        words: [0; _],
        labels: [0; _],
        superpixels: [[Superpixel::EMPTY; _]; _],
        counts: [[CellCount::EMPTY; _]; _],
        logits: [[0; _]; _],
        label_words: [0; _],
        map: [0; _],
    },
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
    let mut watch = Stopwatch::start(clock, report);
    source.start().map_err(DemoError::Source)?;
    let mut executor =
        Executor::with_kernels(&MODEL, memory.arena.as_mut_slice(), kernels.clone())?;
    for row in memory.frame.chunks_exact_mut(INPUT.row_len()) {
        source.next_row(row).map_err(DemoError::Source)?;
        executor.push_row(row)?;
    }
    let (features, scratch) = executor.finish()?;
    watch.done(Stage::Convolution);

    let mut scorer = Scorer::with_kernels(&MODEL, features, scratch, kernels.clone())?;
    label(
        &memory.frame,
        &mut memory.work,
        sink,
        &mut watch,
        |proposals, indices, logits| {
            for (proposal, logits) in proposals.iter().zip(logits) {
                scorer.score(&proposal.segment(), indices, logits)?;
            }
            Ok(())
        },
    )
}

/// Makes proposals, has them scored by `score`, labels the pixels, and puts the labels into `sink`.
pub(crate) fn label<C: Clock, R: Report, S, L: LabelSink>(
    frame: &[u8],
    work: &mut Work,
    sink: &mut L,
    watch: &mut Stopwatch<'_, C, R>,
    score: impl FnOnce(
        &Proposals<'_>,
        &[SuperpixelIndex<'_>],
        &mut Logits,
    ) -> Result<(), DemoError<S, L::Error>>,
) -> Result<(), DemoError<S, L::Error>> {
    let image = ImageView::new(frame, INPUT.width, INPUT.height, INPUT.channels)
        .map_err(|_| DemoError::Memory)?;
    let workspace = Workspace {
        words: &mut work.words,
        labels: &mut work.labels,
    };
    let proposals = propose(image, &PARAMS, workspace).map_err(DemoError::Propose)?;
    watch.report(&Event::Segments(proposals.len()));
    watch.done(Stage::Proposals);

    let mut indices: Vec<SuperpixelIndex<'_>, MAX_SCALES> = Vec::new();
    let slots = work.superpixels.iter_mut().zip(&mut work.counts);
    for (&map, (superpixels, counts)) in proposals.maps().iter().zip(slots) {
        let index = SuperpixelIndex::build(map, &MODEL, superpixels, counts)?;
        indices.push(index).map_err(|_| DemoError::Memory)?;
    }
    watch.done(Stage::Index);

    score(&proposals, &indices, &mut work.logits)?;
    watch.done(Stage::Scoring);

    let nothing = ScoredSegment {
        segment: Segment::Runs(&[]),
        area: 0,
        logits: &[],
    };
    let scored = |i| {
        let found = proposals.get(i).zip(work.logits.get(i));
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
        &mut work.label_words,
        &mut work.map,
    )
    .map_err(DemoError::Label)?;
    watch.done(Stage::Labelling);

    put(sink, &work.map).map_err(DemoError::Sink)?;
    watch.done(Stage::Output);
    watch.finish();
    Ok(())
}

/// Puts a label map out, row by row.
pub(crate) fn put<L: LabelSink>(sink: &mut L, map: &[u8]) -> Result<(), L::Error> {
    sink.start()?;
    for row in map.chunks_exact(INPUT.width.into()) {
        sink.put_row(row)?;
    }
    Ok(())
}
