//! The conformance suite and wrong use.

use std::io;
use std::process::ExitCode;

use aarch64_linux::{Out, on_a_large_stack};
use cfm_boards::suite::{self, MEMORY};
use cfm_boards::text::Text;
use cfm_core::kernels::Portable;

fn main() -> io::Result<ExitCode> {
    let passed = on_a_large_stack(|| {
        let mut memory = Box::new(MEMORY);
        suite::run(&Portable, &mut Text(Out), &mut memory).passed()
    })?;
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
