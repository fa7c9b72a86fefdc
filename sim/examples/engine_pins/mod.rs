//! What the programs have in common that drive the simulated engine at its pins: the simulation, time, and frames to label.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

use anyhow::{Context, Result, anyhow, ensure};
use cfm_core::kernels::Portable;
use cfm_core::labelling::{ScoredSegment, label_pixels, memory_words};
use cfm_core::model::Model;
use cfm_device::{
    Backend, Configuration, Device, DeviceError, FrameMemory, FrameSource, Instance, Policy,
    Transport, score_frame,
};
use cfm_hardware::{Folding, Limits, compile};
use cfm_model::random::{
    Options, RandomImage, RandomSegments, random_image, random_model, random_segments,
};
use cfm_model::spec::InputSpec;
use cfm_sim::core_trace::IndexMemory;
use embedded_hal::delay::DelayNs;

/// How patient the driver is with a simulation.
pub const POLICY: Policy = Policy {
    attempts: 5,
    poll_us: 20,
    timeout_us: 20_000,
};
/// What the simulated engine's clock is taken for when the driver waits.
const CLOCKS_PER_US: u64 = 80;

/// The memories of the simulated instance (`run.sh pins`, `run.sh axi`); what does not fit of the weights comes from outside.
pub fn limits() -> Limits {
    Limits {
        feature_words: 4096,
        weight_words: 256,
        channels: 1024,
        store_words: 4096,
        ..Limits::default()
    }
}

/// The simulation, one command and answer at a time.
pub struct Simulation {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Simulation {
    /// Starts the program.
    pub fn start(program: &str, arguments: &[String]) -> Result<Shared> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| program.to_owned())?;
        let input = child.stdin.take().context("no standard input")?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Rc::new(RefCell::new(Self {
            child,
            input,
            output,
        })))
    }

    /// Sends a command and waits for its answer.
    pub fn ask(&mut self, command: &str) -> Result<String> {
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

/// The bus and the clock have it in common.
pub type Shared = Rc<RefCell<Simulation>>;

/// Time passes in the simulation.
pub struct Clock(pub Shared);

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
pub struct Case {
    /// The model's file.
    pub bytes: Vec<u8>,
    /// What it sees.
    pub image: RandomImage,
    segments: RandomSegments,
}

impl Case {
    /// With an image and `count` segments from the seed.
    pub fn new(bytes: Vec<u8>, seed: u64, count: usize) -> Result<Self> {
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

    /// A small random model with an image and segments.
    pub fn random(seed: u64) -> Result<Self> {
        let options = Options {
            max_side: 12,
            max_macs: 8_000,
            max_channels: 12,
            ..Options::default()
        };
        Self::new(random_model(seed, &options).to_bytes()?, seed, 6)
    }

    /// Labels the image by the engine; compares logits and labels with the software's. What computed them.
    pub fn check<T: Transport>(&self, device: &mut Device<T, Clock>) -> Result<Backend<T::Error>> {
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
        .map_err(|error| anyhow!("{error}"))?;

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

    /// The model as the engine takes it; `None` if that is not possible.
    pub fn compile(&self, folding: Folding) -> Result<Option<Vec<u8>>> {
        match compile(&Model::parse(&self.bytes)?, folding, &limits()) {
            Ok(engine) => Ok(Some(engine.file())),
            Err(error) => {
                println!("not for the engine: {error}");
                Ok(None)
            }
        }
    }

    /// Tries the model as compiled for engines with another `SIDE` and with more weights inside, which this one must refuse;
    /// how many were.
    pub fn refusals<T: Transport>(
        &self,
        device: &mut Device<T, Clock>,
        folding: Folding,
    ) -> Result<usize> {
        let engine = device.instance().map_err(|error| anyhow!("{error}"))?;
        let known = limits();
        let simulated = Instance {
            feature_words: known.feature_words,
            weight_words: known.weight_words,
            channels: known.channels,
            store_words: known.store_words,
            side: known.side,
            classes: 16,
            general_scale: true,
            average_pool: true,
        };
        ensure!(engine == simulated, "{engine:?} and not {simulated:?}");
        let side = Limits {
            side: 2 * known.side,
            ..known
        };
        let inside = Limits {
            weight_words: Limits::FORMAT.weight_words,
            ..known
        };
        let mut refused = 0;
        for other in [side, inside] {
            let file = compile(&Model::parse(&self.bytes)?, folding, &other)?.file();
            let configuration = Configuration::parse(&file)?;
            // A small model's weights find room in any.
            if engine.runs(&configuration.instance()) {
                continue;
            }
            let loaded = device.load(&configuration);
            ensure!(
                matches!(loaded, Err(DeviceError::Instance)),
                "another engine's configuration: {loaded:?}"
            );
            refused += 1;
        }
        Ok(refused)
    }
}

/// The driver on this bus, with the configuration loaded.
pub fn load<T: Transport>(
    transport: T,
    simulation: &Shared,
    configuration: &Configuration<'_>,
) -> Result<Device<T, Clock>> {
    let mut device = Device::new(transport, Clock(Rc::clone(simulation)), POLICY);
    device
        .load(configuration)
        .map_err(|error| anyhow!("load: {error}"))?;
    Ok(device)
}
