//! The files beside models and images, of any bytes: an error, or a value that is written and read again as it was; and
//! proposals by any valid parameters are valid segments of any image.

use std::sync::LazyLock;

use cfm_core::image::ImageView;
use cfm_core::model::crc32;
use cfm_core::segment::Segment;
use cfm_device::Configuration;
use cfm_model::float_model::FloatModel;
use cfm_model::onnx::import::{Import, Options, import};
use cfm_model::quantize::blank;
use cfm_proposals::Params;
use cfm_sim::dataset::Dataset;
use cfm_sim::eval_part::Part;
use cfm_sim::pipeline::ProposalMemory;
use cfm_sim::proposal_config::ProposalConfig;

use crate::scratch_file::with_file;

/// Side of the image that proposals are made of, in pixels.
const SIDE: u16 = 12;

/// A network that gives float weights their structure, and the bytes of its model before calibration.
pub static NETWORK: LazyLock<(FloatModel, Vec<u8>)> = LazyLock::new(|| {
    let backbone = include_bytes!("../../../onnx/design-a.onnx");
    let head = include_bytes!("../../../onnx/design-a-head.onnx");
    let Ok(Import::Float(imported)) = import(backbone, Some(head), &Options::default()) else {
        panic!("it is a float network");
    };
    let spec = blank(&imported.model).expect("scales of 1 can be quantized");
    let bytes = spec.to_bytes().expect("the model can be written");
    (imported.model, bytes)
});

/// Runs the target on these bytes.
///
/// # Panics
/// When what must hold does not.
pub fn run(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    match choice % 7 {
        0 => float_weights(bytes),
        1 => dataset(bytes),
        2 => {
            let config = with_file("toml", bytes, ProposalConfig::read);
            if let Ok(params) = config
                .map_err(|_| ())
                .and_then(|c| c.params().map_err(|_| ()))
            {
                proposals(&params, bytes);
            }
        }
        3 => {
            if let Some((params, pixels)) = bytes.split_first_chunk()
                && let Ok(params) = Params::from_bytes(params)
            {
                proposals(&params, pixels);
            }
        }
        4 => part(bytes),
        5 => configuration(bytes),
        _ => {
            // Otherwise nothing would get past the checksum.
            let mut bytes = bytes.to_vec();
            if let Some((header, words)) = bytes.split_first_chunk_mut::<8>() {
                header[4..].copy_from_slice(&crc32(words).to_le_bytes());
            }
            configuration(&bytes);
        }
    }
}

fn configuration(bytes: &[u8]) {
    if let Ok(configuration) = Configuration::parse(bytes) {
        let blocks = configuration.blocks();
        let words: usize = blocks.map(|block| block.words().len()).sum();
        assert!(4 * words <= bytes.len());
        let instance = configuration.instance();
        assert!(instance.runs(&instance));
    }
}

fn float_weights(bytes: &[u8]) {
    let (_, like) = &*NETWORK;
    let write = |model: FloatModel| {
        model
            .to_safetensors(like)
            .expect("what was read can be written")
    };
    if let Ok(model) = FloatModel::from_safetensors_like(like, bytes) {
        let written = write(model);
        let again = FloatModel::from_safetensors(like, &written);
        // By their bytes: weights may be no numbers, which only quantization minds.
        assert_eq!(write(again.expect("what was written can be read")), written);
    }
}

/// The bytes up to a form feed as the description, the rest as a split.
fn dataset(bytes: &[u8]) {
    let mut files = bytes.splitn(2, |&byte| byte == 0x0C);
    let description = files.next().unwrap_or_default();
    let list = files.next().unwrap_or_default();
    with_file("toml", description, |path| {
        let folder = path.with_extension("dataset");
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.join(name), bytes).expect("temporary files can be written");
        };
        std::fs::create_dir_all(&folder).expect("temporary folders can be made");
        write("dataset.toml", description);
        write("train.txt", list);
        if let Ok(dataset) = Dataset::open(folder) {
            assert!(!dataset.description().classes.is_empty());
            if let Ok(ids) = dataset.split("train") {
                assert!(!ids.is_empty() && ids.iter().all(|id| !id.trim().is_empty()));
                // There are no images: an error, wherever the name points.
                for id in ids.iter().take(4) {
                    assert!(dataset.sample(id).is_err());
                }
            }
        }
    });
}

fn part(bytes: &[u8]) {
    if let Ok(part) = with_file("json", bytes, Part::open) {
        let again = with_file("json", b"", |path| {
            part.save(path).expect("what was read can be written");
            Part::open(path)
        });
        assert_eq!(again.ok(), Some(part));
    }
}

fn proposals(params: &Params, pixels: &[u8]) {
    let written = Params::from_bytes(&params.to_bytes());
    assert_eq!(written.as_ref(), Ok(params));
    let len = 3 * usize::from(SIDE).pow(2);
    let pixels: Vec<u8> = pixels
        .iter()
        .copied()
        .chain([0])
        .cycle()
        .take(len)
        .collect();
    let image = ImageView::new(&pixels, SIDE, SIDE, 3).expect("there is a sample for each");
    let mut memory = ProposalMemory::default();
    let proposals = memory.propose(image, params).expect("the image is small");
    let maps = proposals.maps();
    for proposal in proposals.iter() {
        let Segment::Superpixels { map, members } = proposal.segment() else {
            panic!("proposals are sets of superpixels");
        };
        let inside = |label: &&u16| members.contains(label);
        let area = maps[map].labels().iter().filter(inside).count();
        assert!(area > 0 && area == proposal.area as usize);
    }
}
