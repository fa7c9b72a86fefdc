//! A whole image: the host's file as camera, the host's file for the labels.
#![no_std]
#![no_main]

use cfm_boards::demo::{self, MEMORY, Memory};
use cfm_boards::host::{FileLabels, FileRows, leave};
use cfm_boards::report::{Event, Report};
use cortex_m_rt::entry;
use mps3_an547::{clock, kernels, report, report_stack};
use static_cell::ConstStaticCell;

static IMAGE: ConstStaticCell<Memory> = ConstStaticCell::new(MEMORY);

#[entry]
fn main() -> ! {
    let mut report = report();
    let (Some(memory), Some(mut clock)) = (IMAGE.try_take(), clock()) else {
        leave(false)
    };
    let (mut camera, mut labels) = (FileRows::default(), FileLabels::default());
    let result = demo::run(
        &kernels(),
        &mut camera,
        &mut labels,
        &mut clock,
        &mut report,
        memory,
    );
    if let Err(error) = &result {
        report.event(&Event::Failed(error.message()));
    }
    report_stack(&mut report);
    leave(result.is_ok())
}
