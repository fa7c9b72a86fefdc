//! Puts the weights of the default model into quads, as `cfm pack` does.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use cfm_core::model::reorder::reorder;
use cfm_core::model::{Model, WeightOrder};

fn main() -> Result<(), Box<dyn Error>> {
    let file = "../sim/models/street.cfm";
    println!("cargo::rerun-if-changed={file}");
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_QUADS").is_none() {
        return Ok(());
    }
    let bytes = fs::read(file)?;
    let mut packed = vec![0; bytes.len()];
    reorder(&Model::parse(&bytes)?, WeightOrder::Quads, &mut packed)?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    fs::write(out.join("street.cfm"), packed)?;
    Ok(())
}
