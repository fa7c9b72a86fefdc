//! Models to bytes and back, to JSON and back; and what the format cannot hold.

use std::fs;

use cfm_core::model::format::{
    CHECKED_FROM, HEADER_LEN, LAYER_LEN, SECTION_ALIGN, SECTION_ENTRY_LEN, tag,
};
use cfm_core::model::{Model, ModelErrorKind, Part, crc32};
use cfm_model::Place;
use cfm_model::random::{Options, random_model};
use cfm_model::reader::{MAX_PROVENANCE, MAX_SHARED, ReadError, SpecError};
use cfm_model::shape::ShapeError;
use cfm_model::spec::{
    CalibrationSpec, Channel, ClassKind, Classifier, ConvSpec, Design, FcSpec, HeadSpec,
    IMAGE_SCALE, InputSpec, LayerSpec, MaskRule, ModelSpec, Path, UnknownSection, Window,
    classifier_output,
};
use cfm_model::writer::WriteError;
use proptest::prelude::*;

/// Offset of a section's entry in the table.
fn entry(bytes: &[u8], tag: [u8; 4]) -> usize {
    (HEADER_LEN..)
        .step_by(SECTION_ENTRY_LEN)
        .find(|&at| bytes[at..at + 4] == tag)
        .unwrap()
}

/// Offset of a section.
fn section(bytes: &[u8], tag: [u8; 4]) -> usize {
    let at = entry(bytes, tag) + 8;
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// Makes length and checksum of a changed file right again.
fn seal(bytes: &mut [u8]) {
    let length = bytes.len() as u32;
    bytes[8..12].copy_from_slice(&length.to_le_bytes());
    let checksum = crc32(&bytes[CHECKED_FROM..]);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
}

/// Gives a section other content, at the end of the file.
fn replace(bytes: &mut Vec<u8>, tag: [u8; 4], content: &[u8]) {
    let at = entry(bytes, tag);
    bytes.resize(bytes.len().next_multiple_of(SECTION_ALIGN), 0);
    let place = [bytes.len() as u32, content.len() as u32].map(u32::to_le_bytes);
    bytes[at + 8..at + 16].copy_from_slice(place.as_flattened());
    bytes.extend(content);
    seal(bytes);
}

/// A random model whose first layer is a convolution.
fn model() -> ModelSpec {
    (0..)
        .map(|seed| random_model(seed, &Options::default()))
        .find(|spec| matches!(spec.layers[0], LayerSpec::Conv2d(_)))
        .unwrap()
}

proptest! {
    #[test]
    fn bytes_read_back(
        seed: u64,
        proposals: Option<Vec<u8>>,
        provenance in prop::collection::vec(("[a-z][a-z ._-]{0,20}[a-z]", "(\\PC{0,30}[a-z=]|)"), 0..6),
        calibration in prop::option::of((-1e9_f32..1e9, -1e9_f32..1e9)),
        // No known tag has a digit.
        unknown in prop::collection::btree_map("[A-Z]{3}[0-9]", prop::collection::vec(any::<u8>(), 0..40), 0..4),
    ) {
        let mut spec = random_model(seed, &Options { max_layers: 3, ..Options::default() });
        spec.proposals = proposals;
        spec.provenance = provenance
            .into_iter()
            .map(|(key, value)| (key, value.trim().to_owned()))
            .collect();
        spec.calibration = calibration.map(|(slope, intercept)| CalibrationSpec { slope, intercept });
        spec.unknown = unknown
            .into_iter()
            .map(|(tag, content)| UnknownSection {
                tag: tag.as_bytes().try_into().unwrap(),
                content,
            })
            .collect();
        let bytes = spec.to_bytes().unwrap();
        let parsed = Model::parse(&bytes).unwrap();
        prop_assert_eq!(&ModelSpec::try_from(&parsed).unwrap(), &spec);
        prop_assert_eq!(parsed.section(*b"PROP"), spec.proposals.as_deref());
        // Reading and writing once more changes nothing.
        prop_assert_eq!(ModelSpec::try_from(&parsed).unwrap().to_bytes().unwrap(), bytes);
    }

    #[test]
    fn any_provenance_reads_and_writes(text in "[ab= \r\n\t\u{2028}\\\\]{0,30}") {
        let mut bytes = model().to_bytes().unwrap();
        replace(&mut bytes, tag::PROVENANCE, text.as_bytes());
        let spec = ModelSpec::from_bytes(&bytes).unwrap();
        let again = ModelSpec::from_bytes(&spec.to_bytes().unwrap());
        prop_assert_eq!(again, Ok(spec));
    }

    #[test]
    fn whatever_the_core_accepts_can_be_written_again(
        seed: u64,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..3),
    ) {
        let mut spec = random_model(seed, &Options { max_layers: 3, max_side: 20, ..Options::default() });
        spec.unknown.push(UnknownSection { tag: *b"SOME", content: vec![1, 2, 3] });
        let mut bytes = spec.to_bytes().unwrap();
        for (position, bit) in flips {
            let at = CHECKED_FROM + position.index(bytes.len() - CHECKED_FROM);
            bytes[at] ^= 1_u8 << bit;
        }
        seal(&mut bytes);
        prop_assume!(Model::parse(&bytes).is_ok());
        let spec = ModelSpec::from_bytes(&bytes).unwrap();
        let again = ModelSpec::from_bytes(&spec.to_bytes().unwrap());
        prop_assert_eq!(again, Ok(spec));
    }

    #[test]
    fn json_reads_back(seed: u64) {
        let spec = random_model(seed, &Options { max_layers: 2, ..Options::default() });
        let json = serde_json::to_string(&spec).unwrap();
        prop_assert_eq!(serde_json::from_str::<ModelSpec>(&json).unwrap(), spec);
    }

    #[test]
    fn damaged_bytes_are_refused(seed: u64, position: prop::sample::Index, bit in 0_u8..8) {
        let spec = random_model(seed, &Options { max_layers: 2, ..Options::default() });
        let mut bytes = spec.to_bytes().unwrap();
        let at = position.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        // The minor version is the only field that the checksum does not cover and that may differ.
        prop_assume!(!(6..8).contains(&at));
        prop_assert!(ModelSpec::from_bytes(&bytes).is_err());
    }
}

#[test]
fn foreign_provenance_is_sanitized() {
    for (text, expected) in [
        ("= cd\refgh", &[][..]),
        ("=", &[]),
        ("\n\r\n  \n", &[]),
        ("a = b\r\nc=d", &[("a", "b"), ("c", "d")]),
        ("a\rb = c\rd\r", &[("a b", "c d")]),
        ("a = b = c", &[("a", "b = c")]),
        ("no value", &[("no value", "")]),
        ("= lost\nkept =", &[("kept", "")]),
    ] {
        let mut bytes = model().to_bytes().unwrap();
        replace(&mut bytes, tag::PROVENANCE, text.as_bytes());
        let spec = ModelSpec::from_bytes(&bytes).unwrap();
        let found: Vec<(&str, &str)> = spec
            .provenance
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(found, expected, "{text:?}");
        let again = ModelSpec::from_bytes(&spec.to_bytes().unwrap());
        assert_eq!(again, Ok(spec), "{text:?}");
    }
}

#[test]
fn unknown_sections_are_kept() {
    let mut spec = model();
    spec.proposals = Some(vec![1, 2, 3]);
    let mut bytes = spec.to_bytes().unwrap();
    // What a later version might write: this one knows nothing about it.
    let at = entry(&bytes, tag::PROPOSALS);
    bytes[at..at + 4].copy_from_slice(b"NEW!");
    seal(&mut bytes);
    let read = ModelSpec::from_bytes(&bytes).unwrap();
    let expected = UnknownSection {
        tag: *b"NEW!",
        content: vec![1, 2, 3],
    };
    assert_eq!(
        (&read.proposals, &read.unknown[..]),
        (&None, &[expected][..])
    );
    let written = read.to_bytes().unwrap();
    let section = Model::parse(&written).unwrap().section(*b"NEW!");
    assert_eq!(section, Some(&[1, 2, 3][..]));
    let json = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<ModelSpec>(&json).unwrap(), read);
}

#[test]
fn unknown_sections_are_unknown_and_distinct() {
    let section = |tag: [u8; 4]| UnknownSection {
        tag,
        content: vec![],
    };
    let mut spec = model();
    spec.unknown = vec![section(*b"NEW!"), section(tag::PROPOSALS)];
    let error = spec.to_bytes().unwrap_err();
    assert!(
        matches!(error, WriteError::KnownSection(tag::PROPOSALS)),
        "{error}"
    );
    let text = "section PROP is known, and not to be written as an unknown one";
    assert_eq!(error.to_string(), text);

    spec.unknown = vec![section(*b"NEW!"); 2];
    match spec.to_bytes().unwrap_err() {
        WriteError::Refused(error) => assert_eq!(error.kind, ModelErrorKind::SectionTable),
        error => panic!("{error}"),
    }
}

/// A model over one pixel with `layers` times the same 1x1 convolution, whose weights are in the file once.
fn sharing(channels: u16, layers: u8) -> Vec<u8> {
    let mut spec = model();
    let side = usize::from(channels);
    let channel = Channel {
        bias: 0,
        mantissa: 1 << 14,
        shift: 14,
    };
    spec.input = InputSpec {
        height: 1,
        width: 1,
        channels,
    };
    spec.layers = vec![LayerSpec::Conv2d(ConvSpec {
        input: 0,
        window: Window::UNIT,
        groups: 1,
        out_channels: channels,
        output: IMAGE_SCALE,
        weights: vec![1; side * side],
        channels: vec![channel; side],
    })];
    spec.head = HeadSpec {
        design: Design::Plain,
        classifier: Classifier::Softmax,
        mask_rule: MaskRule::Max,
        segment_levels: vec![1],
        region_levels: vec![],
        segment_fcs: vec![],
        region_fcs: vec![],
        joint_fcs: vec![FcSpec {
            outputs: 1,
            output: classifier_output(-7),
            weights: vec![1; side],
            channels: vec![channel],
        }],
        logit_exponent: -7,
    };
    spec.classes.truncate(1);
    spec.classes[0].kind = ClassKind::Stuff;
    spec.classes[0].label = 0;
    let mut bytes = spec.to_bytes().unwrap();
    let at = section(&bytes, tag::LAYERS);
    let record = bytes[at..at + LAYER_LEN].to_vec();
    let records = (0..layers).flat_map(|input| {
        let mut record = record.clone();
        record[2] = input;
        record
    });
    let records: Vec<u8> = records.collect();
    replace(&mut bytes, tag::LAYERS, &records);
    bytes
}

#[test]
fn shared_weights_are_read_within_bounds() {
    // A few layers over a small range are copied, and mean what they meant.
    let bytes = sharing(64, 64);
    let spec = ModelSpec::from_bytes(&bytes).unwrap();
    assert_eq!(spec.layers.len(), 64);
    let written = spec.to_bytes().unwrap();
    assert!(written.len() > 10 * bytes.len());
    assert_eq!(ModelSpec::from_bytes(&written).as_ref(), Ok(&spec));

    // A mebibyte 64 times over is more than anybody needs; the core, which copies nothing, reads it.
    let bytes = sharing(1024, 64);
    assert!(Model::parse(&bytes).is_ok());
    let expanded = 64 * (1024 * 1024 + 8 * 1024) + 1024 + 8;
    assert_eq!(
        ModelSpec::from_bytes(&bytes),
        Err(SpecError::Expansion {
            bytes: expanded,
            most: MAX_SHARED
        })
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.cfm");
    fs::write(&path, &bytes).unwrap();
    let error = ModelSpec::read_file(&path).unwrap_err().to_string();
    let reason =
        "large.cfm: the layers share parameters: 67634184 bytes, but at most 67108864 are read";
    assert!(error.ends_with(reason), "{error}");
    // The same layers in a file that is large by itself.
    assert!(ModelSpec::from_bytes(&sharing(1024, 63)).is_ok());
    let mut padded = bytes;
    padded.resize(17 << 20, 0);
    seal(&mut padded);
    assert!(ModelSpec::from_bytes(&padded).is_ok());
}

#[test]
fn sections_that_share_bytes_are_refused() {
    let section = |tag: &[u8; 4], length| UnknownSection {
        tag: *tag,
        content: vec![7; length],
    };
    // As many copies of one section as there is room for in the table.
    let mut spec = model();
    spec.unknown = vec![section(b"BULK", 1 << 16)];
    spec.unknown
        .extend((b'A'..=b'P').map(|letter| section(&[b'M', b'O', b'R', letter], 1)));
    let mut bytes = spec.to_bytes().unwrap();
    let place = entry(&bytes, *b"BULK") + 8;
    let place: [u8; 8] = bytes[place..place + 8].try_into().unwrap();
    for letter in b'A'..=b'P' {
        let at = entry(&bytes, [b'M', b'O', b'R', letter]) + 8;
        bytes[at..at + 8].copy_from_slice(&place);
    }
    seal(&mut bytes);
    let error = ModelSpec::from_bytes(&bytes).unwrap_err();
    let kind = ModelErrorKind::SectionTable;
    assert!(
        matches!(error, SpecError::Model(error) if error.kind == kind),
        "{error}"
    );
}

#[test]
fn provenance_is_read_and_written_within_bounds() {
    let with_provenance = model().to_bytes().unwrap();
    // As it stands in the file, and as it is written again: every line becomes longer by three bytes.
    for (text, expected) in [
        ("a".repeat(MAX_PROVENANCE), MAX_PROVENANCE + 4),
        ("\n".repeat(MAX_PROVENANCE + 1), MAX_PROVENANCE + 1),
        ("a\n".repeat(MAX_PROVENANCE / 2), 5 * MAX_PROVENANCE / 2),
    ] {
        let mut bytes = with_provenance.clone();
        replace(&mut bytes, tag::PROVENANCE, text.as_bytes());
        assert!(Model::parse(&bytes).is_ok());
        let error = ModelSpec::from_bytes(&bytes).unwrap_err();
        assert_eq!(error, SpecError::Provenance(expected));
    }
    let mut spec = model();
    let entry = |length| vec![("a".to_owned(), "b".repeat(length))];
    spec.provenance = entry(MAX_PROVENANCE - 5);
    let bytes = spec.to_bytes().unwrap();
    assert_eq!(ModelSpec::from_bytes(&bytes).as_ref(), Ok(&spec));
    spec.provenance = entry(MAX_PROVENANCE - 4);
    let error = spec.to_bytes().unwrap_err().to_string();
    assert_eq!(
        error,
        "1048577 bytes of provenance; at most 1048576 are read"
    );
}

#[test]
fn weights_are_aligned() {
    for seed in 0..100 {
        let bytes = random_model(seed, &Options::default()).to_bytes().unwrap();
        let model = Model::parse(&bytes).unwrap();
        let base = bytes.as_ptr() as usize;
        for path in Path::ALL {
            for fc in model.head().layers(path) {
                assert_eq!((fc.parameters.weights.as_ptr() as usize - base) % 16, 0);
            }
        }
    }
}

#[test]
fn lists_of_the_wrong_length_are_refused() {
    let mut spec = model();
    if let LayerSpec::Conv2d(conv) = &mut spec.layers[0] {
        conv.weights.push(0);
    }
    assert!(matches!(
        spec.to_bytes(),
        Err(WriteError::Length {
            place: Place::Layer(0),
            ..
        })
    ));
    let mut spec = model();
    spec.head.joint_fcs[0].channels.pop();
    let error = spec.to_bytes().unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("joint fully connected layer 0: the list of channels has"),
        "{text}"
    );
}

#[test]
fn lists_that_are_too_long_are_refused() {
    let refused = |change: &dyn Fn(&mut ModelSpec)| {
        let mut spec = model();
        change(&mut spec);
        match spec.to_bytes().unwrap_err() {
            WriteError::TooMany { what, count, most } => (what, count, most),
            error => panic!("{error}"),
        }
    };
    let long_name = |spec: &mut ModelSpec| spec.classes[0].name = "x".repeat(256);
    assert_eq!(refused(&long_name), ("bytes in a class name", 256, 255));
    let many_levels = |spec: &mut ModelSpec| spec.head.segment_levels = (1..=9).collect();
    assert_eq!(refused(&many_levels), ("pyramid levels", 9, 8));
    let many_classes = |spec: &mut ModelSpec| {
        let class = spec.classes[0].clone();
        spec.classes.resize(256, class);
    };
    assert_eq!(refused(&many_classes), ("classes", 256, 255));
    let many_layers = |spec: &mut ModelSpec| {
        while spec.layers.len() < 65 {
            let last = spec.layers.len();
            spec.layers.push(LayerSpec::Add(cfm_model::spec::AddSpec {
                inputs: [last; 2],
                output: spec.tensor_scales()[last],
            }));
        }
    };
    assert_eq!(refused(&many_layers), ("layers", 65, 64));
}

#[test]
fn structures_that_do_not_hold_together_are_refused() {
    let mut spec = model();
    if let LayerSpec::Conv2d(conv) = &mut spec.layers[0] {
        conv.input = 1;
    }
    let expected = ShapeError::Input { layer: 0, input: 1 };
    assert!(matches!(spec.to_bytes(), Err(WriteError::Shape(e)) if e == expected));

    let mut spec = model();
    if let LayerSpec::Conv2d(conv) = &mut spec.layers[0] {
        conv.window.stride = [0, 1];
    }
    assert!(matches!(
        spec.to_bytes(),
        Err(WriteError::Shape(ShapeError::Window { layer: 0 }))
    ));
}

#[test]
fn the_reader_has_the_last_word() {
    let mut spec = model();
    if let LayerSpec::Conv2d(conv) = &mut spec.layers[0] {
        conv.weights[0] = -128;
    }
    match spec.to_bytes().unwrap_err() {
        WriteError::Refused(error) => {
            assert_eq!(error.kind, ModelErrorKind::WeightValue);
            assert_eq!(error.part, Part::Layer(0));
        }
        error => panic!("{error}"),
    }
    // The bytes are to be had all the same, for tests of other readers.
    let bytes = spec.to_unvalidated_bytes().unwrap();
    assert!(Model::parse(&bytes).is_err());
}

#[test]
fn provenance_is_lines_of_key_and_value() {
    for (key, value) in [
        ("", "x"),
        ("a=b", "x"),
        ("a\nb", "x"),
        ("a", "x\r"),
        (" a", "x"),
        ("a", "x "),
    ] {
        let mut spec = model();
        spec.provenance = vec![(key.to_owned(), value.to_owned())];
        let refused = matches!(spec.to_bytes(), Err(WriteError::Provenance(_)));
        assert!(refused, "{key:?} = {value:?}");
    }
    let mut spec = model();
    spec.provenance = vec![("command".to_owned(), "train --seed=3".to_owned())];
    let bytes = spec.to_bytes().unwrap();
    let text = "command = train --seed=3\n";
    assert_eq!(Model::parse(&bytes).unwrap().provenance(), text);
}

#[test]
fn files_are_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.cfm");
    fs::write(&path, b"an older file").unwrap();
    let spec = model();
    spec.write_file(&path).unwrap();
    assert_eq!(ModelSpec::read_file(&path).unwrap(), spec);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    let nowhere = folder.path().join("missing").join("model.cfm");
    assert!(matches!(
        spec.write_file(&nowhere),
        Err(WriteError::File { .. })
    ));
    assert!(matches!(
        ModelSpec::read_file(&nowhere),
        Err(ReadError::File { .. })
    ));
    fs::write(&path, b"CFMM but no model").unwrap();
    let error = ModelSpec::read_file(&path).unwrap_err();
    assert!(error.to_string().contains("model.cfm"), "{error}");
}
