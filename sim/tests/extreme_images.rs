//! Images of a few kilobytes with extreme shapes or contents: what they take of memory, by an allocator that counts, and of
//! time.

mod common;

use std::fs;
use std::io::{BufReader, Cursor, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cfm_core::model::Model;
use cfm_core::segment::{Run, Segment, SuperpixelMap};
use cfm_sim::label_map::LabelMap;
use cfm_sim::photo_stream::PhotoStream;
use cfm_sim::pipeline::Pipeline;
use cfm_sim::proposal_quality::{Quality, Void, measure};
use cfm_sim::truth::{Truth, TruthClasses};
use cfm_sim::{photo, picture};
use common::{output, refusal};
use image::{Rgb, RgbImage};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;

/// Tests run in several threads, but bytes are counted of one at a time.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `work` gives, and the most bytes that it had allocated at a time.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let result = work();
    (result, ALLOCATED.peak_usage().saturating_sub(before))
}

/// 20 million columns and five rows, and the other way: 300 MB as RGB, as much as a photograph may have.
#[test]
fn long_photographs_take_no_more_than_others() {
    let _turn = turn();
    let started = Instant::now();
    let pixels = 100_000_000;
    let spec = common::model_spec().to_bytes().unwrap();
    let model = Model::parse(&spec).unwrap();
    let pipeline = Pipeline::new(&model).unwrap();
    for (width, height) in [(20_000_000, 5), (5, 20_000_000)] {
        let mut file = Vec::new();
        LabelMap::new(width, height, vec![9; pixels])
            .unwrap()
            .encode(&mut file)
            .unwrap();
        assert!(file.len() < MIB, "{}", file.len());
        // A byte a pixel of grey, then three.
        let (photo, taken) = peak(|| photo::decode(&file).unwrap());
        assert!(taken < 4 * pixels + 4 * MIB, "{width}: {taken}");
        let (resized, taken) = peak(|| photo::resized(&photo, 240, 180));
        assert!(resized.pixels().all(|pixel| pixel.0 == [9; 3]));
        assert!(taken < 4 * MIB, "{width}: {taken}");
        let (segmentation, taken) = peak(|| pipeline.segment(&photo).unwrap());
        assert!(taken < 16 * MIB, "{width}: {taken}");
        // Labels and picture; letters as large as the width would have them are left away.
        let (overlay, taken) = peak(|| picture::overlay(&photo, &segmentation.labels, &model));
        assert_eq!(overlay.dimensions(), photo.dimensions());
        assert!(taken < 4 * pixels + 4 * MIB, "{width}: {taken}");
    }
    let header = Cursor::new(b"P6 20000000 5 255\n");
    let stream = header.chain(std::io::repeat(9).take(3 * pixels as u64));
    let (labels, taken) = peak(|| {
        let photo = PhotoStream::new(BufReader::new(stream)).next();
        pipeline.segment(&photo.unwrap().unwrap()).unwrap().labels
    });
    assert_eq!(labels.width(), 48);
    assert!(taken < 3 * pixels + 16 * MIB, "{taken}");
    assert!(
        started.elapsed() < Duration::from_secs(240),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn pictures_of_long_photographs_are_not_enlarged() {
    let _turn = turn();
    for (width, height) in [(1, 65535), (65535, 1), (5000, 4000)] {
        let image = RgbImage::from_pixel(width, height, Rgb([90, 60, 20]));
        let labels = vec![0; (width * height) as usize];
        let map = SuperpixelMap::new(&labels, width as u16, height as u16, 1).unwrap();
        let segment = Segment::Superpixels {
            map: 0,
            members: &[0],
        };
        let (_, taken) = peak(|| picture::proposals(&image, &[map; 9], &[segment; 24]));
        // At most 64 million pixels of panels, twice, and those of the segments.
        assert!(taken < 500 * MIB, "{width}x{height}: {taken}");
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    RgbImage::from_fn(1, 65535, |_, y| Rgb([(y >> 8) as u8; 3]))
        .save(root.join("thin.png"))
        .unwrap();
    output(root, &["proposals", "thin.png", "--params", "board"]);
    let picture = image::open(root.join("proposals.png")).unwrap();
    assert!(picture.width() < 20 && picture.height() < 500_000);
}

/// Labels in 25 million pieces: single pixels on every second row and column.
fn isolated(side: usize) -> LabelMap {
    let even = |place: usize| place.is_multiple_of(2);
    let labels = (0..side * side).map(|pixel| u8::from(even(pixel / side) && even(pixel % side)));
    LabelMap::new(side, side, labels.collect()).unwrap()
}

#[test]
fn labels_in_too_many_pieces_are_refused() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let labels = isolated(10_000);
    let classes = TruthClasses::of_values(0);
    let (truth, taken) = peak(|| Truth::from_labels(&labels, &classes));
    let error = truth.unwrap_err().to_string();
    assert_eq!(error, "the labels are in more than 65535 pieces");
    // A class and a segment for each pixel.
    assert!(taken < 4 * 100_000_000 + 4 * MIB, "{taken}");
    labels.save(&root.join("bad.png")).unwrap();
    assert!(fs::metadata(root.join("bad.png")).unwrap().len() < 1_000_000);
    RgbImage::from_pixel(60, 60, Rgb([9; 3]))
        .save(root.join("p.png"))
        .unwrap();
    let arguments = [
        "proposals",
        "p.png",
        "--params",
        "board",
        "--labels",
        "bad.png",
        "--ignore",
        "0",
    ];
    assert_eq!(refusal(root, &arguments), format!("cfm: bad.png: {error}"));
    assert!(!root.join("proposals.png").exists());
}

/// Of one label, many pixels wait to be looked at.
#[test]
fn labels_in_one_piece_take_a_few_bytes_a_pixel() {
    let _turn = turn();
    let side = 5000;
    let labels = LabelMap::new(side, side, vec![1; side * side]).unwrap();
    let classes = TruthClasses::of_values(0);
    let (truth, taken) = peak(|| Truth::from_labels(&labels, &classes));
    assert_eq!(truth.unwrap().segments().len(), 1);
    assert!(taken < 8 * side * side, "{taken}");
}

/// As many ground-truth segments as there may be, all of them in every candidate: they are pasted once, not once each.
#[test]
fn many_segments_of_the_ground_truth_take_no_time() {
    let _turn = turn();
    let side = 2000;
    let mut labels = isolated(side).labels().to_vec();
    labels[side * 130..].fill(0);
    let labels = LabelMap::new(side, side, labels).unwrap();
    let classes = TruthClasses::of_values(0);
    let truth = Truth::from_labels(&labels, &classes).unwrap();
    let rows = |width| -> Vec<Run> {
        let row = |y| Run {
            y,
            x0: 0,
            x1: width,
        };
        (0..side as u16).map(row).collect()
    };
    let runs: Vec<Vec<Run>> = (0..20).map(|less| rows(side as u16 - less)).collect();
    let candidates: Vec<Segment<'_>> = runs.iter().map(|runs| Segment::Runs(runs)).collect();
    let started = Instant::now();
    let (image, taken) =
        peak(|| measure(&truth, &classes, &[], &candidates, Void::Counted).unwrap());
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
    assert!(taken < 10 * side * side + 16 * MIB, "{taken}");
    let quality = Quality::new(&[image], &classes, 1).unwrap();
    assert_eq!(quality.truth_segments.all, 65_000);
}
