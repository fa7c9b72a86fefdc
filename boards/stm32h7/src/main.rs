//! The default model on an STM32H743 (Nucleo-H743ZI): picture after picture from an SPI camera to an SPI display, with
//! transfers by DMA, during which other tasks could run.
//!
//! | pin | to |
//! |---|---|
//! | PA5, PB5, PA6, PD14 | camera: clock, to camera, from camera, select |
//! | PC10, PC12, PC11, PD15 | display: clock, to display, from display, select |
//! | PF12 | display: data (high) or command |
#![no_std]
#![no_main]

use cfm_boards::clock::Clock;
use cfm_boards::live::{self, MEMORY, Memory};
use cfm_boards::log::Log;
use cfm_boards::report::{Event, Report};
use cfm_boards::spi_camera::SpiCamera;
use cfm_boards::spi_display::{AsyncSpiDisplay, Palette, Panel};
use cfm_boards::systick::stack;
use cfm_conformance::street::MODEL;
use cfm_core::kernels::Dsp;
use defmt_rtt as _;
use embassy_executor::Spawner;
use embassy_stm32::gpio::{Level, Output, Speed};
use embassy_stm32::rcc::mux::Saisel;
use embassy_stm32::spi::{self, Spi};
use embassy_stm32::time::Hertz;
use embassy_stm32::{bind_interrupts, dma, peripherals};
use embassy_time::{Delay, Instant, TICK_HZ, Timer};
use embedded_hal_bus::spi::ExclusiveDevice;
use panic_probe as _;
use static_cell::ConstStaticCell;

bind_interrupts!(
    /// The ends of DMA transfers.
    struct Interrupts {
        DMA1_STREAM0 => dma::InterruptHandler<peripherals::DMA1_CH0>;
        DMA1_STREAM1 => dma::InterruptHandler<peripherals::DMA1_CH1>;
        DMA1_STREAM2 => dma::InterruptHandler<peripherals::DMA1_CH2>;
        DMA1_STREAM3 => dma::InterruptHandler<peripherals::DMA1_CH3>;
    }
);

/// The clock of the display's bus, in hertz: an ILI9341 takes a bit in no less than 100 ns.
const DISPLAY_CLOCK: u32 = 10_000_000;

/// The display's glass: `Panel::ST7789` for one of these.
const PANEL: Panel = Panel::ILI9341;

static IMAGE: ConstStaticCell<Memory> = ConstStaticCell::new(MEMORY);

/// The runtime's clock.
struct RuntimeClock;

impl Clock for RuntimeClock {
    fn ticks(&mut self) -> u64 {
        Instant::now().as_ticks()
    }

    fn ticks_per_second(&self) -> u32 {
        TICK_HZ as u32
    }
}

fn spi_at(frequency: u32) -> spi::Config {
    let mut config = spi::Config::default();
    config.frequency = Hertz(frequency);
    config
}

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let mut config = embassy_stm32::Config::default();
    // After reset they would hang on a PLL that is off; this is the internal oscillator.
    config.rcc.mux.spi123sel = Saisel::PER;
    let p = embassy_stm32::init(config);

    let bus = Spi::new(
        p.SPI1,
        p.PA5,
        p.PB5,
        p.PA6,
        p.DMA1_CH0,
        p.DMA1_CH1,
        Interrupts,
        spi_at(8_000_000),
    );
    let select = Output::new(p.PD14, Level::High, Speed::High);
    let Ok(device) = ExclusiveDevice::new(bus, select, Delay);
    // Of an old module: `with_leading_byte`.
    let mut camera = SpiCamera::new(device, Delay);

    let bus = Spi::new(
        p.SPI3,
        p.PC10,
        p.PC12,
        p.PC11,
        p.DMA1_CH2,
        p.DMA1_CH3,
        Interrupts,
        spi_at(DISPLAY_CLOCK),
    );
    let select = Output::new(p.PD15, Level::High, Speed::High);
    let Ok(device) = ExclusiveDevice::new(bus, select, Delay);
    let data = Output::new(p.PF12, Level::High, Speed::High);
    let (width, height) = (MODEL.input().width, MODEL.input().height);
    let mut display = AsyncSpiDisplay::new(device, data, PANEL, Palette::of(&MODEL), width, height);

    let (mut report, mut clock) = (Log, RuntimeClock);
    let memory = IMAGE.take();
    if display.wake(&mut Delay).await.is_err() {
        report.event(&Event::Failed("the display does not wake"));
    }
    loop {
        let image = live::run_async(
            &Dsp,
            &mut camera,
            &mut display,
            &mut clock,
            &mut report,
            memory,
        );
        if let Err(error) = image.await {
            report.event(&Event::Failed(error.message()));
            Timer::after_secs(1).await;
        }
        let stack = stack();
        report.event(&Event::Stack {
            used: stack.high_water(),
            size: stack.size(),
        });
    }
}
