//! What firmware has to say, apart from how it is said.

use cfm_conformance::core_backend::RunError;

/// A stage of segmenting an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Stage {
    /// Rows arrive, for an engine that gets them later.
    Capture,
    /// Rows arrive and are convolved.
    Convolution,
    /// Candidate segments are made.
    Proposals,
    /// Superpixels are counted by feature cell.
    Index,
    /// Segments are masked, pooled and classified.
    Scoring,
    /// Scores become labels.
    Labelling,
    /// Labels leave the chip.
    Output,
    /// All of it.
    Total,
}

impl Stage {
    /// The stage in a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Convolution => "convolution",
            Self::Proposals => "proposals",
            Self::Index => "index",
            Self::Scoring => "scoring",
            Self::Labelling => "labelling",
            Self::Output => "output",
            Self::Total => "total",
        }
    }
}

/// Something to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A golden case was run: the bytes compared, or why it failed.
    Case(&'a str, Result<usize, RunError>),
    /// A wrong use was tried, or what must still work afterwards: whether it came out as it must.
    Refusal(&'a str, bool),
    /// The suite is over.
    Suite(Outcome),
    /// A stage took so many microseconds.
    Stage(Stage, u64),
    /// The hardware engine computed an image, or software did because of this.
    Engine(Option<&'a str>),
    /// So many segments were scored.
    Segments(usize),
    /// The stack: most bytes ever used, and bytes that there are.
    Stack {
        /// Most bytes used so far.
        used: usize,
        /// Bytes reserved.
        size: usize,
    },
    /// The program failed.
    Failed(&'a str),
}

/// What came out of the suite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Outcome {
    /// Cases run.
    pub cases: usize,
    /// Cases with a mismatch, or that could not be run.
    pub failed: usize,
    /// Bytes compared, in the cases that passed.
    pub bytes: usize,
    /// Checks of wrong use.
    pub refusals: usize,
    /// Checks of wrong use that failed.
    pub accepted: usize,
}

impl Outcome {
    /// Whether everything was run and nothing failed.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.cases > 0
            && self.refusals > 0
            && self.bytes > 0
            && self.failed == 0
            && self.accepted == 0
    }
}

/// Takes reports.
pub trait Report {
    /// Takes one.
    fn event(&mut self, event: &Event<'_>);
}

impl<A: Report, B: Report> Report for (A, B) {
    fn event(&mut self, event: &Event<'_>) {
        self.0.event(event);
        self.1.event(event);
    }
}

impl<R: Report + ?Sized> Report for &mut R {
    fn event(&mut self, event: &Event<'_>) {
        (**self).event(event);
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome;

    #[test]
    fn nothing_run_is_not_passed() {
        let good = Outcome {
            cases: 2,
            bytes: 10,
            refusals: 1,
            ..Outcome::default()
        };
        assert!(good.passed());
        assert!(!Outcome::default().passed());
        for bad in [
            Outcome { failed: 1, ..good },
            Outcome {
                accepted: 1,
                ..good
            },
            Outcome { cases: 0, ..good },
            Outcome { bytes: 0, ..good },
            Outcome {
                refusals: 0,
                ..good
            },
        ] {
            assert!(!bad.passed());
        }
    }
}
