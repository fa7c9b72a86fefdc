//! Truncated, bit-flipped and absurd models: a clear error, never a panic.

mod common;

use std::fs;
use std::path::Path;

use cfm_core::model::format::{CHECKED_FROM, HEADER_LEN, SECTION_ENTRY_LEN, tag};
use cfm_core::model::{Model, ModelErrorKind, Part, crc32};
use common::{model_spec, refusal, write_photo};

/// A model file that is changed byte by byte, with a checksum that is right again afterwards.
struct Forgery(Vec<u8>);

impl Forgery {
    fn new() -> Self {
        Self(model_spec().to_bytes().unwrap())
    }

    /// Offset of a section's entry in the table.
    fn entry(&self, tag: [u8; 4]) -> usize {
        (HEADER_LEN..)
            .step_by(SECTION_ENTRY_LEN)
            .find(|&at| self.0[at..at + 4] == tag)
            .unwrap()
    }

    /// Offset of a section.
    fn section(&self, tag: [u8; 4]) -> usize {
        let at = self.entry(tag) + 8;
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap()) as usize
    }

    /// Overwrites bytes of a section.
    fn set(mut self, tag: [u8; 4], offset: usize, bytes: &[u8]) -> Self {
        let at = self.section(tag) + offset;
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Overwrites bytes of a section's entry in the table.
    fn set_entry(mut self, tag: [u8; 4], offset: usize, bytes: &[u8]) -> Self {
        let at = self.entry(tag) + offset;
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn sealed(mut self) -> Vec<u8> {
        let crc = crc32(&self.0[CHECKED_FROM..]);
        self.0[12..16].copy_from_slice(&crc.to_le_bytes());
        self.0
    }
}

fn refused(root: &Path, bytes: &[u8], kind: ModelErrorKind) {
    let error = Model::parse(bytes).unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    fs::write(root.join("bad.cfm"), bytes).unwrap();
    let text = refusal(root, &["inspect", "bad.cfm"]);
    assert_eq!(text, format!("cfm: bad.cfm: {error}"));
}

#[test]
fn absurd_models_with_a_right_checksum_are_refused() {
    use ModelErrorKind as Kind;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let forge = Forgery::new;
    let far = 0xffff_fff0_u32.to_le_bytes();
    let cases = [
        // sizes
        (forge().set(tag::INPUT, 0, &[0, 0]), Kind::Dimension),
        (forge().set(tag::INPUT, 2, &[255, 255]), Kind::Dimension),
        (forge().set(tag::INPUT, 4, &[0, 0]), Kind::Dimension),
        (
            forge().set(tag::INPUT, 0, &[0, 32, 0, 32, 255, 255]),
            Kind::Dimension,
        ),
        (forge().set(tag::LAYERS, 6, &[0, 0]), Kind::Dimension),
        (
            forge().set(tag::LAYERS, 6, &[255, 255]),
            Kind::ParameterRange,
        ),
        // windows
        (forge().set(tag::LAYERS, 8, &[0]), Kind::Window),
        (forge().set(tag::LAYERS, 10, &[0]), Kind::Window),
        (forge().set(tag::LAYERS, 11, &[0]), Kind::Window),
        (forge().set(tag::LAYERS, 12, &[0]), Kind::Window),
        (forge().set(tag::LAYERS, 12, &[255]), Kind::Window),
        // groups, inputs, kinds
        (forge().set(tag::LAYERS, 18, &[0, 0]), Kind::Groups),
        (forge().set(tag::LAYERS, 18, &[2, 0]), Kind::Groups),
        (forge().set(tag::LAYERS, 2, &[1, 0]), Kind::Input),
        (forge().set(tag::LAYERS, 2, &[255, 255]), Kind::Input),
        (forge().set(tag::LAYERS, 0, &[9]), Kind::Kind),
        // offsets
        (forge().set(tag::LAYERS, 24, &far), Kind::ParameterRange),
        (forge().set(tag::LAYERS, 28, &far), Kind::ParameterRange),
        (forge().set_entry(tag::WEIGHTS, 8, &far), Kind::SectionTable),
        (
            forge().set_entry(tag::WEIGHTS, 12, &far),
            Kind::SectionTable,
        ),
        (forge().set_entry(tag::WEIGHTS, 8, &[1]), Kind::SectionTable),
        (
            forge().set_entry(tag::HEAD, 8, &[0, 0, 0, 0]),
            Kind::SectionTable,
        ),
        // numbers
        (
            forge().set(tag::CHANNELS, 0, &[0, 0, 0, 0x80]),
            Kind::Accumulator,
        ),
        (forge().set(tag::CHANNELS, 4, &[0, 0]), Kind::Multiplier),
        (forge().set(tag::CHANNELS, 6, &[63]), Kind::Multiplier),
        (forge().set(tag::WEIGHTS, 0, &[0x80]), Kind::WeightValue),
        (forge().set(tag::LAYERS, 22, &[5, 4]), Kind::OutputScale),
        // head
        (forge().set(tag::HEAD, 0, &[3]), Kind::Kind),
        (forge().set(tag::HEAD, 4, &[0, 0]), Kind::Threshold),
        (forge().set(tag::HEAD, 8, &[0]), Kind::Levels),
        (forge().set(tag::HEAD, 8, &[33]), Kind::Levels),
        (forge().set(tag::HEAD, 3, &[200]), Kind::Levels),
        (forge().set(tag::HEAD, 26, &[0]), Kind::FullyConnectedCount),
        (forge().set(tag::HEAD, 32, &[0, 0]), Kind::Dimension),
        (forge().set(tag::HEAD, 40, &far), Kind::ParameterRange),
        // classes
        (forge().set(tag::CLASSES, 0, &[0, 0]), Kind::Classes),
        (forge().set(tag::CLASSES, 0, &[255, 255]), Kind::Classes),
        (forge().set(tag::CLASSES, 2, &[7]), Kind::Kind),
        (forge().set(tag::CLASSES, 8, &[0xff]), Kind::Text),
    ];
    for (forgery, kind) in cases {
        refused(root, &forgery.sealed(), kind);
    }
    let mut sections = Forgery::new();
    sections.0[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    refused(root, &sections.sealed(), ModelErrorKind::SectionTable);
    let mut unknown = Forgery::new();
    let at = unknown.entry(tag::WEIGHTS);
    unknown.0[at..at + 4].copy_from_slice(b"WHAT");
    refused(root, &unknown.sealed(), ModelErrorKind::UnknownSection);
}

#[test]
fn files_that_are_no_models_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let good = Forgery::new().sealed();
    refused(root, &[], ModelErrorKind::Length);
    refused(root, &good[..31], ModelErrorKind::Length);
    refused(root, &good[..good.len() - 1], ModelErrorKind::Length);
    refused(root, &[&good[..], &[0]].concat(), ModelErrorKind::Length);
    refused(root, &[b"JUNK", &good[4..]].concat(), ModelErrorKind::Magic);
    let mut version = good.clone();
    version[4] = 2;
    refused(root, &version, ModelErrorKind::Version);
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 4;
    refused(root, &flipped, ModelErrorKind::Checksum);

    fs::write(root.join("bad.cfm"), &flipped).unwrap();
    write_photo(root, 48, 36);
    for arguments in [
        &["segment", "--model", "bad.cfm"][..],
        &["segment", "photo48x36.png", "--model", "bad.cfm"],
        &["proposals", "photo48x36.png", "--model", "bad.cfm"],
        &["eval", ".", "--model", "bad.cfm"],
    ] {
        let error = refusal(root, arguments);
        assert_eq!(
            error,
            "cfm: bad.cfm: the checksum does not match: the file is corrupted"
        );
    }
    let error = refusal(root, &["inspect", "missing.cfm"]);
    assert!(
        error.starts_with("cfm: missing.cfm: No such file"),
        "{error}"
    );
}

#[test]
fn every_truncation_is_refused() {
    let good = Forgery::new().sealed();
    for length in 0..good.len() {
        assert!(Model::parse(&good[..length]).is_err(), "{length}");
        // The deeper checks, too: the header agrees with the shorter file.
        if length >= HEADER_LEN {
            let mut cut = Forgery(good[..length].to_vec());
            cut.0[8..12].copy_from_slice(&(length as u32).to_le_bytes());
            let bytes = cut.sealed();
            // Padding after the last section is all that a file can do without.
            if Model::parse(&bytes).is_ok() {
                assert!(good[length..].iter().all(|&byte| byte == 0), "{length}");
            }
        }
    }
}

/// Whatever a flipped bit does, it is noticed, or the model still runs.
#[test]
fn flipped_bits_with_a_right_checksum_never_panic() {
    let good = Forgery::new().sealed();
    let photo = cfm_sim::scene::Scene::render(48, 36, 3).photo;
    let forged = Forgery::new();
    let weights = forged.section(tag::WEIGHTS);
    let after = weights + 2000;
    let mut ran = 0;
    for at in CHECKED_FROM..good.len() {
        // Weights are all alike: a few are enough.
        if (weights + 32..after).contains(&at) && at % 64 != 0 {
            continue;
        }
        for bit in 0..8 {
            let mut forgery = Forgery(good.clone());
            forgery.0[at] ^= 1 << bit;
            let bytes = forgery.sealed();
            let Ok(model) = Model::parse(&bytes) else {
                continue;
            };
            let _ = cfm_sim::inspect::inspect(&model);
            // Sizes that are merely large are right, but slow.
            let input = model.input();
            if usize::from(input.height) * usize::from(input.width) > 10_000 || bit % 4 != 0 {
                continue;
            }
            if let Ok(pipeline) = cfm_sim::pipeline::Pipeline::new(&model)
                && at % 3 == 0
            {
                ran += 1;
                pipeline.segment(&photo).unwrap();
            }
        }
    }
    assert!(ran > 20, "{ran}");
}

#[test]
fn the_place_of_an_error_is_named() {
    let bytes = Forgery::new().set(tag::LAYERS, 32 + 10, &[0]).sealed();
    let error = Model::parse(&bytes).unwrap_err();
    assert_eq!(error.part, Part::Layer(1));
    assert!(error.to_string().starts_with("layer 1: "), "{error}");
}

#[test]
fn models_that_photographs_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_photo(root, 48, 36);

    let mut broken = model_spec();
    broken.proposals = Some(vec![1; 64]);
    fs::write(root.join("m.cfm"), broken.to_bytes().unwrap()).unwrap();
    let arguments = ["segment", "photo48x36.png", "--model", "m.cfm"];
    let error = refusal(root, &arguments);
    assert!(error.starts_with("cfm: m.cfm: section PROP: "), "{error}");

    broken.proposals = Some(vec![1; 7]);
    fs::write(root.join("m.cfm"), broken.to_bytes().unwrap()).unwrap();
    let error = refusal(root, &arguments);
    assert_eq!(
        error,
        "cfm: m.cfm: section PROP: it has 7 bytes instead of 64"
    );
    // Nothing about the rest of the model is wrong.
    common::output(root, &["inspect", "m.cfm"]);

    // Row by row even this is a small model; proposals need the whole image.
    let large = Forgery::new().set(tag::INPUT, 0, &[0, 32, 0, 32]).sealed();
    fs::write(root.join("m.cfm"), large).unwrap();
    let error = refusal(root, &arguments);
    assert!(
        error.starts_with("cfm: m.cfm: the model takes 8192x8192 pixels; "),
        "{error}"
    );
    let two = Forgery::new().set(tag::INPUT, 4, &[2]).sealed();
    fs::write(root.join("m.cfm"), two).unwrap();
    let error = refusal(root, &arguments);
    assert!(
        error.starts_with("cfm: m.cfm: the model takes 2 samples per pixel; "),
        "{error}"
    );
}
