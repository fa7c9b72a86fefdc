//! What the firmware of every board does, whatever the chip.
//!
//! | | module |
//! |---|---|
//! | the conformance suite and wrong use, on the target | [`suite`], [`refusals`] |
//! | a whole image with proposals made on the target | [`demo`] |
//! | the same with the hardware engine, over SPI | `engine`, `simulated_pins` (feature `engine`) |
//! | an image without a frame buffer: tiles as segments | [`live`], [`tiles`] |
//! | where rows come from and labels go | [`rows`], [`spi_camera`], [`spi_display`] |
//! | what is said about it, and how long it took | [`report`], [`clock`], [`text`], `log` (feature `defmt`) |
//! | how deep the stack became | [`stack`] |
//! | Cortex-M, and the host of an emulator or debugger | `systick` (feature `cortex-m`), `host` (feature `semihosting`) |
//!
//! Chips, pins and clocks are the boards' business; drivers take what `embedded-hal` 1.0 describes.
#![no_std]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

pub mod clock;
pub mod demo;
#[cfg(feature = "semihosting")]
mod descriptor;
#[cfg(feature = "engine")]
pub mod engine;
#[cfg(feature = "semihosting")]
pub mod host;
pub mod live;
#[cfg(feature = "defmt")]
pub mod log;
pub mod refusals;
pub mod report;
pub mod rows;
#[cfg(all(feature = "engine", feature = "semihosting"))]
pub mod simulated_pins;
pub mod spi_camera;
pub mod spi_display;
pub mod stack;
mod stopwatch;
pub mod suite;
#[cfg(feature = "cortex-m")]
pub mod systick;
pub mod text;
pub mod tiles;
