//! Cycles, resources and the choice of a folding.

use cfm_core::model::Model;
use cfm_hardware::budget::{Budget, Target};
use cfm_hardware::cycles::{Bound, Cycles, Overheads};
use cfm_hardware::description::Description;
use cfm_hardware::fold::{Estimate, FoldError, compile_within};
use cfm_hardware::resources::Resources;
use cfm_hardware::{CompileError, Folding, Limits, Memory, compile, fold};
use cfm_sim::built_in::STREET;

fn street() -> Model<'static> {
    Model::parse(STREET.cfm).unwrap()
}

#[test]
fn the_fastest_folding_fits_and_no_other_is_faster() {
    let model = street();
    for target in [Target::Ecp5_85F, Target::Zynq7020] {
        let budget = target.budget();
        let (engine, best) = fold(&model, &budget).unwrap();
        assert!(best.resources.fits(&budget));
        assert_eq!(best, Estimate::of(&engine, &budget));
        for (pe, lanes) in [(4, 15), (8, 8), (8, 10), (16, 6)] {
            let folding = Folding::new(pe, lanes).unwrap();
            let other = compile_within(&model, folding, &budget).unwrap();
            let other = Estimate::of(&other, &budget);
            assert!(!other.resources.fits(&budget) || other.frame >= best.frame);
        }
    }
}

#[test]
fn less_of_a_part_is_slower_until_nothing_fits() {
    let model = street();
    let all = Target::Zynq7020.budget();
    let mut last = 0;
    for multipliers in [220, 150, 80, 30] {
        let budget = Budget { multipliers, ..all };
        let (engine, estimate) = fold(&model, &budget).unwrap();
        assert!(engine.folding().products() <= multipliers);
        assert!(estimate.frame >= last);
        last = estimate.frame;
    }
    let budget = Budget {
        block_rams: 40,
        ..all
    };
    assert!(matches!(
        fold(&model, &budget),
        Err(FoldError::Budget { .. })
    ));
}

#[test]
fn cycles_are_never_fewer_than_products() {
    let model = street();
    for (pe, lanes) in [(4, 2), (4, 16), (8, 10), (16, 16)] {
        let folding = Folding::new(pe, lanes).unwrap();
        for limits in [Limits::FORMAT, Limits::FORMAT.without_weights()] {
            let engine = compile(&model, folding, &limits).unwrap();
            let description = &engine.description;
            let macs: u64 = description.backbone().iter().map(|s| s.products).sum();
            assert_eq!(macs, 148_784_160);
            let cycles = Cycles::of(description, 64, &Overheads::RTL);
            assert!(cycles.image * u64::from(folding.products()) > macs);
            for (stage, cycles) in description.stages.iter().zip(&cycles.stages) {
                assert!(cycles.utilization <= 1.0, "{}", stage.part);
                let waits = cycles.bound == Bound::Weights;
                assert!(!waits || stage.operation.external);
            }
        }
    }
}

/// The number that synthesis finds: `bash boards/ulx3s-85f/build.sh synthesis`, `hls/docs/report.md`.
#[test]
fn blocks_of_memory_are_those_of_synthesis() {
    let budget: Budget =
        serde_json::from_str(include_str!("../../../boards/ulx3s-85f/budget.json")).unwrap();
    let folding = Folding::new(8, 8).unwrap();
    let engine = compile_within(&street(), folding, &budget).unwrap();
    let resources = Resources::of(&engine.description.parameters);
    assert_eq!(resources.block_rams, 191);
}

/// The numbers that synthesis finds: `hls/docs/report.md`.
#[test]
fn multipliers_are_those_of_synthesis() {
    for (pe, lanes, found) in [(4, 4, 22), (8, 4, 38), (8, 8, 70), (8, 10, 91)] {
        let folding = Folding::new(pe, lanes).unwrap();
        let engine = compile(&street(), folding, &Limits::FORMAT).unwrap();
        let resources = Resources::of(&engine.description.parameters);
        assert_eq!(resources.multipliers, found, "{pe}x{lanes}");
    }
}

/// A board without a memory for weights, or with one that holds some of them.
#[test]
fn weights_need_not_find_room_outside() {
    let model = street();
    let all = Target::Zynq7020.budget();
    let within = |external_words, block_rams| Budget {
        block_rams,
        limits: Limits {
            external_words,
            ..Limits::FORMAT
        },
        ..all
    };
    // More block memory than the part has: all weights find room in the engine.
    let (inside, _) = fold(&model, &within(0, 2000)).unwrap();
    assert_eq!(inside.description.external_words, 0);
    let plenty = Budget {
        block_rams: 2000,
        ..all
    };
    assert_eq!(inside, fold(&model, &plenty).unwrap().0);
    // Too little of both.
    let refused = fold(&model, &within(0, all.block_rams));
    assert!(matches!(
        refused,
        Err(FoldError::Compile(CompileError::Memory {
            memory: Memory::ExternalWeights,
            ..
        }))
    ));

    let folding = Folding::new(8, 8).unwrap();
    let weights = (inside.resident.len() + inside.external.len()) as u32;
    // Block memory for none of the weights, and for some.
    let bare = compile(&model, folding, &Limits::FORMAT.without_weights()).unwrap();
    let bare = Resources::of(&bare.description.parameters).block_rams as u32;
    let outside = compile_within(&model, folding, &within(weights, bare)).unwrap();
    assert_eq!(outside.description.parameters.weight_words, 0);
    let outside = outside.description.external_words;
    for block_rams in [bare, bare + 20] {
        let some = compile_within(&model, folding, &within(outside, block_rams)).unwrap();
        let needed = some.description.external_words;
        assert!(needed > 0 && (needed < outside) == (block_rams > bare));
        let exact = compile_within(&model, folding, &within(needed, block_rams)).unwrap();
        assert_eq!(exact, some);
        let refused = compile_within(&model, folding, &within(needed - 1, block_rams));
        assert!(
            matches!(
                refused,
                Err(CompileError::Memory {
                    memory: Memory::ExternalWeights,
                    ..
                })
            ),
            "{refused:?}"
        );
    }
}

/// What a board's file asks for, an engine can have.
#[test]
fn budgets_of_boards_are_within_the_format() {
    for text in [
        include_str!("../../../boards/ulx3s-85f/budget.json"),
        include_str!("../../../boards/pynq-z2/budget.json"),
    ] {
        let budget: Budget = serde_json::from_str(text).unwrap();
        let (limits, format) = (budget.limits, Limits::FORMAT);
        assert!(limits.feature_words <= format.feature_words, "{text}");
        assert!(limits.weight_words <= format.weight_words, "{text}");
        assert!(limits.external_words <= format.external_words, "{text}");
        assert!(limits.channels <= format.channels, "{text}");
        assert!(limits.store_words <= format.store_words, "{text}");
        assert!(fold(&street(), &budget).is_ok());
    }
}

#[test]
fn descriptions_and_budgets_survive_json() {
    let model = street();
    let engine = compile(&model, Folding::new(8, 10).unwrap(), &Limits::FORMAT).unwrap();
    let text = serde_json::to_string(&engine.description).unwrap();
    let read: Description = serde_json::from_str(&text).unwrap();
    assert_eq!(read, engine.description);
    assert_eq!(
        Resources::of(&read.parameters),
        Resources::of(&engine.description.parameters)
    );
    let budget = Target::Ecp5_85F.budget();
    let text = serde_json::to_string(&budget).unwrap();
    assert_eq!(serde_json::from_str::<Budget>(&text).unwrap(), budget);
}
