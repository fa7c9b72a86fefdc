//! Reports as `defmt` frames; the board chooses whether they go through semihosting or RTT.

use crate::report::{Event, Report};
use crate::text::reason;

/// Reports through the global `defmt` logger.
#[derive(Debug, Clone, Copy)]
pub struct Log;

impl Report for Log {
    fn event(&mut self, event: &Event<'_>) {
        match *event {
            Event::Case(name, Ok(bytes)) => {
                defmt::debug!("case {=str}: {=usize} bytes equal", name, bytes)
            }
            Event::Case(name, Err(error)) => {
                defmt::error!("case {=str}: {=str}", name, reason(&error))
            }
            Event::Refusal(name, true) => defmt::debug!("wrong use, {=str}: as it must be", name),
            Event::Refusal(name, false) => defmt::error!("wrong use, {=str}: FAILED", name),
            Event::Suite(outcome) if outcome.passed() => defmt::info!("suite passed: {}", outcome),
            Event::Suite(outcome) => defmt::error!("suite failed: {}", outcome),
            Event::Stage(stage, microseconds) => {
                defmt::info!("{}: {=u64:us} s", stage, microseconds)
            }
            Event::Engine(None) => defmt::info!("computed by the engine"),
            Event::Engine(Some(why)) => defmt::warn!("computed by software: {=str}", why),
            Event::Segments(count) => defmt::info!("{=usize} segments", count),
            Event::Stack { used, size } => {
                defmt::info!("stack: {=usize} of {=usize} bytes used", used, size)
            }
            Event::Failed(why) => defmt::error!("{=str}", why),
        }
    }
}
