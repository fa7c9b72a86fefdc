//! Weights in another order are the same weights, and go back to the same bytes.
#![allow(missing_docs)]

use cfm_conformance::case::{Case, Content};
use cfm_conformance::cases::CASES;
use cfm_core::executor::{ExecuteError, Executor};
use cfm_core::model::reorder::{ReorderError, reorder};
use cfm_core::model::{Model, Operation, WeightOrder};
use cfm_model::random::{Options, random_model};
use cfm_model::spec::ModelSpec;

/// Checks a model in both orders; returns how many convolutions are in quads.
fn check(rows: &[u8]) -> usize {
    let model = Model::parse(rows).expect("it is valid");
    let spec = ModelSpec::try_from(&model).expect("it is readable");
    let mut buffer = vec![0; rows.len()];
    let packed = match reorder(&model, WeightOrder::Quads, &mut buffer) {
        Ok(packed) => packed,
        // Random models share parameters here and there.
        Err(error) => {
            assert_eq!(error, ReorderError::SharedWeights);
            return 0;
        }
    };
    let quads = Model::parse(packed).expect("it is valid");
    assert_eq!(quads.weight_order(), WeightOrder::Quads);
    assert_eq!(quads.arena_bytes(), model.arena_bytes());
    assert_eq!(ModelSpec::try_from(&quads).expect("it is readable"), spec);
    let mut back = vec![0; rows.len()];
    assert_eq!(reorder(&quads, WeightOrder::Rows, &mut back), Ok(rows));
    let mut again = vec![0; rows.len()];
    assert_eq!(reorder(&quads, WeightOrder::Quads, &mut again), Ok(packed));
    let mut arena = vec![0; model.arena_bytes()];
    assert_eq!(
        Executor::new(&quads, &mut arena).err(),
        Some(ExecuteError::WeightOrder),
        "the portable kernels read rows"
    );
    let layers = quads.layers();
    layers
        .filter(|layer| {
            matches!(layer.operation, Operation::Conv2d(conv) if conv.parameters.order == WeightOrder::Quads)
        })
        .count()
}

#[test]
fn committed_cases() {
    let models = CASES.iter().map(|(name, file)| {
        let case = Case::parse(file).expect(name);
        case.get(Content::Model).expect(name)
    });
    assert!(models.map(check).sum::<usize>() >= 20, "few are packed");
}

#[test]
fn random_models() {
    let options = Options {
        max_side: 12,
        max_channels: 16,
        max_layers: 5,
        max_classes: 8,
        max_macs: 100_000,
        rgb_only: true,
    };
    let packed: usize = (0..400)
        .map(|seed| {
            check(
                &random_model(seed, &options)
                    .to_bytes()
                    .expect("it is valid"),
            )
        })
        .sum();
    assert!(packed >= 100, "few are packed: {packed}");
}

#[test]
fn the_default_model() {
    let quads = check(include_bytes!("../../sim/models/street.cfm"));
    assert!(quads >= 10, "{quads} convolutions are packed");
}

#[test]
fn memory_that_is_too_short() {
    let mut buffer = [0; 16];
    let file = include_bytes!("../../sim/models/street.cfm");
    let model = Model::parse(file).expect("it is valid");
    assert_eq!(
        reorder(&model, WeightOrder::Quads, &mut buffer),
        Err(ReorderError::OutputTooSmall)
    );
}
