//! Random models beyond the golden cases: more layers, more channels, every sort of head.

mod common;

use std::collections::BTreeMap;

use cfm_core::model::Model;
use cfm_hardware::budget::Target;
use cfm_hardware::fold::{Estimate, compile_within};
use cfm_hardware::{Folding, Limits, compile, stream};
use cfm_model::random::{Options, random_image, random_model, random_segments};
use common::{Frame, compare};

const SEEDS: u64 = 300;

#[test]
fn random_models_agree() {
    let options = Options {
        max_macs: 60_000,
        ..Options::default()
    };
    let mut refused: BTreeMap<String, u64> = BTreeMap::new();
    let mut heads: BTreeMap<String, u64> = BTreeMap::new();
    let mut compared = 0;
    for seed in 5000..5000 + SEEDS {
        let spec = random_model(seed, &options);
        let bytes = spec.to_bytes().unwrap();
        let model = Model::parse(&bytes).unwrap();
        let folding = Folding::new([4, 8, 16][seed as usize % 3], 1 + seed as u32 % 16).unwrap();
        let limits = Limits {
            weight_words: [0, 100, 1 << 16][seed as usize / 3 % 3],
            ..Limits::FORMAT
        };
        let engine = match compile(&model, folding, &limits) {
            Ok(engine) => engine,
            Err(error) => {
                let error = format!("{error:?}");
                let kind = error.split([' ', '(']).next().unwrap_or_default();
                *refused.entry(kind.to_owned()).or_default() += 1;
                continue;
            }
        };
        let input = model.input();
        let drawn = random_segments(seed, input.width, input.height, 21);
        let maps = drawn.map_views().unwrap();
        let frame = Frame {
            pixels: random_image(seed, spec.input).pixels,
            segments: drawn
                .views()
                .iter()
                .map(|segment| stream::runs(segment, &maps))
                .collect(),
        };
        compare(&model, &engine, &frame, &format!("seed {seed}"));
        let head = model.head();
        let layers = |path| head.layer_count(path) > 0;
        let has = [
            cfm_core::model::Path::Segment,
            cfm_core::model::Path::Region,
        ]
        .map(layers);
        *heads
            .entry(format!("{:?} {has:?}", head.design))
            .or_default() += 1;
        compared += 1;
    }
    assert!(
        compared * 4 > SEEDS * 3,
        "{compared} compared, refused: {refused:?}"
    );
    // Two designs with one path, with and without layers, and all four sorts of Design A.
    assert_eq!(heads.len(), 8, "{heads:?}");
}

/// Models far from what an engine is made for: they are refused, or compiled and estimated, and nothing panics.
#[test]
fn large_models_are_refused_or_compiled() {
    let options = Options {
        max_side: 700,
        max_channels: 300,
        max_layers: 40,
        max_classes: 255,
        max_macs: 1_000_000_000,
        rgb_only: false,
    };
    let budget = Target::Zynq7020.budget();
    let mut refused = 0;
    for seed in 0..24 {
        let bytes = random_model(seed, &options).to_bytes().unwrap();
        let model = Model::parse(&bytes).unwrap();
        for (pe, lanes) in [(4, 1), (16, 16)] {
            let folding = Folding::new(pe, lanes).unwrap();
            match compile_within(&model, folding, &budget) {
                Ok(engine) => {
                    let estimate = Estimate::of(&engine, &budget);
                    assert!(estimate.cycles.image > 0 && estimate.resources.block_rams > 0);
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 0);
}
