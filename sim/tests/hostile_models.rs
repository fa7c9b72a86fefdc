//! Truncated, bit-flipped and absurd models: a clear error, never a panic.

mod common;

use std::fs;
use std::path::Path;

use cfm_core::model::format::{
    CHECKED_FROM, HEADER_LEN, LAYER_LEN, SECTION_ALIGN, SECTION_ENTRY_LEN, tag,
};
use cfm_core::model::{LabellingRule, Model, ModelErrorKind, Part, Window, crc32};
use cfm_model::spec::{
    AddSpec, CalibrationSpec, ClassKind, ConvSpec, IMAGE_SCALE, LayerSpec, ModelSpec, OutputScale,
    PoolSpec,
};
use common::{model_spec, refusal, write_photo};

/// A model file that is changed byte by byte, with a checksum that is right again afterwards.
struct Forgery(Vec<u8>);

impl Forgery {
    fn new() -> Self {
        Self(model_spec().to_bytes().unwrap())
    }

    /// The file of a changed model, which may be nonsense.
    fn of(change: impl FnOnce(&mut ModelSpec)) -> Self {
        let mut spec = model_spec();
        change(&mut spec);
        Self(spec.to_unvalidated_bytes().unwrap())
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

    /// Overwrites bytes of the header.
    fn set_header(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Makes a section begin where another does.
    fn share(self, tag: [u8; 4], other: [u8; 4]) -> Self {
        let at = self.entry(other) + 8;
        let offset: [u8; 4] = self.0[at..at + 4].try_into().unwrap();
        self.set_entry(tag, 8, &offset)
    }

    /// Makes a section longer or shorter in the table, and leaves its bytes alone.
    fn resize(self, tag: [u8; 4], by: i32) -> Self {
        let at = self.entry(tag) + 12;
        let length = u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap());
        let length = length.checked_add_signed(by).unwrap();
        self.set_entry(tag, 12, &length.to_le_bytes())
    }

    /// Gives a section other content, at the end of the file.
    fn replace(mut self, tag: [u8; 4], content: &[u8]) -> Self {
        self.0
            .resize(self.0.len().next_multiple_of(SECTION_ALIGN), 0);
        let place = [self.0.len() as u32, content.len() as u32].map(u32::to_le_bytes);
        self.0.extend(content);
        let length = self.0.len() as u32;
        self.set_entry(tag, 8, place.as_flattened())
            .set_header(8, &length.to_le_bytes())
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

/// Every kind of error that the core knows.
const KINDS: [ModelErrorKind; 34] = {
    use ModelErrorKind as Kind;
    [
        Kind::Length,
        Kind::Magic,
        Kind::Version,
        Kind::Checksum,
        Kind::SectionTable,
        Kind::UnknownSection,
        Kind::MissingSection,
        Kind::SectionLength,
        Kind::Reserved,
        Kind::Dimension,
        Kind::Window,
        Kind::PoolPadding,
        Kind::Groups,
        Kind::LayerCount,
        Kind::Kind,
        Kind::Input,
        Kind::AddInputs,
        Kind::DeadTensor,
        Kind::OutputScale,
        Kind::ParameterRange,
        Kind::WeightValue,
        Kind::Multiplier,
        Kind::Accumulator,
        Kind::Geometry,
        Kind::Threshold,
        Kind::Levels,
        Kind::FullyConnectedCount,
        Kind::PathScales,
        Kind::LogitScale,
        Kind::Classes,
        Kind::Labelling,
        Kind::Text,
        Kind::Memory,
        Kind::Calibration,
    ]
};

type Cases = Vec<(Forgery, ModelErrorKind)>;

const FAR: [u8; 4] = 0xffff_fff0_u32.to_le_bytes();

/// Header and section table.
fn broken_tables() -> Cases {
    use ModelErrorKind as Kind;
    let forge = Forgery::new;
    let many = u32::MAX.to_le_bytes();
    vec![
        (forge().set_header(16, &many), Kind::SectionTable),
        (forge().set_header(16, &[33]), Kind::SectionTable),
        (forge().set_entry(tag::WEIGHTS, 8, &FAR), Kind::SectionTable),
        (
            forge().set_entry(tag::WEIGHTS, 12, &FAR),
            Kind::SectionTable,
        ),
        (forge().set_entry(tag::WEIGHTS, 8, &[1]), Kind::SectionTable),
        (
            forge().set_entry(tag::HEAD, 8, &[0, 0, 0, 0]),
            Kind::SectionTable,
        ),
        // bytes of two sections, whether they agree or not
        (
            forge().share(tag::PROVENANCE, tag::WEIGHTS),
            Kind::SectionTable,
        ),
        (
            forge().share(tag::WEIGHTS, tag::CHANNELS),
            Kind::SectionTable,
        ),
        // twice the same section: a required one, an optional one, one that nobody knows
        (
            forge().set_entry(tag::CHANNELS, 0, &tag::WEIGHTS),
            Kind::SectionTable,
        ),
        (
            forge().set_entry(tag::PROPOSALS, 0, &tag::PROVENANCE),
            Kind::SectionTable,
        ),
        (
            forge()
                .set_entry(tag::PROPOSALS, 0, b"WHAT")
                .set_entry(tag::PROVENANCE, 0, b"WHAT"),
            Kind::SectionTable,
        ),
        (
            forge().set_entry(tag::WEIGHTS, 0, b"WHAT"),
            Kind::UnknownSection,
        ),
        (
            forge().set_entry(tag::WEIGHTS, 0, b"WHAT\0"),
            Kind::MissingSection,
        ),
        (forge().set_header(16, &[5]), Kind::MissingSection),
        (forge().set_header(16, &[0]), Kind::MissingSection),
        (forge().set_header(20, &[1]), Kind::Reserved),
        (forge().set_header(31, &[1]), Kind::Reserved),
        (forge().set_entry(tag::HEAD, 4, &[3]), Kind::Reserved),
        (
            forge().set_entry(tag::PROVENANCE, 7, &[0x80]),
            Kind::Reserved,
        ),
    ]
}

/// Image, backbone, weights and channels.
fn broken_backbones() -> Cases {
    use ModelErrorKind as Kind;
    let forge = Forgery::new;
    let layer = Forgery::new().section(tag::LAYERS);
    let record = Forgery::new().0[layer..layer + LAYER_LEN].to_vec();
    let pool = |padding| {
        let window = Window {
            kernel: [2, 2],
            padding,
            ..Window::UNIT
        };
        Forgery::of(|spec| {
            let pool = PoolSpec { input: 2, window };
            spec.layers.push(LayerSpec::AvgPool(pool));
        })
    };
    let add = |inputs, exponent| {
        Forgery::of(|spec| {
            let output = spec.tensor_scales()[2];
            let output = OutputScale { exponent, ..output };
            spec.layers.push(LayerSpec::Add(AddSpec { inputs, output }));
        })
    };
    vec![
        // sizes
        (forge().resize(tag::INPUT, -1), Kind::SectionLength),
        (forge().resize(tag::INPUT, 1), Kind::SectionLength),
        (forge().set(tag::INPUT, 0, &[0, 0]), Kind::Dimension),
        (forge().set(tag::INPUT, 2, &[255, 255]), Kind::Dimension),
        (forge().set(tag::INPUT, 4, &[0, 0]), Kind::Dimension),
        (
            forge().set(tag::INPUT, 0, &[0, 32, 0, 32, 255, 255]),
            Kind::Dimension,
        ),
        (forge().set(tag::INPUT, 6, &[1]), Kind::Reserved),
        (forge().set(tag::LAYERS, 6, &[0, 0]), Kind::Dimension),
        (
            forge().set(tag::LAYERS, 6, &[255, 255]),
            Kind::ParameterRange,
        ),
        // number of layers
        (forge().resize(tag::LAYERS, -1), Kind::SectionLength),
        (forge().replace(tag::LAYERS, &[]), Kind::LayerCount),
        (
            forge().replace(tag::LAYERS, &record.repeat(65)),
            Kind::LayerCount,
        ),
        // windows
        (forge().set(tag::LAYERS, 8, &[0]), Kind::Window),
        (forge().set(tag::LAYERS, 10, &[0]), Kind::Window),
        (forge().set(tag::LAYERS, 11, &[0]), Kind::Window),
        (forge().set(tag::LAYERS, 12, &[0]), Kind::Window),
        (forge().set(tag::LAYERS, 12, &[255]), Kind::Window),
        (pool([2, 0, 0, 0]), Kind::PoolPadding),
        (pool([0, 2, 0, 0]), Kind::PoolPadding),
        (pool([0, 0, 2, 0]), Kind::PoolPadding),
        (pool([0, 0, 0, 255]), Kind::PoolPadding),
        // groups, inputs, kinds
        (forge().set(tag::LAYERS, 18, &[0, 0]), Kind::Groups),
        (forge().set(tag::LAYERS, 18, &[2, 0]), Kind::Groups),
        (forge().set(tag::LAYERS, 2, &[1, 0]), Kind::Input),
        (forge().set(tag::LAYERS, 2, &[255, 255]), Kind::Input),
        (forge().set(tag::LAYERS, 0, &[9]), Kind::Kind),
        // fields that a layer does not have
        (forge().set(tag::LAYERS, 1, &[1]), Kind::Reserved),
        (forge().set(tag::LAYERS, 32 + 4, &[1]), Kind::Reserved),
        (pool([0; 4]).set(tag::LAYERS, 64 + 12, &[2]), Kind::Reserved),
        (pool([0; 4]).set(tag::LAYERS, 64 + 18, &[2]), Kind::Reserved),
        (pool([0; 4]).set(tag::LAYERS, 64 + 24, &[1]), Kind::Reserved),
        (
            add([2, 2], -6).set(tag::LAYERS, 64 + 8, &[3]),
            Kind::Reserved,
        ),
        (
            add([2, 2], -6).set(tag::LAYERS, 64 + 28, &[1]),
            Kind::Reserved,
        ),
        // additions: another shape, exponents too far apart, receptive fields at another distance
        (
            add([2, 2], -6).set(tag::LAYERS, 64 + 4, &[1]),
            Kind::AddInputs,
        ),
        (add([2, 2], 27), Kind::AddInputs),
        (add([2, 2], -39), Kind::AddInputs),
        (
            Forgery::of(|spec| {
                (spec.input.height, spec.input.width) = (1, 1);
                let output = IMAGE_SCALE;
                let inputs = [1, 2];
                spec.layers.push(LayerSpec::Add(AddSpec { inputs, output }));
            }),
            Kind::AddInputs,
        ),
        (add([2, 2], -6).set(tag::LAYERS, 64 + 4, &[3]), Kind::Input),
        // a layer in vain
        (
            Forgery::of(|spec| {
                let window = Window::UNIT;
                let pool = PoolSpec { input: 1, window };
                spec.layers.push(LayerSpec::MaxPool(pool));
            }),
            Kind::DeadTensor,
        ),
        // receptive fields some 33 million pixels apart
        (
            Forgery::of(|spec| {
                spec.layers.truncate(1);
                for input in 1..=3 {
                    let window = Window {
                        stride: [255, 255],
                        ..Window::UNIT
                    };
                    spec.layers
                        .push(LayerSpec::MaxPool(PoolSpec { input, window }));
                }
            }),
            Kind::Geometry,
        ),
        // a feature map of 1 GiB, which leaves no room for scratch
        (
            Forgery::of(|spec| {
                (spec.input.height, spec.input.width) = (8192, 8192);
                spec.layers.truncate(1);
                if let LayerSpec::Conv2d(conv) = &mut spec.layers[0] {
                    *conv = ConvSpec {
                        window: Window::UNIT,
                        out_channels: 16,
                        weights: vec![1; 16 * 3],
                        channels: vec![conv.channels[0]; 16],
                        ..conv.clone()
                    };
                }
                spec.head.segment_fcs[0].weights = vec![1; 16 * 5 * 16];
                spec.head.region_fcs[0].weights = vec![1; 16 * 16];
            }),
            Kind::Memory,
        ),
        // offsets
        (forge().set(tag::LAYERS, 24, &FAR), Kind::ParameterRange),
        (forge().set(tag::LAYERS, 28, &FAR), Kind::ParameterRange),
        // numbers
        (
            forge().set(tag::CHANNELS, 0, &[0, 0, 0, 0x80]),
            Kind::Accumulator,
        ),
        (forge().set(tag::CHANNELS, 4, &[0, 0]), Kind::Multiplier),
        (forge().set(tag::CHANNELS, 6, &[63]), Kind::Multiplier),
        (forge().set(tag::CHANNELS, 7, &[1]), Kind::Reserved),
        (forge().set(tag::WEIGHTS, 0, &[0x80]), Kind::WeightValue),
        (forge().set(tag::LAYERS, 21, &[64]), Kind::OutputScale),
        (forge().set(tag::LAYERS, 22, &[5, 4]), Kind::OutputScale),
        (
            pool([0; 4]).set(tag::LAYERS, 64 + 20, &[1]),
            Kind::OutputScale,
        ),
        (
            pool([0; 4]).set(tag::LAYERS, 64 + 22, &[0]),
            Kind::OutputScale,
        ),
    ]
}

/// Head, classes and the optional sections.
fn broken_heads() -> Cases {
    use ModelErrorKind as Kind;
    let forge = Forgery::new;
    let classes = model_spec().classes;
    let labelled = || {
        Forgery::of(|spec| {
            spec.labelling = Some(LabellingRule::PASTE);
        })
    };
    let voting = || {
        Forgery::of(|spec| {
            spec.labelling = Some(LabellingRule::DEFAULT);
        })
    };
    let calibrated = || {
        Forgery::of(|spec| {
            spec.calibration = Some(CalibrationSpec {
                slope: 1.0,
                intercept: 0.0,
            });
        })
    };
    vec![
        // head
        (forge().set(tag::HEAD, 0, &[3]), Kind::Kind),
        (forge().set(tag::HEAD, 1, &[2]), Kind::Kind),
        (forge().set(tag::HEAD, 2, &[4]), Kind::Kind),
        (forge().set(tag::HEAD, 27, &[1]), Kind::Reserved),
        (forge().resize(tag::HEAD, -49), Kind::SectionLength),
        (forge().resize(tag::HEAD, -1), Kind::SectionLength),
        (forge().set(tag::HEAD, 24, &[2]), Kind::SectionLength),
        (forge().set(tag::HEAD, 4, &[0, 0]), Kind::Threshold),
        (forge().set(tag::HEAD, 2, &[1]), Kind::Threshold),
        (forge().set(tag::HEAD, 2, &[2]), Kind::Threshold),
        (forge().set(tag::HEAD, 2, &[3]), Kind::Threshold),
        (forge().set(tag::HEAD, 8, &[0]), Kind::Levels),
        (forge().set(tag::HEAD, 8, &[33]), Kind::Levels),
        (forge().set(tag::HEAD, 8, &[3, 3]), Kind::Levels),
        (forge().set(tag::HEAD, 3, &[0]), Kind::Levels),
        (forge().set(tag::HEAD, 3, &[200]), Kind::Levels),
        (forge().set(tag::HEAD, 7, &[0]), Kind::Levels),
        (forge().set(tag::HEAD, 10, &[3]), Kind::Reserved),
        (forge().set(tag::HEAD, 26, &[0]), Kind::FullyConnectedCount),
        (forge().set(tag::HEAD, 26, &[15]), Kind::FullyConnectedCount),
        // design B has no second path
        (forge().set(tag::HEAD, 0, &[2]), Kind::FullyConnectedCount),
        (forge().set(tag::HEAD, 32, &[0, 0]), Kind::Dimension),
        (forge().set(tag::HEAD, 32 + 4, &[5, 4]), Kind::OutputScale),
        (forge().set(tag::HEAD, 32 + 6, &[1]), Kind::Reserved),
        (forge().set(tag::HEAD, 40, &FAR), Kind::ParameterRange),
        (forge().set(tag::HEAD, 44, &FAR), Kind::ParameterRange),
        (forge().set(tag::HEAD, 32 + 16 + 2, &[1]), Kind::PathScales),
        (forge().set(tag::HEAD, 32 + 16 + 3, &[1]), Kind::PathScales),
        (forge().set(tag::HEAD, 6, &[9]), Kind::LogitScale),
        (forge().set(tag::HEAD, 6, &[0xe1]), Kind::LogitScale),
        (forge().set(tag::HEAD, 6, &[0]), Kind::LogitScale),
        (forge().set(tag::HEAD, 32 + 32 + 3, &[0]), Kind::LogitScale),
        (forge().set(tag::HEAD, 32 + 32 + 2, &[1]), Kind::Reserved),
        // classes
        (forge().set(tag::CLASSES, 0, &[0, 0]), Kind::Classes),
        (forge().set(tag::CLASSES, 0, &[255, 255]), Kind::Classes),
        (forge().set(tag::CLASSES, 2, &[7]), Kind::Kind),
        (forge().set(tag::CLASSES, 6, &[255]), Kind::Classes),
        (
            forge().set(tag::CLASSES, 6, &[classes[1].label]),
            Kind::Classes,
        ),
        (
            Forgery::of(|spec| {
                for class in &mut spec.classes {
                    class.kind = ClassKind::Background;
                }
            }),
            Kind::Classes,
        ),
        (forge().set(tag::CLASSES, 8, &[0xff]), Kind::Text),
        (forge().resize(tag::CLASSES, -1), Kind::SectionLength),
        (forge().resize(tag::CLASSES, 1), Kind::SectionLength),
        (forge().replace(tag::CLASSES, &[9]), Kind::SectionLength),
        // optional sections
        (labelled().resize(tag::LABELLING, -1), Kind::SectionLength),
        (labelled().set(tag::LABELLING, 0, &[2]), Kind::Kind),
        (labelled().set(tag::LABELLING, 1, &[1]), Kind::Reserved),
        (labelled().set(tag::LABELLING, 2, &[1]), Kind::Reserved),
        (labelled().set(tag::LABELLING, 3, &[1]), Kind::Reserved),
        (labelled().set(tag::LABELLING, 6, &[5]), Kind::Labelling),
        (labelled().set(tag::LABELLING, 6, &[255]), Kind::Labelling),
        (voting().set(tag::LABELLING, 1, &[0]), Kind::Labelling),
        (voting().set(tag::LABELLING, 1, &[5]), Kind::Labelling),
        (voting().set(tag::LABELLING, 2, &[3]), Kind::Labelling),
        (voting().set(tag::LABELLING, 3, &[5]), Kind::Labelling),
        (voting().set(tag::LABELLING, 4, &[1]), Kind::Reserved),
        (voting().set(tag::LABELLING, 5, &[1]), Kind::Reserved),
        (voting().set(tag::LABELLING, 6, &[5]), Kind::Labelling),
        (labelled().set(tag::LABELLING, 7, &[1]), Kind::Reserved),
        (
            calibrated().resize(tag::CALIBRATION, -4),
            Kind::SectionLength,
        ),
        (
            calibrated().set(tag::CALIBRATION, 0, &f32::NAN.to_le_bytes()),
            Kind::Calibration,
        ),
        (
            calibrated().set(tag::CALIBRATION, 4, &f32::INFINITY.to_le_bytes()),
            Kind::Calibration,
        ),
        (forge().set(tag::PROVENANCE, 0, &[0xff]), Kind::Text),
    ]
}

/// What is no model file at all, or not a whole one.
fn broken_files() -> Vec<(Vec<u8>, ModelErrorKind)> {
    use ModelErrorKind as Kind;
    let good = Forgery::new().sealed();
    let mut version = good.clone();
    version[4] = 2;
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 4;
    vec![
        (vec![], Kind::Length),
        (good[..31].to_vec(), Kind::Length),
        (good[..good.len() - 1].to_vec(), Kind::Length),
        ([&good[..], &[0]].concat(), Kind::Length),
        ([b"JUNK", &good[4..]].concat(), Kind::Magic),
        (version, Kind::Version),
        (flipped, Kind::Checksum),
    ]
}

/// Every broken file of the table, and what is wrong with it.
fn table() -> Vec<(Vec<u8>, ModelErrorKind)> {
    let forged = [broken_tables(), broken_backbones(), broken_heads()];
    let sealed = forged
        .into_iter()
        .flatten()
        .map(|(forgery, kind)| (forgery.sealed(), kind));
    broken_files().into_iter().chain(sealed).collect()
}

#[test]
fn absurd_models_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (bytes, kind) in table() {
        refused(folder.path(), &bytes, kind);
    }
}

#[test]
fn every_kind_of_error_is_produced() {
    // The list ends with the last kind there is, and has as many entries as there are up to it.
    assert_eq!(KINDS[KINDS.len() - 1] as usize, KINDS.len() - 1);
    let produced: Vec<ModelErrorKind> = table()
        .iter()
        .map(|(bytes, _)| Model::parse(bytes).unwrap_err().kind)
        .collect();
    for kind in KINDS {
        assert!(produced.contains(&kind), "{kind:?}");
    }
    for kind in produced {
        assert!(KINDS.contains(&kind), "{kind:?} is not in the list");
    }
}

#[test]
fn every_command_names_the_broken_file() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut flipped = Forgery::new().sealed();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 4;
    let broken = Model::parse(&flipped).unwrap_err();
    fs::write(root.join("bad.cfm"), &flipped).unwrap();
    write_photo(root, 48, 36);
    for arguments in [
        &["segment", "--model", "bad.cfm"][..],
        &["segment", "photo48x36.png", "--model", "bad.cfm"],
        &["proposals", "photo48x36.png", "--model", "bad.cfm"],
        &["eval", ".", "--model", "bad.cfm"],
    ] {
        let error = refusal(root, arguments);
        assert_eq!(error, format!("cfm: bad.cfm: {broken}"));
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
