//! The conformance suite and wrong use: with the portable kernels, with those for every 64-bit Arm, and with those that
//! use dot products, where the processor has them.

use std::io;
use std::process::ExitCode;

use aarch64_linux::{Out, on_a_large_stack};
use cfm_boards::suite::{self, MEMORY};
use cfm_boards::text::Text;
use cfm_core::kernels::{Neon, native};

fn main() -> io::Result<ExitCode> {
    let passed = on_a_large_stack(|| {
        let mut memory = Box::new(MEMORY);
        println!("kernels: portable, NEON");
        let mut passed = suite::run_both(&Neon::new(), &mut Text(Out), &mut memory).passed();
        if native().has_dot_product() {
            println!("kernels: NEON with dot products");
            passed &= suite::run(&native(), &mut Text(Out), &mut memory).passed();
        } else {
            println!("kernels: this processor has no dot products");
        }
        passed
    })?;
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
