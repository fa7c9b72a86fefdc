//! Writes `include/cfm.h`.

use std::path::Path;

fn main() -> Result<(), cbindgen::Error> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_root_or_default(root);
    let bindings = cbindgen::Builder::new()
        .with_crate(root)
        .with_config(config)
        .generate()?;
    bindings.write_to_file(root.join("include/cfm.h"));
    Ok(())
}
