//! The driver against an engine written from the protocol's page, over a line that fails in every way.
#![allow(missing_docs)]

mod fake_engine;

use std::collections::BTreeMap;

use cfm_core::kernels::Portable;
use cfm_core::model::Model;
use cfm_core::segment::{Run, Segment};
use cfm_core::superpixel_index::{CellCount, Superpixel, SuperpixelIndex, SuperpixelTally};
use cfm_device::{
    Backend, Configuration, ConfigurationError, Device, DeviceError, FrameError, FrameMemory,
    FrameSource, Policy, SpiTransport, score_frame,
};
use cfm_model::random::{Options, random_image, random_model, random_segments};
use embedded_hal::delay::DelayNs;
use fake_engine::{FakeEngine, Fault, INSTANCE, MAGIC, crc32};

const FOLDING: u32 = 8 | 10 << 8;

struct NoDelay;

impl DelayNs for NoDelay {
    fn delay_ns(&mut self, _: u32) {}
}

const POLICY: Policy = Policy {
    attempts: 4,
    poll_us: 100,
    timeout_us: 5_000,
};

/// A configuration with two blocks for the bus and one for the memory outside.
fn configuration(model: &[u8], folding: u32) -> Vec<u8> {
    let blocks = [(false, 0, 150), (false, 0x8_0000, 64), (true, 7, 130)];
    fake_engine::configuration(&Model::parse(model).unwrap(), folding, &blocks)
}

/// The words of a configuration for the bus, by address.
fn contents(configuration: &Configuration<'_>) -> BTreeMap<u32, u32> {
    configuration
        .blocks()
        .filter(|block| !block.external)
        .flat_map(|block| (block.address..).zip(block.words()))
        .collect()
}

/// The file with another word in it, and a checksum that fits.
fn patched(mut file: Vec<u8>, word: usize, value: u32) -> Vec<u8> {
    file[4 * word..][..4].copy_from_slice(&value.to_le_bytes());
    let check = crc32(&file[8..]);
    file[4..8].copy_from_slice(&check.to_le_bytes());
    file
}

struct Pixels<'a>(&'a [u8], usize);

impl FrameSource for Pixels<'_> {
    type Error = ();

    fn row(&mut self, y: u16, row: &mut [u8]) -> Result<(), ()> {
        let from = self.0.get(usize::from(y) * self.1..).ok_or(())?;
        row.copy_from_slice(from.get(..self.1).ok_or(())?);
        Ok(())
    }
}

/// Models that take little time in Miri, too.
fn small() -> Options {
    Options {
        max_side: 20,
        max_macs: 20_000,
        ..Options::default()
    }
}

/// A random model, its image and segments, run with these faults: what computed it, the transfers it took, and the
/// engine afterwards answering again.
fn run(
    seed: u64,
    logit_room: usize,
    faults: Vec<(usize, Fault)>,
) -> (Backend<embedded_hal::spi::ErrorKind>, usize) {
    let spec = random_model(seed, &small());
    let bytes = spec.to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let image = random_image(seed, spec.input);
    let segments = random_segments(seed, spec.input.width, spec.input.height, 7);
    let map_views = segments.map_views().unwrap();
    let mut superpixels = vec![Vec::new(); map_views.len()];
    let mut counts = vec![Vec::new(); map_views.len()];
    let maps: Vec<SuperpixelIndex<'_>> = map_views
        .iter()
        .zip(&mut superpixels)
        .zip(&mut counts)
        .map(|((view, superpixels), counts)| {
            *superpixels = vec![Superpixel::EMPTY; usize::from(view.count())];
            let tally = SuperpixelTally::new(*view, &model, superpixels).unwrap();
            *counts = vec![CellCount::EMPTY; tally.counts_needed()];
            tally.build(counts).unwrap()
        })
        .collect();
    let views: Vec<Segment<'_>> = segments.views();

    let file = configuration(&bytes, FOLDING);
    let configuration = Configuration::parse(&file).unwrap();
    let mut engine = FakeEngine::new(&bytes, FOLDING);
    engine.logit_room = logit_room.max(model.class_count() + 1);
    let mut device = Device::new(SpiTransport::new(engine), NoDelay, POLICY);
    device.load(&configuration).unwrap();
    let (transport, delay) = device.release();
    let mut engine = transport.release();
    assert_eq!(engine.loaded(), contents(&configuration));
    assert_eq!(engine.configuration.last(), Some(&(0, MAGIC)));
    assert_eq!(engine.external.len(), 130);
    let start = engine.transfers();
    engine.faults = faults
        .into_iter()
        .map(|(at, fault)| (start + at, fault))
        .collect();

    let mut device = Device::new(SpiTransport::new(engine), delay, POLICY);
    let started = device.select(&configuration);
    let mut arena = vec![0; model.arena_bytes()];
    let mut row = vec![0; model.input().row_len()];
    let mut logits = vec![0; model.class_count()];
    let mut results = vec![None; views.len()];
    let backend = score_frame(
        &mut device,
        &model,
        Portable,
        &mut Pixels(&image.pixels, model.input().row_len()),
        &views,
        &maps,
        FrameMemory {
            row: &mut row,
            logits: &mut logits,
            arena: &mut arena,
        },
        |index, logits| results[index] = Some(logits.to_vec()),
    )
    .unwrap();
    if backend == Backend::Engine {
        started.unwrap();
    }

    // The core's own, computed apart.
    let mut arena = vec![0; model.arena_bytes()];
    let mut executor = cfm_core::executor::Executor::new(&model, &mut arena).unwrap();
    executor.push_image(&image.view().unwrap()).unwrap();
    let (features, scratch) = executor.finish().unwrap();
    let mut scorer = cfm_core::scorer::Scorer::new(&model, features, scratch).unwrap();
    for (segment, result) in views.iter().zip(&results) {
        scorer.score(segment, &maps, &mut logits).unwrap();
        assert_eq!(result.as_ref(), Some(&logits), "seed {seed}");
    }
    let (transport, _) = device.release();
    (backend, transport.release().transfers() - start)
}

/// Of all places of a fault: every one, but few in Miri, where a frame takes many seconds.
const STEP: usize = if cfg!(miri) { 67 } else { 1 };

#[test]
fn the_engine_returns_what_the_core_does() {
    for seed in (0..60).step_by(STEP) {
        let (backend, _) = run(seed, 256, Vec::new());
        assert_eq!(backend, Backend::Engine, "seed {seed}");
    }
}

#[test]
fn a_small_logits_fifo_does_not_lock_up() {
    for seed in (0..20).step_by(STEP) {
        let (backend, _) = run(seed, 1, Vec::new());
        assert_eq!(backend, Backend::Engine, "seed {seed}");
    }
}

#[test]
fn a_disturbance_of_any_transfer_is_repaired() {
    let (_, transfers) = run(3, 256, Vec::new());
    for at in (0..transfers).step_by(STEP) {
        for fault in [
            Fault::Request(at * 7),
            Fault::Response(at * 11),
            Fault::NoResponse,
            Fault::Bus,
        ] {
            let (backend, _) = run(3, 256, vec![(at, fault)]);
            assert_eq!(backend, Backend::Engine, "{fault:?} at {at}");
        }
    }
}

#[test]
fn every_flipped_bit_of_a_request_and_of_a_response_is_noticed() {
    // Transfer 9 or so: a push with its longest payload.
    for bit in (0..600).step_by(STEP * STEP.min(5)) {
        for fault in [Fault::Request(bit), Fault::Response(bit)] {
            assert_eq!(
                run(3, 256, vec![(9, fault)]).0,
                Backend::Engine,
                "{fault:?}"
            );
        }
    }
}

#[test]
fn software_takes_over_when_the_engine_dies_or_is_reset() {
    let (_, transfers) = run(5, 256, Vec::new());
    let mut taken_over = 0;
    for at in (0..transfers).step_by(STEP) {
        for fault in [Fault::Dead, Fault::Reset, Fault::Stuck] {
            let (backend, _) = run(5, 256, vec![(at, fault)]);
            // A reset before the frame begins, or after it has ended, is none of its business.
            taken_over += usize::from(backend != Backend::Engine);
            if fault == Fault::Dead && at + 1 < transfers {
                assert!(matches!(backend, Backend::Software(_)), "{fault:?} at {at}");
            }
        }
    }
    assert!(
        cfg!(miri) || taken_over > 2 * transfers,
        "{taken_over} of {transfers}"
    );
}

#[test]
fn lasting_disturbance_is_an_error_of_its_own() {
    let faults = (8..20).map(|at| (at, Fault::Response(5))).collect();
    let (backend, _) = run(3, 256, faults);
    assert_eq!(backend, Backend::Software(DeviceError::Disturbed));
    let faults = (8..20).map(|at| (at, Fault::Bus)).collect();
    let (backend, _) = run(3, 256, faults);
    assert_eq!(
        backend,
        Backend::Software(DeviceError::Bus(embedded_hal::spi::ErrorKind::Other))
    );
}

#[test]
fn images_that_the_registers_cannot_count_are_refused() {
    let bytes = random_model(1, &small()).to_bytes().unwrap();
    // Samples per pixel, and per row.
    for (word, least) in [(4, 1 << 8), (5, 1 << 16)] {
        let load = |value: u32| {
            let file = patched(configuration(&bytes, FOLDING), word, value);
            let transport = SpiTransport::new(FakeEngine::new(&bytes, FOLDING));
            Device::new(transport, NoDelay, POLICY).load(&Configuration::parse(&file).unwrap())
        };
        assert_eq!(load(least - 1), Ok(()));
        assert_eq!(load(least), Err(DeviceError::Image));
    }
}

#[test]
fn broken_configurations_are_refused() {
    let bytes = random_model(1, &small()).to_bytes().unwrap();
    let file = configuration(&bytes, FOLDING);
    assert!(Configuration::parse(&file).is_ok());
    let error = |bytes: &[u8]| Configuration::parse(bytes).unwrap_err();
    assert_eq!(error(&[]), ConfigurationError::Magic);
    assert_eq!(
        error(b"something else altogether"),
        ConfigurationError::Magic
    );
    for length in (4..file.len()).step_by(STEP) {
        let error = error(&file[..length]);
        assert!(
            matches!(
                error,
                ConfigurationError::Length | ConfigurationError::Checksum
            ),
            "{length}"
        );
    }
    for bit in (32..8 * file.len()).step_by(STEP * STEP) {
        let mut broken = file.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(error(&broken), ConfigurationError::Checksum, "bit {bit}");
    }
    // With a checksum that fits, the lengths must still add up.
    for (word, value) in [(7, 2_u32), (7, 4), (16, 151), (16, u32::MAX)] {
        let broken = patched(file.clone(), word, value);
        assert_eq!(error(&broken), ConfigurationError::Length, "word {word}");
    }
}

#[test]
fn another_folding_or_another_model_is_refused() {
    let bytes = random_model(1, &small()).to_bytes().unwrap();
    let device = || {
        Device::new(
            SpiTransport::new(FakeEngine::new(&bytes, FOLDING)),
            NoDelay,
            POLICY,
        )
    };
    let load = |file: &[u8]| device().load(&Configuration::parse(file).unwrap());
    assert_eq!(load(&configuration(&bytes, FOLDING)), Ok(()));
    assert_eq!(
        load(&configuration(&bytes, 4 | 3 << 8)),
        Err(DeviceError::Folding)
    );
    // A file that says it is of another model than its blocks.
    let other = patched(configuration(&bytes, FOLDING), 2, 7);
    assert_eq!(load(&other), Err(DeviceError::NotConfigured));
    let mut fresh = device();
    assert_eq!(fresh.begin_frame(), Err(DeviceError::NotConfigured));
    assert_eq!(fresh.push_row(&[1]), Err(DeviceError::Argument));
}

#[test]
fn a_configuration_for_another_instance_is_refused() {
    let bytes = random_model(1, &small()).to_bytes().unwrap();
    // The number of the parameter, what is added to it, and whether it still runs.
    let all = u32::MAX;
    let of_memories = (0..4).flat_map(|at| [(at, all, true), (at, 1, false)]);
    let side = [
        (4, all, false),
        (4, 256, false),
        (4, 128_u32.wrapping_neg(), false),
    ];
    let classes = [(5, all, true), (5, 1, false)];
    for (at, added, runs) in of_memories.chain(side).chain(classes) {
        let value = INSTANCE[at].wrapping_add(added);
        let file = patched(configuration(&bytes, FOLDING), 8 + at, value);
        let configuration = Configuration::parse(&file).unwrap();
        let transport = SpiTransport::new(FakeEngine::new(&bytes, FOLDING));
        let mut device = Device::new(transport, NoDelay, POLICY);
        let expected = if runs {
            Ok(())
        } else {
            Err(DeviceError::Instance)
        };
        assert_eq!(device.load(&configuration), expected, "{at} + {added}");
        let nothing = device.release().0.release().configuration.is_empty();
        assert_eq!(nothing, !runs, "{at} + {added}");
    }
}

#[test]
fn units_that_an_engine_has_not_are_refused() {
    let engine = |general_scale, average_pool| {
        let units = u32::from(general_scale) << 16 | u32::from(average_pool) << 17;
        let bytes = random_model(1, &small()).to_bytes().unwrap();
        let file = patched(configuration(&bytes, FOLDING), 13, 2 | units);
        Configuration::parse(&file).unwrap().instance()
    };
    let all = [(false, false), (false, true), (true, false), (true, true)];
    for (scale, pool) in all {
        assert_eq!(engine(scale, pool).classes, 2);
        for (other_scale, other_pool) in all {
            let runs = engine(scale, pool).runs(&engine(other_scale, other_pool));
            assert_eq!(runs, scale >= other_scale && pool >= other_pool);
        }
    }
}

#[test]
fn an_engine_of_an_older_register_map_is_refused() {
    let bytes = random_model(1, &small()).to_bytes().unwrap();
    for (version, known) in [
        (0x0001_0001, true),
        (0x0001_0007, true),
        (0x0001_0000, false),
        (0x0000_0001, false),
        (0x0002_0001, false),
    ] {
        let mut engine = FakeEngine::new(&bytes, FOLDING);
        engine.version = version;
        let found = Device::new(SpiTransport::new(engine), NoDelay, POLICY).identify();
        assert_eq!(found.is_ok(), known, "{version:x}");
        assert!(known || found == Err(DeviceError::NotAnEngine));
    }
}

#[test]
fn a_row_beside_a_frame_is_not_sent() {
    let spec = random_model(4, &small());
    let bytes = spec.to_bytes().unwrap();
    let row = vec![0; spec.input.width as usize * spec.input.channels as usize];
    let mut logits = vec![0; spec.classes.len()];
    with_model(&bytes, |mut device| {
        for _ in 0..2 {
            for _ in 0..spec.input.height {
                device.push_row(&row).unwrap();
            }
            assert_eq!(device.push_row(&row), Err(DeviceError::Argument));
            let end = device.scoring(&mut logits).finish(|_, _, _| {});
            assert_eq!(end, Ok(()));
            // The frame is over, and the next one has not begun.
            assert_eq!(device.push_row(&row), Err(DeviceError::Argument));
            device.begin_frame().unwrap();
        }
        device.push_row(&row).unwrap();
        device.reset().unwrap();
        assert_eq!(device.push_row(&row), Err(DeviceError::Argument));
        assert!(device.release().0.release().image_is_empty());
    });
}

/// A device with a model loaded, whose image is `width` by `height` pixels.
fn with_model(bytes: &[u8], check: impl FnOnce(Device<SpiTransport<FakeEngine<'_>>, NoDelay>)) {
    let file = configuration(bytes, FOLDING);
    let engine = FakeEngine::new(bytes, FOLDING);
    let mut device = Device::new(SpiTransport::new(engine), NoDelay, POLICY);
    device.load(&Configuration::parse(&file).unwrap()).unwrap();
    device.begin_frame().unwrap();
    check(device);
}

#[test]
fn a_box_that_is_not_inside_the_image_is_not_sent() {
    let spec = random_model(4, &small());
    let bytes = spec.to_bytes().unwrap();
    let (width, height) = (u32::from(spec.input.width), u32::from(spec.input.height));
    let classes = spec.classes.len();
    let pair = |low: u32, high: u32| low | high << 16;
    let boxes = [
        // Beyond an edge, by a pixel and by all there is.
        (0, 0, width, 0),
        (0, 0, 0, height),
        (width, 0, width, 0),
        (0, height, 0, height),
        (0, 0, 0xFFFF, 0xFFFF),
        // Ends before it begins.
        (1, 0, 0, 0),
        (0, 1, 0, 0),
        // The end of the frame.
        (0xFFFF, 0xFFFF, 0, 0),
    ];
    for (left, top, right, bottom) in boxes {
        with_model(&bytes, |mut device| {
            let words = [pair(left, top), pair(right, bottom)];
            // As many words as it would take, so that only the box can be the reason.
            let words = words.into_iter().chain(std::iter::repeat_n(1, 4096));
            let mut logits = vec![0; classes];
            let result = device.scoring(&mut logits).push(words, |_, _, _| {});
            assert_eq!(
                result,
                Err(DeviceError::Argument),
                "{left} {top} {right} {bottom}"
            );
            let (transport, _) = device.release();
            assert_eq!(transport.release().masks_seen, 0);
        });
    }
}

#[test]
fn a_segment_with_too_few_or_too_many_words_is_refused() {
    let spec = random_model(4, &small());
    let bytes = spec.to_bytes().unwrap();
    let (width, height) = (u32::from(spec.input.width), u32::from(spec.input.height));
    let classes = spec.classes.len();
    let right = (width - 1) | (height - 1) << 16;
    let needed = (width.div_ceil(32) * height) as usize;
    for (count, result) in [
        (needed, Ok(())),
        (needed - 1, Err(DeviceError::Argument)),
        (needed + 1, Err(DeviceError::Argument)),
        (0, Err(DeviceError::Argument)),
    ] {
        with_model(&bytes, |mut device| {
            let words = [0, right].into_iter().chain(std::iter::repeat_n(1, count));
            let mut logits = vec![0; classes];
            let pushed = device.scoring(&mut logits).push(words, |_, _, _| {});
            assert_eq!(pushed, result, "{count} of {needed} words");
            // What is too much has stayed here.
            let (transport, _) = device.release();
            assert_eq!(transport.release().masks_seen, 2 + count.min(needed));
        });
    }
    with_model(&bytes, |mut device| {
        let mut logits = vec![0; classes];
        let pushed = device
            .scoring(&mut logits)
            .push([0].into_iter(), |_, _, _| {});
        assert_eq!(pushed, Err(DeviceError::Argument));
    });
}

#[test]
fn a_slice_for_logits_of_another_length_is_refused() {
    let spec = random_model(4, &small());
    let bytes = spec.to_bytes().unwrap();
    let classes = spec.classes.len();
    let (width, height) = (u32::from(spec.input.width), u32::from(spec.input.height));
    let count = (width.div_ceil(32) * height) as usize;
    for (length, result) in [
        (classes, Ok(())),
        (classes - 1, Err(DeviceError::Argument)),
        (classes + 1, Err(DeviceError::Argument)),
        (0, Err(DeviceError::Argument)),
    ] {
        with_model(&bytes, |mut device| {
            let row = vec![0; spec.input.width as usize * spec.input.channels as usize];
            for _ in 0..spec.input.height {
                device.push_row(&row).unwrap();
            }
            let right = (width - 1) | (height - 1) << 16;
            let words = [0, right].into_iter().chain(std::iter::repeat_n(1, count));
            let mut logits = vec![0; length];
            let mut scored = 0;
            let mut scoring = device.scoring(&mut logits);
            let pushed = scoring.push(words, |_, _, _| scored += 1);
            assert_eq!(pushed, result, "{length} of {classes}");
            let finished = scoring.finish(|_, _, _| scored += 1);
            assert_eq!(finished, result, "{length} of {classes}");
            let (transport, _) = device.release();
            assert_eq!(
                (scored, transport.release().masks_seen),
                if result.is_ok() {
                    (1, count + 3)
                } else {
                    (0, 0)
                }
            );
        });
    }
}

/// Rows of which one cannot be had.
struct Broken<'a>(Pixels<'a>, u16);

impl FrameSource for Broken<'_> {
    type Error = ();

    fn row(&mut self, y: u16, row: &mut [u8]) -> Result<(), ()> {
        if y == self.1 {
            return Err(());
        }
        self.0.row(y, row)
    }
}

#[test]
fn a_source_that_fails_leaves_an_engine_for_the_next_frame() {
    let spec = random_model(4, &small());
    let bytes = spec.to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let image = random_image(4, spec.input);
    let row_len = model.input().row_len();
    with_model(&bytes, |device| {
        let (transport, _) = device.release();
        let file = configuration(&bytes, FOLDING);
        // A wait would be an error.
        let patience = Policy {
            timeout_us: 0,
            ..POLICY
        };
        let mut device = Device::new(SpiTransport::new(transport.release()), NoDelay, patience);
        device
            .select(&Configuration::parse(&file).unwrap())
            .unwrap();
        let mut frame = |fails_at| {
            score_frame(
                &mut device,
                &model,
                Portable,
                &mut Broken(Pixels(&image.pixels, row_len), fails_at),
                &[],
                &[],
                FrameMemory {
                    row: &mut vec![0; row_len],
                    logits: &mut vec![0; model.class_count()],
                    arena: &mut vec![0; model.arena_bytes()],
                },
                |_, _| {},
            )
        };
        for fails_at in [0, 1, spec.input.height - 1] {
            assert_eq!(frame(fails_at), Err(FrameError::Source(())));
            assert_eq!(frame(u16::MAX), Ok(Backend::Engine), "row {fails_at}");
        }
    });
}

#[test]
fn an_engine_that_was_used_can_be_selected() {
    let spec = random_model(4, &small());
    let bytes = spec.to_bytes().unwrap();
    let row = vec![0; spec.input.width as usize * spec.input.channels as usize];
    with_model(&bytes, |mut device| {
        // Another driver's: its counts are not those of a new one, and its frame is open.
        device.push_row(&row).unwrap();
        let (transport, _) = device.release();
        let file = configuration(&bytes, FOLDING);
        let mut device = Device::new(SpiTransport::new(transport.release()), NoDelay, POLICY);
        device
            .select(&Configuration::parse(&file).unwrap())
            .unwrap();
        device.begin_frame().unwrap();
        for _ in 0..spec.input.height {
            device.push_row(&row).unwrap();
        }
        let mut logits = vec![0; spec.classes.len()];
        device
            .scoring(&mut logits)
            .finish(|_, _, _| {})
            .expect("no segments");
    });
}

#[test]
fn a_reset_that_fails_half_way_forgets_the_counts_too() {
    let spec = random_model(4, &small());
    let bytes = spec.to_bytes().unwrap();
    let row = vec![0; spec.input.width as usize * spec.input.channels as usize];
    with_model(&bytes, |mut device| {
        device.push_row(&row).unwrap();
        let (transport, _) = device.release();
        let mut engine = transport.release();
        let file = configuration(&bytes, FOLDING);
        // Transfers from here: who is there, reset, its end, the beginning of a frame (6), and a row.
        let row_transfers = row.len().div_ceil(4 * 64);
        let at = engine.transfers() + 3 + 6 + row_transfers;
        // The reset's second write, in every attempt.
        engine.faults = (1..=POLICY.attempts as usize)
            .map(|attempt| (at + attempt, Fault::Request(9)))
            .collect();
        let mut device = Device::new(SpiTransport::new(engine), NoDelay, POLICY);
        device
            .select(&Configuration::parse(&file).unwrap())
            .unwrap();
        device.begin_frame().unwrap();
        device.push_row(&row).unwrap();
        assert_eq!(device.reset(), Err(DeviceError::Disturbed));
        device.begin_frame().unwrap();
        device.push_row(&row).unwrap();
    });
}

#[test]
fn what_the_core_refuses_does_not_reach_the_engine() {
    let spec = random_model(4, &small());
    let bytes = spec.to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let image = random_image(4, spec.input);
    let (width, height) = (spec.input.width, spec.input.height);
    let run = |y, x0, x1| Run { y, x0, x1 };
    let segments: [&[Run]; 8] = [
        &[],
        &[run(0, 1, 1)],
        &[run(0, 2, 1)],
        &[run(0, 0, width + 1)],
        &[run(height, 0, 1)],
        &[run(1, 0, 1), run(0, 0, 1)],
        &[run(0, 0, 2), run(0, 1, 3)],
        &[run(0, 0, 1), run(0, 5, 4)],
    ];
    for runs in segments {
        let file = configuration(&bytes, FOLDING);
        let engine = FakeEngine::new(&bytes, FOLDING);
        let mut device = Device::new(SpiTransport::new(engine), NoDelay, POLICY);
        device.load(&Configuration::parse(&file).unwrap()).unwrap();
        let mut arena = vec![0; model.arena_bytes()];
        let mut row = vec![0; model.input().row_len()];
        let mut logits = vec![0; model.class_count()];
        let result = score_frame(
            &mut device,
            &model,
            Portable,
            &mut Pixels(&image.pixels, model.input().row_len()),
            &[Segment::Runs(runs)],
            &[],
            FrameMemory {
                row: &mut row,
                logits: &mut logits,
                arena: &mut arena,
            },
            |_, _| panic!("it was scored: {runs:?}"),
        );
        assert!(matches!(result, Err(FrameError::Score(_))), "{runs:?}");
        let (transport, _) = device.release();
        assert_eq!(transport.release().masks_seen, 0, "{runs:?}");
    }
}

#[test]
fn a_load_that_breaks_off_leaves_no_model() {
    let bytes = random_model(4, &small()).to_bytes().unwrap();
    let file = configuration(&bytes, FOLDING);
    let configuration = Configuration::parse(&file).unwrap();
    let loaded = contents(&configuration);
    let attempts = POLICY.attempts as usize;
    let device = |engine| Device::new(SpiTransport::new(engine), NoDelay, POLICY);
    let mut first = device(FakeEngine::new(&bytes, FOLDING));
    first.load(&configuration).unwrap();
    let transfers = first.release().0.release().transfers();
    let (mut broken_off, mut complete) = (0, 0);
    for at in (0..transfers).step_by(STEP) {
        for fault in [
            Fault::Request(17),
            Fault::NoResponse,
            Fault::Bus,
            Fault::Reset,
        ] {
            // The model is there; then it is loaded again.
            let mut device = device(FakeEngine::new(&bytes, FOLDING));
            device.load(&configuration).unwrap();
            let (transport, delay) = device.release();
            let mut engine = transport.release();
            let start = engine.transfers() + at;
            engine.faults = (start..start + attempts).map(|at| (at, fault)).collect();
            engine.configuration.clear();
            let mut device = Device::new(SpiTransport::new(engine), delay, POLICY);
            device.select(&configuration).ok();
            let result = device.load(&configuration);
            if result.is_err() {
                assert_eq!(device.begin_frame(), Err(DeviceError::NotConfigured));
            }
            let (transport, delay) = device.release();
            let mut engine = transport.release();
            engine.faults.clear();
            let touched = !engine.configuration.is_empty();
            let whole = engine.loaded() == loaded && engine.external.len() == 2 * 130;
            let mut device = Device::new(SpiTransport::new(engine), delay, POLICY);
            let selected = device.select(&configuration);
            if !touched || whole {
                complete += 1;
                assert_eq!(selected, Ok(()), "{fault:?} at {at}");
            } else {
                broken_off += 1;
                let refused = Err(DeviceError::NotConfigured);
                assert_eq!(selected, refused, "{fault:?} at {at}");
            }
        }
    }
    assert!(
        broken_off > complete || cfg!(miri),
        "{broken_off} {complete}"
    );
}

#[test]
fn a_frame_that_has_lost_words_needs_a_reset() {
    let spec = random_model(4, &small());
    let bytes = spec.to_bytes().unwrap();
    let row = vec![0; spec.input.width as usize * spec.input.channels as usize];
    let right = u32::from(spec.input.width - 1) | u32::from(spec.input.height - 1) << 16;
    let words = [0, right].into_iter().chain(std::iter::repeat_n(1, 4096));
    let lost = Err(DeviceError::Lost);
    with_model(&bytes, |device| {
        let (transport, delay) = device.release();
        let engine = transport.release();
        let file = configuration(&bytes, FOLDING);
        let mut device = Device::new(SpiTransport::new(engine), delay, POLICY);
        let configuration = Configuration::parse(&file).unwrap();
        device.select(&configuration).unwrap();
        device.begin_frame().unwrap();
        device.push_row(&row).unwrap();
        // The next row comes, but every response is lost.
        let (mut transport, delay) = device.release();
        let mut engine = transport.release();
        let at = engine.transfers() + 6 + 3 + row.len().div_ceil(4 * 64);
        engine.faults = (at..at + 4).map(|at| (at, Fault::NoResponse)).collect();
        transport = SpiTransport::new(engine);
        let mut device = Device::new(transport, delay, POLICY);
        device.select(&configuration).unwrap();
        device.begin_frame().unwrap();
        device.push_row(&row).unwrap();
        assert_eq!(device.push_row(&row), Err(DeviceError::Disturbed));
        let mut logits = vec![0; spec.classes.len()];
        assert_eq!(device.push_row(&row), lost);
        assert_eq!(device.begin_frame(), lost);
        let mut scoring = device.scoring(&mut logits);
        assert_eq!(scoring.push(words, |_, _, _| {}), lost);
        assert_eq!(scoring.finish(|_, _, _| {}), lost);
        device.reset().unwrap();
        device.begin_frame().unwrap();
        for _ in 0..spec.input.height {
            device.push_row(&row).unwrap();
        }
        assert_eq!(device.scoring(&mut logits).finish(|_, _, _| {}), Ok(()));
    });
}
