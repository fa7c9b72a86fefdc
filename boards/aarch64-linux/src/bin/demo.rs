//! A whole image: a file as camera, a file for the labels.

use std::io;
use std::process::ExitCode;

use aarch64_linux::{FileLabels, FileRows, Out, SystemClock, on_a_large_stack};
use cfm_boards::demo::{self, MEMORY};
use cfm_boards::report::{Event, Report};
use cfm_boards::text::Text;
use cfm_core::kernels::native;

fn main() -> io::Result<ExitCode> {
    on_a_large_stack(|| {
        let mut memory = Box::new(MEMORY);
        let (mut camera, mut labels) = (FileRows::default(), FileLabels::default());
        let mut report = Text(Out);
        let result = demo::run(
            &native(),
            &mut camera,
            &mut labels,
            &mut SystemClock::start(),
            &mut report,
            &mut memory,
        );
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                report.event(&Event::Failed(error.message()));
                ExitCode::FAILURE
            }
        }
    })
}
