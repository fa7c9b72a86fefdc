use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Masks of one image: rows of pixels.
#[derive(Debug, Clone)]
struct Masks {
    width: usize,
    height: usize,
    masks: Vec<Vec<bool>>,
}

impl Masks {
    /// Those with a pixel.
    fn visible(&self) -> Vec<Vec<bool>> {
        let masks = self.masks.iter();
        masks.filter(|mask| mask.contains(&true)).cloned().collect()
    }
}

fn masks() -> impl Strategy<Value = Masks> {
    (1..9_usize, 1..9_usize, 1..5_usize, 0.0..1.0_f64).prop_flat_map(
        |(width, height, count, share)| {
            let mask = prop::collection::vec(prop::bool::weighted(share), width * height);
            prop::collection::vec(mask, count).prop_map(move |masks| Masks {
                width,
                height,
                masks,
            })
        },
    )
}

/// The masks again, from the runs, which must be in order and apart.
fn painted(segments: &Segments) -> Vec<Vec<bool>> {
    let (width, height) = (
        usize::from(segments.width()),
        usize::from(segments.height()),
    );
    segments
        .iter()
        .map(|runs| {
            let mut mask = vec![false; width * height];
            for pair in runs.windows(2) {
                let (a, b) = (pair[0], pair[1]);
                assert!(a.y < b.y || (a.y == b.y && a.x1 < b.x0), "{a:?} {b:?}");
            }
            for run in runs {
                assert!(run.x0 < run.x1);
                let row = usize::from(run.y) * width;
                mask[row + usize::from(run.x0)..row + usize::from(run.x1)].fill(true);
            }
            mask
        })
        .collect()
}

/// Opens bytes as a file with an ending.
fn open(ending: &str, bytes: &[u8], options: &Options) -> Result<Segments, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("segments.{ending}"));
    fs::write(&path, bytes).unwrap();
    Segments::open(&path, options).map_err(|error| {
        let text = error.to_string();
        assert!(!text.contains('\n'), "{text}");
        let prefix = format!("{}: ", path.display());
        assert_eq!(text.matches(&prefix).count(), 1, "{text}");
        text.strip_prefix(&prefix).unwrap().to_owned()
    })
}

fn default(ending: &str, bytes: &[u8]) -> Result<Segments, String> {
    open(ending, bytes, &Options::default())
}

/// Lengths of runs down the columns, outside first: pixel by pixel.
fn counts(masks: &Masks, mask: &[bool]) -> Vec<u64> {
    let mut counts = vec![0];
    let mut last = false;
    for x in 0..masks.width {
        for y in 0..masks.height {
            let inside = mask[y * masks.width + x];
            if inside != last {
                counts.push(0);
                last = inside;
            }
            *counts.last_mut().unwrap() += 1;
        }
    }
    counts
}

/// COCO's compression, as its `rleToString` does it.
fn compressed(counts: &[u64]) -> String {
    let mut text = String::new();
    for (i, &count) in counts.iter().enumerate() {
        let mut value = count as i64 - if i > 2 { counts[i - 2] as i64 } else { 0 };
        let mut more = true;
        while more {
            let mut bits = (value & 0x1f) as u8;
            value >>= 5;
            more = if bits & 0x10 != 0 {
                value != -1
            } else {
                value != 0
            };
            if more {
                bits |= 0x20;
            }
            text.push(char::from(bits + 48));
        }
    }
    text
}

fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(data);
    bytes
}

fn png(
    width: u32,
    height: u32,
    depth: png::BitDepth,
    color: png::ColorType,
    data: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == png::ColorType::Indexed {
        encoder.set_palette(vec![7; 3 * 256]);
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    bytes
}

proptest! {
    #[test]
    fn coco_round_trips(masks in masks(), short: bool, form in 0..3) {
        let rle = |mask: &Vec<bool>| {
            let counts = counts(&masks, mask);
            let size = [masks.height, masks.width];
            if short {
                json!({ "size": size, "counts": compressed(&counts) })
            } else {
                json!({ "size": size, "counts": counts })
            }
        };
        let all: Vec<_> = masks.masks.iter().map(|mask| match form {
            0 => rle(mask),
            _ => json!({ "id": 5, "image_id": 3, "segmentation": rle(mask) }),
        }).collect();
        let file = match form {
            0 | 1 => json!(all),
            _ => json!({ "images": [], "annotations": all }),
        };
        let read = default("json", file.to_string().as_bytes());
        let expected = masks.visible();
        prop_assert_eq!(read.is_err(), expected.is_empty());
        if let Ok(segments) = read {
            prop_assert_eq!((segments.width().into(), segments.height().into()), (masks.width, masks.height));
            prop_assert_eq!(painted(&segments), expected);
        }
        // Alone.
        let read = default("json", all[0].to_string().as_bytes());
        prop_assert_eq!(read.is_ok(), masks.masks[0].contains(&true));
    }

    #[test]
    fn arrays_round_trip(masks in masks(), fortran: bool, kind in 0..3_usize, value in 1..=255_u8) {
        let Masks { width, height, masks: all } = &masks;
        let count = all.len();
        let at = |i: usize, y: usize, x: usize| if all[i][y * width + x] { value } else { 0 };
        let mut data = Vec::new();
        if fortran {
            for x in 0..*width { for y in 0..*height { for i in 0..count { data.push(at(i, y, x)); } } }
        } else {
            for i in 0..count { for y in 0..*height { for x in 0..*width { data.push(at(i, y, x)); } } }
        }
        let shape = if count == 1 { format!("({height}, {width})") } else { format!("({count}, {height}, {width})") };
        let read = default("npy", &npy(["|b1", "|u1", "|i1"][kind], fortran, &shape, &data));
        let expected = masks.visible();
        prop_assert_eq!(read.is_err(), expected.is_empty());
        if let Ok(segments) = read {
            prop_assert_eq!(painted(&segments), expected);
        }
    }

    #[test]
    fn label_maps_round_trip(
        (width, height) in (1..9_usize, 1..9_usize),
        values in prop::collection::vec(prop::sample::select(vec![0_u16, 1, 2, 255, 300, 65535]), 64),
        depth in 0..3_usize,
        ignore in prop::option::of(prop::sample::select(vec![1_u16, 255, 65535])),
    ) {
        let wide = depth == 2;
        let values: Vec<u16> = values[..width * height]
            .iter()
            .map(|&value| if wide { value } else { value.min(255) })
            .collect();
        let data: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_be_bytes()[usize::from(!wide)..].to_vec())
            .collect();
        let (depth, color) = [
            (png::BitDepth::Eight, png::ColorType::Grayscale),
            (png::BitDepth::Eight, png::ColorType::Indexed),
            (png::BitDepth::Sixteen, png::ColorType::Grayscale),
        ][depth];
        let file = png(width as u32, height as u32, depth, color, &data);
        let read = open("png", &file, &Options { ignore, image: None });
        let mut ids: Vec<u16> = values.iter().copied().filter(|&v| v != 0 && Some(v) != ignore).collect();
        ids.sort_unstable();
        ids.dedup();
        let expected: Vec<Vec<bool>> = ids
            .iter()
            .map(|id| values.iter().map(|value| value == id).collect())
            .collect();
        prop_assert_eq!(read.is_err(), expected.is_empty());
        if let Ok(segments) = read {
            prop_assert_eq!(painted(&segments), expected);
        }
    }

    #[test]
    fn resizing_is_by_nearest_pixel(masks in masks(), width in 1..20_u16, height in 1..20_u16) {
        let data: Vec<u8> = masks.masks.iter().flatten().map(|&inside| u8::from(inside)).collect();
        let shape = format!("({}, {}, {})", masks.masks.len(), masks.height, masks.width);
        let Ok(segments) = default("npy", &npy("|u1", false, &shape, &data)) else { return Ok(()) };
        let resized = segments.resized(width, height).unwrap();
        // The pixel that holds the centre (x + 1/2) W / w of pixel x, in reals.
        let source = |x: u16, to: u16, from: usize| ((f64::from(x) + 0.5) * from as f64 / f64::from(to)).floor() as usize;
        let expected: Vec<Vec<bool>> = masks
            .masks
            .iter()
            .map(|mask| {
                (0..height)
                    .flat_map(|y| (0..width).map(move |x| (x, y)))
                    .map(|(x, y)| mask[source(y, height, masks.height) * masks.width + source(x, width, masks.width)])
                    .collect::<Vec<bool>>()
            })
            .filter(|mask| mask.contains(&true))
            .collect();
        prop_assert_eq!(painted(&resized), expected);
        let same = segments.resized(segments.width(), segments.height()).unwrap();
        prop_assert_eq!(&same, &segments);
    }

    /// No bytes make the readers panic.
    #[test]
    fn broken_files_are_refused(
        which in 0..2_usize,
        at in any::<prop::sample::Index>(),
        byte: u8,
        length in any::<prop::sample::Index>(),
    ) {
        let json = json!([
            { "image_id": 1, "segmentation": { "size": [3, 4], "counts": "1132O4" } },
            { "image_id": 1, "score": 0.5, "segmentation": { "size": [3, 4], "counts": [0, 3, 9] } },
        ]);
        let whole = match which {
            0 => json.to_string().into_bytes(),
            _ => npy("|b1", false, "(2, 3)", &[0, 1, 1, 0, 0, 1]),
        };
        let ending = ["json", "npy"][which];
        let mut bytes = whole.clone();
        *at.get_mut(&mut bytes) = byte;
        let _ = default(ending, &bytes);
        let cut = length.index(whole.len());
        prop_assert!(default(ending, &whole[..cut]).is_err(), "cut at {}", cut);
    }
}

#[test]
fn a_known_compressed_mask_is_read() {
    // By hand: 36 is 4 + 32, two characters; from the fourth count on differences, 3 - 2 = 1 and 24 - 3 = 21, whose
    // fifth bit would be a sign, so a zero follows.
    assert_eq!(compressed(&[36, 2, 3, 3, 24]), "T1231e0");
    let text = json!({ "size": [17, 4], "counts": "T1231e0" });
    let segments = default("json", text.to_string().as_bytes()).unwrap();
    let pixels: Vec<usize> = (0..68)
        .filter(|pixel| (36..38).contains(pixel) || (41..44).contains(pixel))
        .collect();
    let mask = &painted(&segments)[0];
    for x in 0..4 {
        for y in 0..17 {
            assert_eq!(mask[y * 4 + x], pixels.contains(&(x * 17 + y)));
        }
    }
}

#[test]
fn annotations_are_ranked_and_chosen() {
    let rle = |counts: [u8; 3]| json!({ "size": [1, 4], "counts": counts });
    let file = json!([
        { "image_id": 7, "score": 0.1, "segmentation": rle([0, 1, 3]) },
        { "image_id": "b", "score": 0.2, "segmentation": rle([1, 1, 2]) },
        { "image_id": 7, "score": 0.9, "segmentation": rle([2, 1, 1]) },
    ])
    .to_string();
    let image = |id: &str| Options {
        image: Some(id.to_owned()),
        ignore: None,
    };
    let columns = |segments: Segments| segments.iter().map(|runs| runs[0].x0).collect::<Vec<_>>();
    let read = |id| open("json", file.as_bytes(), &image(id)).map(columns);
    assert_eq!(read("7").unwrap(), [2, 0]);
    assert_eq!(read("b").unwrap(), [1]);
    assert!(read("8").unwrap_err().contains("no annotation of image 8"));
    let error = default("json", file.as_bytes()).unwrap_err();
    assert!(error.contains("several images (7, b, ...)"), "{error}");
    // Not all have a score: the order of the file.
    let file = file.replace("\"score\":0.9", "\"points\":0.9");
    assert_eq!(
        open("json", file.as_bytes(), &image("7"))
            .map(columns)
            .unwrap(),
        [0, 2]
    );
}

#[test]
fn errors_say_what_is_wrong() {
    let json = |value: serde_json::Value, word: &str| {
        let error = default("json", value.to_string().as_bytes()).unwrap_err();
        assert!(error.contains(word), "{value}: {error}");
    };
    json(json!(3), "neither");
    json(json!({ "annotations": 3 }), "neither");
    json(json!([]), "no segment");
    json(json!([3]), "annotation 0: no run lengths");
    json(json!({ "segmentation": [[1, 2, 3, 4]] }), "polygon");
    json(json!({ "counts": [4] }), "no run lengths");
    json(json!({ "size": [2], "counts": [4] }), "[height, width]");
    json(json!({ "size": [2, -2], "counts": [4] }), "[height, width]");
    json(json!({ "size": [2, 2], "counts": 4 }), "neither a list");
    json(
        json!({ "size": [2, 2], "counts": [1, -1, 4] }),
        "not a number",
    );
    json(
        json!({ "size": [2, 2], "counts": [1, 1.5] }),
        "not a number",
    );
    json(
        json!({ "size": [2, 2], "counts": [1, 2] }),
        "add up to the 4",
    );
    json(
        json!({ "size": [2, 2], "counts": [1, 4] }),
        "add up to the 4",
    );
    json(
        json!({ "size": [2, 2], "counts": [u64::MAX, 5] }),
        "add up to the 4",
    );
    json(json!({ "size": [2, 2], "counts": [4] }), "no segment");
    for text in ["1 ", "1~", "P", "000O", "ooooooooooooo1"] {
        json(json!({ "size": [2, 2], "counts": text }), "compressed");
    }
    json(json!({ "size": [0, 2], "counts": [] }), "0 pixels");
    // Refused before anything of that size is allocated.
    json(
        json!({ "size": [60000, 60000], "counts": [0, 3_600_000_000_u64] }),
        "60000x60000",
    );
    json(
        json!({ "size": [1, 70000], "counts": [0, 70000] }),
        "70000x1",
    );
    json(
        json!({ "size": [u64::MAX, u64::MAX], "counts": [0, 1] }),
        "pixels",
    );
    json(
        json!([{ "size": [1, 2], "counts": [0, 2] }, { "size": [2, 1], "counts": [0, 2] }]),
        "annotation 1: 1x2 pixels, but those before have 2x1",
    );
    let deep = "[".repeat(100_000);
    assert!(
        default("json", deep.as_bytes())
            .unwrap_err()
            .contains("not JSON")
    );
    assert!(default("json", b"").unwrap_err().contains("not JSON"));

    let array = |bytes: &[u8], word: &str| {
        let error = default("npy", bytes).unwrap_err();
        assert!(error.contains(word), "{error}");
    };
    array(b"", "not a NumPy");
    array(b"\x93NUMPX\x01\x00", "not a NumPy");
    array(b"\x93NUMPY", "cut off");
    array(b"\x93NUMPY\x09\x00\x00\x00", "version");
    array(b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "too long");
    array(b"\x93NUMPY\x01\x00\x08\x00{'descr'", "header is broken");
    array(&npy("|b1", false, "(2, 2)", &[1; 3]), "cut off");
    array(&npy("|b1", false, "(2, 2)", &[1; 5]), "more than");
    array(&npy("|b1", false, "(2, 2)", &[0; 4]), "no segment");
    array(&npy("|b1", false, "(0, 2)", &[]), "0 pixels");
    array(&npy("|b1", false, "(4,)", &[1; 4]), "no array of masks");
    array(
        &npy("|b1", false, "(1, 1, 2, 2)", &[1; 4]),
        "no array of masks",
    );
    array(&npy("<f4", false, "(1, 1)", &[0; 4]), "bool or 8-bit");
    array(&npy("<u2", false, "(1, 2)", &[1; 4]), "bool or 8-bit");
    array(&npy("|b1", false, "(60000, 60000)", &[1]), "60000x60000");
    array(&npy("|b1", false, "(65535, 10000, 10000)", &[1]), "cut off");
    array(
        &npy("|b1", false, "(99999, 99999, 99999)", &[1]),
        "99999x99999",
    );
    array(
        &npy("|b1", false, "(18446744073709551615, 2)", &[1]),
        "no array of masks",
    );
    array(
        &npy("|b1", false, &"(".repeat(900), &[1]),
        "no array of masks",
    );
    // A type with brackets in its name.
    array(
        &npy("<M8[s]", false, "(1, 2, 2)", &[0; 32]),
        "no array of masks",
    );
    array(
        &npy("|b1', 'x': [('a', '<i4')], 'y': '", false, "(1, 1)", &[1]),
        "the array has fields",
    );

    let image = |bytes: &[u8], word: &str| {
        let error = default("png", bytes).unwrap_err();
        assert!(error.contains(word), "{error}");
    };
    let good = png(
        2,
        1,
        png::BitDepth::Eight,
        png::ColorType::Grayscale,
        &[1, 2],
    );
    for cut in 0..good.len() {
        assert!(default("png", &good[..cut]).is_err(), "{cut}");
    }
    image(
        &png(1, 1, png::BitDepth::Eight, png::ColorType::Rgb, &[1; 3]),
        "not a label image: 8-bit Rgb",
    );
    image(
        &png(
            2,
            1,
            png::BitDepth::Eight,
            png::ColorType::Grayscale,
            &[0, 0],
        ),
        "no segment",
    );
    let wide = vec![1; 70000];
    image(
        &png(
            70000,
            1,
            png::BitDepth::Eight,
            png::ColorType::Grayscale,
            &wide,
        ),
        "70000x1",
    );
    assert!(default("txt", b"x").unwrap_err().contains(".npy"));
    let error = Segments::open(Path::new("/nonexistent/x.png"), &Options::default()).unwrap_err();
    assert!(
        error.to_string().starts_with("/nonexistent/x.png: No such"),
        "{error}"
    );
    let error = Segments::open(Path::new("/nonexistent/x.npy"), &Options::default()).unwrap_err();
    assert!(
        error.to_string().starts_with("/nonexistent/x.npy: No such"),
        "{error}"
    );
}

/// NumPy's header is a Python literal, whose parser takes twice as long for every level of nesting.
#[test]
fn nested_headers_take_no_time() {
    let header = |text: &str| {
        let length = (text.len() as u16).to_le_bytes();
        [&b"\x93NUMPY\x01\x00"[..], &length, text.as_bytes()].concat()
    };
    let started = std::time::Instant::now();
    for nested in [
        "[",
        "{",
        "[[],",
        "{'':",
        "(None,",
        "([",
        "']'[",
        "{'')':('',",
    ] {
        for bytes in [
            header(&nested.repeat(50)),
            npy("|b1", false, &nested.repeat(50), &[1]),
            npy(
                "|b1', 'x': [('a', '<i4')], 'y': '",
                false,
                &nested.repeat(50),
                &[1],
            ),
        ] {
            assert!(default("npy", &bytes).is_err(), "{nested}");
        }
    }
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

#[test]
fn truncation_keeps_the_first() {
    let mut segments =
        default("npy", &npy("|b1", false, "(3, 1, 2)", &[1, 0, 0, 1, 1, 1])).unwrap();
    segments.truncate(9);
    assert_eq!(segments.len(), 3);
    segments.truncate(2);
    assert_eq!(painted(&segments), [[true, false], [false, true]]);
    segments.truncate(0);
    assert!(segments.is_empty());
}

#[test]
fn logits_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logits.npy");
    let read = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Logits::open(&path).map_err(|error| error.to_string())
    };
    let data = [1, 0, 254, 255, 0, 128, 255, 127, 0, 0, 5, 0];
    let good = npy("<i2", false, "(2, 3)", &data);
    let logits = read(&good).unwrap();
    assert_eq!(logits.classes(), 3);
    assert_eq!(logits.values(), [1, -2, i16::MIN, i16::MAX, 0, 5]);
    for (bytes, what) in [
        (npy("<i2", true, "(2, 3)", &data), "int16"),
        (npy(">i2", false, "(2, 3)", &data), "int16"),
        (npy("<f4", false, "(1, 3)", &data), "int16"),
        (npy("|i1", false, "(4, 3)", &data), "int16"),
        (npy("<i2", false, "(6,)", &data), "int16"),
        (npy("<i2", false, "(2, 3, 1)", &data), "int16"),
        (npy("<i2", false, "(2, 99999999999)", &data), "int16"),
        (npy("<i2", false, "(2, 2)", &data), "more than"),
        (npy("<i2", false, "(3, 3)", &data), "cut off"),
        (good[..40].to_vec(), "cut off"),
        (b"P5 2 3 255".to_vec(), "not a NumPy array"),
        (Vec::new(), "not a NumPy array"),
    ] {
        let error = read(&bytes).unwrap_err();
        assert!(
            error.contains(what) && error.contains("logits.npy"),
            "{error}"
        );
    }
    assert!(Logits::open(&folder.path().join("none.npy")).is_err());
}
