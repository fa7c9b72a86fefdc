//! The driver of the engine: over a line that fails in any way, what comes out is right; with an engine that answers
//! anything, the driver comes to an end, and what the software computes in its place is right.

#[path = "../../../../crates/cfm-device/tests/fake_engine/mod.rs"]
#[allow(dead_code, missing_docs)]
mod fake_engine;

use crate::arbitrary_engine::{Answers, ArbitraryBus, ArbitrarySpi};
use arbitrary::{Arbitrary, Unstructured};
use cfm_core::kernels::Portable;
use cfm_core::model::Model;
use cfm_core::segment::Segment;
use cfm_device::{
    Backend, Configuration, Device, FrameMemory, FrameSource, MmioTransport, Policy, SpiTransport,
    Transport, WeightMemory, score_frame,
};
use cfm_model::random::{Options, RandomImage, random_image, random_model, random_segments};
use cfm_sim::core_trace;
use cfm_sim::trace::Inputs;
use embedded_hal::delay::DelayNs;
use fake_engine::{FakeEngine, Fault, configuration};

const FOLDING: u32 = 8 | 10 << 8;

const POLICY: Policy = Policy {
    attempts: 4,
    poll_us: 100,
    timeout_us: 2_000,
};

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    seed: u8,
    /// Blocks of the configuration: outside or not, address, number of words.
    blocks: Vec<(bool, u32, u8)>,
    engine: Engine<'a>,
}

#[derive(Arbitrary, Debug)]
enum Engine<'a> {
    /// A good one behind a line with faults: transfers between them, what happens, a bit.
    Faults(bool, Vec<(u8, u8, u16)>),
    Spi(&'a [u8]),
    /// The memory for weights: address and words, if there is one.
    Mmio(Option<(u32, u16)>, &'a [u8]),
}

struct NoDelay;

impl DelayNs for NoDelay {
    fn delay_ns(&mut self, _: u32) {}
}

struct Pixels<'a>(&'a RandomImage);

impl FrameSource for Pixels<'_> {
    type Error = ();

    fn row(&mut self, y: u16, row: &mut [u8]) -> Result<(), ()> {
        let mut rows = self.0.pixels.chunks_exact(row.len());
        row.copy_from_slice(rows.nth(y.into()).ok_or(())?);
        Ok(())
    }
}

/// What is sent to the engine, and the logits that must come back.
struct Frame<'a> {
    model: Model<'a>,
    configuration: Configuration<'a>,
    image: &'a RandomImage,
    segments: &'a [Segment<'a>],
    logits: &'a [Vec<i16>],
}

impl Frame<'_> {
    /// Loads the model and scores the frame. `honest` engines must not return anything but the right logits.
    fn run(&self, transport: impl Transport, honest: bool) {
        let model = &self.model;
        let mut device = Device::new(transport, NoDelay, POLICY);
        if device.load(&self.configuration).is_err() {
            let _ = device.select(&self.configuration);
        }
        let mut results = vec![Vec::new(); self.segments.len()];
        let backend = score_frame(
            &mut device,
            model,
            Portable,
            &mut Pixels(self.image),
            self.segments,
            &[],
            FrameMemory {
                row: &mut vec![0; model.input().row_len()],
                logits: &mut vec![0; model.class_count()],
                arena: &mut vec![0; model.arena_bytes()],
            },
            |index, logits| results[index] = logits.to_vec(),
        )
        .expect("the software computes what the engine does not");
        if honest || matches!(backend, Backend::Software(_)) {
            assert_eq!(results, self.logits, "{backend:?}");
        }
        let _ = device.cycles();
    }
}

/// Runs the target on these bytes.
///
/// # Panics
/// When what must hold does not.
pub fn run(data: &[u8]) {
    let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(data)) else {
        return;
    };
    let options = Options {
        max_side: 10,
        max_channels: 4,
        max_layers: 2,
        max_classes: 6,
        max_macs: 1_000,
        rgb_only: false,
    };
    let seed = u64::from(case.seed);
    let spec = random_model(seed, &options);
    let bytes = spec.to_bytes().expect("random models can be written");
    let model = Model::parse(&bytes).expect("random models are valid");
    let image = random_image(seed, spec.input);
    let mut segments = random_segments(seed, spec.input.width, spec.input.height, 4);
    // The fake engine's memory for maps is its caller's; runs are all that it needs.
    segments
        .segments
        .retain(|segment| matches!(segment.view(), Segment::Runs(_)));
    let views = segments.views();
    let inputs = Inputs {
        image: image.view().expect("random images are valid"),
        maps: &[],
        segments: &views,
        rule: segments.applicable(model.labelling()),
    };
    let features = core_trace::whole_image(&model, &inputs.image, Portable).expect("it computes");
    let logits = core_trace::logits(&model, &features, &inputs, Portable).expect("it scores");

    let blocks: Vec<(bool, u32, u32)> = case
        .blocks
        .iter()
        .take(8)
        .map(|&(external, address, length)| (external, address % (1 << 20), length.into()))
        .collect();
    let file = configuration(&model, FOLDING, &blocks);
    let frame = Frame {
        model: model.clone(),
        configuration: Configuration::parse(&file).expect("the configuration is whole"),
        image: &image,
        segments: &views,
        logits: &logits,
    };
    match case.engine {
        Engine::Faults(small, faults) => {
            let mut engine = FakeEngine::new(&bytes, FOLDING);
            engine.logit_room = if small { model.class_count() + 1 } else { 256 };
            let mut at = 0;
            engine.faults = faults
                .iter()
                .map(|&(after, fault, bit)| {
                    at += usize::from(after) + 1;
                    let bit = bit.into();
                    let faults = [
                        Fault::Request(bit),
                        Fault::Response(bit),
                        Fault::NoResponse,
                        Fault::Bus,
                        Fault::Reset,
                        Fault::Stuck,
                        Fault::Dead,
                    ];
                    (at - 1, faults[usize::from(fault) % faults.len()])
                })
                .collect();
            frame.run(SpiTransport::new(engine), true);
        }
        Engine::Spi(bytes) => {
            frame.run(SpiTransport::new(ArbitrarySpi(Answers::new(bytes))), false);
        }
        Engine::Mmio(weights, bytes) => {
            let weights = weights.map(|(address, words)| WeightMemory {
                address,
                words: words.into(),
            });
            let bus = ArbitraryBus::new(Answers::new(bytes), weights);
            frame.run(MmioTransport::over(bus), false);
        }
    }
}
