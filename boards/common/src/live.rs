//! An image without a frame buffer: rows go from the camera into the network and are forgotten, tiles are the segments.
//!
//! For chips whose memory holds the arena and a label map, but not the superpixels of an image.

use cfm_conformance::street::{MODEL, StreetArena};
use cfm_core::executor::Executor;
use cfm_core::kernels::Kernels;
use cfm_core::labelling::{ScoredSegment, label_pixels};
use cfm_core::model::LabellingRule;
use cfm_core::scorer::Scorer;
use cfm_core::segment::Run;

use crate::clock::Clock;
use crate::demo::{DemoError, INPUT, put};
use crate::report::{Event, Report, Stage};
use crate::rows::{AsyncLabelSink, AsyncRowSource, LabelSink, RowSource};
use crate::stopwatch::Stopwatch;
use crate::tiles::{COUNT, Tiles, runs_needed};

const PIXELS: usize = INPUT.width as usize * INPUT.height as usize;
const CLASSES: usize = MODEL.class_count();
/// The model's rule; there are no superpixels that labels could be refined by.
const RULE: LabellingRule = LabellingRule {
    refinement: None,
    ..MODEL.labelling()
};
/// The larger of what `memory_words` says for pasting and for voting, without superpixels.
const WORDS: usize = {
    let (paste, vote) = (4 * COUNT, CLASSES * INPUT.width as usize);
    if paste > vote { paste } else { vote }
};

/// Memory for an image; firmware keeps one in a `static`.
#[derive(Debug)]
pub struct Memory {
    arena: StreetArena,
    row: [u8; INPUT.row_len()],
    runs: [Run; runs_needed(INPUT.height)],
    logits: [[i16; CLASSES]; COUNT],
    words: [u32; WORDS],
    map: [u8; PIXELS],
}

/// Fresh memory.
pub const MEMORY: Memory = Memory {
    arena: StreetArena::new(),
    row: [0; _],
    runs: [Run { y: 0, x0: 0, x1: 0 }; _],
    logits: [[0; _]; _],
    words: [0; _],
    map: [0; _],
};

/// Takes an image from `source`, labels it by tiles, and puts the labels into `sink`; reports how long each stage took.
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
    for _ in 0..INPUT.height {
        source
            .next_row(&mut memory.row)
            .map_err(DemoError::Source)?;
        executor.push_row(&memory.row)?;
    }
    watch.done(Stage::Convolution);
    let work = Work {
        runs: &mut memory.runs,
        logits: &mut memory.logits,
        words: &mut memory.words,
        map: &mut memory.map,
    };
    label(kernels, executor, work, &mut watch)?;
    put(sink, &memory.map).map_err(DemoError::Sink)?;
    watch.done(Stage::Output);
    watch.finish();
    Ok(())
}

/// [`run`] with a camera and a display that let other tasks run while they transfer.
///
/// # Errors
/// As [`run`].
pub async fn run_async<K: Kernels + Clone, S: AsyncRowSource, L: AsyncLabelSink>(
    kernels: &K,
    source: &mut S,
    sink: &mut L,
    clock: &mut impl Clock,
    report: &mut impl Report,
    memory: &mut Memory,
) -> Result<(), DemoError<S::Error, L::Error>> {
    let mut watch = Stopwatch::start(clock, report);
    source.start().await.map_err(DemoError::Source)?;
    let mut executor =
        Executor::with_kernels(&MODEL, memory.arena.as_mut_slice(), kernels.clone())?;
    for _ in 0..INPUT.height {
        let row = source.next_row(&mut memory.row).await;
        row.map_err(DemoError::Source)?;
        executor.push_row(&memory.row)?;
    }
    watch.done(Stage::Convolution);
    let work = Work {
        runs: &mut memory.runs,
        logits: &mut memory.logits,
        words: &mut memory.words,
        map: &mut memory.map,
    };
    label(kernels, executor, work, &mut watch)?;
    sink.start().await.map_err(DemoError::Sink)?;
    for row in memory.map.chunks_exact(INPUT.width.into()) {
        sink.put_row(row).await.map_err(DemoError::Sink)?;
    }
    watch.done(Stage::Output);
    watch.finish();
    Ok(())
}

/// The memory besides arena and row.
struct Work<'a> {
    runs: &'a mut [Run],
    logits: &'a mut [[i16; CLASSES]; COUNT],
    words: &'a mut [u32],
    map: &'a mut [u8],
}

/// Scores the tiles and labels the pixels.
fn label<K: Kernels + Clone, S, L>(
    kernels: &K,
    executor: Executor<'_, '_, K>,
    work: Work<'_>,
    watch: &mut Stopwatch<'_, impl Clock, impl Report>,
) -> Result<(), DemoError<S, L>> {
    let tiles = Tiles::new(INPUT.width, INPUT.height, work.runs).ok_or(DemoError::Memory)?;
    let (features, scratch) = executor.finish()?;
    let mut scorer = Scorer::with_kernels(&MODEL, features, scratch, kernels.clone())?;
    watch.report(&Event::Segments(COUNT));
    for (index, logits) in work.logits.iter_mut().enumerate() {
        scorer.score(&tiles.get(index).0, &[], logits)?;
    }
    watch.done(Stage::Scoring);
    let scored = |index| {
        let (segment, area) = tiles.get(index);
        let logits = work.logits.get(index).map_or(&[][..], |logits| logits);
        ScoredSegment {
            segment,
            area,
            logits,
        }
    };
    label_pixels(&MODEL, RULE, &[], COUNT, scored, work.words, work.map)
        .map_err(DemoError::Label)?;
    watch.done(Stage::Labelling);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cfm_core::kernels::Portable;
    use cfm_core::labelling::VOID;
    use std::boxed::Box;
    use std::vec::Vec;

    struct Stripes(u8);

    impl Stripes {
        fn fill(&mut self, row: &mut [u8]) {
            self.0 = self.0.wrapping_add(3);
            row.fill(self.0);
        }
    }

    impl RowSource for Stripes {
        type Error = ();

        fn start(&mut self) -> Result<(), ()> {
            self.0 = 0;
            Ok(())
        }

        fn next_row(&mut self, row: &mut [u8]) -> Result<(), ()> {
            self.fill(row);
            Ok(())
        }
    }

    impl AsyncRowSource for Stripes {
        type Error = ();

        async fn start(&mut self) -> Result<(), ()> {
            RowSource::start(self)
        }

        async fn next_row(&mut self, row: &mut [u8]) -> Result<(), ()> {
            RowSource::next_row(self, row)
        }
    }

    #[derive(Default)]
    struct Collected(Vec<u8>);

    impl LabelSink for Collected {
        type Error = ();

        fn start(&mut self) -> Result<(), ()> {
            self.0.clear();
            Ok(())
        }

        fn put_row(&mut self, labels: &[u8]) -> Result<(), ()> {
            self.0.extend_from_slice(labels);
            Ok(())
        }
    }

    impl AsyncLabelSink for Collected {
        type Error = ();

        async fn start(&mut self) -> Result<(), ()> {
            LabelSink::start(self)
        }

        async fn put_row(&mut self, labels: &[u8]) -> Result<(), ()> {
            LabelSink::put_row(self, labels)
        }
    }

    #[derive(Default)]
    struct Counter(u64);

    impl Clock for Counter {
        fn ticks(&mut self) -> u64 {
            self.0 += 1;
            self.0
        }

        fn ticks_per_second(&self) -> u32 {
            1_000_000
        }
    }

    #[derive(Default)]
    struct Stages(Vec<Stage>);

    impl Report for Stages {
        fn event(&mut self, event: &Event<'_>) {
            if let Event::Stage(stage, _) = *event {
                self.0.push(stage);
            }
        }
    }

    fn on_a_large_stack(test: impl FnOnce() + Send + 'static) {
        std::thread::Builder::new()
            .stack_size(16 << 20)
            .spawn(test)
            .expect("a thread starts")
            .join()
            .expect("it passes");
    }

    #[test]
    fn every_pixel_is_labelled_blocking_and_async_alike() {
        on_a_large_stack(|| {
            let mut memory = Box::new(MEMORY);
            let (mut stages, mut blocking) = (Stages::default(), Collected::default());
            let mut clock = Counter::default();
            run(
                &Portable,
                &mut Stripes(0),
                &mut blocking,
                &mut clock,
                &mut stages,
                &mut memory,
            )
            .expect("nothing fails");
            assert_eq!(blocking.0.len(), PIXELS);
            assert!(
                blocking
                    .0
                    .iter()
                    .all(|&label| label != VOID && usize::from(label) < CLASSES)
            );
            assert_eq!(
                stages.0,
                [
                    Stage::Convolution,
                    Stage::Scoring,
                    Stage::Labelling,
                    Stage::Output,
                    Stage::Total
                ]
            );

            let (mut camera, mut later) = (Stripes(9), Collected::default());
            let future = run_async(
                &Portable,
                &mut camera,
                &mut later,
                &mut clock,
                &mut stages,
                &mut memory,
            );
            pollster::block_on(future).expect("nothing fails");
            assert_eq!(later.0, blocking.0);
        });
    }
}
