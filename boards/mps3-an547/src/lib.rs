//! What both programs of this board share.
#![no_std]
#![deny(missing_docs)]

use cfm_boards::report::{Event, Report};
use cfm_boards::systick::{self, SysTick};
use cfm_core::kernels::Mve;
use cortex_m_rt::exception;

#[cfg(feature = "defmt")]
use defmt_semihosting as _;

/// The processor's clock of AN547, in hertz.
pub const CLOCK: u32 = 32_000_000;

#[exception]
fn SysTick() {
    systick::on_wrap();
}

/// The kernels for this board's processor.
#[must_use]
pub const fn kernels() -> Mve {
    // SAFETY: it is a Cortex-M55 with the vector extension, and `cortex-m-rt` has switched that on before `main`.
    unsafe { Mve::new() }
}

/// The clock, or `None` if it was taken before.
#[must_use]
pub fn clock() -> Option<SysTick> {
    Some(SysTick::start(cortex_m::Peripherals::take()?.SYST, CLOCK))
}

/// Where reports go: text on the host's console, or `defmt` frames.
#[must_use]
pub fn report() -> impl Report {
    #[cfg(feature = "defmt")]
    return cfm_boards::log::Log;
    #[cfg(not(feature = "defmt"))]
    return cfm_boards::text::Text(cfm_boards::host::HostConsole::open());
}

/// Reports how deep the stack became.
pub fn report_stack(report: &mut impl Report) {
    let stack = systick::stack();
    report.event(&Event::Stack {
        used: stack.high_water(),
        size: stack.size(),
    });
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    cfm_boards::host::panicked(info)
}
