//! Segments of any shape: the core, the reference and the driver of the engine refuse the same ones, and compute the same
//! of the others; files of segments of any bytes: an error, or segments that the core takes.

use std::sync::LazyLock;

use crate::scratch_file::with_file;
use arbitrary::{Arbitrary, Unstructured};
use cfm_core::model::Model;
use cfm_core::segment::{Run, Segment};
use cfm_device::segment_bounds;
use cfm_model::random::{
    Options, RandomImage, RandomMap, RandomSegment, RandomSegments, random_image, random_model,
};
use cfm_sim::core_trace::{self, IndexMemory};
use cfm_sim::import::{self, Logits, Segments};
use cfm_sim::reference;
use cfm_sim::trace::Inputs;

/// Models with an image each; what differs between them are the head, the mask rule and the geometry.
static MODELS: LazyLock<Vec<(Vec<u8>, RandomImage)>> = LazyLock::new(|| {
    let options = Options {
        max_side: 24,
        max_channels: 8,
        max_layers: 4,
        max_classes: 5,
        max_macs: 4_000,
        rgb_only: true,
    };
    (0..16)
        .map(|seed| {
            let spec = random_model(seed, &options);
            let bytes = spec.to_bytes().expect("random models can be written");
            (bytes, random_image(seed, spec.input))
        })
        .collect()
});

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    model: u8,
    /// Number of superpixels, and their ids, repeated until the map is full.
    maps: Vec<(u8, &'a [u8])>,
    segments: Vec<Shape<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Shape<'a> {
    /// Row, first and last column; sorted first if so chosen.
    Runs(bool, Vec<[u8; 3]>),
    /// Map and superpixels.
    Superpixels(u8, &'a [u8]),
}

/// A coordinate that is mostly inside of `0 .. side`, or next to it.
fn coordinate(value: u8, side: u16) -> u16 {
    match value {
        254 => u16::MAX - 1,
        255 => u16::MAX,
        _ => u16::from(value) % (side + 2),
    }
}

fn compute(case: &Case<'_>) {
    let (bytes, image) = &MODELS[usize::from(case.model) % MODELS.len()];
    let model = Model::parse(bytes).expect("random models are valid");
    let (width, height) = (image.width, image.height);
    let pixels = usize::from(width) * usize::from(height);
    let maps = case.maps.iter().take(3).map(|&(count, ids)| {
        let count = u16::from(count) + 1;
        // An id that there may not be, among many that there are.
        let ids = ids.iter().map(|&id| match id {
            0xFF => 0xFF,
            id => u16::from(id) % count,
        });
        let labels = if ids.len() == 0 {
            vec![0; pixels]
        } else {
            ids.cycle().take(pixels).collect()
        };
        RandomMap {
            labels,
            width,
            height,
            count,
        }
    });
    let segments = case.segments.iter().take(8).map(|shape| match shape {
        Shape::Runs(sorted, runs) => {
            let runs = runs.iter().map(|&[y, x0, x1]| Run {
                y: coordinate(y, height),
                x0: coordinate(x0, width),
                x1: coordinate(x1, width),
            });
            let mut runs: Vec<Run> = runs.collect();
            if *sorted {
                runs.sort();
            }
            RandomSegment::Runs(runs)
        }
        &Shape::Superpixels(map, members) => RandomSegment::Superpixels {
            map: map.into(),
            members: members.iter().map(|&id| u16::from(id)).collect(),
        },
    });
    let segments = RandomSegments {
        maps: maps.collect(),
        segments: segments.collect(),
    };
    let Ok(maps) = segments.map_views() else {
        return;
    };
    let mut memory: Vec<IndexMemory> = maps.iter().map(|_| IndexMemory::default()).collect();
    let indices: Vec<_> = maps
        .iter()
        .zip(&mut memory)
        .map(|(map, memory)| {
            memory
                .build(*map, &model)
                .expect("the map has the image's size")
        })
        .collect();
    for segment in segments.views() {
        let inputs = Inputs {
            image: image.view().expect("random images are valid"),
            maps: &maps,
            segments: &[segment],
            rule: segments.applicable(model.labelling()),
        };
        let core = core_trace::trace(&model, &inputs);
        let reference = reference::trace(&model, &inputs);
        assert_eq!(core.as_ref().ok(), reference.as_ref().ok());
        let bounds = segment_bounds(&segment, &indices, width, height);
        assert_eq!(core.is_ok(), bounds.is_some(), "{core:?}, {bounds:?}");
    }
}

/// Imported segments hold what [`Segments`] promises, at their own size and at another.
fn check(segments: &Segments) {
    for segment in segments.iter() {
        let after = |pair: &[Run]| (pair[0].y, pair[0].x1) < (pair[1].y, pair[1].x0);
        assert!(!segment.is_empty() && segment.windows(2).all(after));
        for run in segment {
            assert!(run.x0 < run.x1 && run.x1 <= segments.width() && run.y < segments.height());
        }
    }
}

fn read(ending: &str, bytes: &[u8]) {
    let options = import::Options::default();
    let read = with_file(ending, bytes, |path| Segments::open(path, &options));
    let Ok(segments) = read else {
        return;
    };
    assert!(!segments.is_empty());
    check(&segments);
    let (bytes, image) = &MODELS[0];
    let model = Model::parse(bytes).expect("random models are valid");
    let Ok(resized) = segments.resized(image.width, image.height) else {
        return;
    };
    check(&resized);
    let few: Vec<_> = resized.iter().take(8).map(Segment::Runs).collect();
    let inputs = Inputs {
        image: image.view().expect("random images are valid"),
        maps: &[],
        segments: &few,
        rule: RandomSegments {
            maps: Vec::new(),
            segments: Vec::new(),
        }
        .applicable(model.labelling()),
    };
    core_trace::trace(&model, &inputs).expect("imported segments are valid");
}

/// Runs the target on these bytes.
///
/// # Panics
/// When what must hold does not.
pub fn run(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    match choice % 5 {
        0 => {
            if let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(bytes)) {
                compute(&case);
            }
        }
        1 => read("png", bytes),
        2 => read("json", bytes),
        3 => read("npy", bytes),
        _ => {
            let read = with_file("npy", bytes, Logits::open);
            if let Ok(logits) = read {
                let rows = logits.values().chunks_exact(logits.classes().max(1));
                assert!(rows.remainder().is_empty());
            }
        }
    }
}
