//! An image labelled by the engine, which is simulated at its pins and driven through `cfm-device`; compared with the
//! host's labels, also after injected faults.
//!
//!     cargo run --release -p cfm-sim --example engine_over_spi -- SIMULATOR PE LANES [MODEL.cfm]
//!
//! SIMULATOR is a program that `hls/rtl/run.sh pins` builds. Without a model, small random ones are taken. Exit status 1 on
//! the first difference, and when a fault does not lead to what the driver promises.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};
use cfm_core::kernels::Portable;
use cfm_core::labelling::{ScoredSegment, label_pixels, memory_words};
use cfm_core::model::Model;
use cfm_device::{
    Backend, Configuration, Device, DeviceError, FrameMemory, FrameSource, Policy, SpiTransport,
    score_frame,
};
use cfm_hardware::{Folding, Limits, compile};
use cfm_model::random::{
    Options, RandomImage, RandomSegments, random_image, random_model, random_segments,
};
use cfm_model::spec::InputSpec;
use cfm_sim::core_trace::IndexMemory;
use embedded_hal::delay::DelayNs;
use embedded_hal::spi::{ErrorKind, ErrorType, Operation, SpiDevice};

const POLICY: Policy = Policy {
    attempts: 5,
    poll_us: 20,
    timeout_us: 20_000,
};
/// What the simulated engine's clock is taken for when the driver waits.
const CLOCKS_PER_US: u64 = 80;

/// The simulation, one command and answer at a time.
struct Simulation {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Simulation {
    fn start(program: &str) -> Result<Self> {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| program.to_owned())?;
        let input = child.stdin.take().context("no standard input")?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self {
            child,
            input,
            output,
        })
    }

    fn ask(&mut self, command: &str) -> Result<String> {
        writeln!(self.input, "{command}")?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        ensure!(answer.ends_with('\n'), "the simulation ended");
        Ok(answer.trim_end().to_owned())
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Shared = Rc<RefCell<Simulation>>;

/// What happens to a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A bit on its way to the engine is flipped.
    Request(usize),
    /// A bit on its way back is flipped.
    Response(usize),
    /// The engine's reset pin, before the transfer.
    Reset,
    /// The weight memory stops to answer.
    Stuck,
}

/// The bus: the simulation's pins, and faults at some transfers.
struct Pins {
    simulation: Shared,
    transfers: usize,
    faults: Vec<(usize, Fault)>,
}

impl ErrorType for Pins {
    type Error = ErrorKind;
}

impl SpiDevice for Pins {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), ErrorKind> {
        let transfer = self.transfers;
        self.transfers += 1;
        let fault = self.faults.iter().find(|(at, _)| *at == transfer);
        let fault = fault.map(|(_, fault)| *fault);
        let mut simulation = self.simulation.borrow_mut();
        let mut ask = |command: &str| simulation.ask(command).map_err(|_| ErrorKind::Other);
        match fault {
            Some(Fault::Reset) => {
                ask("r")?;
            }
            Some(Fault::Stuck) => {
                ask("h 1")?;
            }
            _ => {}
        }
        let mut bytes: Vec<u8> = Vec::new();
        for operation in &*operations {
            match operation {
                Operation::Write(sent) => bytes.extend_from_slice(sent),
                Operation::Read(received) => bytes.extend(vec![0; received.len()]),
                _ => return Err(ErrorKind::Other),
            }
        }
        let written = operations.first().map_or(0, |first| match first {
            Operation::Write(sent) => sent.len(),
            _ => 0,
        });
        if let Some(Fault::Request(bit)) = fault {
            let bit = bit % (8 * written);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let answer = ask(&format!("x {hex}"))?;
        let mut back = (0..bytes.len())
            .map(|i| {
                answer
                    .get(2 * i..2 * i + 2)
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            })
            .collect::<Option<Vec<u8>>>()
            .ok_or(ErrorKind::Other)?;
        if let Some(Fault::Response(bit)) = fault {
            let bit = 8 * (written + 1) + bit % (8 * (bytes.len() - written - 1));
            back[bit / 8] ^= 1 << (bit % 8);
        }
        let mut back = back.into_iter();
        for operation in operations {
            match operation {
                Operation::Write(sent) => back.by_ref().take(sent.len()).for_each(drop),
                Operation::Read(received) => received
                    .iter_mut()
                    .for_each(|to| *to = back.next().unwrap_or(0)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Time passes in the simulation.
struct Clock(Shared);

impl DelayNs for Clock {
    fn delay_ns(&mut self, ns: u32) {
        let clocks = (u64::from(ns) * CLOCKS_PER_US).div_ceil(1000);
        // A simulation that has ended is noticed by the next transfer.
        let _ = self.0.borrow_mut().ask(&format!("w {clocks}"));
    }
}

struct Pixels<'a>(&'a RandomImage);

impl FrameSource for Pixels<'_> {
    type Error = ();

    fn row(&mut self, y: u16, row: &mut [u8]) -> Result<(), ()> {
        let from = self.0.pixels.chunks(row.len()).nth(y.into()).ok_or(())?;
        row.copy_from_slice(from);
        Ok(())
    }
}

/// A model with its image and segments.
struct Case {
    bytes: Vec<u8>,
    image: RandomImage,
    segments: RandomSegments,
}

impl Case {
    fn new(bytes: Vec<u8>, seed: u64, count: usize) -> Result<Self> {
        let input = Model::parse(&bytes)?.input();
        let size = InputSpec {
            height: input.height,
            width: input.width,
            channels: input.channels,
        };
        Ok(Self {
            image: random_image(seed, size),
            segments: random_segments(seed, input.width, input.height, count),
            bytes,
        })
    }

    /// Labels the image by the engine with these faults; compares logits and labels with the software's. What computed
    /// them, and the transfers of the frame.
    fn check(&self, device: &mut Device<SpiTransport<Pins>, Clock>) -> Result<Backend<ErrorKind>> {
        let model = Model::parse(&self.bytes)?;
        let map_views = self.segments.map_views()?;
        let mut memories: Vec<IndexMemory> =
            map_views.iter().map(|_| IndexMemory::default()).collect();
        let maps = map_views
            .iter()
            .zip(&mut memories)
            .map(|(map, memory)| memory.build(*map, &model))
            .collect::<Result<Vec<_>, _>>()?;
        let views = self.segments.views();
        let mut arena = vec![0; model.arena_bytes()];
        let mut row = vec![0; model.input().row_len()];
        let mut logits = vec![0; model.class_count()];
        let mut results = vec![Vec::new(); views.len()];
        let backend = score_frame(
            device,
            &model,
            Portable,
            &mut Pixels(&self.image),
            &views,
            &maps,
            FrameMemory {
                row: &mut row,
                logits: &mut logits,
                arena: &mut arena,
            },
            |index, logits| results[index] = logits.to_vec(),
        )
        .map_err(|error| anyhow::anyhow!("{error}"))?;

        let image = self.image.view()?;
        let mut executor = cfm_core::executor::Executor::new(&model, &mut arena)?;
        executor.push_image(&image)?;
        let (features, scratch) = executor.finish()?;
        let mut scorer = cfm_core::scorer::Scorer::new(&model, features, scratch)?;
        let mut expected = Vec::new();
        let mut areas = Vec::new();
        for segment in &views {
            areas.push(scorer.score(segment, &maps, &mut logits)?.area);
            expected.push(logits.clone());
        }
        ensure!(
            results == expected,
            "the engine's logits differ ({backend:?})"
        );
        let labels = |logits: &[Vec<i16>]| -> Result<Vec<u8>> {
            let rule = self.segments.applicable(model.labelling());
            let scored = |i: usize| ScoredSegment::<'_> {
                segment: views[i],
                area: areas[i],
                logits: &logits[i],
            };
            let mut memory = vec![0; memory_words(rule, &model, &map_views, views.len())];
            let mut labels = vec![0; usize::from(image.width()) * usize::from(image.height())];
            label_pixels(
                &model,
                rule,
                &map_views,
                views.len(),
                scored,
                &mut memory,
                &mut labels,
            )?;
            Ok(labels)
        };
        ensure!(
            labels(&results)? == labels(&expected)?,
            "the label maps differ"
        );
        Ok(backend)
    }

    /// The driver with the model loaded.
    fn load(
        &self,
        simulation: &Shared,
        folding: Folding,
        limits: &Limits,
    ) -> Result<Option<Device<SpiTransport<Pins>, Clock>>> {
        let model = Model::parse(&self.bytes)?;
        let engine = match compile(&model, folding, limits) {
            Ok(engine) => engine,
            Err(error) => {
                println!("not for the engine: {error}");
                return Ok(None);
            }
        };
        let file = engine.file();
        let configuration = Configuration::parse(&file)?;
        let pins = Pins {
            simulation: Rc::clone(simulation),
            transfers: 0,
            faults: Vec::new(),
        };
        let mut device = Device::new(
            SpiTransport::new(pins),
            Clock(Rc::clone(simulation)),
            POLICY,
        );
        device.load(&configuration).context("load")?;
        Ok(Some(device))
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [program, pe, lanes, rest @ ..] = &arguments[..] else {
        bail!("engine_over_spi SIMULATOR PE LANES [MODEL.cfm]");
    };
    let folding = Folding::new(pe.parse()?, lanes.parse()?)?;
    let simulation = Rc::new(RefCell::new(Simulation::start(program)?));
    // The instance's memories (run.sh pins); what does not fit of the weights comes from outside.
    let limits = Limits {
        feature_words: 4096,
        weight_words: 256,
        channels: 1024,
        store_words: 4096,
        ..Limits::default()
    };
    if let [model] = rest {
        let case = Case::new(std::fs::read(model)?, 1, 20)?;
        let mut device = case
            .load(&simulation, folding, &limits)?
            .context("the model does not fit")?;
        ensure!(
            case.check(&mut device)? == Backend::Engine,
            "the engine did not answer"
        );
        println!(
            "{model}: the engine's labels are the host's, {:?} cycles",
            device.cycles()?
        );
        return Ok(());
    }

    let options = Options {
        max_side: 12,
        max_macs: 8_000,
        max_channels: 12,
        ..Options::default()
    };
    let (mut frames, mut by_engine, mut recovered) = (0, 0, 0);
    for seed in 0..12 {
        let case = Case::new(random_model(seed, &options).to_bytes()?, seed, 6)?;
        let Some(mut device) = case.load(&simulation, folding, &limits)? else {
            continue;
        };
        for round in 0..2 {
            ensure!(
                case.check(&mut device)? == Backend::Engine,
                "seed {seed}, frame {round}: no engine"
            );
            frames += 1;
            by_engine += 1;
        }
        // Every fault at some transfer of a frame; then the engine must be there again.
        for (number, fault) in [
            Fault::Request(17 + 5 * seed as usize),
            Fault::Response(9 + 3 * seed as usize),
            Fault::Reset,
            Fault::Stuck,
        ]
        .into_iter()
        .enumerate()
        {
            let (transport, clock) = device.release();
            let mut pins = transport.release();
            let at = pins.transfers + 6 + number + seed as usize % 3;
            pins.faults = vec![(at, fault)];
            device = Device::new(SpiTransport::new(pins), clock, POLICY);
            device.reset()?;
            let file = compile(&Model::parse(&case.bytes)?, folding, &limits)?.file();
            device.select(&Configuration::parse(&file)?)?;
            let backend = case.check(&mut device)?;
            frames += 1;
            match (fault, backend) {
                (Fault::Request(_) | Fault::Response(_), Backend::Engine) => by_engine += 1,
                (Fault::Reset, Backend::Software(_)) => recovered += 1,
                (Fault::Stuck, Backend::Engine) => by_engine += 1,
                (Fault::Stuck, Backend::Software(DeviceError::Timeout)) => recovered += 1,
                _ => bail!("seed {seed}: {fault:?} led to {backend:?}"),
            }
            simulation.borrow_mut().ask("h 0")?;
            device.reset()?;
            // The reset pin clears the driver's registers, not the model.
            device.select(&Configuration::parse(&file)?)?;
            ensure!(
                case.check(&mut device)? == Backend::Engine,
                "seed {seed}: not there again after {fault:?}"
            );
            frames += 1;
            by_engine += 1;
        }
    }
    ensure!(
        frames > 20 && recovered > 2,
        "too few of the models fit: {frames} frames, {recovered} recovered"
    );
    println!(
        "{frames} frames, {by_engine} by the engine, {recovered} by software after a fault: all labels are the host's"
    );
    Ok(())
}
