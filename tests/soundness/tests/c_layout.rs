//! The structs of the C library have the same layout in Rust and in C.
#![cfg(not(miri))] // it calls a compiler

use std::mem::offset_of;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use cfm_c::*;

/// Size, alignment and the offsets of all fields of a struct, as assertions in C. A field that is not listed does not compile.
macro_rules! layout {
    ($program:ident, $name:ident { $($field:ident),* }) => {
        let _ = |value: &$name| {
            let $name { $($field: _),* } = value;
        };
        storage!($program, $name);
        $(
            $program += &format!(
                "_Static_assert(offsetof({0}, {1}) == {2}, \"{0}.{1}\");\n\
                 _Static_assert(sizeof((({0} *)0)->{1}) == {3}, \"{0}.{1}\");\n",
                stringify!($name),
                stringify!($field),
                offset_of!($name, $field),
                size_of_field(|value: &$name| &raw const value.$field),
            );
        )*
    };
}

/// As [`layout`], without the fields.
macro_rules! storage {
    ($program:ident, $name:ident) => {
        $program += &format!(
            "_Static_assert(sizeof({0}) == {1}, \"{0}\");\n_Static_assert(_Alignof({0}) == {2}, \"{0}\");\n",
            stringify!($name),
            size_of::<$name>(),
            align_of::<$name>(),
        );
    };
}

fn size_of_field<T, F>(_: impl Fn(&T) -> *const F) -> usize {
    size_of::<F>()
}

#[test]
fn structs_have_the_same_layout_in_c() {
    let mut program = String::from("#include \"cfm.h\"\n");
    storage!(program, cfm_model);
    storage!(program, cfm_image);
    storage!(program, cfm_proposals);
    storage!(program, cfm_error);
    layout!(
        program,
        cfm_info {
            width,
            height,
            channels,
            class_count,
            row_bytes,
            arena_bytes
        }
    );
    layout!(
        program,
        cfm_class {
            name,
            name_length,
            kind,
            red,
            green,
            blue,
            label
        }
    );
    layout!(program, cfm_run { y, x0, x1 });
    layout!(
        program,
        cfm_segment {
            runs,
            members,
            count,
            map
        }
    );
    layout!(
        program,
        cfm_extent {
            area,
            left,
            top,
            right,
            bottom
        }
    );
    layout!(
        program,
        cfm_scored_segment {
            segment,
            logits,
            area
        }
    );
    layout!(
        program,
        cfm_map {
            labels,
            width,
            height,
            count
        }
    );
    layout!(
        program,
        cfm_rule {
            combination,
            power,
            area,
            purity,
            inhibition,
            refinement
        }
    );
    layout!(
        program,
        cfm_sizes {
            words,
            min_words,
            labels,
            max_segments,
            maps,
            max_superpixels
        }
    );
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/cfm-c/include");
    let header = fs::read_to_string(include.join("cfm.h")).unwrap();
    for (at, start) in header.match_indices("\ntypedef struct ") {
        let name = header[at + start.len()..].split(' ').next().unwrap();
        assert!(program.contains(&format!("sizeof({name})")), "{name}");
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("layout.c");
    let compiles = |program: &str| {
        fs::write(&file, program).unwrap();
        let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut command = Command::new(compiler);
        command.args(["-std=c11", "-fsyntax-only", "-I"]);
        command.arg(&include).arg(&file).output().unwrap()
    };
    let output = compiles(&program);
    assert!(output.status.success(), "{output:?}");
    // An assertion that does not hold is noticed.
    let output = compiles(&program.replacen(") == ", ") == 1 + ", 1));
    assert!(!output.status.success());
}
