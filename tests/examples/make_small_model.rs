//! Writes `crates/cfm-core/data/small.cfm`, the model of examples and tests in packages: image, classes and proposals of
//! `street`, but a network of a few layers with random weights, in a hundredth of the bytes.

#[path = "../tests/small_model/mod.rs"]
mod small_model;

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = root.join("crates/cfm-core/data/small.cfm");
    small_model::make()?.write_file(&path)?;
    println!("{} bytes", std::fs::metadata(path)?.len());
    Ok(())
}
