//! The command: trains, refuses to overwrite a run, resumes, and says what is wrong.
#![allow(missing_docs)]

mod common;

use std::path::Path;
use std::process::{Command, Output};

fn run(root: &Path, extra: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cfm-train"))
        .arg("train")
        .arg(root.join("data"))
        .arg("--config")
        .arg(root.join("config.toml"))
        .arg("--out")
        .arg(root.join("model.cfm"))
        .args(extra)
        .output()
        .unwrap()
}

fn prepare() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    std::fs::create_dir(&data).unwrap();
    common::render(&data);
    std::fs::write(root.path().join("config.toml"), common::config().to_toml()).unwrap();
    root
}

fn assert_success(output: &Output) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

#[test]
fn trains_and_resumes() {
    let root = prepare();
    let short = [
        "--set",
        "float.epochs=2",
        "--set",
        "quantized.epochs=1",
        "--set",
        "validate_every=1",
    ];
    let output = run(root.path(), &short);
    assert_success(&output);
    assert!(String::from_utf8_lossy(&output.stdout).contains("mIoU"));
    let model = std::fs::read(root.path().join("model.cfm")).unwrap();
    assert!(root.path().join("model.safetensors").is_file());
    let shared = "6 of the 6 photographs that are validated on are trained on, too";
    assert!(String::from_utf8_lossy(&output.stderr).contains(shared));
    let log_path = root.path().join("model.run/log.csv");
    let log = std::fs::read_to_string(&log_path).unwrap();
    assert_eq!(log.lines().count(), 1 + 2 + 1);
    // The first pass trains the backbone alone, so there is nothing to validate; the last line is that of the model.
    let validated: Vec<bool> = log
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(5).is_some_and(|miou| !miou.is_empty()))
        .collect();
    assert_eq!(validated, [false, true, true]);

    let again = run(root.path(), &short);
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("--resume"));

    let resume = [&short[..], &["--resume"]].concat();
    assert_success(&run(root.path(), &resume));
    assert!(model == std::fs::read(root.path().join("model.cfm")).unwrap());
    assert_eq!(log, std::fs::read_to_string(&log_path).unwrap());

    let other = [&resume[..], &["--seed", "5"]].concat();
    let other = run(root.path(), &other);
    assert!(!other.status.success());
    assert!(String::from_utf8_lossy(&other.stderr).contains("another configuration"));

    // First weights that it did not have, and a photograph less.
    let run_folder = root.path().join("model.run");
    let other = [&resume[..], &["--init", run_folder.to_str().unwrap()]].concat();
    let split = root.path().join("data/train.txt");
    let ids = std::fs::read_to_string(&split).unwrap();
    let refused = |arguments: &[&str]| {
        let output = run(root.path(), arguments);
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("other photographs"), "{error}");
    };
    refused(&other);
    // What it started with need not be told again, and may be gone by then.
    let mut init = Command::new(env!("CARGO_BIN_EXE_cfm-train"));
    init.current_dir(root.path())
        .args(["train", "data", "--config", "config.toml"])
        .args(["--out", "second.cfm"])
        .args(short);
    assert_success(&init.args(["--init", "model.run"]).output().unwrap());
    let second = std::fs::read(root.path().join("second.cfm")).unwrap();
    std::fs::rename(&run_folder, root.path().join("gone")).unwrap();
    let mut resumed = Command::new(env!("CARGO_BIN_EXE_cfm-train"));
    resumed
        .current_dir(root.path())
        .args(["train", "data", "--config", "config.toml"])
        .args(["--out", "second.cfm"])
        .args(&resume);
    assert_success(&resumed.output().unwrap());
    assert!(second == std::fs::read(root.path().join("second.cfm")).unwrap());
    // Nor does it matter that they are those of a repeat.
    assert_success(&run(root.path(), &short));
    assert_success(&resumed.args(["--init", "model.run"]).output().unwrap());
    let mut third = Command::new(env!("CARGO_BIN_EXE_cfm-train"));
    third
        .current_dir(root.path())
        .args(["train", "data", "--config", "config.toml"])
        .args(["--out", "third.cfm", "--init", "model.run"])
        .args(short);
    assert_success(&third.output().unwrap());
    assert!(second == std::fs::read(root.path().join("third.cfm")).unwrap());
    std::fs::remove_dir_all(&run_folder).unwrap();
    std::fs::rename(root.path().join("gone"), &run_folder).unwrap();
    std::fs::write(&split, ids.replace("3\n", "")).unwrap();
    refused(&resume);
    std::fs::write(&split, ids).unwrap();
    // A class by another name.
    let description = root.path().join("data/dataset.toml");
    let classes = std::fs::read_to_string(&description).unwrap();
    let renamed = classes.replace("\"sky\"", "\"heaven\"");
    assert_ne!(renamed, classes);
    std::fs::write(&description, renamed).unwrap();
    refused(&resume);
    std::fs::write(&description, classes).unwrap();
    assert_success(&run(root.path(), &resume));
}

/// Longer than any configuration, whatever is in it.
#[test]
fn a_configuration_without_end_is_refused() {
    let root = prepare();
    let config = root.path().join("config.toml");
    let mut text = std::fs::read_to_string(&config).unwrap();
    text.push('#');
    text.extend(std::iter::repeat_n(' ', (1 << 20) - text.len()));
    std::fs::write(&config, &text).unwrap();
    // As long as it may be.
    let output = run(root.path(), &["--set", "seed=none"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("seed"), "{error}");
    text.push(' ');
    std::fs::write(&config, &text).unwrap();
    let output = run(root.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let long = "config.toml: the file is longer than 1024 KiB";
    assert!(error.contains(long), "{error}");
    assert!(!root.path().join("model.run").exists());
}

/// What is left to do after the training must not cost the model.
#[test]
fn a_model_that_cannot_be_measured_is_written() {
    let root = prepare();
    let labels = root.path().join("data/labels");
    let short = [
        "--set",
        "float.epochs=1",
        "--set",
        "float.dense_epochs=0",
        "--set",
        "quantized.epochs=0",
        "--set",
        "validate_every=1",
        "--set",
        "data.val=other",
    ];
    std::fs::write(root.path().join("data/other.txt"), "other\n").unwrap();
    std::fs::copy(
        root.path().join("data/images/0.png"),
        root.path().join("data/images/other.png"),
    )
    .unwrap();
    image::GrayImage::from_pixel(common::WIDTH, common::HEIGHT, image::Luma([9]))
        .save(labels.join("other.png"))
        .unwrap();
    let output = run(root.path(), &short);
    assert_success(&output);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("mIoU"));
    assert!(root.path().join("model.cfm").is_file());

    // A photograph that is gone when it is to be measured on: those of the training are in memory.
    let log = root.path().join("gone.run/log.csv");
    let mut child = Command::new(env!("CARGO_BIN_EXE_cfm-train"))
        .current_dir(root.path())
        .args(["train", "data", "--config", "config.toml"])
        .args(["--out", "gone.cfm"])
        .args(short)
        .args(["--set", "float.epochs=3"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !log.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_micros(100));
    }
    std::fs::remove_file(root.path().join("data/images/other.png")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(root.path().join("gone.cfm").is_file());
}

/// Trains with a row in `table.csv`.
fn cfm_train_table(root: &Path, out: &str, settings: &[&str], row: &str) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_cfm-train"))
        .current_dir(root)
        .args(["train", "data", "--config", "config.toml", "--out", out])
        .args(settings)
        .args(["--set", "validate_every=100", "--json"])
        .args(["--table", "table.csv", "--row", row])
        .output()
        .unwrap();
    assert_success(&output);
    output
}

#[test]
fn rows_of_the_table_are_csv() {
    let root = prepare();
    let table = root.path().join("table.csv");
    let short = ["--set", "float.epochs=1", "--set", "quantized.epochs=0"];
    let row = "a, \"b\"";
    for name in ["one", "two"] {
        // Into a folder that is not there yet.
        let out = format!("{name}/model.cfm");
        let output = cfm_train_table(root.path(), &out, &short, row);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["model"], out);
        assert_eq!(report["int8"]["images"], common::IMAGES);
        // As an editor leaves it, then as a full disk does.
        let text = std::fs::read_to_string(&table).unwrap();
        let ends = match name {
            "one" => text.trim_end().to_owned(),
            _ => format!("{text}half a row,1"),
        };
        std::fs::write(&table, ends).unwrap();
    }
    cfm_train_table(root.path(), "three/model.cfm", &short, row);
    let mut reader = csv::Reader::from_path(&table).unwrap();
    assert_eq!(reader.headers().unwrap().len(), 8);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0], rows[1]);
    assert_eq!(rows[0], rows[2]);
    assert_eq!(&rows[0][0], row);
    assert_eq!(&rows[0][1], "1");
}

/// All of it before the training, which has not left a checkpoint.
#[test]
fn outputs_that_could_not_be_written_are_refused_at_once() {
    let root = prepare();
    std::fs::create_dir(root.path().join("folder")).unwrap();
    for (arguments, why) in [
        (&["--out", "model.safetensors"][..], "float weights"),
        (&["--out", "model.run"], "the run's folder"),
        (
            &["--out", "model.cfm", "--run", "model.cfm"],
            "the run's folder",
        ),
        (
            &["--out", "model.cfm", "--run", "model.safetensors"],
            "the run's folder",
        ),
        (
            &["--out", "model.cfm", "--run", "data/../model.cfm"],
            "the run's folder",
        ),
        (
            &["--out", "model.cfm", "--run", "./model.safetensors"],
            "the run's folder",
        ),
        (&["--out", "folder"], "is a folder"),
        (
            &["--out", "model.cfm", "--table", "t.csv", "--row", "r"],
            "validate_every is 0",
        ),
        (
            &[
                "--out",
                "model.cfm",
                "--set",
                "validate_every=1",
                "--table",
                "t.csv",
                "--row",
                "two\nlines",
            ],
            "several lines",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_cfm-train"))
            .current_dir(root.path())
            .args(["train", "data", "--config", "config.toml"])
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(why), "{error}");
    }
    let validated = ["--set", "validate_every=1", "--row", "r"];
    for (table, why) in [
        ("model.cfm", "have one name"),
        ("./data/../model.safetensors", "have one name"),
        ("folder/none/t.csv", "cannot write"),
        ("folder", "cannot write"),
        ("config.toml", "no table of this program"),
    ] {
        let table = root.path().join(table);
        let table = table.to_str().unwrap();
        let output = run(root.path(), &[&validated[..], &["--table", table]].concat());
        assert_eq!(output.status.code(), Some(1), "{table}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(why), "{error}");
    }
    let left = std::fs::read_dir(root.path()).unwrap().count();
    assert_eq!(left, 3, "the data, the configuration and the folder");
}

/// Texts of a data set may have several lines, which a model's provenance has not; and who never validates needs no split
/// to validate on.
#[test]
fn a_licence_of_several_lines_and_no_split_to_validate_on() {
    let root = prepare();
    let description = root.path().join("data/dataset.toml");
    let text = std::fs::read_to_string(&description).unwrap();
    let lines = text.replace("\"none\"", "\"\"\"\none\n  two \n\"\"\"");
    std::fs::write(&description, lines).unwrap();
    std::fs::remove_file(root.path().join("data/val.txt")).unwrap();
    let short = ["--set", "float.epochs=1", "--set", "quantized.epochs=0"];
    let output = run(root.path(), &[&short[..], &["--resume"]].concat());
    assert_success(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("begins anew"));
    let model = std::fs::read(root.path().join("model.cfm")).unwrap();
    let text = String::from_utf8_lossy(&model).into_owned();
    assert!(text.contains("data_license = one two\n"));
}

#[test]
fn errors_are_clear() {
    let root = prepare();
    let output = run(root.path(), &["--set", "float.batch=0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("batch"));
    let output = run(root.path(), &["--set", "flaot.batch=3"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("flaot"));
    let output = run(root.path(), &["--seed", "9223372036854775808"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("beyond 2^63"));
    std::fs::remove_file(root.path().join("data/dataset.toml")).unwrap();
    let output = run(root.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("dataset.toml"));
}

#[test]
fn drives_are_left_out_one_by_one() {
    let root = prepare();
    let run = |drives: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_cfm-train"))
            .arg("drives")
            .arg(root.path().join("data"))
            .arg("--config")
            .arg(root.path().join("config.toml"))
            .arg("--runs")
            .arg(root.path().join("runs"))
            .args(["--set", "float.epochs=1", "--set", "quantized.epochs=0"])
            .args(["--set", "validate_every=1"])
            .args(drives.iter().flat_map(|drive| ["--drive", drive]))
            .output()
            .unwrap()
    };
    let output = run(&["1", "4"]);
    assert_success(&output);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect())
        .collect();
    let names: Vec<&str> = rows.iter().map(|row| row[1]).collect();
    assert_eq!(names, ["1", "4", "mean"]);
    let miou = |row: usize, column: usize| rows[row][column].parse::<f64>().unwrap();
    assert!(((miou(0, 3) + miou(1, 3)) / 2.0 - miou(2, 2)).abs() < 0.02);
    assert!(root.path().join("runs/config-4/log.csv").is_file());

    let again = run(&["1", "4"]);
    assert_success(&again);
    assert_eq!(table, String::from_utf8_lossy(&again.stdout));

    let nothing = run(&["7"]);
    assert!(!nothing.status.success());
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("\"7\""));
}

#[test]
fn a_drive_is_no_beginning_of_another() {
    let root = prepare();
    let data = root.path().join("data");
    for folder in ["images", "labels"] {
        for (from, to) in [("0", "1_0"), ("1", "1_1"), ("2", "10_0"), ("3", "1x_0")] {
            std::fs::rename(
                data.join(format!("{folder}/{from}.png")),
                data.join(format!("{folder}/{to}.png")),
            )
            .unwrap();
        }
    }
    std::fs::write(data.join("train.txt"), "1_0\n10_0\n4\n").unwrap();
    std::fs::write(data.join("val.txt"), "1_1\n1x_0\n5\n").unwrap();
    let dataset = cfm_sim::dataset::Dataset::open(&data).unwrap();
    let mut config = common::config();
    let drives = cfm_train::data::drives(&dataset, &config.data).unwrap();
    assert_eq!(drives, ["1", "10", "1x", "4", "5"]);
    config.validate_every = 1;
    config.data.hold_out = Some("1".to_owned());
    let [train, val] = cfm_train::data::ids(&dataset, &config).unwrap();
    assert_eq!(val, ["1_0", "1_1"]);
    assert_eq!(train, ["10_0", "1x_0", "4", "5"]);
}

#[cfg(unix)]
mod faults {
    use std::collections::BTreeMap;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Stdio;
    use std::time::Duration;

    use super::*;

    /// A run of a few steps, whose records are some 100 KB long.
    const SHORT: [&str; 10] = [
        "--set",
        "float.epochs=2",
        "--set",
        "quantized.epochs=1",
        "--set",
        "validate_every=1",
        "--set",
        "head.hidden=512",
        "--seed",
        "3",
    ];

    /// `cfm-train train` with the model and the folder of the run in `name`, and more arguments.
    fn train(root: &Path, name: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cfm-train"));
        command
            .current_dir(root)
            .args(["train", "data", "--config", "config.toml"])
            .args(["--out", &format!("{name}/model.cfm")])
            .args(SHORT)
            .args(more)
            .stdout(Stdio::null());
        std::fs::create_dir_all(root.join(name)).unwrap();
        command
    }

    /// The same, with no file longer than `blocks` of 1024 bytes: a longer one kills the run (SIGXFSZ), or, `survived`,
    /// fails as on a full disk.
    fn limited(command: &Command, blocks: usize, survived: bool) -> Command {
        let trap = if survived { "trap '' XFSZ;" } else { "" };
        let mut shell = Command::new("bash");
        shell
            .current_dir(command.get_current_dir().unwrap())
            .args([
                "-c",
                &format!("{trap} ulimit -c 0 -f {blocks}; exec \"$@\""),
                "bash",
            ])
            .arg(command.get_program())
            .args(command.get_args());
        shell
    }

    /// Names and lengths of the files below a folder.
    fn listing(folder: &Path) -> BTreeMap<std::path::PathBuf, u64> {
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                found.extend(listing(&entry.path()));
            } else if let Ok(metadata) = entry.metadata() {
                found.insert(entry.path(), metadata.len());
            }
        }
        found
    }

    /// Both files of the model, and the log without its times.
    fn results(root: &Path, name: &str) -> (Vec<u8>, Vec<u8>, Vec<String>) {
        let file = |file: &str| std::fs::read(root.join(name).join(file)).unwrap();
        let log = String::from_utf8(file("model.run/log.csv")).unwrap();
        let rows = log
            .lines()
            .map(|line| line.rsplit_once(',').unwrap().0.to_owned());
        (file("model.cfm"), file("model.safetensors"), rows.collect())
    }

    #[test]
    fn a_run_that_is_killed_again_and_again_ends_as_ever() {
        let root = prepare();
        let root = root.path();
        assert_success(&train(root, "whole", &[]).output().unwrap());
        let whole = results(root, "whole");
        let run = root.join("killed/model.run");

        // Killed whenever so many things have happened in its folder.
        let mut kills = 0;
        for events in 1.. {
            let mut child = train(root, "killed", &["--resume"])
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let (mut seen, mut before) = (0, listing(&run));
            let status = loop {
                if let Some(status) = child.try_wait().unwrap() {
                    break status;
                }
                let now = listing(&run);
                seen += usize::from(now != before);
                before = now;
                if seen == events {
                    child.kill().unwrap();
                    break child.wait().unwrap();
                }
                std::thread::sleep(Duration::from_micros(100));
            };
            if status.success() {
                break;
            }
            assert_eq!(status.signal(), Some(9));
            kills += 1;
        }
        assert!(kills >= 4, "{kills}");
        assert!(whole == results(root, "killed"));
    }

    #[test]
    fn a_checkpoint_on_a_full_disk_leaves_the_one_before() {
        let root = prepare();
        let root = root.path();
        assert_success(&train(root, "whole", &[]).output().unwrap());
        let whole = results(root, "whole");
        let records = listing(&root.join("whole/model.run/checkpoint"));
        let record = records.values().max().unwrap();
        // No other file is that long.
        let blocks = (record / 2048) as usize;
        let others = listing(&root.join("whole/model.run"));
        let others = others
            .into_iter()
            .filter(|(path, _)| path.extension().is_none_or(|e| e != "bpk"));
        assert!(others.map(|(_, length)| length).max().unwrap() < 1024 * blocks as u64);

        // The first checkpoint of all: there is none afterwards.
        let position = root.join("full/model.run/checkpoint/position.json");
        let status = limited(&train(root, "full", &[]), blocks, false)
            .status()
            .unwrap();
        assert_eq!(status.signal(), Some(25));
        assert!(!position.exists());
        // A run that has one.
        let mut child = train(root, "full", &["--resume"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !position.exists() {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let saved = std::fs::read(&position).unwrap();
        for survived in [true, false] {
            let output = limited(&train(root, "full", &["--resume"]), blocks, survived)
                .output()
                .unwrap();
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            if survived {
                assert_eq!(output.status.code(), Some(1), "{error}");
                assert!(error.contains("model.run/checkpoint/network-"), "{error}");
            } else {
                assert_eq!(output.status.signal(), Some(25), "{error}");
            }
            assert_eq!(std::fs::read(&position).unwrap(), saved);
        }
        // A half record, which the next checkpoint takes away.
        let half = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "tmp");
        let run = root.join("full/model.run");
        assert!(listing(&run).keys().any(half), "{:?}", listing(&run));
        assert_success(&train(root, "full", &["--resume"]).output().unwrap());
        assert!(!listing(&run).keys().any(half), "{:?}", listing(&run));
        assert!(whole == results(root, "full"));
        // A model that does not fit leaves that of before.
        let before = listing(&root.join("full"));
        let output = limited(&train(root, "full", &["--resume"]), 4, true)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(whole == results(root, "full"));
        let temporary = |path: &std::path::PathBuf| path.to_string_lossy().contains(".cfm-");
        assert!(
            !listing(&root.join("full")).keys().any(temporary),
            "{before:?}"
        );
    }

    #[test]
    fn what_continues_after_ctrl_c_is_said() {
        let root = prepare();
        let root = root.path();
        for (command, says) in [
            ("train", "the same command with --resume continues"),
            ("drives", "the same command continues"),
        ] {
            let (output, log) = match command {
                "train" => (["--out", "model.cfm"], "model.run/log.csv"),
                _ => (["--runs", "runs"], "runs/config-0/log.csv"),
            };
            let child = Command::new(env!("CARGO_BIN_EXE_cfm-train"))
                .current_dir(root)
                .args([command, "data", "--config", "config.toml"])
                .args(output)
                .args(["--set", "float.epochs=100000"])
                .args(["--set", "validate_every=100000"])
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let started = std::time::Instant::now();
            while !root.join(log).exists() && started.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(1));
            }
            let sent = Command::new("kill")
                .args(["-INT", &child.id().to_string()])
                .status()
                .unwrap();
            assert!(sent.success());
            let output = child.wait_with_output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(130), "{error}");
            assert!(error.contains(&format!("phase; {says}\n")), "{error}");
        }
    }

    #[test]
    fn two_runs_in_one_folder_are_refused() {
        let root = prepare();
        let root = root.path();
        let mut first = train(root, "same", &[])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !root.join("same/model.run/config.toml").exists() {
            assert!(first.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::sleep(Duration::from_millis(1));
        }
        let second = train(root, "same", &["--resume"]).output().unwrap();
        let ended = first.try_wait().unwrap();
        first.kill().unwrap();
        first.wait().unwrap();
        assert!(ended.is_none(), "the first run was too fast for this test");
        assert_eq!(second.status.code(), Some(1));
        let error = String::from_utf8_lossy(&second.stderr).into_owned();
        assert!(
            error.contains("another training runs in this folder"),
            "{error}"
        );
        // A run that was killed holds nothing. Nobody reads what this one prints, but the model is written.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = train(root, "same", &["--resume"])
            .stdout(writer)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(141), "{error}");
        assert!(!error.contains("panicked"), "{error}");
        assert!(root.join("same/model.cfm").is_file());
    }
}
