//! Puts `memory.x` where the linker finds it, and the hardware engine's program where the compiler does.

use std::path::Path;
use std::{env, fs};

fn main() {
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::copy("memory.x", Path::new(&out).join("memory.x")).expect("memory.x can be copied");
    println!("cargo:rustc-link-search={}", Path::new(&out).display());
    println!("cargo:rerun-if-changed=memory.x");
    println!("cargo:rerun-if-env-changed=CFM_ENGINE");
    if env::var_os("CARGO_FEATURE_ENGINE").is_some() {
        let project = env::var_os("CFM_ENGINE")
            .expect("CFM_ENGINE names a folder that `cfm export rtl` wrote");
        let program = Path::new(&project).join("engine.bin");
        println!("cargo:rerun-if-changed={}", program.display());
        fs::copy(&program, Path::new(&out).join("engine.bin"))
            .expect("CFM_ENGINE has an engine.bin");
    }
    // Where the strings of `defmt` frames are, for the decoder.
    if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        println!("cargo:rustc-link-arg=-Tdefmt.x");
    }
}
