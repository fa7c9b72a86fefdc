//! The conformance suite and wrong use, with the portable kernels and with the fast ones.
#![no_std]
#![no_main]

use cfm_boards::host::leave;
use cfm_boards::suite::{self, MEMORY, Memory};
use cortex_m_rt::entry;
use mps3_an547::{kernels, report, report_stack};
use static_cell::ConstStaticCell;

static SUITE: ConstStaticCell<Memory> = ConstStaticCell::new(MEMORY);

#[entry]
fn main() -> ! {
    let mut report = report();
    let passed = SUITE
        .try_take()
        .is_some_and(|memory| suite::run_both(&kernels(), &mut report, memory).passed());
    report_stack(&mut report);
    leave(passed)
}
