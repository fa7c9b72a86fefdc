//! A C program on the host, linked with the static library, gives the labels that the command gives.

mod common;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cfm_core::model::Model;
use cfm_sim::built_in::STREET;
use cfm_sim::c_source::CSource;
use cfm_sim::pipeline::Pipeline;
use cfm_sim::scene::Scene;
use common::{compiler, root, run};

/// Builds the static library as the README says; returns its path.
fn library() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("static");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args([
            "build",
            "--release",
            "--locked",
            "--lib",
            "-p",
            "cfm-c",
            "--target-dir",
        ])
        .arg(&target)
        .current_dir(root())
        .env_remove("CARGO_BUILD_TARGET");
    run(&mut cargo);
    target.join("release/libcfm_c.a")
}

/// Compiles a program of C files, the exported model in `folder`, and the library.
fn program(folder: &Path, name: &str, sources: &[&str], library: &Path) -> PathBuf {
    let path = folder.join(name);
    let mut compiler = compiler("c");
    compiler.args(["-std=c99", "-O1", "-I"]).arg(folder);
    compiler.args(sources.iter().map(|source| root().join(source)));
    compiler.arg(folder.join("street.c")).arg(library);
    // What the Rust standard library asks for: `rustc --print native-static-libs`.
    compiler.args(["-lpthread", "-ldl", "-lm", "-o"]).arg(&path);
    run(&mut compiler);
    path
}

#[test]
fn c_programs_do_what_the_command_does() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let model = Model::parse(STREET.cfm).unwrap();
    CSource::new("street", &model)
        .unwrap()
        .write(folder)
        .unwrap();
    let library = library();

    let sources = ["examples/label/main.c", "examples/label/label.c"];
    let label = program(folder, "label", &sources, &library);
    let pipeline = Pipeline::new(&model).unwrap();
    let (width, height) = (model.input().width.into(), model.input().height.into());
    for seed in [3, 8] {
        let photo = Scene::render(width, height, seed).photo;
        let segmentation = pipeline.segment(&photo).unwrap();
        let expected = segmentation.labels.mapped(&pipeline.label_values());
        let classes: std::collections::HashSet<u8> = expected.labels().iter().copied().collect();
        assert!(classes.len() > 4, "{classes:?} would prove little");

        fs::write(folder.join("image.rgb"), photo.as_raw()).unwrap();
        let text = run(Command::new(&label)
            .args(["image.rgb", "labels"])
            .current_dir(folder));
        assert!(
            text.starts_with(&format!("{} segments\n", segmentation.segments)),
            "{text}"
        );
        assert!(fs::read(folder.join("labels")).unwrap() == expected.labels());
    }
    // The program refuses what is no image of that size.
    fs::write(folder.join("short.rgb"), [0; 100]).unwrap();
    let status = Command::new(&label)
        .args(["short.rgb", "labels"])
        .current_dir(folder)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(2));

    let sources = ["tests/c/misuse_main.c", "tests/c/misuse.c"];
    let misuse = program(folder, "misuse", &sources, &library);
    let text = run(&mut Command::new(misuse));
    assert!(text.contains(" checks, 0 wrong"), "{text}");
}
