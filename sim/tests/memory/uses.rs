//! What is done with a hostile model besides segmenting: its parts read, its float network run, its tensors exported.

use std::fs;

use cfm_core::image::ImageView;
use cfm_core::model::format::{CHECKED_FROM, tag};
use cfm_core::model::{LabellingRule, Model, crc32};
use cfm_core::segment::{Run, Segment};
use cfm_hardware::limits::Limits;
use cfm_hardware::project::{Language, most_bytes, project};
use cfm_hardware::stream::runs;
use cfm_hardware::{Folding, compile};
use cfm_model::float_model::{
    Activation, ActivationScale, FloatAdd, FloatConv, FloatFc, FloatHead, FloatLayer, FloatModel,
};
use cfm_model::quantize::WeightScales;
use cfm_model::quantize::range::RangeMethod;
use cfm_model::reader::MAX_PROVENANCE;
use cfm_model::spec::{
    AddSpec, ClassKind, ClassSpec, LayerSpec, ModelSpec, OutputScale, Path, PoolSpec,
    UnknownSection, Window,
};
use cfm_proposals::Params;
use cfm_sim::float_network::FloatNetwork;
use cfm_sim::inspect::inspect;
use cfm_sim::memory_bound::{COMPARE, check_calibration, check_float, check_project};
use cfm_sim::model_file::ModelFile;
use cfm_sim::parity::{Naming, check};
use cfm_sim::pipeline::Pipeline;
use cfm_sim::post_training::{Equalization, Options, quantize};
use cfm_sim::report::{Subject, measure};
use cfm_sim::trace::Inputs;
use cfm_sim::vectors::Folder;
use cfm_sim::{onnx_inputs, post_training};
use image::RgbImage;

use super::models::{THREADS, convolution, model, most_of_a_run, photo};
use super::{MIB, common, peak, turn};

const UNIT: Window = Window::UNIT;

fn pool(input: usize) -> LayerSpec {
    LayerSpec::MaxPool(PoolSpec {
        input,
        window: UNIT,
    })
}

fn first(outputs: u16, stride: u8) -> LayerSpec {
    let window = Window {
        stride: [stride; 2],
        ..UNIT
    };
    LayerSpec::Conv2d(convolution(0, outputs, 1, window, 3 * usize::from(outputs)))
}

/// 60 times 16 MiB of tensors, each of which has one reader.
fn many_tensors() -> ModelSpec {
    let mut layers = vec![first(1024, 1)];
    layers.extend((1..=60).map(pool));
    model([128, 128], layers)
}

/// 20 times 16 MiB of tensors, all of which are added in the end.
fn living_tensors() -> ModelSpec {
    let mut layers = vec![first(1024, 1)];
    layers.extend((1..20).map(pool));
    layers.extend((1..20).map(|at| {
        LayerSpec::Add(AddSpec {
            inputs: [19 + at, 20 - at],
            output: OutputScale {
                zero_point: 0,
                exponent: -30,
                low: -100,
                high: 100,
            },
        })
    }));
    model([128, 128], layers)
}

/// A float network of the structure of `spec`.
fn float(spec: &ModelSpec) -> FloatModel {
    let scale = |output: OutputScale| ActivationScale {
        activation: Activation::None,
        zero_point: output.zero_point,
        exponent: output.exponent,
    };
    let reals = |weights: &[i8]| weights.iter().map(|&w| f32::from(w) / 64.0).collect();
    let layers = spec.layers.iter().map(|layer| match layer {
        LayerSpec::Conv2d(conv) => FloatLayer::Conv2d(FloatConv {
            input: conv.input,
            window: conv.window,
            groups: conv.groups,
            out_channels: conv.out_channels,
            weights: reals(&conv.weights),
            bias: vec![0.0; usize::from(conv.out_channels)],
            output: scale(conv.output),
        }),
        LayerSpec::MaxPool(pool) => FloatLayer::MaxPool(*pool),
        LayerSpec::AvgPool(pool) => FloatLayer::AvgPool(*pool),
        LayerSpec::Add(add) => FloatLayer::Add(FloatAdd {
            inputs: add.inputs,
            output: scale(add.output),
        }),
    });
    let head = &spec.head;
    let fcs = |path| {
        let fcs = head.fcs(path).iter();
        fcs.map(|fc| FloatFc {
            outputs: fc.outputs,
            weights: reals(&fc.weights),
            bias: vec![0.0; usize::from(fc.outputs)],
            output: scale(fc.output),
        })
        .collect()
    };
    FloatModel {
        input: spec.input,
        layers: layers.collect(),
        head: FloatHead {
            design: head.design,
            classifier: head.classifier,
            mask_rule: head.mask_rule,
            segment_levels: head.segment_levels.clone(),
            region_levels: head.region_levels.clone(),
            segment_fcs: fcs(Path::Segment),
            region_fcs: fcs(Path::Region),
            joint_fcs: fcs(Path::Joint),
            logit_exponent: head.logit_exponent,
        },
        classes: spec.classes.clone(),
        labelling: spec.labelling,
        calibration: spec.calibration,
        proposals: spec.proposals.clone(),
        provenance: spec.provenance.clone(),
    }
}

fn installed<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS);
    pool.build().unwrap().install(work)
}

/// The bytes of a model with this provenance, which the writer need not accept.
fn with_provenance(text: &str) -> Vec<u8> {
    let mut spec = common::model_spec();
    spec.provenance.clear();
    spec.unknown.push(UnknownSection {
        tag: *b"TEXT",
        content: text.as_bytes().to_vec(),
    });
    let mut bytes = spec.to_bytes().unwrap();
    let at = bytes.windows(4).position(|tag| tag == b"TEXT").unwrap();
    bytes[at..at + 4].copy_from_slice(&tag::PROVENANCE);
    let crc = crc32(&bytes[CHECKED_FROM..]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn provenance_is_not_read_line_by_line_without_end() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.cfm");
    for text in ["\n".repeat(16 * MIB), "=\n".repeat(MIB)] {
        let bytes = with_provenance(&text);
        fs::write(&path, &bytes).unwrap();
        let file = ModelFile::open(Some(&path)).unwrap();
        let (error, taken) = peak(|| file.parse().unwrap_err().to_string());
        let reason = "model.cfm: section PROV: it is longer than 1024 KiB";
        assert!(error.ends_with(reason), "{error}");
        assert!(taken < MIB, "{taken}");
        common::refusal(folder.path(), &["inspect", "model.cfm"]);
        // Whoever reads the model without its file.
        let model = Model::parse(&bytes).unwrap();
        let (inspection, taken) = peak(|| inspect(&model));
        assert!(inspection.provenance.is_empty());
        assert!(taken < MIB, "{taken}");
        let (read, taken) = peak(|| ModelSpec::try_from(&model));
        assert!(read.is_err() && taken < MIB, "{taken}");
    }
    // The most lines that are read.
    let bytes = with_provenance(&"a\n".repeat(MAX_PROVENANCE / 2));
    let model = Model::parse(&bytes).unwrap();
    let (inspection, taken) = peak(|| inspect(&model));
    assert_eq!(inspection.provenance.len(), MAX_PROVENANCE / 2);
    assert!(taken < 100 * MIB, "{taken}");
}

#[test]
fn headers_of_float_weights_are_not_parsed_without_end() {
    let _turn = turn();
    let spec = common::model_spec();
    let cfm = spec.to_bytes().unwrap();
    for (length, most) in [(64 * MIB, MIB), (MIB - 200, 100 * MIB)] {
        let zeros = "0,".repeat(length / 2);
        let header =
            format!(r#"{{"a":{{"dtype":"F32","shape":[{zeros}0],"data_offsets":[0,0]}}}}"#);
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.bytes());
        for read in [
            FloatModel::from_safetensors,
            FloatModel::from_safetensors_like,
        ] {
            let (read, taken) = peak(|| read(&cfm, &file));
            assert!(read.is_err());
            assert!(taken < most, "{length}: {taken}");
        }
    }
}

const OPTIONS: Options = Options {
    range: RangeMethod::Max,
    scales: WeightScales::PowerOfTwo,
    equalization: Equalization::Off,
    bias_correction: true,
};

#[test]
fn float_networks_keep_what_is_still_read() {
    let _turn = turn();
    let spec = many_tensors();
    let bytes = spec.to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let pipeline = Pipeline::new(&model).unwrap();
    let float = float(&spec);
    let photo = photo();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.cfm");
    fs::write(&path, &bytes).unwrap();
    installed(|| {
        // As `cfm eval --float` does: two tensors of 64 MiB at a time.
        let network = FloatNetwork::new(&model, float.clone()).unwrap();
        let (labels, taken) = peak(|| pipeline.segment_float(&network, &photo));
        labels.unwrap();
        let most = 2 * 64 * MIB + most_of_a_run(&model, model.arena_bytes());
        assert!(taken < most, "{taken} of {most}");
        // All of them at once are refused.
        let input = pipeline.input(&photo).unwrap();
        let (tensors, taken) = peak(|| network.tensors(&input.view().unwrap()));
        let error = tensors.unwrap_err().to_string();
        assert!(error.starts_with("the float network takes 39"), "{error}");
        assert!(taken < MIB, "{taken}");
        // `cfm quantize` and `cfm report` compare them with the integers: refused before anything is computed.
        let most = most_of_a_run(&model, model.arena_bytes());
        let inputs = [input];
        let refusal = "the comparison of all tensors takes 2";
        let (quantized, taken) =
            peak(|| quantize(float.clone(), &pipeline, &inputs, &OPTIONS, || ()));
        let error = quantized.unwrap_err().to_string();
        assert!(error.starts_with(refusal), "{error}");
        assert!(taken < most, "{taken} of {most}");
        let (measured, taken) =
            peak(|| post_training::measure(float.clone(), &pipeline, &inputs, || ()));
        let error = measured.unwrap_err().to_string();
        assert!(error.starts_with(refusal), "{error}");
        assert!(taken < most, "{taken} of {most}");
        let file = ModelFile::open(Some(&path)).unwrap();
        let subject = Subject {
            name: String::new(),
            photo: &photo,
            file: &file,
            command: Vec::new(),
            times: false,
            evaluation: None,
        };
        let (report, taken) = peak(|| measure(subject, &pipeline, |_| ()));
        let error = report.unwrap_err().to_string();
        assert!(error.starts_with(refusal), "{error}");
        assert!(taken < most, "{taken} of {most}");
    });
}

#[test]
fn float_networks_that_take_too_much_are_refused() {
    let _turn = turn();
    let spec = living_tensors();
    let bytes = spec.to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let pipeline = Pipeline::new(&model).unwrap();
    let network = float(&spec);
    let (refused, taken) = peak(|| FloatNetwork::new(&model, network.clone()).err());
    let error = refused.unwrap().to_string();
    assert!(
        error.starts_with("the float network takes 1360 MiB of memory"),
        "{error}"
    );
    assert!(taken < MIB, "{taken}");
    let inputs = [pipeline.input(&photo()).unwrap()];
    let (refused, taken) = peak(|| quantize(network.clone(), &pipeline, &inputs, &OPTIONS, || ()));
    assert!(refused.is_err() && taken < MIB, "{taken}");

    // One tensor, but vectors of 64 segments of every photograph.
    let mut spec = model_with_bins();
    spec.classes.truncate(2);
    let bytes = spec.to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let pipeline = Pipeline::new(&model).unwrap();
    check_float(&model).unwrap();
    let error = check_calibration(&model).unwrap_err().to_string();
    assert!(
        error.starts_with("the calibration of the float network takes "),
        "{error}"
    );
    let inputs = [pipeline.input(&photo()).unwrap()];
    let float = float(&spec);
    let copy = float.clone();
    let (refused, taken) = peak(|| quantize(copy, &pipeline, &inputs, &OPTIONS, || ()));
    assert!(refused.is_err() && taken < MIB, "{taken}");
}

/// Pyramids of 256 channels with more than 6000 bins, for two classes.
fn model_with_bins() -> ModelSpec {
    let mut spec = model([8, 8], vec![first(256, 1)]);
    spec.head.segment_levels = (25..=32).collect();
    let bins: usize = (25..=32).map(|n: usize| n * n).sum();
    let fc = &mut spec.head.joint_fcs[0];
    fc.outputs = 2;
    fc.weights = vec![1; 2 * 256 * bins];
    fc.channels.truncate(2);
    spec
}

#[test]
fn votes_are_counted_row_by_row() {
    let _turn = turn();
    // For every class of every pixel, they would take 4 GiB.
    const SIDE: u16 = 1024;
    let mut spec = model([SIDE; 2], vec![first(4, 16)]);
    let fc = &mut spec.head.joint_fcs[0];
    fc.outputs = 255;
    fc.weights = (0..4 * 255).map(|at| (at % 19) as i8 - 9).collect();
    fc.channels = vec![fc.channels[0]; 255];
    spec.classes = (0..255)
        .map(|label| ClassSpec {
            name: format!("class {label}"),
            kind: ClassKind::Stuff,
            color: [label; 3],
            label,
        })
        .collect();
    let bytes = spec.to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let pixels = (0..3 * usize::from(SIDE) * usize::from(SIDE)).map(|at| (at % 251) as u8);
    let pixels: Vec<u8> = pixels.collect();
    let rows = |from: u16, to: u16| -> Vec<Run> {
        let run = |y| Run { y, x0: 0, x1: SIDE };
        (from..to).map(run).collect()
    };
    let segments = [rows(0, 600), rows(300, 1000), rows(0, 1024)];
    let segments: Vec<Segment<'_>> = segments.iter().map(|runs| Segment::Runs(runs)).collect();
    let inputs = Inputs {
        image: ImageView::new(&pixels, SIDE, SIDE, 3).unwrap(),
        maps: &[],
        segments: &segments,
        rule: LabellingRule::DEFAULT,
    };
    let (report, taken) = peak(|| check(&model, &inputs, Naming::Layers).unwrap());
    assert!(report.first_mismatch().is_none());
    let most = COMPARE.most(&model) as usize;
    assert!(taken < most / 4, "{taken} of {most}");
}

#[test]
fn masks_of_all_segments_are_not_written_without_end() {
    let _turn = turn();
    const SIDE: usize = 640;
    // A photograph of noise, of which every scale makes thousands of superpixels.
    let mut spec = model([SIDE as u16; 2], vec![first(4, 16)]);
    spec.input.channels = 1;
    if let LayerSpec::Conv2d(conv) = &mut spec.layers[0] {
        conv.weights.truncate(4);
    }
    let params = Params::DEFAULT.with_max_segments(u16::MAX).unwrap();
    spec.proposals = Some(params.to_bytes().to_vec());
    let bytes = spec.to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let pipeline = Pipeline::new(&model).unwrap();
    let mut state = 1_u32;
    let noise = RgbImage::from_fn(SIDE as u32, SIDE as u32, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        image::Rgb([(state >> 24) as u8; 3])
    });
    let count = pipeline.segment(&noise).unwrap().segments;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let (written, taken) = installed(|| {
        peak(|| onnx_inputs::write(&pipeline, &noise, usize::MAX, &mut Folder::new(&out)))
    });
    let error = written.unwrap_err().to_string();
    let needed = count * SIDE * SIDE / MIB;
    let reason = format!("the file of all segments' masks takes {needed} MiB of memory");
    assert!(error.starts_with(&reason), "{error}");
    let most = most_of_a_run(&model, model.arena_bytes());
    assert!(taken < most, "{taken} of {most}");
    let written = onnx_inputs::write(&pipeline, &noise, 500, &mut Folder::new(&out));
    assert_eq!(written.unwrap(), 500);

    // What is written takes as much as is said.
    let params = Params::DEFAULT.with_max_segments(500).unwrap();
    spec.proposals = Some(params.to_bytes().to_vec());
    let bytes = spec.to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let pipeline = Pipeline::new(&model).unwrap();
    let (written, taken) = installed(|| {
        peak(|| onnx_inputs::write(&pipeline, &noise, usize::MAX, &mut Folder::new(&out)))
    });
    assert_eq!(written.unwrap(), 500);
    let most = most_of_a_run(&model, model.arena_bytes()) + 501 * SIDE * SIDE;
    assert!(taken < most, "{taken} of {most}");
}

#[test]
fn what_an_engine_must_show_is_not_written_without_end() {
    let _turn = turn();
    // Four times 32 MiB of tensors, of which every word of 4 bytes has lists and a line of its own. The engine itself only
    // keeps rows of 16 KiB.
    let mut layers = vec![first(2048, 1), pool(1), pool(2), pool(3)];
    layers.push(LayerSpec::MaxPool(PoolSpec {
        input: 4,
        window: Window {
            stride: [64; 2],
            ..UNIT
        },
    }));
    let large = model([2048, 8], layers);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.cfm");
    large.write_file(&path).unwrap();
    let arguments = [
        "export",
        "rtl",
        "--model",
        "model.cfm",
        "--pe",
        "4",
        "--lanes",
        "1",
        "--out",
        "out",
    ];
    let text = common::refusal(folder.path(), &arguments);
    let reason = "model.cfm: all that the engine must show takes ";
    assert!(text.contains(reason), "{text}");
    let text = common::refusal(
        folder.path(),
        &[
            "parity",
            "--backend",
            "hls",
            "--model",
            "model.cfm",
            "--pe",
            "4",
            "--lanes",
            "1",
        ],
    );
    assert!(text.contains(reason), "{text}");

    // What is accepted takes no more than is said.
    let models = [
        model([32, 32], vec![first(128, 1), pool(1), pool(2)]),
        common::model_spec(),
    ];
    for (spec, pe, lanes) in models.iter().flat_map(|spec| [(spec, 4, 1), (spec, 16, 4)]) {
        let bytes = spec.to_bytes().unwrap();
        let model = Model::parse(&bytes).unwrap();
        let pipeline = Pipeline::new(&model).unwrap();
        let folding = Folding::new(pe, lanes).unwrap();
        let engine = compile(&model, folding, &Limits::FORMAT).unwrap();
        let input = pipeline.input(&photo()).unwrap();
        Inputs::of_input(&pipeline, &input, |inputs| {
            check_project(&model, &engine, inputs).unwrap();
            let segments = inputs.segments.iter();
            let segments: Vec<Vec<Run>> = segments.map(|s| runs(s, inputs.maps)).collect();
            let image = &inputs.image;
            let (project, taken) =
                peak(|| project(&model, &engine, image, &segments, Language::Rtl));
            project.unwrap();
            let most = most_bytes(&model, &engine, segments.len()) as usize;
            let most = most + model.arena_bytes() + MIB;
            assert!(taken < most, "{taken} of {most}");
        })
        .unwrap();
    }
}
