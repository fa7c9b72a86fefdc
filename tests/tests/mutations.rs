//! Hostile models: valid files with bytes changed and the checksum repaired are refused, or computed right.

use cfm_core::model::{Model, ModelErrorKind, crc32};
use cfm_model::random::{Options, random_image, random_model, random_segments};
use cfm_model::spec::InputSpec;
use cfm_sim::parity::{self, Naming};
use cfm_sim::trace::Inputs;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

const OPTIONS: Options = Options {
    max_side: 12,
    max_channels: 6,
    max_layers: 5,
    max_classes: 6,
    max_macs: 10_000,
    rgb_only: true,
};

/// Mutants that would compute for longer than a test should are only parsed.
const MAX_ARENA: usize = 1 << 18;

fn repair(bytes: &mut [u8]) {
    let crc = crc32(&bytes[16..]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
}

/// What became of a mutant.
enum Fate {
    Refused,
    /// Accepted, but it would compute for longer than a test should.
    TooLarge,
    /// Accepted, and every tensor equals the reference's.
    Equal,
}

/// Parses a mutant and, if it is accepted, runs it and the reference.
fn fate(bytes: &[u8], seed: u64) -> Fate {
    let Ok(model) = Model::parse(bytes) else {
        return Fate::Refused;
    };
    let input = model.input();
    if model.arena_bytes() > MAX_ARENA {
        return Fate::TooLarge;
    }
    let image = random_image(
        seed,
        InputSpec {
            height: input.height,
            width: input.width,
            channels: input.channels,
        },
    );
    let segments = random_segments(seed, input.width, input.height, 4);
    let inputs = Inputs {
        image: image.view().expect("random images are valid"),
        maps: &segments.map_views().expect("random maps are valid"),
        segments: &segments.views(),
        rule: segments.applicable(model.labelling()),
    };
    let report = parity::check(&model, &inputs, Naming::Layers).expect("both sides compute");
    assert_eq!(report.mismatches(), 0, "{report}");
    Fate::Equal
}

#[test]
fn changed_bytes_are_refused_or_computed_right() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let (mut equal, mut refused) = (0, 0);
    for seed in 0..150 {
        let original = random_model(seed, &OPTIONS)
            .to_bytes()
            .expect("random models can be written");
        for _ in 0..60 {
            let mut bytes = original.clone();
            for _ in 0..=random.next_u32() % 3 {
                // Mostly the structure, which stands first; weights are less interesting.
                let span = if random.next_u32() % 4 == 0 {
                    bytes.len()
                } else {
                    bytes.len().min(700)
                };
                let at = random.next_u32() as usize % span;
                bytes[at] = match random.next_u32() % 5 {
                    0 => 0,
                    1 => 0xFF,
                    2 => bytes[at].wrapping_add(1),
                    3 => bytes[at] ^ (1 << (random.next_u32() % 8)),
                    _ => random.next_u32() as u8,
                };
            }
            repair(&mut bytes);
            match fate(&bytes, seed) {
                Fate::Refused => refused += 1,
                Fate::TooLarge => {}
                Fate::Equal => equal += 1,
            }
        }
    }
    assert!(
        equal > 500 && refused > 1000,
        "{equal} computed, {refused} refused"
    );
}

#[test]
fn every_flipped_bit_is_noticed() {
    let original = random_model(3, &OPTIONS)
        .to_bytes()
        .expect("random models can be written");
    for bit in 0..original.len() * 8 {
        let mut bytes = original.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // The minor version and the header's other fields before the checksum are checked by themselves.
        let minor = bit / 8 == 6 || bit / 8 == 7;
        assert_eq!(Model::parse(&bytes).is_err(), !minor, "bit {bit}");
    }
}

#[test]
fn every_truncation_is_noticed() {
    let original = random_model(3, &OPTIONS)
        .to_bytes()
        .expect("random models can be written");
    for length in 0..original.len() {
        let error = Model::parse(&original[..length]).expect_err("a part is no model");
        assert_eq!(error.kind, ModelErrorKind::Length);
    }
    let mut longer = original;
    longer.push(0);
    assert_eq!(
        Model::parse(&longer).map(|_| ()).map_err(|e| e.kind),
        Err(ModelErrorKind::Length)
    );
}
