//! A run that was stopped and resumed ends with the very weights of one that was not, however it samples and classifies.
#![allow(missing_docs)]

mod common;

use std::path::Path;

use cfm_sim::dataset::Dataset;
use cfm_train::checkpoint::{Checkpoint, Phase, Position};
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
    // After the last step, when vector machines are still to be fitted.
    let end = |p: &Position| p.phase == Phase::Quantized && p.epoch == config.quantized.epochs;
    assert!(matches!(
        common::run(&data, config, &parts, &end),
        Outcome::Stopped(position) if end(&position)
    ));
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

/// Copies the files of a folder into a new one.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            std::fs::copy(&path, &copied).unwrap();
        }
    }
}

/// What a crash leaves while a second checkpoint is being written, at every file of it and in the middle of each: the first
/// one, from which the run ends as ever.
#[test]
fn a_checkpoint_that_was_cut_off_is_the_one_before() {
    let config = common::config();
    let folder = tempfile::tempdir().unwrap();
    let (data, root) = (folder.path().join("data"), folder.path());
    std::fs::create_dir(&data).unwrap();
    common::render(&data);
    let whole = common::run(&data, &config, &root.join("whole"), &|_| false);
    let whole = bytes(&data, &config, &finish(whole));

    let stopped = |run: &Path, step: usize| {
        let here = |p: &Position| p.phase == Phase::Float && (p.epoch, p.step) == (1, step);
        match common::run(&data, &config, run, &here) {
            Outcome::Stopped(position) => position,
            Outcome::Trained(_) => panic!("not stopped"),
        }
    };
    let (first, second) = (root.join("first"), root.join("second"));
    let position = stopped(&first, 1);
    copy(&first, &second);
    let later = stopped(&second, 2);
    assert_ne!(position, later);
    let records: Vec<_> = std::fs::read_dir(second.join("checkpoint"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "bpk"))
        .collect();
    assert_eq!(records.len(), 2);

    let torn = root.join("torn");
    let mut written = Vec::new();
    for record in &records {
        let name = record.file_name().unwrap();
        // Neither of them has the name of one of the first checkpoint.
        assert!(!first.join("checkpoint").join(name).exists());
        let content = std::fs::read(record).unwrap();
        for length in [0, content.len() / 2, content.len()] {
            copy(&first, &torn);
            for (name, content) in &written {
                std::fs::write(torn.join("checkpoint").join(name), content).unwrap();
            }
            std::fs::write(torn.join("checkpoint").join(name), &content[..length]).unwrap();
            std::fs::write(torn.join("checkpoint/.cfm-torn"), "{\"gener").unwrap();
            assert_eq!(Checkpoint::of(&torn).position().unwrap(), position);
            let at_once = common::run(&data, &config, &torn, &|_| true);
            assert!(matches!(at_once, Outcome::Stopped(p) if p == position));
            if length < content.len() {
                std::fs::remove_dir_all(&torn).unwrap();
            }
        }
        written.push((name.to_owned(), content));
    }
    // The last one has both records, but nothing that says so. The other crash: the new checkpoint counts, and the records
    // of the old one are still there.
    let old = root.join("old");
    copy(&first, &old);
    copy(&second, &old);
    assert_eq!(Checkpoint::of(&old).position().unwrap(), later);
    for run in [torn, old] {
        let resumed = common::run(&data, &config, &run, &|_| false);
        assert!(whole == bytes(&data, &config, &finish(resumed)), "{run:?}");
    }
}

#[test]
fn by_shares_with_softmax() {
    resumed_equals_uninterrupted(&common::config());
}

#[test]
fn with_layers_that_are_frozen_in_the_float_phase() {
    let mut config = common::config();
    config.float.frozen_layers = 3;
    resumed_equals_uninterrupted(&config);
}

#[test]
fn as_in_the_paper_with_vector_machines() {
    let mut config = common::config();
    config.sampling.method = SamplingMethod::Paper;
    config.head.classifier = ClassifierConfig::Svm;
    resumed_equals_uninterrupted(&config);
}
