//! Writes a project for every golden case that the engine can represent: `export_cases FOLDER PE LANES [WEIGHT_WORDS]`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::env;
use std::error::Error;
use std::path::Path;

use cfm_conformance::case::Case;
use cfm_conformance::cases::CASES;
use cfm_hardware::project::Language;
use cfm_hardware::{Folding, Limits, compile, project};
use cfm_model::output::Batch;

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
        let view = frame.view(&model);
        let folder = Path::new(folder).join(name);
        let project = project::project(&model, &engine, &view, &frame.segments, Language::Rtl)?;
        let mut files = Batch::new();
        for (name, bytes) in &project.files {
            files.add(&folder.join(name), bytes)?;
        }
        files.commit()?;
        written += 1;
    }
    println!("{written} cases");
    Ok(())
}
