//! Reports as lines of text.
//!
//! Without `core::fmt`: its tables and its panicking paths are most of what a small program consists of.

use cfm_conformance::check::Failure;
use cfm_conformance::core_backend::RunError;

use crate::report::{Event, Report};

/// Where text goes.
pub trait Console {
    /// Writes bytes; what cannot be written is lost.
    fn write(&mut self, bytes: &[u8]);
}

/// Reports as lines on a console.
#[derive(Debug)]
pub struct Text<C>(pub C);

impl<C: Console> Text<C> {
    fn line(&mut self, parts: &[Part<'_>]) {
        for part in parts {
            match *part {
                Part::Word(word) => self.0.write(word.as_bytes()),
                Part::Number(number) => self.number(number),
            }
        }
        self.0.write(b"\n");
    }

    fn number(&mut self, mut number: u64) {
        // 2^64 has 20 digits.
        let mut digits = [b'0'; 20];
        let mut used = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            used += 1;
            if number == 0 {
                break;
            }
        }
        let (_, digits) = digits.split_at_checked(20 - used).unwrap_or((&[], &[]));
        self.0.write(digits);
    }
}

enum Part<'a> {
    Word(&'a str),
    Number(u64),
}

use Part::{Number, Word};

impl<C: Console> Report for Text<C> {
    fn event(&mut self, event: &Event<'_>) {
        match *event {
            Event::Case(name, Ok(bytes)) => {
                self.line(&[
                    Word("case "),
                    Word(name),
                    Word(": "),
                    Number(bytes as u64),
                    Word(" bytes equal"),
                ]);
            }
            Event::Case(name, Err(error)) => {
                let mismatches = match error {
                    RunError::Failure(Failure::Differs(_, count)) => count as u64,
                    _ => 0,
                };
                let why = reason(&error);
                self.line(&[
                    Word("case "),
                    Word(name),
                    Word(": FAILED, "),
                    Word(why),
                    Word(", mismatches "),
                    Number(mismatches),
                ]);
            }
            Event::Refusal(name, refused) => {
                let verdict = if refused {
                    ": as it must be"
                } else {
                    ": FAILED"
                };
                self.line(&[Word("wrong use, "), Word(name), Word(verdict)]);
            }
            Event::Suite(outcome) => self.line(&[
                Word(if outcome.passed() {
                    "suite passed: "
                } else {
                    "suite FAILED: "
                }),
                Number(outcome.cases as u64),
                Word(" cases, "),
                Number(outcome.failed as u64),
                Word(" with mismatches, "),
                Number(outcome.bytes as u64),
                Word(" bytes equal, "),
                Number(outcome.refusals as u64),
                Word(" checks of wrong use, "),
                Number(outcome.accepted as u64),
                Word(" of them failed"),
            ]),
            Event::Stage(stage, microseconds) => {
                self.line(&[
                    Word("stage "),
                    Word(stage.name()),
                    Word(": "),
                    Number(microseconds),
                    Word(" us"),
                ]);
            }
            Event::Engine(None) => self.line(&[Word("computed by the engine")]),
            Event::Engine(Some(why)) => {
                self.line(&[Word("computed by software: "), Word(why)]);
            }
            Event::Segments(count) => self.line(&[Number(count as u64), Word(" segments")]),
            Event::Stack { used, size } => self.line(&[
                Word("stack: "),
                Number(used as u64),
                Word(" bytes used of "),
                Number(size as u64),
            ]),
            Event::Failed(why) => self.line(&[Word("FAILED: "), Word(why)]),
        }
    }
}

pub(crate) const fn reason(error: &RunError) -> &'static str {
    match error {
        RunError::Case => "the case file is broken",
        RunError::Memory => "the memory is too small",
        RunError::Reorder(error) => error.message(),
        RunError::Model(_) => "the model was refused",
        RunError::Execute(_) => "the backbone failed",
        RunError::Score(_) => "a segment was refused",
        RunError::Label(_) => "labelling failed",
        RunError::Failure(Failure::Differs(..)) => "bytes differ",
        RunError::Failure(Failure::Incomplete { .. }) => "not every byte was compared once",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Outcome, Stage};
    use std::string::String;

    impl Console for &mut String {
        fn write(&mut self, bytes: &[u8]) {
            self.push_str(core::str::from_utf8(bytes).expect("text"));
        }
    }

    fn said(event: &Event<'_>) -> String {
        let mut text = String::new();
        Text(&mut text).event(event);
        text
    }

    #[test]
    fn numbers_are_decimal() {
        for (number, text) in [
            (0, "stage total: 0 us\n"),
            (10, "stage total: 10 us\n"),
            (u64::MAX, "stage total: 18446744073709551615 us\n"),
        ] {
            assert_eq!(said(&Event::Stage(Stage::Total, number)), text);
        }
    }

    #[test]
    fn failures_are_told_from_successes() {
        assert_eq!(said(&Event::Case("a", Ok(7))), "case a: 7 bytes equal\n");
        assert_eq!(
            said(&Event::Case("a", Err(RunError::Memory))),
            "case a: FAILED, the memory is too small, mismatches 0\n"
        );
        assert_eq!(
            said(&Event::Refusal("r", true)),
            "wrong use, r: as it must be\n"
        );
        assert!(said(&Event::Refusal("r", false)).contains("FAILED"));
        assert!(said(&Event::Suite(Outcome::default())).starts_with("suite FAILED"));
        assert_eq!(said(&Event::Failed("why")), "FAILED: why\n");
    }
}
