//! Faults of the machine that the command runs on: power cuts, full disks, kills, readers that are gone, and two runs at
//! once. Nothing is lost, and nothing is half.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cfm_core::model::Model;
use cfm_model::quantize::quantize;
use common::{float_model, model_spec};

/// A model while it is being written over another one: what is there of it, and behind that erased flash, what was there
/// before, or nothing. None of it is taken for a model, unless it is one of the two.
#[test]
fn a_power_cut_while_a_model_is_written_is_noticed() {
    let new = model_spec().to_bytes().unwrap();
    let other = |change: fn(&mut cfm_model::float_model::FloatModel)| {
        let mut float = float_model(48, 36);
        change(&mut float);
        quantize(&float).unwrap().to_bytes().unwrap()
    };
    let as_long = other(|float| {
        for fc in &mut float.head.joint_fcs {
            fc.weights.reverse();
        }
    });
    let longer = other(|float| {
        let note = ("note".to_owned(), "x".repeat(300));
        float.provenance.push(note);
    });
    let shorter = other(|float| float.provenance.clear());
    assert!(as_long.len() == new.len() && as_long != new);
    assert!(longer.len() > new.len() && shorter.len() < new.len());
    let erased = [0xff_u8; 64].repeat(new.len() / 32);
    let mut cuts = 0;
    for before in [&[][..], &erased, &as_long, &longer, &shorter] {
        for written in 0..new.len() {
            let mut flash = new[..written].to_vec();
            flash.extend(before.get(written..).unwrap_or_default());
            // Whoever reads flash takes as many bytes as the header says.
            let said = flash.get(8..12).map_or(0, |length| {
                u32::from_le_bytes(length.try_into().unwrap()) as usize
            });
            let read = flash.get(..said).unwrap_or(&flash);
            if read != new && Some(read) != before.get(..said) {
                cuts += 1;
                assert!(Model::parse(read).is_err(), "{written}");
                assert!(Model::parse(&flash).is_err(), "{written}");
            }
        }
    }
    assert!(cuts > 4 * new.len(), "{cuts}");
}

/// Names and contents of all files below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.insert(format!("{name}/"), Vec::new());
            for (inner, bytes) in files(&path) {
                found.insert(format!("{name}/{inner}"), bytes);
            }
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

#[cfg(unix)]
mod processes {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus, Output, Stdio};
    use std::time::Duration;

    use cfm_sim::scene;
    use common::{cfm, output, write_model, write_photo};

    use super::*;

    /// A folder with what the commands below read.
    fn inputs() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write_model(root);
        fs::create_dir(root.join("photos")).unwrap();
        for width in [60, 64] {
            write_photo(&root.join("photos"), width, 48);
        }
        let network = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/onnx/vgg-qdq.onnx");
        fs::copy(&network, root.join("network.onnx")).unwrap();
        fs::copy(
            network.with_file_name("strided.onnx"),
            root.join("float.onnx"),
        )
        .unwrap();
        // A picture of it takes fewer bytes than its label values as they are.
        let flat = image::RgbImage::from_pixel(400, 300, image::Rgb([90, 120, 40]));
        flat.save(root.join("flat.png")).unwrap();
        scene::write_dataset(&root.join("set"), &[("val", 3)], (60, 45), 0).unwrap();
        folder
    }

    const PHOTO: &str = "photos/photo60x48.png";

    /// Commands, and a file that each of them writes: the one by which readers know that all of them are there.
    const WRITERS: [(&str, &str); 17] = [
        ("segment PHOTO --model tiny.cfm --out a.png", "a.png"),
        (
            "segment PHOTO --model tiny.cfm --out a.png --labels l.png",
            "l.png",
        ),
        (
            "segment PHOTO --model tiny.cfm --out a.png --labels l.pgm",
            "l.pgm",
        ),
        (
            "proposals set --split val --model tiny.cfm --csv t.csv",
            "t.csv",
        ),
        (
            "proposals set --split val --model tiny.cfm --plot p.svg",
            "p.svg",
        ),
        (
            "report PHOTO --model tiny.cfm --no-times --out r.html",
            "r.html",
        ),
        (
            "quantize tiny.safetensors --images photos --out new.cfm",
            "new.cfm",
        ),
        ("import network.onnx --out imported.cfm", "imported.cfm"),
        ("pack tiny.cfm --out packed.cfm", "packed.cfm"),
        (
            "export vectors PHOTO --model tiny.cfm --out v --max-segments 5",
            "v/model.json",
        ),
        ("export onnx PHOTO --model tiny.cfm --out o", "o/model.onnx"),
        ("export c --model tiny.cfm --out c", "c/tiny.c"),
        (
            "export rtl PHOTO --model tiny.cfm --out rtl --max-segments 5",
            "rtl/run.sh",
        ),
        (
            "export hls PHOTO --model tiny.cfm --out hls --max-segments 5",
            "hls/run.sh",
        ),
        (
            "segment flat.png --model tiny.cfm --out f.png --labels f.pgm",
            "f.pgm",
        ),
        (
            "proposals flat.png --model tiny.cfm --labels set/labels/scene00000.png --out q.png --csv q.csv --plot q.svg",
            "q.svg",
        ),
        (
            "import float.onnx --images photos --float i.safetensors --out i.cfm",
            "i.cfm",
        ),
    ];

    /// Options that name what is written.
    const OUTPUTS: [&str; 5] = ["--out", "--labels", "--csv", "--plot", "--float"];

    fn words(line: &str) -> Vec<&str> {
        line.split(' ')
            .map(|word| if word == "PHOTO" { PHOTO } else { word })
            .collect()
    }

    /// Runs `cfm` under a limit of `blocks` of 1024 bytes a file. A file that would be longer kills the process (SIGXFSZ), or,
    /// `survived`, fails as on a full disk.
    fn limited(root: &Path, blocks: u32, survived: bool, arguments: &[&str]) -> Output {
        let trap = if survived { "trap '' XFSZ;" } else { "" };
        Command::new("bash")
            .args([
                "-c",
                &format!("{trap} ulimit -c 0 -f {blocks}; exec \"$@\""),
            ])
            .arg("bash")
            .arg(assert_cmd::cargo::cargo_bin!("cfm"))
            .args(arguments)
            .current_dir(root)
            .output()
            .unwrap()
    }

    fn said(output: &Output) -> String {
        String::from_utf8(output.stderr.clone()).unwrap()
    }

    const SIGXFSZ: i32 = 25;

    #[test]
    fn a_full_disk_leaves_everything_as_it_was() {
        let folder = inputs();
        let root = folder.path();
        let untouched = files(root);
        for (line, _) in WRITERS {
            let full = limited(root, 0, true, &words(line));
            let error = said(&full);
            assert_eq!(full.status.code(), Some(2), "{line}: {error}");
            assert!(error.contains("File too large"), "{line}: {error}");
            // The error names one of the files that the command is to write.
            let out = words(line)
                .into_iter()
                .skip_while(|word| *word != PHOTO && !word.starts_with("--"));
            let named = out.filter(|word| !word.starts_with("--"));
            assert!(
                named
                    .clone()
                    .any(|name| error.starts_with(&format!("cfm: {name}"))),
                "{line}: {error}"
            );
            assert!(files(root) == untouched, "{line}");
        }
        // And so it is when there are files already.
        for (line, _) in WRITERS {
            output(root, &words(line));
        }
        let written = files(root);
        for (line, last) in WRITERS {
            assert!(written.contains_key(last), "{line}");
            let full = limited(root, 0, true, &words(line));
            assert_eq!(full.status.code(), Some(2), "{line}");
            assert!(files(root) == written, "{line}");
        }
    }

    /// The disk has room for some of the files of a command, but not for the largest one.
    #[test]
    fn a_disk_that_fills_up_between_files_leaves_everything_as_it_was() {
        let folder = inputs();
        let root = folder.path();
        let untouched = files(root);
        let mut partly = 0;
        for (line, _) in WRITERS {
            output(root, &words(line));
            let mut written = files(root);
            written.retain(|name, _| !untouched.contains_key(name));
            for name in written.keys() {
                let path = root.join(name);
                if path.is_dir() {
                    fs::remove_dir_all(path).unwrap();
                } else if path.exists() {
                    fs::remove_file(path).unwrap();
                }
            }
            assert!(files(root) == untouched, "{line}");
            let largest = written.values().map(Vec::len).max().unwrap();
            let blocks = (largest - 1) / 1024;
            let fits = |bytes: &Vec<u8>| !bytes.is_empty() && bytes.len() <= blocks * 1024;
            partly += usize::from(written.values().any(fits));
            let full = limited(root, blocks as u32, true, &words(line));
            assert_eq!(full.status.code(), Some(2), "{line}");
            assert!(files(root) == untouched, "{line}");
        }
        assert!(partly > 6, "{partly}");
    }

    /// The last of several files cannot be written: the others are as they were.
    #[test]
    fn files_that_belong_together_are_written_together() {
        let folder = inputs();
        let root = folder.path();
        let untouched = files(root);
        for nowhere in ["/dev/full", "no/such/file", "photos"] {
            for (line, _) in WRITERS {
                let mut arguments = words(line);
                let outputs = arguments.iter().filter(|word| OUTPUTS.contains(word));
                if outputs.count() < 2 || (nowhere == "/dev/full" && !cfg!(target_os = "linux")) {
                    continue;
                }
                *arguments.last_mut().unwrap() = nowhere;
                let error = common::refusal(root, &arguments);
                assert!(error.starts_with(&format!("cfm: {nowhere}: ")), "{error}");
                assert!(files(root) == untouched, "{line}");
            }
        }
        // So it is for each of many photographs.
        let line = "segment photos --model tiny.cfm --out overlays --labels labels";
        fs::create_dir_all(root.join("labels/photo60x48.png")).unwrap();
        let error = common::refusal(root, &words(line));
        assert!(error.starts_with("cfm: labels/photo60x48.png: "), "{error}");
        let written = files(root);
        assert!(!written.contains_key("overlays/photo60x48.png"));
        assert_eq!(
            written.contains_key("overlays/photo64x48.png"),
            written.contains_key("labels/photo64x48.png")
        );
    }

    #[test]
    fn a_kill_in_the_middle_of_a_file_leaves_the_old_one() {
        let folder = inputs();
        let root = folder.path();
        for (line, _) in WRITERS {
            output(root, &words(line));
        }
        let written = files(root);
        for (line, _) in WRITERS {
            let killed = limited(root, 1, false, &words(line));
            if !killed.status.success() {
                assert_eq!(killed.status.signal(), Some(SIGXFSZ), "{line}");
            }
            let mut now = files(root);
            now.retain(|name, _| !name.contains(".cfm-"));
            assert!(now == written, "{line}");
        }
        // A file was really cut off in the middle.
        assert!(
            files(root)
                .into_iter()
                .any(|(name, bytes)| name.contains(".cfm-") && bytes.len() == 1024)
        );
    }

    /// The exported folders at any moment: whole, or without the file by which readers know that they are.
    #[test]
    fn an_export_that_is_killed_does_not_look_complete() {
        let folder = inputs();
        let root = folder.path();
        let (line, last) = WRITERS[12];
        output(root, &words(line));
        let whole = files(&root.join("rtl"));
        let last = last.strip_prefix("rtl/").unwrap();
        let (mut killed, mut early) = (0, 0);
        for round in 0..24 {
            fs::remove_dir_all(root.join("rtl")).unwrap();
            let mut child = Command::new(assert_cmd::cargo::cargo_bin!("cfm"))
                .args(words(line))
                .current_dir(root)
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            // Not by the clock: as soon as so many files are there.
            while child.try_wait().unwrap().is_none() {
                let count = fs::read_dir(root.join("rtl")).map_or(0, Iterator::count);
                if count > round {
                    child.kill().unwrap();
                    break;
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            let status = child.wait().unwrap();
            killed += usize::from(status.signal() == Some(9));
            let now = if root.join("rtl").exists() {
                files(&root.join("rtl"))
            } else {
                BTreeMap::new()
            };
            if now.contains_key(last) {
                let mut now = now;
                now.retain(|name, _| !name.contains(".cfm-"));
                assert!(now == whole);
            } else {
                early += 1;
            }
            fs::create_dir_all(root.join("rtl")).unwrap();
        }
        assert!(killed > 4 && early > 4, "{killed} {early}");
    }

    #[test]
    fn a_part_survives_a_full_disk_and_a_kill() {
        let folder = inputs();
        let root = folder.path();
        let line = "eval set --split val --model tiny.cfm --part part.json";
        let full = limited(root, 0, true, &words(line));
        assert_eq!(full.status.code(), Some(2));
        assert!(
            said(&full).contains("part.json: File too large"),
            "{}",
            said(&full)
        );
        assert!(!root.join("part.json").exists());
        let whole = output(root, &words(line));
        let part = fs::read(root.join("part.json")).unwrap();
        for survived in [true, false] {
            let status = limited(root, 0, survived, &words(line)).status;
            assert!(status.code() == Some(2) || status.signal() == Some(SIGXFSZ));
            assert_eq!(fs::read(root.join("part.json")).unwrap(), part);
        }
        assert_eq!(output(root, &words(line)), whole);
    }

    #[test]
    fn folders_that_cannot_be_written_to_are_named() {
        let folder = inputs();
        let root = folder.path();
        fs::write(root.join("file"), b"no folder").unwrap();
        let untouched = files(root);
        // Not even the superuser makes files in these.
        for nowhere in ["no/such", "file", "/proc"] {
            for (line, _) in WRITERS {
                let arguments: Vec<String> = words(line)
                    .windows(2)
                    .map(|pair| match pair {
                        [option, name] if OUTPUTS.contains(option) => format!("{nowhere}/{name}"),
                        [_, word] => (*word).to_owned(),
                        _ => unreachable!(),
                    })
                    .collect();
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                let arguments = [&words(line)[..1], &arguments].concat();
                if nowhere == "no/such" && line.starts_with("export") {
                    // These make their folders.
                    continue;
                }
                let error = common::refusal(root, &arguments);
                assert!(
                    error.starts_with(&format!("cfm: {nowhere}")),
                    "{line}: {error}"
                );
                assert!(files(root) == untouched, "{line}");
            }
        }
    }

    /// Runs `cfm` with its standard output somewhere.
    fn printing_to(
        root: &Path,
        arguments: &[&str],
        stdout: Stdio,
        stderr: Stdio,
    ) -> (ExitStatus, String) {
        let output = Command::new(assert_cmd::cargo::cargo_bin!("cfm"))
            .args(arguments)
            .current_dir(root)
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap();
        (output.status, said(&output))
    }

    /// A pipe that nobody reads from.
    fn broken_pipe() -> Stdio {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer.into()
    }

    const PRINTERS: [&str; 9] = [
        "inspect tiny.cfm",
        "inspect tiny.cfm --json",
        "segment PHOTO --model tiny.cfm --out a.png",
        "segment photos --model tiny.cfm --out overlays --json",
        "eval set --split val --model tiny.cfm",
        "parity PHOTO --model tiny.cfm",
        "proposals PHOTO --model tiny.cfm --json",
        "quantize tiny.safetensors --images photos --out new.cfm",
        "export c --model tiny.cfm --out c",
    ];

    #[test]
    fn a_reader_that_is_gone_is_no_panic() {
        let folder = inputs();
        let root = folder.path();
        for line in PRINTERS {
            let (status, error) = printing_to(root, &words(line), broken_pipe(), Stdio::piped());
            assert_eq!((status.code(), error.as_str()), (Some(141), ""), "{line}");
        }
        // Nor is one of the errors.
        let arguments = ["inspect", "missing.cfm"];
        let (status, _) = printing_to(root, &arguments, Stdio::null(), broken_pipe());
        assert_eq!(status.code(), Some(2));
        let arguments = ["segment", "photos", "--model", "tiny.cfm", "--keep-going"];
        fs::write(root.join("photos/broken.png"), b"rubbish").unwrap();
        let (status, _) = printing_to(root, &arguments, Stdio::null(), broken_pipe());
        assert_eq!(status.code(), Some(1));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn full_devices_are_named() {
        let folder = inputs();
        let root = folder.path();
        let full = || Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap());
        for line in PRINTERS {
            let (status, error) = printing_to(root, &words(line), full(), Stdio::piped());
            assert_eq!(status.code(), Some(2), "{line}");
            assert!(
                error.starts_with("cfm: standard output: No space left"),
                "{line}: {error}"
            );
        }
        for (line, _) in WRITERS
            .iter()
            .filter(|(line, _)| !line.starts_with("export"))
        {
            let mut arguments = words(line);
            *arguments.last_mut().unwrap() = "/dev/full";
            let error = common::refusal(root, &arguments);
            assert!(
                error.starts_with("cfm: /dev/full: No space left"),
                "{line}: {error}"
            );
        }
    }

    /// Two runs that write the same file at the same time: it is that of one of them.
    #[test]
    fn two_runs_at_once_leave_the_file_of_one() {
        let folder = inputs();
        let root = folder.path();
        for (a, b, out) in [
            (
                "quantize tiny.safetensors --images photos --out same",
                "quantize tiny.safetensors --images photos --equalize off --out same",
                "same",
            ),
            (
                "segment PHOTO --model tiny.cfm --out same",
                "segment photos/photo64x48.png --model tiny.cfm --out same",
                "same",
            ),
            ("pack tiny.cfm --out same", "pack street --out same", "same"),
            (
                "eval set --split val --model tiny.cfm --part part.json",
                "eval set --split val --model tiny.cfm --part part.json",
                "part.json",
            ),
        ] {
            let alone = [a, b].map(|line| {
                let _ = fs::remove_file(root.join(out));
                output(root, &words(line));
                fs::read(root.join(out)).unwrap()
            });
            let others = files(root).len();
            for _ in 0..4 {
                fs::remove_file(root.join(out)).unwrap();
                let start = |line| {
                    Command::new(assert_cmd::cargo::cargo_bin!("cfm"))
                        .args(words(line))
                        .current_dir(root)
                        .stdout(Stdio::null())
                        .spawn()
                        .unwrap()
                };
                for mut child in [start(a), start(b)] {
                    assert!(child.wait().unwrap().success(), "{a}");
                }
                let found = fs::read(root.join(out)).unwrap();
                assert!(alone.contains(&found), "{a}");
                assert_eq!(files(root).len(), others, "{a}");
            }
        }
        cfm(root, &["eval", "merge", "part.json"])
            .assert()
            .success();
    }
}
