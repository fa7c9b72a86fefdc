//! The built-in models on a rendered scene, with as many segments as the proposals give.

mod common;

use cfm_core::model::Model;
use cfm_hardware::{CompileError, Folding, Limits, Memory, compile, stream};
use cfm_model::spec::LayerSpec;
use cfm_sim::built_in::{BuiltIn, SCENE, STREET};
use cfm_sim::pipeline::{NetworkInput, Pipeline};
use cfm_sim::scene::{SAMPLE_SEED, Scene};
use cfm_sim::trace::Inputs;
use common::{Frame, compare, one_convolution};

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

/// Programs that 16 bits do not address: a tall image waits and runs in every row.
#[test]
fn programs_longer_than_the_control_store_are_refused() {
    let compiled = |height| {
        let mut spec = one_convolution([height, 16], [1, 1], [1, 1], vec![1; 4]);
        let LayerSpec::Conv2d(mut second) = spec.layers[0].clone() else {
            panic!("no convolution");
        };
        second.input = 1;
        second.weights = vec![1; 16];
        spec.layers.push(LayerSpec::Conv2d(second));
        let bytes = spec.to_bytes().unwrap();
        let folding = Folding::new(4, 8).unwrap();
        compile(&Model::parse(&bytes).unwrap(), folding, &Limits::FORMAT)
    };
    assert!(compiled(4096).is_ok());
    // 8192 waits and 16384 runs of three words each.
    let Err(CompileError::Memory { memory, .. }) = compiled(8192) else {
        panic!("it is compiled");
    };
    assert_eq!(memory, Memory::Store);
}

/// The engine calculates with addresses of two bits at least.
#[test]
fn a_map_of_one_cell_gets_tables_of_four_words() {
    let bytes = one_convolution([1, 1], [1, 1], [1, 1], vec![1; 4])
        .to_bytes()
        .unwrap();
    let folding = Folding::new(4, 1).unwrap();
    for (side, expected) in [(0, 4), (2, 4), (5, 8)] {
        let limits = Limits {
            side,
            ..Limits::FORMAT
        };
        let engine = compile(&Model::parse(&bytes).unwrap(), folding, &limits).unwrap();
        assert_eq!(engine.description.parameters.side, expected);
    }
}

/// Every block of an output finds room in the C++ description's row buffer.
#[test]
fn row_buffers_hold_the_deepest_output() {
    for (depth, expected) in [(1024, 256), (1028, 257)] {
        let bytes = one_convolution([1, 1], [1, 1], [1, 1], vec![1; depth])
            .to_bytes()
            .unwrap();
        let folding = Folding::new(4, 1).unwrap();
        let engine = compile(&Model::parse(&bytes).unwrap(), folding, &Limits::FORMAT).unwrap();
        assert_eq!(engine.description.parameters.row_words, expected);
    }
}

/// Kernel rows further apart than a ring is long are never read together.
#[test]
fn steps_between_rows_beyond_16_bits_do_no_harm() {
    let bytes = one_convolution([2, 300], [1, 1], [255, 1], vec![1, -2, 3, 4])
        .to_bytes()
        .unwrap();
    let model = Model::parse(&bytes).unwrap();
    let folding = Folding::new(4, 1).unwrap();
    let engine = compile(&model, folding, &Limits::FORMAT).unwrap();
    let frame = Frame {
        pixels: (0..600).map(|i| (i % 253) as u8).collect(),
        segments: Vec::new(),
    };
    compare(&model, &engine, &frame, "far rows");
}
