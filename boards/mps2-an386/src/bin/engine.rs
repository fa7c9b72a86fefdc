//! A whole image with the hardware engine beside the microcontroller, on SPI: the engine's RTL is simulated on the host. Every
//! fault that the wires can have is put on them; the labels must always be the same.
#![no_std]
#![no_main]

use core::ffi::CStr;

use cfm_boards::demo::{MEMORY, Memory};
use cfm_boards::engine;
use cfm_boards::host::{FileLabels, FileRows, leave};
use cfm_boards::report::{Event, Report};
use cfm_boards::simulated_pins::{Fault, Simulation};
use cfm_core::kernels::Dsp;
use cfm_device::{Backend, Configuration, Device, DeviceError, Policy, SpiTransport};
use cortex_m_rt::entry;
use mps2_an386::{clock, report, report_stack};
use static_cell::ConstStaticCell;

static IMAGE: ConstStaticCell<Memory> = ConstStaticCell::new(MEMORY);
/// The model's program for the engine.
static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/engine.bin"));
/// An image takes less than a tenth of that.
const POLICY: Policy = Policy {
    attempts: 5,
    poll_us: 50,
    timeout_us: 50_000,
};

/// A fault, what must have computed the image then, and where its labels go.
const FRAMES: [(Option<Fault>, Expected, &CStr); 6] = [
    (None, Expected::Engine, c"labels-clean.bin"),
    (Some(Fault::Bits(9)), Expected::Engine, c"labels-bits.bin"),
    (Some(Fault::Reset(400)), Expected::Lost, c"labels-reset.bin"),
    (None, Expected::Engine, c"labels-after-reset.bin"),
    (
        Some(Fault::Stuck(300)),
        Expected::Timeout,
        c"labels-stuck.bin",
    ),
    (None, Expected::Engine, c"labels-after-stuck.bin"),
];

#[derive(Clone, Copy)]
enum Expected {
    Engine,
    Lost,
    Timeout,
}

#[entry]
fn main() -> ! {
    let mut report = report();
    let done = run(&mut report);
    if let Err(why) = done {
        report.event(&Event::Failed(why));
    }
    report_stack(&mut report);
    leave(done.is_ok())
}

fn run(report: &mut impl Report) -> Result<(), &'static str> {
    let memory = IMAGE.try_take().ok_or("the memory is taken")?;
    let mut clock = clock().ok_or("the clock is taken")?;
    let simulation = Simulation::open().ok_or("no pipes to the simulation")?;
    let program = Configuration::parse(PROGRAM).map_err(|_| "the engine's program is broken")?;
    let transport = SpiTransport::new(simulation.pins());
    let mut device = Device::new(transport, simulation.delay(), POLICY);
    device.load(&program).map_err(|error| error.message())?;
    for (fault, expected, path) in FRAMES {
        simulation
            .fault(fault)
            .map_err(|_| "the simulation is gone")?;
        let backend = engine::run(
            &mut device,
            Dsp,
            &mut FileRows::default(),
            &mut FileLabels::at(path),
            &mut clock,
            report,
            memory,
        )
        .map_err(|error| error.message())?;
        match (expected, backend) {
            (Expected::Engine, Backend::Engine)
            | (Expected::Lost, Backend::Software(DeviceError::Lost))
            | (Expected::Timeout, Backend::Software(DeviceError::Timeout)) => {}
            _ => return Err("something else than expected computed the image"),
        }
        simulation
            .fault(None)
            .map_err(|_| "the simulation is gone")?;
        // Its reset leaves the program as it is.
        device.select(&program).map_err(|error| error.message())?;
    }
    if simulation.flips() < 10 {
        return Err("hardly a bit was flipped");
    }
    Ok(())
}
