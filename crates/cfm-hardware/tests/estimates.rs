//! Cycles, resources and the choice of a folding.

use cfm_core::model::Model;
use cfm_hardware::budget::{Budget, Target};
use cfm_hardware::cycles::{Bound, Cycles, Overheads};
use cfm_hardware::description::Description;
use cfm_hardware::fold::{Estimate, FoldError, compile_within};
use cfm_hardware::resources::Resources;
use cfm_hardware::{Folding, Limits, compile, fold};
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
