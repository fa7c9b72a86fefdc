#![doc = include_str!("../README.md")]
//!
//! # Parts
//!
//! - [`Transport`] moves words: [`SpiTransport`] over any [`embedded_hal::spi::SpiDevice`], with a CRC on everything and
//!   transfers that are safe to repeat; [`MmioTransport`] on a system on chip.
//! - [`Device`] knows what the words mean: it loads a model ([`Configuration`]), pushes rows and segments, and reads logits, with
//!   time-outs and retries.
//! - [`score_frame`] does a whole frame, and falls back to the software kernels, which return the same bits, when the
//!   engine does not answer.
//!
//! Nothing is allocated; a row and a transfer at a time are in memory. What the engine is and what its registers mean is in
//! `ENGINE.md` and `REGISTERS.md` beside its sources (`hls/` of the project's repository).
#![no_std]
#![deny(missing_docs)]

mod configuration;
mod device;
mod fallback;
mod instance;
mod mmio;
mod protocol;
mod segment_words;
mod spi;
mod transport;

pub use configuration::{Block, Configuration, ConfigurationError};
pub use device::{Device, DeviceError, Identity, Policy, Scoring};
pub use fallback::{Backend, FrameError, FrameMemory, FrameSource, score_frame};
pub use instance::Instance;
pub use mmio::{Bus, MappedBus, MmioTransport, NotMapped, WeightMemory};
pub use protocol::{Port, Register};
pub use segment_words::{END_OF_FRAME, segment_bounds, segment_words};
pub use spi::SpiTransport;
pub use transport::{Transport, TransportError};
