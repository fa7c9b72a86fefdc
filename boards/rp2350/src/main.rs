//! The default model on a Raspberry Pi Pico 2: picture after picture from an SPI camera to an SPI display.
//!
//! | pin | to |
//! |---|---|
//! | GPIO 2, 3, 4, 5 | camera: clock, to camera, from camera, select |
//! | GPIO 10, 11, 12, 13 | display: clock, to display, from display, select |
//! | GPIO 14 | display: data (high) or command |
#![no_std]
#![no_main]

use cfm_boards::clock::Clock;
use cfm_boards::live::{self, MEMORY, Memory};
use cfm_boards::log::Log;
use cfm_boards::report::{Event, Report};
use cfm_boards::spi_camera::SpiCamera;
use cfm_boards::spi_display::{Palette, Panel, SpiDisplay};
use cfm_boards::systick::stack;
use cfm_conformance::street::MODEL;
use cfm_core::kernels::Dsp;
use defmt_rtt as _;
use embedded_hal::delay::DelayNs;
use embedded_hal::spi::MODE_0;
use embedded_hal_bus::spi::ExclusiveDevice;
use panic_probe as _;
use rp235x_hal::block::ImageDef;
use rp235x_hal::clocks::init_clocks_and_plls;
use rp235x_hal::fugit::RateExtU32;
use rp235x_hal::gpio::{FunctionSpi, Pins};
use rp235x_hal::spi::Spi;
use rp235x_hal::timer::{CopyableTimer0, Timer};
use rp235x_hal::{Clock as _, Sio, Watchdog, entry, pac};
use static_cell::ConstStaticCell;

/// Tells the boot ROM that this is a program for the Arm cores.
// SAFETY: the linker script places this section where the boot ROM looks for it; nothing else is in it.
#[unsafe(link_section = ".start_block")]
#[used]
static IMAGE_DEFINITION: ImageDef = ImageDef::secure_exe();

/// The crystal of the Pico 2, in hertz.
const CRYSTAL: u32 = 12_000_000;

/// The clock of the display's bus, in hertz: an ILI9341 takes a bit in no less than 100 ns.
const DISPLAY_CLOCK: u32 = 10_000_000;

/// The display's glass: `Panel::ST7789` for one of these.
const PANEL: Panel = Panel::ILI9341;

static IMAGE: ConstStaticCell<Memory> = ConstStaticCell::new(MEMORY);

/// The chip's timer, in microseconds.
struct Microseconds(Timer<CopyableTimer0>);

impl Clock for Microseconds {
    fn ticks(&mut self) -> u64 {
        self.0.get_counter().ticks()
    }

    fn ticks_per_second(&self) -> u32 {
        1_000_000
    }
}

#[entry]
fn main() -> ! {
    let mut pac = pac::Peripherals::take().expect("the program has just started");
    let mut watchdog = Watchdog::new(pac.WATCHDOG);
    let Ok(clocks) = init_clocks_and_plls(
        CRYSTAL,
        pac.XOSC,
        pac.CLOCKS,
        pac.PLL_SYS,
        pac.PLL_USB,
        &mut pac.RESETS,
        &mut watchdog,
    ) else {
        panic!("the clocks do not start");
    };
    let mut timer = Timer::new_timer0(pac.TIMER0, &mut pac.RESETS, &clocks);
    let sio = Sio::new(pac.SIO);
    let pins = Pins::new(
        pac.IO_BANK0,
        pac.PADS_BANK0,
        sio.gpio_bank0,
        &mut pac.RESETS,
    );

    let camera_pins = (
        pins.gpio3.into_function::<FunctionSpi>(),
        pins.gpio4.into_function::<FunctionSpi>(),
        pins.gpio2.into_function::<FunctionSpi>(),
    );
    let bus = Spi::<_, _, _, 8>::new(pac.SPI0, camera_pins).init(
        &mut pac.RESETS,
        clocks.peripheral_clock.freq(),
        8.MHz(),
        MODE_0,
    );
    let Ok(device) = ExclusiveDevice::new(bus, pins.gpio5.into_push_pull_output(), timer);
    // Of an old module: `with_leading_byte`.
    let mut camera = SpiCamera::new(device, timer);

    let display_pins = (
        pins.gpio11.into_function::<FunctionSpi>(),
        pins.gpio12.into_function::<FunctionSpi>(),
        pins.gpio10.into_function::<FunctionSpi>(),
    );
    let bus = Spi::<_, _, _, 8>::new(pac.SPI1, display_pins).init(
        &mut pac.RESETS,
        clocks.peripheral_clock.freq(),
        DISPLAY_CLOCK.Hz(),
        MODE_0,
    );
    let Ok(device) = ExclusiveDevice::new(bus, pins.gpio13.into_push_pull_output(), timer);
    let (width, height) = (MODEL.input().width, MODEL.input().height);
    let data = pins.gpio14.into_push_pull_output();
    let mut display = SpiDisplay::new(device, data, PANEL, Palette::of(&MODEL), width, height);

    let mut report = Log;
    let memory = IMAGE.take();
    if display.wake(&mut timer).is_err() {
        report.event(&Event::Failed("the display does not wake"));
    }
    loop {
        let mut clock = Microseconds(timer);
        let result = live::run(
            &Dsp,
            &mut camera,
            &mut display,
            &mut clock,
            &mut report,
            memory,
        );
        if let Err(error) = result {
            report.event(&Event::Failed(error.message()));
            timer.delay_ms(1000);
        }
        let stack = stack();
        report.event(&Event::Stack {
            used: stack.high_water(),
            size: stack.size(),
        });
    }
}
