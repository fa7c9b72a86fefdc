//! Models that ask for far more memory than their files are long.

use std::fs;
use std::path::Path;

use cfm_core::model::{Model, crc32};
use cfm_model::random::{Options, random_model};
use cfm_model::spec::{
    Channel, ConvSpec, Design, FcSpec, LayerSpec, ModelSpec, OutputScale, PoolSpec, Window,
};
use cfm_proposals::Params;
use cfm_sim::inspect::inspect;
use cfm_sim::memory_bound::COMPARE;
use cfm_sim::model_file::ModelFile;
use cfm_sim::parity::PhotoCheck;
use cfm_sim::pipeline::{Pipeline, ProposalMemory};
use image::{Rgb, RgbImage};

use super::{MIB, common, peak, turn};

/// A layer of weights 1, whose outputs hardly change.
pub fn convolution(
    input: usize,
    outputs: u16,
    groups: u16,
    window: Window,
    weights: usize,
) -> ConvSpec {
    ConvSpec {
        input,
        window,
        groups,
        out_channels: outputs,
        output: OutputScale {
            zero_point: 0,
            // Not all alike, so that no layer is another one.
            exponent: (input % 40) as i8 - 30,
            low: -100,
            high: 100,
        },
        weights: vec![1; weights],
        channels: vec![
            Channel {
                bias: 0,
                mantissa: 1 << 14,
                shift: 20,
            };
            usize::from(outputs)
        ],
    }
}

/// A model of these layers with a head that is as small as can be.
pub fn model(input: [u16; 2], layers: Vec<LayerSpec>) -> ModelSpec {
    let mut spec = common::model_spec();
    spec.input.height = input[0];
    spec.input.width = input[1];
    spec.layers = layers;
    let shapes = spec.tensor_shapes().unwrap();
    let features = usize::from(shapes[shapes.len() - 1].channels);
    let head = &mut spec.head;
    head.design = Design::Plain;
    head.segment_levels = vec![1];
    head.region_levels.clear();
    head.segment_fcs.clear();
    head.region_fcs.clear();
    let classifier: &mut FcSpec = &mut head.joint_fcs[0];
    classifier.weights = vec![1; features * usize::from(classifier.outputs)];
    spec
}

/// The bytes of a model whose layers share the first one's weights and channel records where they are alike.
fn shared(spec: &ModelSpec, layers: usize) -> Vec<u8> {
    use cfm_core::model::format::{
        CHECKED_FROM, HEADER_LEN, LAYER_LEN, SECTION_ALIGN, SECTION_ENTRY_LEN, tag,
    };
    let mut bytes = spec.to_bytes().unwrap();
    let entry = |bytes: &[u8], name: [u8; 4]| {
        let entries = (HEADER_LEN..).step_by(SECTION_ENTRY_LEN);
        let at = entries
            .into_iter()
            .find(|&at| bytes[at..at + 4] == name)
            .unwrap();
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        (number(at + 8), number(at + 12))
    };
    let (start, length) = entry(&bytes, tag::LAYERS);
    let records = bytes[start..start + length].to_vec();
    let mut more = Vec::new();
    for at in 0..layers {
        let mut record = records[length - LAYER_LEN..].to_vec();
        let input = (length / LAYER_LEN + at) as u16;
        record[2..4].copy_from_slice(&input.to_le_bytes());
        // The exponent of the output, so that no layer is another one.
        record[21] = (at as u8).wrapping_sub(30);
        more.extend(record);
    }
    // The longer section goes to the end, and its entry says so.
    bytes.resize(bytes.len().next_multiple_of(SECTION_ALIGN), 0);
    let place = [bytes.len() as u32, (length + more.len()) as u32]
        .map(u32::to_le_bytes)
        .concat();
    bytes.extend(records);
    bytes.extend(more);
    let entries = (HEADER_LEN..).step_by(SECTION_ENTRY_LEN);
    let at = entries
        .into_iter()
        .find(|&at| bytes[at..at + 4] == tag::LAYERS)
        .unwrap();
    bytes[at + 8..at + 16].copy_from_slice(&place);
    let whole = bytes.len() as u32;
    bytes[8..12].copy_from_slice(&whole.to_le_bytes());
    let crc = crc32(&bytes[CHECKED_FROM..]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

const UNIT: Window = Window::UNIT;

fn square(side: u8) -> Window {
    Window {
        kernel: [side; 2],
        padding: [side / 2; 4],
        ..UNIT
    }
}

/// Small files, and what they ask for.
fn extreme_models() -> Vec<(&'static str, Vec<u8>)> {
    let layer = |conv| LayerSpec::Conv2d(conv);
    let pool = |input| {
        LayerSpec::MaxPool(PoolSpec {
            input,
            window: UNIT,
        })
    };
    let wide = |outputs: u16| layer(convolution(0, outputs, 1, UNIT, 3 * usize::from(outputs)));
    let bytes = |spec: &ModelSpec| spec.to_bytes().unwrap();
    let mut tall = vec![wide(512)];
    tall.push(layer(convolution(
        1,
        512,
        512,
        Window {
            kernel: [255, 1],
            padding: [127, 0, 127, 0],
            ..UNIT
        },
        512 * 255,
    )));
    let mut pyramid = model([8, 8], vec![wide(4)]);
    pyramid.head.segment_levels = (25..=32).collect();
    let bins: usize = (25..=32).map(|n: usize| n * n).sum();
    let fc = &mut pyramid.head.joint_fcs[0];
    fc.weights = vec![1; 4 * bins * usize::from(fc.outputs)];
    let mut many = model([64, 64], vec![wide(8)]);
    let params = Params::DEFAULT.with_max_segments(u16::MAX).unwrap();
    many.proposals = Some(params.to_bytes().to_vec());
    vec![
        // 128 MiB of features.
        ("wide features", bytes(&model([128, 128], vec![wide(8192)]))),
        // 60 times 16 MiB of tensors, none of them with a weight, but for the first.
        ("many tensors", {
            let mut layers = vec![wide(1024)];
            layers.extend((1..=60).map(pool));
            bytes(&model([128, 128], layers))
        }),
        // 1 MiB of weights, used 60 times.
        ("shared weights", {
            let dense = layer(convolution(1, 1024, 1, UNIT, 1024 * 1024));
            shared(&model([2, 2], vec![wide(1024), dense]), 60)
        }),
        // Packed for vectors of 64, 8191 channels are repeated 64 times.
        ("odd depthwise layers", {
            let odd = layer(convolution(1, 8191, 8191, square(3), 9 * 8191));
            shared(&model([2, 2], vec![wide(8191), odd]), 60)
        }),
        // Windows of 255 rows, of which the image has one.
        ("tall windows", bytes(&model([1, 2048], tall))),
        ("many bins", bytes(&pyramid)),
        ("many segments", bytes(&many)),
    ]
}

/// Small models by chance.
fn random_models() -> impl Iterator<Item = Vec<u8>> {
    let options = Options {
        max_side: 96,
        max_channels: 256,
        max_layers: 40,
        max_classes: 255,
        max_macs: 2_000_000,
        rgb_only: true,
    };
    (0..8).map(move |seed| random_model(seed, &options).to_bytes().unwrap())
}

pub const THREADS: usize = 2;

/// What `memory_bound` and the places that it names add up to, for a run.
pub fn most_of_a_run(model: &Model<'_>, arena: usize) -> usize {
    let file = model.bytes().len();
    let input = model.input();
    let pipeline = Pipeline::new(model);
    let params = pipeline.map_or(Params::DEFAULT, |pipeline| *pipeline.params());
    let proposals = ProposalMemory::bytes(&params, input.width, input.height);
    let packed = (8 * file).max(64 * MIB);
    let pixels = usize::from(input.width) * usize::from(input.height);
    let segments = usize::from(params.max_segments()) * (64 + 2 * model.class_count());
    // Labelling: sums for every class of every superpixel.
    let superpixels = usize::from(params.max_superpixels()).min(pixels) * params.scales().len();
    let labelling = 16 * model.class_count() * (superpixels + usize::from(input.width));
    (1 + THREADS) * arena + packed + proposals + 64 * pixels + segments + labelling + 8 * MIB
}

pub fn photo() -> RgbImage {
    RgbImage::from_fn(32, 24, |x, y| Rgb([(x * 8) as u8, (y * 8) as u8, 90]))
}

/// Inspects, runs and compares a model from a file; returns which of them were refused for their memory.
fn try_out(what: &str, bytes: &[u8], path: &Path) -> [bool; 2] {
    fs::write(path, bytes).unwrap();
    let photo = photo();
    let (file, taken) = peak(|| ModelFile::open(Some(path)).unwrap());
    assert!(taken <= 3 * bytes.len() + MIB, "{what}: {taken}");
    let (model, taken) = peak(|| file.parse().unwrap());
    assert!(taken < MIB, "{what}: {taken}");
    let (inspection, taken) = peak(|| inspect(&model));
    assert_eq!(inspection.file_bytes, bytes.len());
    assert!(taken < MIB, "{what}: {taken}");

    let arena = model.arena_bytes();
    let (segmented, taken) = peak(|| Pipeline::new(&model)?.segment(&photo));
    let refused = |error: &dyn std::error::Error| error.to_string().contains("MiB of memory");
    let run_refused = segmented.as_ref().err().is_some_and(|error| refused(error));
    assert!(segmented.is_ok() || run_refused, "{what}: {segmented:?}");
    let most = if run_refused {
        MIB
    } else {
        most_of_a_run(&model, arena)
    };
    assert!(taken < most, "{what}: {taken} of {most}");

    let (compared, taken) = peak(|| PhotoCheck::new(&model).run(&photo));
    let compare_refused = compared.as_ref().err().is_some_and(|error| refused(error));
    match compared {
        Ok(report) => assert!(report.first_mismatch().is_none(), "{what}"),
        Err(error) => assert!(compare_refused, "{what}: {error}"),
    }
    let most = most_of_a_run(&model, arena) + COMPARE.most(&model) as usize;
    assert!(taken < most, "{what}: {taken} of {most}");
    [run_refused, compare_refused]
}

#[test]
fn no_model_takes_more_than_is_said() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.cfm");
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(THREADS)
        .build()
        .unwrap();
    pool.install(|| {
        let mut refused = Vec::new();
        for (what, bytes) in extreme_models() {
            assert!(bytes.len() < 2 * MIB, "{what}: {} bytes", bytes.len());
            let [run, compare] = try_out(what, &bytes, &path);
            refused.extend([(what, "run", run), (what, "compare", compare)]);
        }
        refused.retain(|&(_, _, refused)| refused);
        assert_eq!(
            refused,
            [
                ("wide features", "run", true),
                ("wide features", "compare", true),
                ("many tensors", "compare", true),
            ]
        );
        for (seed, bytes) in random_models().enumerate() {
            let name = format!("random model {seed}");
            assert_eq!(try_out(&name, &bytes, &path), [false; 2], "{name}");
        }
    });
}
