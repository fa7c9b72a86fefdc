//! A whole image: the host's file as camera, the host's file for the labels.
#![no_std]
#![no_main]

use cfm_boards::demo::{self, MEMORY, Memory};
use cfm_boards::host::{FileLabels, FileRows, leave};
use cfm_boards::report::{Event, Report};
use cfm_core::kernels::Portable;

use static_cell::ConstStaticCell;
use zynq_7000::{GlobalTimer, report, report_stack};

static IMAGE: ConstStaticCell<Memory> = ConstStaticCell::new(MEMORY);

#[unsafe(no_mangle)] // The start code calls it by this name.
extern "C" fn main() -> ! {
    let mut report = report();
    let mut clock = GlobalTimer::start();
    let Some(memory) = IMAGE.try_take() else {
        leave(false)
    };
    let (mut camera, mut labels) = (FileRows::default(), FileLabels::default());
    let result = demo::run(
        &Portable,
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
