//! Files that are longer than what they may be: refused by name, whatever is in them. They are holes, and take no disk.

use std::fs;
use std::path::Path;

/// The lengths that `sim/docs/faults.md` states.
const KIB_1024: u64 = 1 << 20;
const MIB_256: u64 = 256 << 20;
const MIB_1024: u64 = 1 << 30;

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = assert_cmd::Command::cargo_bin("cfm")
        .unwrap()
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    said
}

#[test]
fn files_beyond_their_limits_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("photos")).unwrap();
    for path in ["photo.png", "photos/photo.png"] {
        image::RgbImage::new(8, 8).save(root.join(path)).unwrap();
    }
    let cases: [(&str, u64, &[&str], &str); 7] = [
        ("long.cfm", MIB_1024, &["inspect", "long.cfm"], "1024 MiB"),
        ("long.png", MIB_1024, &["segment", "long.png"], "1024 MiB"),
        (
            "long.json",
            MIB_1024,
            &["segment", "photo.png", "--segments", "long.json"],
            "1024 MiB",
        ),
        (
            "long.safetensors",
            MIB_1024,
            &[
                "quantize",
                "long.safetensors",
                "--model",
                "street",
                "--images",
                "photos",
                "--out",
                "new.cfm",
            ],
            "1024 MiB",
        ),
        (
            "long.onnx",
            MIB_256,
            &["import", "long.onnx", "--out", "new.cfm"],
            "256 MiB",
        ),
        (
            "long.toml",
            KIB_1024,
            &["proposals", "photo.png", "--params", "long.toml"],
            "1024 KiB",
        ),
        (
            "budget.json",
            KIB_1024,
            &["inspect", "street", "--hardware", "--budget", "budget.json"],
            "1024 KiB",
        ),
    ];
    for (name, most, arguments, limit) in cases {
        let file = fs::File::create(root.join(name)).unwrap();
        let long = format!("{name}: the file is longer than {limit}");
        file.set_len(most + 1).unwrap();
        let said = refused(root, arguments);
        assert!(said.contains(&long), "{arguments:?}: {said}");
        // As long as it may be, it is read, and is nothing.
        file.set_len(most).unwrap();
        let said = refused(root, arguments);
        assert!(
            said.contains(name) && !said.contains("longer than"),
            "{arguments:?}: {said}"
        );
        fs::remove_file(root.join(name)).unwrap();
    }
    assert!(!root.join("new.cfm").exists());
}
