//! Every design with every mask rule and classifier trains, exports integers that compute what the fake quantizer
//! computed, up to the label of every pixel, and is at parity with the float reference.
#![allow(missing_docs)]

mod common;

use std::path::Path;

use cfm_core::image::ImageView;
use cfm_core::model::{Classifier, Design, MaskRule, Model};
use cfm_core::segment::{Segment, SuperpixelMap};
use cfm_sim::core_trace::trace;
use cfm_sim::dataset::Dataset;
use cfm_sim::parity::{self, Naming};
use cfm_sim::trace::Inputs;
use cfm_train::checkpoint::Position;
use cfm_train::config::{ClassifierConfig, Config, DesignConfig, MaskRuleConfig, SamplingMethod};
use cfm_train::evaluate::Evaluator;
use cfm_train::export::{float_model, to_cfm};
use cfm_train::proposals::candidates;
use cfm_train::svm_head::FitError;
use cfm_train::train_loop::{Outcome, TrainError, Trained};

const CLASSIFIERS: [ClassifierConfig; 2] = [ClassifierConfig::Softmax, ClassifierConfig::Svm];

fn rendered() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    common::render(&folder.path().join("data"));
    folder
}

fn train(folder: &Path, name: &str, config: &Config) -> Trained {
    config.check().unwrap();
    match common::run(&folder.join("data"), config, &folder.join(name), &|_| false) {
        Outcome::Trained(trained) => *trained,
        Outcome::Stopped(_) => panic!("stopped"),
    }
}

fn export(folder: &Path, trained: &Trained, config: &Config) -> Vec<u8> {
    let dataset = Dataset::open(folder.join("data")).unwrap();
    let (network, exponents) = (&trained.network, &trained.exponents);
    let description = dataset.description();
    to_cfm(&float_model(network, exponents, config, description, Vec::new()).unwrap()).unwrap()
}

/// Compares everything about the first photographs.
fn assert_equal(folder: &Path, trained: &Trained, config: &Config) {
    let bytes = export(folder, trained, config);
    let model = Model::parse(&bytes).unwrap();
    let design: Design = config.head.design.into();
    let classifier: Classifier = config.head.classifier.into();
    assert_eq!(
        (model.head().design, model.head().classifier),
        (design, classifier)
    );
    assert_eq!(model.head().mask_rule, config.mask.rule());
    let evaluator = Evaluator {
        network: &trained.network,
        exponents: Some(&trained.exponents),
        model: &model,
        logit_exponent: trained.exponents.logits,
    };
    let photos = common::photos(&folder.join("data"), config);
    let params = config.proposals.params().unwrap();
    let found = candidates(&photos[..2], config.input, &params, || ()).unwrap();
    for (photo, candidates) in photos.iter().zip(&found) {
        let (width, height) = (config.input.width, config.input.height);
        let maps: Vec<SuperpixelMap<'_>> = candidates
            .maps
            .iter()
            .map(|map| SuperpixelMap::new(&map.labels, width, height, map.count).unwrap())
            .collect();
        let segments: Vec<Segment<'_>> = candidates
            .segments
            .iter()
            .map(|segment| Segment::Superpixels {
                map: segment.map,
                members: &segment.members,
            })
            .collect();
        assert!(segments.len() > 5);
        let inputs = Inputs {
            image: ImageView::rgb(&photo.pixels, width, height).unwrap(),
            maps: &maps,
            segments: &segments,
            rule: model.labelling(),
        };
        let integers = trace(&model, &inputs).unwrap();
        let (projected, logits) = evaluator.logits(photo, candidates).unwrap();
        for ((segment, projected), logits) in integers
            .segments
            .iter()
            .zip(&projected)
            .zip(logits.chunks(model.class_count()))
        {
            let mask = segment.mask.iter().map(|&bit| bit as i8);
            assert!(mask.eq(projected.mask.iter().copied()));
            if config.mask.rule() == MaskRule::Off {
                assert!(projected.mask.iter().all(|&bit| bit == 1));
            }
            assert_eq!(segment.logits, logits);
        }
        let labels = evaluator.labels(photo, candidates).unwrap();
        assert_eq!(labels.labels(), integers.labels);
        let report = parity::check(&model, &inputs, Naming::Kinds).unwrap();
        assert!(report.is_exact(), "{:?}", report.first_mismatch());
    }
}

fn every_rule_and_classifier(design: DesignConfig) {
    let folder = rendered();
    let mut config = common::config();
    config.head.design = design;
    config.float.epochs = 2;
    config.quantized.epochs = 1;
    for rule in [
        MaskRuleConfig::Average,
        MaskRuleConfig::Max,
        MaskRuleConfig::Nearest,
        MaskRuleConfig::Off,
    ] {
        for classifier in CLASSIFIERS {
            config.mask.rule = rule;
            config.head.classifier = classifier;
            let name = format!("{rule:?} {classifier:?}");
            assert_equal(
                folder.path(),
                &train(folder.path(), &name, &config),
                &config,
            );
        }
    }
}

#[test]
fn plain() {
    every_rule_and_classifier(DesignConfig::Plain);
}

#[test]
fn design_a() {
    every_rule_and_classifier(DesignConfig::A);
}

#[test]
fn design_b() {
    every_rule_and_classifier(DesignConfig::B);
}

#[test]
fn four_levels_and_the_methods_of_the_paper() {
    let folder = rendered();
    let mut config = common::config();
    config.head.design = DesignConfig::B;
    config.head.levels = vec![6, 3, 2, 1];
    config.sampling.method = SamplingMethod::Paper;
    for (name, pursuit) in [("pursuit", true), ("none", false)] {
        config.sampling.paper.pursuit = pursuit;
        for classifier in CLASSIFIERS {
            config.head.classifier = classifier;
            let name = format!("{name} {classifier:?}");
            assert_equal(
                folder.path(),
                &train(folder.path(), &name, &config),
                &config,
            );
        }
    }
}

/// Otherwise the model would have the weights that its head was drawn with.
#[test]
fn a_head_that_sees_no_segment_is_an_error() {
    let folder = rendered();
    let data = folder.path().join("data");
    let mut config = common::config();
    config.sampling.smallest = 48 * 36 + 1;
    for method in [SamplingMethod::Share, SamplingMethod::Paper] {
        config.sampling.method = method;
        let run = folder.path().join(format!("{method:?}"));
        // Stopped in the middle of the pass, too.
        let middle = |p: &Position| (p.epoch, p.step) == (1, 1);
        let stopped = common::try_run(&data, &config, &run, &middle).unwrap();
        assert!(matches!(stopped, Outcome::Stopped(_)));
        let error = common::try_run(&data, &config, &run, &|_| false).unwrap_err();
        let text = error.to_string();
        // The first pass trains the backbone alone.
        assert!(
            matches!(error, TrainError::NoSegment { epoch: 2, .. }),
            "{text}"
        );
    }
    // Neither phase trains the head, but vector machines need segments.
    config.float.dense_epochs = config.float.epochs;
    config.quantized.epochs = 0;
    train(folder.path(), "dense", &config);
    config.head.classifier = ClassifierConfig::Svm;
    let error = common::try_run(&data, &config, &folder.path().join("svm"), &|_| false);
    assert!(matches!(error, Err(TrainError::Svm(FitError::NoExample))));
}

#[test]
fn heads_learn() {
    let folder = rendered();
    for (design, classifier, method) in [
        (
            DesignConfig::Plain,
            ClassifierConfig::Softmax,
            SamplingMethod::Paper,
        ),
        (
            DesignConfig::A,
            ClassifierConfig::Svm,
            SamplingMethod::Share,
        ),
        (
            DesignConfig::B,
            ClassifierConfig::Svm,
            SamplingMethod::Paper,
        ),
    ] {
        let mut config = common::config();
        config.validate_every = 100;
        config.float.epochs = 16;
        config.float.dense_epochs = 4;
        config.head.design = design;
        config.head.classifier = classifier;
        config.sampling.method = method;
        let name = format!("{design:?} {classifier:?} {method:?}");
        let trained = train(folder.path(), &name, &config);
        let miou = trained.validation.unwrap().miou;
        // One class for everything has a third of the accuracy at best, and an mIoU below a sixth.
        assert!(miou > 0.7, "{name}: {miou}");
    }
}
