//! Puts the linker's scripts where it finds them.

use std::path::Path;
use std::{env, fs};

fn main() {
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    for script in ["memory.x", "sections.x"] {
        fs::copy(script, Path::new(&out).join(script)).expect("the script can be copied");
        println!("cargo:rerun-if-changed={script}");
    }
    println!("cargo:rustc-link-search={}", Path::new(&out).display());
    // Where the strings of `defmt` frames are, for the decoder.
    if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        println!("cargo:rustc-link-arg=-Tdefmt.x");
    }
}
