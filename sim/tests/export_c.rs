//! `cfm export c` writes source that C and C++ compilers take, and that holds the model.

mod common;

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use cfm_core::model::Model;
use cfm_model::spec::ClassSpec;
use cfm_proposals::Params;
use common::{json, model_spec, output, refusal, write_model};

/// Compiles with the host's compiler, without a warning.
fn compile(folder: &Path, variable: &str, compiler: &str, arguments: &[&str]) {
    let compiler = env::var_os(variable).unwrap_or_else(|| compiler.into());
    let output = Command::new(&compiler)
        .args(["-Wall", "-Wextra", "-Werror", "-pedantic"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", compiler.display()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}\n{errors}");
}

/// The value of a macro.
fn constant(header: &str, name: &str) -> usize {
    let line = header
        .lines()
        .find_map(|line| line.strip_prefix(&format!("#define {name} ")));
    line.unwrap_or_else(|| panic!("{name} in {header}"))
        .parse()
        .unwrap()
}

/// Prints everything that the header defines, and whether the array is the file.
const PROGRAM: &str = r#"
#include <stdio.h>
#include "tiny.h"

int main(void)
{
    static const char *const names[] = TINY_CLASS_NAMES;
    static const unsigned char labels[] = TINY_CLASS_LABELS;
    FILE *file = fopen("tiny.cfm", "rb");
    size_t i, same = 0;

    if (!file)
        return 1;
    for (i = 0; i < sizeof tiny_model; i++)
        same += fgetc(file) == tiny_model[i];
    same += fgetc(file) == EOF;
    fclose(file);
    printf("%d %d\n", (int)(same - sizeof tiny_model), (int)((size_t)tiny_model % 16));
    for (i = 0; i < sizeof names / sizeof *names; i++)
        printf("%s %d\n", names[i], labels[i]);
    return sizeof labels != TINY_CLASS_COUNT;
}
"#;

#[test]
fn the_source_is_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    // Names that C would misread, and two that become the same macro.
    let mut spec = model_spec();
    let names = ["??/", "a\"b\\", "caf\u{e9}1", "count", "count "];
    for (class, name) in spec.classes.iter_mut().zip(names) {
        class.name = name.to_owned();
    }
    fs::write(root.join("tiny.cfm"), spec.to_bytes().unwrap()).unwrap();
    let report = json(
        root,
        &["export", "c", "--model", "tiny.cfm", "--out", ".", "--json"],
    );

    let bytes = fs::read(root.join("tiny.cfm")).unwrap();
    let model = Model::parse(&bytes).unwrap();
    let header = fs::read_to_string(root.join("tiny.h")).unwrap();
    assert_eq!(report["header"], "./tiny.h");
    assert_eq!(report["arena_bytes"], model.arena_bytes());
    let params = Params::DEFAULT;
    for (name, value) in [
        ("WIDTH", 48),
        ("HEIGHT", 36),
        ("CHANNELS", 3),
        ("ROW_BYTES", 144),
        ("IMAGE_BYTES", 48 * 36 * 3),
        ("PIXELS", 48 * 36),
        ("MODEL_BYTES", bytes.len()),
        ("ARENA_BYTES", model.arena_bytes()),
        ("CLASS_COUNT", model.class_count()),
        ("PROPOSAL_WORDS", params.words(48, 36)),
        ("PROPOSAL_MIN_WORDS", params.min_words(48, 36)),
        ("PROPOSAL_LABELS", params.labels(48, 36)),
        ("MAX_SEGMENTS", 1024),
        ("MAPS", 3),
        ("MAX_SUPERPIXELS", 768),
        // A sum for each class, of every superpixel and of every column.
        ("LABEL_WORDS", 12 * (3 * 768 + 48)),
        ("CLASS_COUNT_3", 3),
        ("CLASS_COUNT_", 4),
        ("CLASS_TREE", 5),
    ] {
        assert_eq!(constant(&header, &format!("TINY_{name}")), value, "{name}");
    }

    fs::write(root.join("main.c"), PROGRAM).unwrap();
    for standard in ["c99", "c17"] {
        let standard = format!("-std={standard}");
        compile(
            root,
            "CC",
            "cc",
            &[&standard, "main.c", "tiny.c", "-o", "main"],
        );
    }
    let run = Command::new(root.join("main"))
        .current_dir(root)
        .output()
        .unwrap();
    assert!(run.status.success());
    let text = String::from_utf8(run.stdout).unwrap();
    let mut lines = text.lines();
    // Every byte is the same, and so is the end; the array is aligned.
    assert_eq!(lines.next(), Some("1 0"));
    let expected: Vec<String> = spec
        .classes
        .iter()
        .map(|ClassSpec { name, label, .. }| format!("{name} {label}"))
        .collect();
    assert_eq!(lines.collect::<Vec<_>>(), expected);
    // The array has C's name in C++, too.
    fs::copy(root.join("main.c"), root.join("main.cpp")).unwrap();
    compile(root, "CC", "cc", &["-std=c99", "-c", "tiny.c"]);
    compile(root, "CXX", "c++", &["main.cpp", "tiny.o", "-o", "main"]);
    compile(root, "CXX", "c++", &["-x", "c++", "-c", "tiny.c"]);
}

#[test]
fn names_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    fs::copy(root.join("tiny.cfm"), root.join("8-bit.v2.cfm")).unwrap();
    let text = output(
        root,
        &[
            "export",
            "c",
            "--model",
            "8-bit.v2.cfm",
            "--out",
            "new/folder",
        ],
    );
    assert!(text.starts_with("new/folder/model_8_bit_v2.h, "), "{text}");
    compile(
        &root.join("new/folder"),
        "CC",
        "cc",
        &["-c", "model_8_bit_v2.c"],
    );

    let own = ["export", "c", "--model", "tiny.cfm", "--out", ".", "--name"];
    output(root, &[&own[..], &["other"]].concat());
    assert!(
        fs::read_to_string(root.join("other.h"))
            .unwrap()
            .contains("other_model[OTHER_MODEL_BYTES]")
    );
    let error = refusal(root, &[&own[..], &["no-name"]].concat());
    assert!(error.contains("\"no-name\" is no name in C"), "{error}");
    fs::write(root.join("file"), "").unwrap();
    let error = refusal(
        root,
        &["export", "c", "--model", "tiny.cfm", "--out", "file"],
    );
    assert!(error.starts_with("cfm: file: "), "{error}");
}

#[test]
fn labels_are_written_as_pgm() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    let photo = common::write_photo(root, 20, 10);
    let photo = photo.to_str().unwrap();
    for labels in ["l.png", "l.pgm"] {
        output(
            root,
            &["segment", photo, "--model", "tiny.cfm", "--labels", labels],
        );
    }
    let expected = cfm_sim::label_map::LabelMap::open(&root.join("l.png")).unwrap();
    let bytes = fs::read(root.join("l.pgm")).unwrap();
    assert_eq!(
        bytes.strip_prefix(b"P5\n20 10\n255\n"),
        Some(expected.labels())
    );
}
