//! A whole image with the hardware engine: its rows and segments go there, logits come back; proposals and labels are made
//! on the target as in [`demo`](crate::demo). When the engine does not answer, the kernels compute the same bits.

use core::convert::Infallible;

use cfm_conformance::street::MODEL;
use cfm_core::kernels::Kernels;
use cfm_core::segment::Segment;
use cfm_device::{Backend, Device, FrameError, FrameMemory, FrameSource, Transport, score_frame};
use embedded_hal::delay::DelayNs;
use heapless::Vec;

use crate::clock::Clock;
use crate::demo::{CLASSES, DemoError, INPUT, Memory, SEGMENTS, label};
use crate::report::{Event, Report, Stage};
use crate::rows::{LabelSink, RowSource};
use crate::stopwatch::Stopwatch;

/// The image in memory, which the engine or the kernels may read from its first row again.
struct Frame<'a>(&'a [u8]);

impl FrameSource for Frame<'_> {
    type Error = Infallible;

    fn row(&mut self, y: u16, row: &mut [u8]) -> Result<(), Infallible> {
        if let Some(from) = self.0.chunks_exact(row.len().max(1)).nth(y.into()) {
            row.copy_from_slice(from);
        }
        Ok(())
    }
}

/// What computed an image, or which of camera and display failed.
pub type Outcome<T, S, L> = Result<
    Backend<<T as Transport>::Error>,
    DemoError<<S as RowSource>::Error, <L as LabelSink>::Error>,
>;

/// Takes an image from `source`, labels it, and puts the labels into `sink`; reports what computed it and how long each
/// stage took.
///
/// # Errors
/// A [`DemoError`]: that of source or sink. An engine that fails is no error: see [`Backend::Software`].
pub fn run<K: Kernels + Copy, S: RowSource, L: LabelSink, T: Transport, D: DelayNs>(
    device: &mut Device<T, D>,
    kernels: K,
    source: &mut S,
    sink: &mut L,
    clock: &mut impl Clock,
    report: &mut impl Report,
    memory: &mut Memory,
) -> Outcome<T, S, L> {
    let Memory { arena, frame, work } = memory;
    let mut watch = Stopwatch::start(clock, report);
    source.start().map_err(DemoError::Source)?;
    for row in frame.chunks_exact_mut(INPUT.row_len()) {
        source.next_row(row).map_err(DemoError::Source)?;
    }
    watch.done(Stage::Capture);

    let mut computed = None;
    let (mut row, mut values) = ([0; INPUT.row_len()], [0; CLASSES]);
    label(frame, work, sink, &mut watch, |proposals, maps, logits| {
        let segments: Vec<Segment<'_>, SEGMENTS> = proposals
            .iter()
            .map(|proposal| proposal.segment())
            .collect();
        let memory = FrameMemory {
            row: &mut row,
            logits: &mut values,
            arena: arena.as_mut_slice(),
        };
        let backend = score_frame(
            device,
            &MODEL,
            kernels,
            &mut Frame(frame),
            &segments,
            maps,
            memory,
            |index, values| {
                if let Some(logits) = logits.get_mut(index) {
                    logits.copy_from_slice(values);
                }
            },
        )
        .map_err(|error| match error {
            FrameError::Source(never) => match never {},
            FrameError::Buffer => DemoError::Memory,
            FrameError::Execute(error) => DemoError::Execute(error),
            FrameError::Score(error) => DemoError::Score(error),
        })?;
        computed = Some(backend);
        Ok(())
    })?;
    let backend = computed.ok_or(DemoError::Memory)?;
    report.event(&Event::Engine(match &backend {
        Backend::Engine => None,
        Backend::Software(error) => Some(error.message()),
    }));
    Ok(backend)
}
