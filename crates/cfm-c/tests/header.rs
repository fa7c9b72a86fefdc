//! The committed header is what cbindgen makes of the source, and C and C++ compilers take it.

mod common;

use std::fs;
use std::path::Path;

use common::{compiler, root, run};

#[test]
fn the_header_is_the_generated_one() {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let bindings = cbindgen::Builder::new()
        .with_crate(root())
        .with_config(config)
        .generate()
        .unwrap();
    let mut generated = Vec::new();
    bindings.write(&mut generated);
    let committed = fs::read(root().join("include/cfm.h")).unwrap();
    assert!(
        committed == generated,
        "include/cfm.h is not up to date: cargo run -p cfm-c --example header"
    );
}

fn check(language: &str, standard: &str, file: &Path) {
    run(compiler(language)
        .args([&format!("-std={standard}"), "-fsyntax-only", "-x", language])
        .arg(file));
}

#[test]
fn c_and_cpp_take_the_header() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("twice.c");
    // Twice, against a broken guard; with a call of every kind of function, against a broken linkage.
    let program = "#include \"cfm.h\"\n#include \"cfm.h\"\n\
        int main(void) { cfm_model model; cfm_info info;\n\
        cfm_error error = cfm_model_parse(&model, NULL, 0);\n\
        if (error == CFM_OK) error = cfm_model_info(&model, &info);\n\
        return cfm_error_message(error) == cfm_version(); }\n";
    fs::write(&file, program).unwrap();
    for standard in ["c99", "c11", "c17"] {
        check("c", standard, &file);
    }
    for standard in ["c++11", "c++17"] {
        check("c++", standard, &file);
    }
}

#[test]
fn every_function_of_the_source_is_in_the_header() {
    let header = fs::read_to_string(root().join("include/cfm.h")).unwrap();
    let mut found = 0;
    for file in fs::read_dir(root().join("src")).unwrap() {
        let source = fs::read_to_string(file.unwrap().path()).unwrap();
        for (_, after) in source
            .match_indices("extern \"C\" fn ")
            .map(|(at, s)| source.split_at(at + s.len()))
        {
            let name = after.split('(').next().unwrap();
            assert!(header.contains(&format!("{name}(")), "{name}");
            found += 1;
        }
    }
    assert!(found > 10, "{found}");
}
