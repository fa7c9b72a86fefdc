//! The conformance suite and wrong use.
#![no_std]
#![no_main]

use cfm_boards::host::leave;
use cfm_boards::suite::{self, MEMORY, Memory};
use cfm_core::kernels::Portable;

use static_cell::ConstStaticCell;
use zynq_7000::{report, report_stack};

static SUITE: ConstStaticCell<Memory> = ConstStaticCell::new(MEMORY);

#[unsafe(no_mangle)] // The start code calls it by this name.
extern "C" fn main() -> ! {
    let mut report = report();
    let passed = SUITE
        .try_take()
        .is_some_and(|memory| suite::run(&Portable, &mut report, memory).passed());
    report_stack(&mut report);
    leave(passed)
}
