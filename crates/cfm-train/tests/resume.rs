//! A run that was stopped and resumed ends with the very weights of one that was not, however it samples and classifies.
#![allow(missing_docs)]

mod common;

use std::path::Path;

use cfm_sim::dataset::Dataset;
use cfm_train::checkpoint::{Phase, Position};
use cfm_train::config::{ClassifierConfig, Config, SamplingMethod};
use cfm_train::export::{float_model, to_cfm};
use cfm_train::train_loop::{Outcome, Trained};

/// Every weight and every integer of the result.
fn bytes(data: &Path, config: &Config, trained: &Trained) -> (Vec<u8>, Vec<u8>) {
    let description = Dataset::open(data).unwrap().description().clone();
    let (network, exponents) = (&trained.network, &trained.exponents);
    let model = float_model(network, exponents, config, &description, Vec::new()).unwrap();
    let cfm = to_cfm(&model).unwrap();
    let floats = model.to_safetensors(&cfm).unwrap();
    (cfm, floats)
}

fn finish(outcome: Outcome) -> Trained {
    match outcome {
        Outcome::Trained(trained) => *trained,
        Outcome::Stopped(position) => panic!("stopped at {position:?}"),
    }
}

fn resumed_equals_uninterrupted(config: &Config) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    common::render(&data);
    let whole = common::run(&data, config, &folder.path().join("whole"), &|_| false);
    let whole = bytes(&data, config, &finish(whole));

    let parts = folder.path().join("parts");
    let stops: [(Phase, usize, usize); 4] = [
        (Phase::Float, 0, 2),
        (Phase::Float, 2, 1),
        (Phase::Quantized, 0, 0),
        (Phase::Quantized, 1, 2),
    ];
    for (phase, epoch, step) in stops {
        let here = |p: &Position| p.phase == phase && p.epoch == epoch && p.step == step;
        match common::run(&data, config, &parts, &here) {
            Outcome::Stopped(position) => assert!(here(&position)),
            Outcome::Trained(_) => panic!("not stopped at {phase:?} {epoch} {step}"),
        }
    }
    let resumed = common::run(&data, config, &parts, &|_| false);
    let resumed = bytes(&data, config, &finish(resumed));
    assert!(whole.0 == resumed.0, "the integers differ");
    assert!(whole.1 == resumed.1, "the float weights differ");

    // The same passes are in both logs, up to the time they took.
    let log = |name: &str| {
        let text = std::fs::read_to_string(folder.path().join(name).join("log.csv")).unwrap();
        let rows: Vec<String> = text
            .lines()
            .map(|line| line.rsplit_once(',').unwrap().0.to_owned())
            .collect();
        rows
    };
    assert_eq!(log("whole"), log("parts"));
}

#[test]
fn by_shares_with_softmax() {
    resumed_equals_uninterrupted(&common::config());
}

#[test]
fn as_in_the_paper_with_vector_machines() {
    let mut config = common::config();
    config.sampling.method = SamplingMethod::Paper;
    config.head.classifier = ClassifierConfig::Svm;
    resumed_equals_uninterrupted(&config);
}
