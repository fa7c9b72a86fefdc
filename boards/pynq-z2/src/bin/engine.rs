//! One frame by the engine, compared with the software's: exit status 0 if the engine computed it and the logits are the same.
//!
//! `CFM_ENGINE` names, at build time, the folder that `cfm export rtl` has made for street.
#![no_std]
#![no_main]

use cfm_boards::host::leave;
use cfm_boards::report::{Event, Report};
use cfm_core::executor::Executor;
use cfm_core::kernels::Portable;
use cfm_core::model::Model;
use cfm_core::scorer::Scorer;
use cfm_core::segment::{Run, Segment};
use cfm_device::{Backend, Configuration, Device, FrameMemory, FrameSource, Policy, score_frame};
use pynq_z2::Delay;
use static_cell::ConstStaticCell;
use zynq_7000::{report, report_stack};

/// What is included, where it may be read as words.
#[repr(align(16))]
struct Aligned<T: ?Sized>(T);

static MODEL: &Aligned<[u8]> = &Aligned(*include_bytes!("../../../../sim/models/street.cfm"));
static ENGINE: &[u8] = include_bytes!(concat!(env!("CFM_ENGINE"), "/engine.bin"));

/// `cfm inspect street` says how much is needed.
const ARENA_BYTES: usize = 512 * 1024;
const ROW_BYTES: usize = 4 * 1024;
const CLASSES: usize = 32;

struct Memory {
    arena: [i8; ARENA_BYTES],
    row: [u8; ROW_BYTES],
}

static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory {
    arena: [0; ARENA_BYTES],
    row: [0; ROW_BYTES],
});

/// A picture that has something of everything.
struct Pattern;

impl FrameSource for Pattern {
    type Error = ();

    fn row(&mut self, y: u16, row: &mut [u8]) -> Result<(), ()> {
        for (x, sample) in (0_u32..).zip(row) {
            *sample = (x.wrapping_mul(37) ^ u32::from(y).wrapping_mul(91) ^ (x >> 4)) as u8;
        }
        Ok(())
    }
}

fn run(memory: &mut Memory) -> Result<(), &'static str> {
    let model = Model::parse(&MODEL.0).map_err(|_| "the model")?;
    let configuration = Configuration::parse(ENGINE).map_err(|_| "the configuration")?;
    let Memory { arena, row } = memory;
    let row = row
        .get_mut(..model.input().row_len())
        .ok_or("ROW_BYTES is too small")?;
    // A slanted band.
    let runs: [Run; 64] = core::array::from_fn(|y| Run {
        y: y as u16,
        x0: y as u16,
        x1: y as u16 + 40,
    });
    let segments = [Segment::Runs(&runs), Segment::Runs(&runs[..9])];
    let mut by_device = [[0_i16; CLASSES]; 2];
    let mut logits = [0_i16; CLASSES];
    let logits = logits
        .get_mut(..model.class_count())
        .ok_or("CLASSES is too small")?;

    // SAFETY: this is the only one, and the bitstream is loaded before this program.
    let engine = unsafe { pynq_z2::engine() };
    let mut device = Device::new(engine, Delay::start(), Policy::default());
    device.load(&configuration).map_err(|_| "load")?;
    let backend = score_frame(
        &mut device,
        &model,
        Portable,
        &mut Pattern,
        &segments,
        &[],
        FrameMemory {
            row: &mut *row,
            logits: &mut *logits,
            arena: &mut *arena,
        },
        |index, logits| {
            if let Some(to) = by_device.get_mut(index) {
                to.iter_mut().zip(logits).for_each(|(to, &from)| *to = from);
            }
        },
    )
    .map_err(|_| "the frame")?;
    if !matches!(backend, Backend::Engine) {
        return Err("the engine did not answer: this was the software");
    }

    let mut executor = Executor::new(&model, arena).map_err(|_| "the arena")?;
    for y in 0..model.input().height {
        Pattern.row(y, row).map_err(|()| "a row")?;
        executor.push_row(row).map_err(|_| "a row")?;
    }
    let (features, scratch) = executor.finish().map_err(|_| "the executor")?;
    let mut scorer = Scorer::new(&model, features, scratch).map_err(|_| "the scorer")?;
    for (segment, by_device) in segments.iter().zip(&by_device) {
        scorer
            .score(segment, &[], logits)
            .map_err(|_| "a segment")?;
        if logits.iter().zip(by_device).any(|(a, b)| a != b) {
            return Err("the engine's logits differ");
        }
    }
    Ok(())
}

#[unsafe(no_mangle)] // The start code calls it by this name.
extern "C" fn main() -> ! {
    let mut report = report();
    let Some(memory) = MEMORY.try_take() else {
        leave(false)
    };
    let result = run(memory);
    if let Err(message) = result {
        report.event(&Event::Failed(message));
    }
    report_stack(&mut report);
    leave(result.is_ok())
}
