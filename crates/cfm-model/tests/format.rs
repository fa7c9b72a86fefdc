//! Models to bytes and back, to JSON and back; and what the format cannot hold.

use std::fs;

use cfm_core::model::{Model, ModelErrorKind, Part};
use cfm_model::Place;
use cfm_model::random::{Options, random_model};
use cfm_model::reader::ReadError;
use cfm_model::shape::ShapeError;
use cfm_model::spec::{CalibrationSpec, LayerSpec, ModelSpec, Path};
use cfm_model::writer::WriteError;
use proptest::prelude::*;

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
    ) {
        let mut spec = random_model(seed, &Options { max_layers: 3, ..Options::default() });
        spec.proposals = proposals;
        spec.provenance = provenance
            .into_iter()
            .map(|(key, value)| (key, value.trim().to_owned()))
            .collect();
        spec.calibration = calibration.map(|(slope, intercept)| CalibrationSpec { slope, intercept });
        let bytes = spec.to_bytes().unwrap();
        let parsed = Model::parse(&bytes).unwrap();
        prop_assert_eq!(&ModelSpec::from(&parsed), &spec);
        prop_assert_eq!(parsed.section(*b"PROP"), spec.proposals.as_deref());
        // Reading and writing once more changes nothing.
        prop_assert_eq!(ModelSpec::from(&parsed).to_bytes().unwrap(), bytes);
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
