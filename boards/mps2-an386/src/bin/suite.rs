//! The conformance suite and wrong use, with the portable kernels and with the fast ones.
#![no_std]
#![no_main]

use cfm_boards::host::leave;
use cfm_boards::suite::{self, MEMORY, Memory};
use cfm_core::kernels::{Dsp, Portable};
use cortex_m_rt::entry;
use mps2_an386::{report, report_stack};
use static_cell::ConstStaticCell;

static SUITE: ConstStaticCell<Memory> = ConstStaticCell::new(MEMORY);

#[entry]
fn main() -> ! {
    let mut report = report();
    let passed = SUITE.try_take().is_some_and(|memory| {
        let portable = suite::run(&Portable, &mut report, memory).passed();
        suite::run(&Dsp, &mut report, memory).passed() && portable
    });
    report_stack(&mut report);
    leave(passed)
}
