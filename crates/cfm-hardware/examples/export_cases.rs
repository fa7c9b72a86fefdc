//! Writes a project for every golden case that the engine can represent, for an image that is waited for in more rows than eight
//! bits count, and for a map of very many channels: `export_cases FOLDER PE LANES [WEIGHT_WORDS]`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::env;
use std::error::Error;
use std::path::Path;

use cfm_conformance::case::Case;
use cfm_conformance::cases::CASES;
use cfm_core::model::Model;
use cfm_core::segment::Run;
use cfm_hardware::project::Language;
use cfm_hardware::{Engine, Folding, Limits, compile, project};
use cfm_model::output::Batch;
use cfm_model::spec::ModelSpec;
use common::{Frame, one_convolution};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (folder, pe, lanes, weight_words) = match arguments.as_slice() {
        [folder, pe, lanes] => (folder, pe, lanes, None),
        [folder, pe, lanes, words] => (folder, pe, lanes, Some(words.parse()?)),
        _ => return Err("usage: export_cases FOLDER PE LANES [WEIGHT_WORDS]".into()),
    };
    let folding = Folding::new(pe.parse()?, lanes.parse()?)?;
    let limits = Limits {
        weight_words: weight_words.unwrap_or(Limits::FORMAT.weight_words),
        ..Limits::FORMAT
    };
    let mut written = 0;
    for (name, file) in CASES {
        let case = Case::parse(file).map_err(|_| "a broken case")?;
        let model = common::model_of(&case);
        let engine = match compile(&model, folding, &limits) {
            Ok(engine) => engine,
            Err(error) => {
                println!("{name}: {error}");
                continue;
            }
        };
        let frame = common::frame_of(&case, &model);
        write(&Path::new(folder).join(name), &model, &engine, &frame)?;
        written += 1;
    }
    println!("{written} cases");

    let corners = [
        ("tall", tall_model(), tall_frame()),
        ("deep", deep_model(), deep_frame()),
    ];
    for (name, spec, frame) in corners {
        let bytes = spec.to_bytes()?;
        let model = Model::parse(&bytes)?;
        let engine = compile(&model, folding, &limits)?;
        write(&Path::new(folder).join(name), &model, &engine, &frame)?;
    }
    println!("and an image of {TALL} rows, and a map of {DEEP} channels");
    Ok(())
}

fn write(
    folder: &Path,
    model: &Model<'_>,
    engine: &Engine,
    frame: &Frame,
) -> Result<(), Box<dyn Error>> {
    let view = frame.view(model);
    let project = project::project(model, engine, &view, &frame.segments, Language::Rtl)?;
    let mut files = Batch::new();
    for (name, bytes) in &project.files {
        files.add(&folder.join(name), bytes)?;
    }
    Ok(files.commit()?)
}

/// Rows and columns of the tall image.
const TALL: u16 = 260;
const NARROW: u16 = 5;

/// A kernel that reaches over 257 rows of the image, so many does the first row of the feature map wait for.
fn tall_model() -> ModelSpec {
    let image = [TALL, NARROW];
    one_convolution(image, [3, 1], [128, 1], vec![2, -3, 4, -1, 5, 2])
}

/// Channels that four banks' words hold in more than 256 groups.
const DEEP: u16 = 1028;

/// A feature map that is deeper than most row buffers are long.
fn deep_model() -> ModelSpec {
    let weights = (0..DEEP).map(|i| (i % 127) as i8).collect();
    one_convolution([2, 3], [1, 1], [1, 1], weights)
}

/// Noise, and segments at its top, at its end, and over all of it.
fn tall_frame() -> Frame {
    let pixels = noise(u32::from(TALL) * u32::from(NARROW));
    let rows = |from, to| (from..to).map(|y| Run { y, x0: 0, x1: 3 }).collect();
    Frame {
        pixels,
        segments: vec![rows(0, 2), rows(TALL - 1, TALL), rows(0, TALL)],
    }
}

/// Noise, and all of it as a segment.
fn deep_frame() -> Frame {
    let rows = (0..2).map(|y| Run { y, x0: 0, x1: 3 }).collect();
    Frame {
        pixels: noise(6),
        segments: vec![rows],
    }
}

fn noise(samples: u32) -> Vec<u8> {
    (0..samples)
        .map(|i| (i.wrapping_mul(0x9E37_79B9) >> 24) as u8)
        .collect()
}
