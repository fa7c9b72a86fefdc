//! Memory that hostile files can ask for: measured by an allocator that counts.

#[path = "../common/mod.rs"]
mod common;
mod models;
mod uses;

use std::fs;
use std::io::{BufReader, Cursor, Read};
use std::sync::{Mutex, PoisonError};

use cfm_core::model::{Model, crc32};
use cfm_sim::dataset::Dataset;
use cfm_sim::eval_part::Part;
use cfm_sim::import::{self, Segments};
use cfm_sim::label_map::LabelMap;
use cfm_sim::photo;
use cfm_sim::photo_stream::PhotoStream;
use cfm_sim::pipeline::Pipeline;
use cfm_sim::proposal_config::ProposalConfig;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// Tests run in several threads, but bytes are counted of one at a time.
static TURN: Mutex<()> = Mutex::new(());

const MIB: usize = 1 << 20;

/// What `work` gives, and the most bytes that it had allocated at a time.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let result = work();
    (result, ALLOCATED.peak_usage().saturating_sub(before))
}

fn turn() -> std::sync::MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A chunk of a PNG file.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [&kind[..], data].concat();
    let length = (data.len() as u32).to_be_bytes();
    [&length[..], &named, &crc32(&named).to_be_bytes()].concat()
}

/// A grey PNG file that says it has so many columns and rows, with chunks and compressed pixels.
fn png(size: [u32; 2], chunks: &[u8], pixels: &[u8]) -> Vec<u8> {
    let mut header = size.map(u32::to_be_bytes).concat();
    header.extend([8, 0, 0, 0, 0]);
    [
        &b"\x89PNG\r\n\x1a\n"[..],
        &chunk(b"IHDR", &header),
        chunks,
        &chunk(b"IDAT", pixels),
        &chunk(b"IEND", b""),
    ]
    .concat()
}

/// Some 64 MiB of zeros, compressed as in a PNG file.
fn deflated_zeros() -> Vec<u8> {
    let side = 8192;
    let zeros = LabelMap::new(side, side, vec![0; side * side]).unwrap();
    let mut file = Vec::new();
    zeros.encode(&mut file).unwrap();
    let (mut at, mut stream) = (8, Vec::new());
    while at < file.len() {
        let length = u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        if &file[at + 4..at + 8] == b"IDAT" {
            stream.extend(&file[at + 8..at + 8 + length]);
        }
        at += 12 + length;
    }
    assert!(stream.len() < MIB);
    stream
}

#[test]
fn sizes_that_headers_claim_are_not_believed() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.png");
    let mut jpeg = Cursor::new(Vec::new());
    let grey = DynamicImage::from(RgbImage::new(16, 16));
    grey.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    let mut jpeg = jpeg.into_inner();
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    let mut bmp = Cursor::new(Vec::new());
    grey.write_to(&mut bmp, ImageFormat::Bmp).unwrap();
    let mut bmp = bmp.into_inner();
    bmp[18..26].copy_from_slice(&[65_535_u32; 2].map(u32::to_le_bytes).concat());
    for (what, bytes) in [
        ("png", png([65_535; 2], b"", b"")),
        ("jpeg", jpeg),
        ("bmp", bmp),
        ("pgm", b"P5 65535 65535 255\n".to_vec()),
        (
            "pam",
            b"P7\nWIDTH 65535\nHEIGHT 65535\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
                .to_vec(),
        ),
    ] {
        let (read, bytes) = peak(|| photo::decode(&bytes));
        let error = read.unwrap_err().to_string();
        assert!(
            error.contains("at most 100 million are read"),
            "{what}: {error}"
        );
        assert!(bytes < MIB, "{what}: {bytes}");
    }
    fs::write(&path, png([65_535; 2], b"", b"")).unwrap();
    let (read, bytes) = peak(|| LabelMap::open(&path));
    let error = read.unwrap_err().to_string();
    assert!(error.contains("at most 100 million are read"), "{error}");
    assert!(bytes < MIB, "{bytes}");
    let (read, bytes) = peak(|| Segments::open(&path, &import::Options::default()));
    assert!(read.is_err() && bytes < MIB, "{bytes}");
}

#[test]
fn compressed_bombs_do_not_go_off() {
    let _turn = turn();
    let zeros = deflated_zeros();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.png");
    let mut tiny = Vec::new();
    LabelMap::new(2, 2, vec![1; 4])
        .unwrap()
        .encode(&mut tiny)
        .unwrap();
    let pixels = tiny.windows(4).position(|name| name == b"IDAT").unwrap();
    let length = u32::from_be_bytes(tiny[pixels - 4..pixels].try_into().unwrap()) as usize;
    let pixels = tiny[pixels + 4..][..length].to_vec();
    let text = |head: &[u8]| [head, &zeros].concat();
    for (what, chunks, pixels) in [
        ("iCCP", chunk(b"iCCP", &text(b"n\0\0")), &pixels),
        ("zTXt", chunk(b"zTXt", &text(b"k\0\0")), &pixels),
        ("iTXt", chunk(b"iTXt", &text(b"k\0\x01\0\0\0")), &pixels),
        ("IDAT", Vec::new(), &zeros),
    ] {
        let bytes = png([2, 2], &chunks, pixels);
        fs::write(&path, &bytes).unwrap();
        // Whether what is beside the pixels is read or left alone, it is not inflated.
        let (_, taken) = peak(|| photo::decode(&bytes));
        assert!(taken < 4 * MIB, "{what}: {taken}");
        let (_, taken) = peak(|| LabelMap::open(&path));
        assert!(taken < 4 * MIB, "{what}: {taken}");
    }
    let good = png([2, 2], b"", &pixels);
    assert!(photo::decode(&good).is_ok());
}

#[test]
fn large_photographs_take_a_few_bytes_a_pixel() {
    let _turn = turn();
    let (width, height) = (4000, 2500);
    let pixels = (width * height) as usize;
    let photo = RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x >> 4) as u8, (y >> 4) as u8, 7])
    });
    let photo = DynamicImage::from(photo);
    for (format, image, most) in [
        (ImageFormat::Png, photo.clone(), 3),
        (ImageFormat::Jpeg, photo.clone(), 6),
        (ImageFormat::Pnm, photo.clone(), 3),
        (ImageFormat::Bmp, photo.clone(), 3),
        (ImageFormat::Png, photo.to_rgba16().into(), 8 + 3),
    ] {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        drop(image);
        let bytes = bytes.into_inner();
        let (read, taken) = peak(|| photo::decode(&bytes));
        assert_eq!(read.unwrap().dimensions(), (width, height));
        assert!(taken < most * pixels + 4 * MIB, "{format:?}: {taken}");
    }
    // And what is made of them.
    let spec = common::model_spec().to_bytes().unwrap();
    let model = Model::parse(&spec).unwrap();
    let photo = photo.into_rgb8();
    let (segmented, taken) = peak(|| Pipeline::new(&model).unwrap().segment(&photo).unwrap());
    assert_eq!(segmented.labels.width(), 48);
    assert!(taken < pixels + 16 * MIB, "{taken}");
}

#[test]
fn streams_are_read_image_by_image() {
    let _turn = turn();
    // Sixteen images of 3 MB, one after the other.
    let image = [&b"P6 1000 1000 255\n"[..], &[9; 3_000_000]].concat();
    let stream = (0..16).fold(Box::new(std::io::empty()) as Box<dyn Read>, |stream, _| {
        Box::new(stream.chain(Cursor::new(&image[..])))
    });
    let (count, taken) = peak(|| {
        PhotoStream::new(BufReader::new(stream))
            .filter(Result::is_ok)
            .count()
    });
    assert_eq!(count, 16);
    assert!(taken < 4 * 3_000_000, "{taken}");
    // A header that does not end.
    let comment = Cursor::new(b"P6 #").chain(std::io::repeat(b'a').take(32 << 20));
    let (frame, taken) = peak(|| PhotoStream::new(BufReader::new(comment)).next());
    assert!(frame.unwrap().is_err());
    assert!(taken < MIB, "{taken}");
}

/// What reading a file of segments gives, and the most bytes that it takes.
fn segments(ending: &str, bytes: &[u8]) -> (Result<usize, String>, usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("segments.{ending}"));
    fs::write(&path, bytes).unwrap();
    let read = || Segments::open(&path, &import::Options::default());
    let (read, taken) = peak(read);
    (
        read.map(|read| read.len())
            .map_err(|error| error.to_string()),
        taken,
    )
}

#[test]
fn json_takes_a_few_times_its_length() {
    let _turn = turn();
    let nested = [&b"[".repeat(1_000_000)[..], &b"]".repeat(1_000_000)].concat();
    let inside = |what: &[u8]| [&b"{\"size\":[2,2],\"counts\":"[..], what, b"}"].concat();
    let long = |item: &str| [&b"["[..], item.repeat(2_000_000).as_bytes(), b"0]"].concat();
    for (what, bytes) in [
        ("nested", nested.clone()),
        ("nested objects", b"{\"a\":".repeat(500_000)),
        ("nested counts", inside(&nested)),
        ("counts", inside(&long("0,"))),
        (
            "compressed counts",
            inside(format!("\"{}\"", "0".repeat(4_000_000)).as_bytes()),
        ),
        ("numbers", long("0,")),
        ("lists", long("[],")),
        ("objects", long("{},")),
        ("words", inside(&long("null,"))),
    ] {
        let (read, taken) = segments("json", &bytes);
        assert!(read.is_err(), "{what}");
        // Each annotation, of two bytes, has a number; there are no more than 65535 of them.
        let most = 10 * bytes.len() + 20 * MIB;
        assert!(taken < most, "{what}: {taken}, but {} bytes", bytes.len());
    }
}

/// Annotations of all pixels but one, of an image as large as can be: what counts are their rows, not their pixels.
#[test]
fn huge_masks_take_neither_time_nor_memory() {
    let _turn = turn();
    let (side, pixels) = (10_000, 100_000_000);
    let annotation = format!("{{\"size\":[{side},{side}],\"counts\":[1,{}]}}", pixels - 1);
    let many = |count: usize| format!("[{}]", vec![&annotation[..]; count].join(","));
    let started = std::time::Instant::now();
    let (read, taken) = segments("json", many(500).as_bytes());
    assert_eq!(read, Ok(500));
    // 5 million runs of 6 bytes.
    assert!(taken < 100 * MIB, "{taken}");
    let (read, taken) = segments("json", many(5000).as_bytes());
    let error = read.unwrap_err();
    assert!(
        error.contains("more than 33554432 runs of pixels"),
        "{error}"
    );
    assert!(taken < 640 * MIB, "{taken}");
    // Painting them would take 550 thousand million pixels, which is minutes.
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn runs_are_not_repeated_without_end() {
    let _turn = turn();
    let annotation = "{\"size\":[1,1],\"counts\":[0,1]}";
    let text = format!("[{}]", vec![annotation; 65535].join(","));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("segments.json");
    fs::write(&path, text).unwrap();
    let segments = Segments::open(&path, &import::Options::default()).unwrap();
    assert_eq!(segments.resized(1, 100).unwrap().len(), 65535);
    let (resized, taken) = peak(|| segments.resized(1, u16::MAX));
    let error = resized.unwrap_err().to_string();
    assert!(
        error.contains("more than 33554432 runs in 1x65535 pixels"),
        "{error}"
    );
    assert!(taken < 640 * MIB, "{taken}");
}

#[test]
fn arrays_are_as_long_as_they_say() {
    let _turn = turn();
    let array = |shape: &str, data: usize| {
        let mut header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
        header.push_str(&" ".repeat(117 - header.len()));
        header.push('\n');
        [
            &b"\x93NUMPY\x01\0"[..],
            &118_u16.to_le_bytes(),
            header.as_bytes(),
            &vec![1; data],
        ]
        .concat()
    };
    for shape in ["(99999, 9999, 9999)", "(9999, 9999)", "(65535, 65535)"] {
        let (read, taken) = segments("npy", &array(shape, 100));
        assert!(read.is_err() && taken < MIB, "{shape}: {taken}");
    }
    assert_eq!(segments("npy", &array("(10, 10)", 100)).0, Ok(1));
}

#[cfg(unix)]
#[test]
fn endless_files_are_refused() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let endless = |name: &str| {
        let path = folder.path().join(name);
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        path
    };
    let toml = endless("dataset.toml");
    let (read, taken) = peak(|| Dataset::open(folder.path()));
    let error = read.unwrap_err().to_string();
    assert!(
        error.ends_with("dataset.toml: the file is longer than 1024 KiB"),
        "{error}"
    );
    assert!(taken < 4 * MIB, "{taken}");
    let (read, taken) = peak(|| ProposalConfig::read(&toml));
    assert!(read.is_err() && taken < 4 * MIB, "{taken}");
    let (read, taken) = peak(|| Part::open(&toml));
    let error = read.unwrap_err().to_string();
    assert!(
        error.ends_with("the file is longer than 256 MiB"),
        "{error}"
    );
    assert!(taken < 800 * MIB, "{taken}");
    // Half a megabyte of nothing but nesting.
    let nested = folder.path().join("nested.toml");
    fs::write(&nested, format!("a = {}", "[".repeat(500_000))).unwrap();
    let (read, taken) = peak(|| ProposalConfig::read(&nested));
    assert!(read.is_err() && taken < 128 * MIB, "{taken}");

    cfm_sim::scene::write_dataset(&folder.path().join("set"), &[("val", 1)], (8, 8), 0).unwrap();
    let dataset = Dataset::open(folder.path().join("set")).unwrap();
    fs::File::create(folder.path().join("set/val.txt"))
        .unwrap()
        .set_len((64 << 20) + 1)
        .unwrap();
    let (read, taken) = peak(|| dataset.split("val"));
    let error = read.unwrap_err().to_string();
    assert!(
        error.ends_with("val.txt: the file is longer than 65536 KiB"),
        "{error}"
    );
    assert!(taken < 200 * MIB, "{taken}");
}
