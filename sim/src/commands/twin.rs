//! The engine's twins: their sources, which every exported project carries, and running one on a project.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use cfm_hardware::project::Language;
use cfm_sim::output::{Batch, FileError};
use include_dir::{Dir, DirEntry, include_dir};

/// `hls/`, as it was when this program was built.
static SOURCES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/hls");

/// Under which the sources are copied.
const LICENCES: [(&str, &str); 2] = [
    ("LICENSE-MIT", include_str!("../../LICENSE-MIT")),
    ("LICENSE-APACHE", include_str!("../../LICENSE-APACHE")),
];

/// What a project's `run.sh` says first.
const SCRIPT: &str = "#!/usr/bin/env bash
# Compares the engine with what it has to show, and exits non-zero at the first difference. What is built, and tools
# that are missing, go to ${CARGO_TARGET_DIR:-build}.
set -euo pipefail
cd \"$(dirname \"${BASH_SOURCE[0]}\")\"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/build}
";

/// The folder of a twin's sources, within `hls/` and within a project.
const fn folder(language: Language) -> &'static str {
    match language {
        Language::Rtl => "rtl",
        Language::Hls => "cpp",
    }
}

/// Adds a twin's sources, test benches and scripts to the files of a project, and last of all `run.sh`, which runs it.
///
/// # Errors
/// When a file cannot be written.
pub fn add(language: Language, project: &Path, files: &mut Batch) -> anyhow::Result<()> {
    let folder = folder(language);
    let from = SOURCES.get_dir(folder).context("no such twin")?;
    add_folder(from, project, files)?;
    for (name, text) in LICENCES {
        files.add(&project.join(name), text.as_bytes())?;
    }
    for document in ["ENGINE.md", "REGISTERS.md"] {
        let file = SOURCES.get_file(document).context(document)?;
        files.add(&project.join(document), file.contents())?;
    }
    let script = format!(
        "{SCRIPT}exec bash {folder}/run.sh {}\"$@\" \"$PWD\"\n",
        match language {
            Language::Rtl => "",
            Language::Hls => "--no-faults ",
        }
    );
    Ok(files.add(&project.join("run.sh"), script.as_bytes())?)
}

fn add_folder(from: &Dir<'_>, to: &Path, files: &mut Batch) -> Result<(), FileError> {
    for entry in from.entries() {
        match entry {
            DirEntry::Dir(dir) => add_folder(dir, to, files)?,
            DirEntry::File(file) => files.add(&to.join(file.path()), file.contents())?,
        }
    }
    Ok(())
}

/// Runs a project's twin; whether it showed what it has to. What the test bench says is in the second part.
///
/// # Errors
/// When it cannot be run.
pub fn run(project: &Path, build: &Path) -> anyhow::Result<(bool, String)> {
    fs::create_dir_all(build).with_context(|| build.display().to_string())?;
    let build = build.canonicalize()?;
    let output = Command::new("bash")
        .arg(project.join("run.sh"))
        .env("CARGO_TARGET_DIR", build)
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                io::Error::other("bash, which runs the twin's test bench, is not installed")
            }
            _ => error,
        })?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    // 1: a difference; 3: the C++ twin broke a rule of its own. Otherwise a tool is missing, nothing was built, or the
    // project is none.
    let code = output.status.code();
    ensure!(
        matches!(code, Some(0 | 1 | 3)),
        "{} ({})",
        said.trim(),
        output.status
    );
    Ok((code == Some(0), said))
}
