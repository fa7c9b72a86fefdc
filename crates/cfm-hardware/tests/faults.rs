//! The comparison can fail, and broken words are faults and no panics.

mod common;

use cfm_conformance::case::Case;
use cfm_conformance::cases::CASES;
use cfm_hardware::engine::bus;
use cfm_hardware::interpret::{Fault, Outcome, configure};
use cfm_hardware::{Engine, Folding, Limits, compile, stream};
use common::{Frame, frame_of, model_of};

struct Prepared {
    engine: Engine,
    beats: Vec<u8>,
    masks: Vec<u32>,
}

fn prepare(name: &str, limits: &Limits) -> Prepared {
    let (_, file) = CASES.iter().find(|(other, _)| *other == name).unwrap();
    let case = Case::parse(file).unwrap();
    let model = model_of(&case);
    let folding = Folding::new(4, 3).unwrap();
    let engine = compile(&model, folding, limits).unwrap();
    let frame: Frame = frame_of(&case, &model);
    Prepared {
        beats: stream::image_beats(&frame.view(&model), folding),
        masks: stream::mask_words(&frame.segments),
        engine,
    }
}

impl Prepared {
    fn run(&self) -> Result<Outcome, Fault> {
        let parameters = self.engine.description.parameters;
        configure(
            &self.engine.config(),
            &self.engine.external,
            parameters.side,
            parameters.feature_words,
        )?
        .run(&self.beats, &self.masks)
    }
}

#[test]
fn wrong_weights_and_biases_show() {
    let mut prepared = prepare("random-0017", &Limits::FORMAT);
    let right = prepared.run().unwrap();
    let mut differ = 0;
    let count = prepared.engine.resident.len();
    for at in (0..count).step_by(7) {
        prepared.engine.resident[at] ^= 0x40;
        differ += usize::from(prepared.run().unwrap() != right);
        prepared.engine.resident[at] ^= 0x40;
    }
    // Some weights are those of spare channels, or lost in rounding and clamps.
    assert!(differ * 3 > count / 7, "{differ} of {}", count / 7);
    for at in 0..prepared.engine.channels.len() {
        prepared.engine.channels[at].bias ^= 1 << 20;
    }
    assert_ne!(prepared.run().unwrap(), right);
}

#[test]
fn broken_control_words_are_no_panics() {
    let mut prepared = prepare("random-0017", &Limits::FORMAT);
    let right = prepared.run().unwrap();
    let mut differ = 0;
    for at in 0..prepared.engine.control.len() {
        for change in [1, 1 << 4, 1 << 9, 1 << 17, 1 << 26] {
            prepared.engine.control[at] ^= change;
            differ += usize::from(prepared.run() != Ok(right.clone()));
            prepared.engine.control[at] ^= change;
        }
    }
    assert!(differ > prepared.engine.control.len(), "{differ}");
}

#[test]
fn streams_that_end_early_are_faults() {
    let mut prepared = prepare("random-0017", &Limits::FORMAT);
    prepared.masks.pop();
    assert_eq!(prepared.run(), Err(Fault::Stream("mask")));
    prepared.beats.truncate(40);
    assert_eq!(prepared.run(), Err(Fault::Stream("image")));
}

#[test]
fn weights_outside_are_asked_for_once_a_block() {
    let limits = Limits::FORMAT.without_weights();
    let prepared = prepare("random-0017", &limits);
    let outcome = prepared.run().unwrap();
    let description = &prepared.engine.description;
    let words: u64 = outcome.requests.iter().map(|r| u64::from(r.words)).sum();
    let batches = outcome.cells.len().div_ceil(3) as u64;
    let expected = |stages: &[cfm_hardware::description::Stage]| -> u64 {
        let of = stages.iter().filter(|stage| stage.operation.external);
        of.map(|stage| {
            let operation = stage.operation;
            u64::from(stage.runs) * u64::from(operation.blocks * operation.weight_words)
        })
        .sum()
    };
    assert_eq!(
        words,
        expected(description.backbone()) + batches * expected(description.head())
    );
    assert!(
        prepared
            .engine
            .config()
            .iter()
            .all(|write| write.address < bus::WEIGHTS)
    );
}
