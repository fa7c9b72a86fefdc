//! The compiled words, executed as the specification says, give what the core gives.

mod common;

use cfm_conformance::case::Case;
use cfm_conformance::cases::CASES;
use cfm_hardware::{CompileError, Folding, Limits, compile};
use common::{compare, frame_of, model_of};

/// Cases that the engine cannot represent.
const REFUSED: &[(&str, &str)] = &[
    ("random-0003", NEAREST),
    ("random-0008", NEAREST),
    ("random-0026", NEAREST),
    (
        "random-0035",
        "joint layer 0: it reads 1049 bins; the engine takes at most 255",
    ),
    ("random-0037", NEAREST),
    ("random-0039", NEAREST),
    ("random-0072", NEAREST),
    (
        "random-0080",
        "region path, layer 0: it reads 711 bins; the engine takes at most 255",
    ),
    (
        "random-0098",
        "layer 3: an input is aligned by 16 bits; the engine's weights hold at most 14",
    ),
    (
        "random-0111",
        "layer 3: an input is aligned by 17 bits; the engine's weights hold at most 14",
    ),
    ("random-0144", NEAREST),
    ("random-0150", NEAREST),
    ("random-0179", NEAREST),
];

const NEAREST: &str = "Design B with the nearest rule: the engine has no pixels when it masks bins";

fn folding(pe: u32, lanes: u32) -> Folding {
    Folding::new(pe, lanes).unwrap()
}

fn refused() -> Vec<(&'static str, CompileError)> {
    CASES
        .iter()
        .filter_map(|(name, file)| {
            let case = Case::parse(file).unwrap();
            let error = compile(&model_of(&case), folding(4, 3), &Limits::FORMAT).err()?;
            Some((*name, error))
        })
        .collect()
}

#[test]
fn the_cases_that_are_refused_are_known() {
    let refused: Vec<(&str, String)> = refused()
        .into_iter()
        .map(|(name, error)| (name, error.to_string()))
        .collect();
    let refused: Vec<(&str, &str)> = refused.iter().map(|(n, e)| (*n, e.as_str())).collect();
    assert_eq!(refused, REFUSED);
}

fn all_cases(folding: Folding, limits: &Limits) {
    let mut compared = 0;
    for (name, file) in CASES {
        let case = Case::parse(file).unwrap();
        let model = model_of(&case);
        let Ok(engine) = compile(&model, folding, limits) else {
            continue;
        };
        compare(&model, &engine, &frame_of(&case, &model), name);
        compared += 1;
    }
    assert_eq!(compared, CASES.len() - REFUSED.len());
}

#[test]
fn cases_at_pe_4() {
    for lanes in [1, 2, 3, 5, 7, 10, 15] {
        all_cases(folding(4, lanes), &Limits::FORMAT);
    }
}

#[test]
fn cases_at_pe_8() {
    for lanes in [1, 3, 5, 7, 10, 15] {
        all_cases(folding(8, lanes), &Limits::FORMAT);
    }
}

#[test]
fn cases_at_pe_16() {
    for lanes in [1, 3, 5, 7, 10, 15] {
        all_cases(folding(16, lanes), &Limits::FORMAT);
    }
}

#[test]
fn cases_with_weights_from_outside() {
    for weight_words in [0, 40, 200] {
        let limits = Limits {
            weight_words,
            ..Limits::FORMAT
        };
        all_cases(folding(4, 3), &limits);
        all_cases(folding(8, 5), &limits);
    }
}
