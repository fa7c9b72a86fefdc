//! What the tests share: the compiler of the host, and running programs.
#![allow(dead_code)] // each test file uses its part

use std::env;
use std::path::Path;
use std::process::Command;

/// The folder of this crate.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The host's compiler (`CC` or `CXX`, else `cc` or `c++`), strict, with the library's folders of headers.
pub fn compiler(language: &str) -> Command {
    let (variable, name) = match language {
        "c++" => ("CXX", "c++"),
        _ => ("CC", "cc"),
    };
    let mut command = Command::new(env::var_os(variable).unwrap_or_else(|| name.into()));
    command.args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-I"]);
    command.arg(root().join("include"));
    for folder in ["examples/label", "tests/c"] {
        command.arg("-I").arg(root().join(folder));
    }
    command
}

/// Runs a program, which must succeed, and returns what it prints.
pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{text}{errors}",
        output.status
    );
    text
}
