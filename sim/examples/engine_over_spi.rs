//! A scene labelled by the engine, which is simulated at its pins and driven through `cfm-device`; compared with the host's
//! labels, also after injected faults.
//!
//!     cargo run --release -p cfm-sim --example engine_over_spi -- SIMULATOR PE LANES [MODEL.cfm]
//!
//! SIMULATOR is the program that `hls/rtl/run.sh pins` builds. Without a model, a small random one. Exit status 1 on the first
//! difference, and when a fault does not lead to what the driver promises.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

use anyhow::{Context, bail, ensure};
use cfm_core::executor::Executor;
use cfm_core::kernels::Portable;
use cfm_core::labelling::{Label, Labeller};
use cfm_core::model::Model;
use cfm_core::scorer::Scorer;
use cfm_core::segment::Segment;
use cfm_device::{
    Backend, Configuration, Device, FrameMemory, FrameSource, Policy, SpiTransport, score_frame,
};
use cfm_hardware::{Folding, Limits, compile};
use cfm_model::random::{Options, random_image, random_model, random_segments};
use embedded_hal::delay::DelayNs;
use embedded_hal::spi::{ErrorKind, ErrorType, Operation, SpiDevice};

fn main() {}
