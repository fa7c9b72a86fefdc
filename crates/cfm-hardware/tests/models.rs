//! The built-in models on a rendered scene, with as many segments as the proposals give.

mod common;

use cfm_core::model::Model;
use cfm_hardware::{Folding, Limits, compile, stream};
use cfm_sim::built_in::{BuiltIn, SCENE, STREET};
use cfm_sim::pipeline::{NetworkInput, Pipeline};
use cfm_sim::scene::{SAMPLE_SEED, Scene};
use cfm_sim::trace::Inputs;
use common::{Frame, compare};

const SEGMENTS: usize = 113;

fn check(built_in: BuiltIn, foldings: &[(u32, u32, u32)]) {
    let model = Model::parse(built_in.cfm).unwrap();
    let pipeline = Pipeline::new(&model).unwrap();
    let input = model.input();
    let photo = Scene::render(input.width.into(), input.height.into(), SAMPLE_SEED).photo;
    let input = NetworkInput::new(&photo, input).unwrap();
    let segments = Inputs::of_input(&pipeline, &input, |inputs| {
        let all = inputs.segments;
        assert!(all.len() >= SEGMENTS, "{} segments", all.len());
        (0..SEGMENTS)
            .map(|i| stream::runs(&all[i * all.len() / SEGMENTS], inputs.maps))
            .collect()
    })
    .unwrap();
    let frame = Frame {
        pixels: input.view().unwrap().pixels().to_vec(),
        segments,
    };
    for &(pe, lanes, weight_words) in foldings {
        let folding = Folding::new(pe, lanes).unwrap();
        let limits = Limits {
            weight_words,
            ..Limits::FORMAT
        };
        let engine = compile(&model, folding, &limits).unwrap();
        compare(&model, &engine, &frame, built_in.name);
    }
}

#[test]
fn street() {
    check(
        STREET,
        &[(8, 10, 8192), (4, 15, 1 << 18), (16, 7, 0), (8, 3, 4096)],
    );
}

#[test]
fn scene() {
    check(SCENE, &[(8, 16, 8192), (16, 5, 1 << 16), (4, 10, 0)]);
}
