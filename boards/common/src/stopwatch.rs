//! How long the stages of an image take, reported as they end.

use crate::clock::Clock;
use crate::report::{Event, Report, Stage};

/// Runs from the image's first row to its last label.
#[derive(Debug)]
pub(crate) struct Stopwatch<'a, C, R> {
    clock: &'a mut C,
    report: &'a mut R,
    start: u64,
    since: u64,
}

impl<'a, C: Clock, R: Report> Stopwatch<'a, C, R> {
    /// The first stage begins now.
    pub(crate) fn start(clock: &'a mut C, report: &'a mut R) -> Self {
        let start = clock.ticks();
        Self {
            clock,
            report,
            start,
            since: start,
        }
    }

    /// A stage ends, the next one begins.
    pub(crate) fn done(&mut self, stage: Stage) {
        self.event(stage, self.since);
        self.since = self.clock.ticks();
    }

    /// The image is finished.
    pub(crate) fn finish(&mut self) {
        self.event(Stage::Total, self.start);
    }

    /// Reports something else.
    pub(crate) fn report(&mut self, event: &Event<'_>) {
        self.report.event(event);
    }

    fn event(&mut self, stage: Stage, since: u64) {
        let microseconds = self.clock.microseconds_since(since);
        self.report.event(&Event::Stage(stage, microseconds));
    }
}
