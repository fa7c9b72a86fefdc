//! Parity holds, and faults do not go unnoticed.

use std::panic::{UnwindSafe, catch_unwind};

use cfm_core::image::ImageView;
use cfm_core::kernels::{Kernels, Portable, Rows};
use cfm_core::labelling::LabelError;
use cfm_core::model::{AreaFactor, Combination, Conv2d, LabellingRule, Model, Parameters, Window};
use cfm_core::requantize::OutputScale;
use cfm_core::segment::{Run, Segment};
use cfm_model::random::{Options, random_image, random_model, random_segments};
use cfm_model::spec::{LayerSpec, ModelSpec};
use fixed::types::U0F16;

use super::*;
use crate::built_in::STREET;
use crate::import::Segments;
use crate::pipeline::Pipeline;
use crate::scene::Scene;
use crate::trace::Trace;

#[test]
fn random_models_agree() {
    let report = random::check_many(0, 200, &Options::default(), || {}).unwrap();
    assert!(report.is_exact());
    let names: Vec<&str> = report.tensors.iter().map(|t| t.name.as_str()).collect();
    for kind in [
        "image",
        "conv2d",
        "conv2d grouped",
        "conv2d depthwise",
        "max pool",
        "average pool",
        "add",
        "feature map (whole-image call)",
        "segment area",
        "segment window",
        "mask (average)",
        "mask (maximum)",
        "mask (nearest)",
        "mask (off)",
        "bin mask (average)",
        "bin mask (maximum)",
        "bin mask (nearest)",
        "segment pyramid (plain)",
        "segment pyramid (design A)",
        "region pyramid (design A)",
        "segment pyramid (design B)",
        "segment FC",
        "region FC",
        "joint FC",
        "logits (softmax)",
        "logits (SVM)",
        "probabilities",
        "labels (paste)",
        "labels (paste,refine)",
        "labels (paste,inhibit)",
        "labels (paste,inhibit,refine)",
        "labels (vote,area=none)",
        "labels (vote,area=root)",
        "labels (vote,area=full)",
        "labels (vote,area=none,purity)",
        "labels (vote,area=root,purity)",
        "labels (vote,area=full,purity)",
        "labels (vote,area=root,refine)",
        "labels (vote,area=root,purity,refine)",
    ] {
        assert!(names.contains(&kind), "no {kind} among {names:?}");
    }
    assert_eq!((names[0], names[1]), ("image", "conv2d"));
    assert!(names.last().is_some_and(|name| name.starts_with("labels")));
}

/// What the core makes of `spec` and the reference of `other`, on the inputs of `seed`.
fn traces(spec: &ModelSpec, other: &ModelSpec, seed: u64) -> ParityReport {
    let (a, b) = (spec.to_bytes().unwrap(), other.to_bytes().unwrap());
    let (a, b) = (Model::parse(&a).unwrap(), Model::parse(&b).unwrap());
    let image = random_image(seed, spec.input);
    let segments = random_segments(seed, spec.input.width, spec.input.height, 4);
    let inputs = Inputs {
        image: image.view().unwrap(),
        maps: &segments.map_views().unwrap(),
        segments: &segments.views(),
        rule: segments.applicable(a.labelling()),
    };
    let core: Trace = core_trace::trace(&a, &inputs).unwrap();
    let other = Inputs {
        rule: segments.applicable(b.labelling()),
        ..inputs
    };
    let reference = reference::trace(&b, &other).unwrap();
    compare(&a, &inputs, Naming::Layers, &core, &reference)
}

#[test]
fn a_changed_weight_is_noticed() {
    let (mut tried, mut noticed) = (0, 0);
    for seed in 0..60 {
        let spec = random_model(seed, &Options::default());
        let mut changed = spec.clone();
        let Some(LayerSpec::Conv2d(conv)) = changed.layers.first_mut() else {
            continue;
        };
        // One step, towards zero so that no bound is broken; in the tap that is least likely to be in the padding.
        let at = conv.weights.len() / 2;
        conv.weights[at] -= conv.weights[at].signum();
        if changed == spec {
            continue;
        }
        tried += 1;
        let report = traces(&changed, &spec, seed);
        if let Some(first) = report.first_mismatch() {
            noticed += 1;
            assert!(first.name.starts_with("layer 0 conv2d"), "{report}");
            assert!(first.first.is_some());
        }
        assert!(traces(&spec, &spec, seed).is_exact());
    }
    // A step may drown in the rounding of a few models, but not of most.
    assert!(
        tried >= 20 && noticed * 3 >= tried * 2,
        "{noticed} of {tried}"
    );
}

/// Kernels that round halves up in fully connected layers.
#[derive(Clone, Copy)]
struct HalfUp;

impl Kernels for HalfUp {
    fn conv2d_row(
        &self,
        input: &Rows<'_>,
        conv: &Conv2d<'_>,
        y: u16,
        scratch: &mut [i8],
        out: &mut [i8],
    ) {
        Portable.conv2d_row(input, conv, y, scratch, out);
    }

    fn max_pool_row(&self, input: &Rows<'_>, window: &Window, y: u16, out: &mut [i8]) {
        Portable.max_pool_row(input, window, y, out);
    }

    fn avg_pool_row(&self, input: &Rows<'_>, window: &Window, y: u16, out: &mut [i8]) {
        Portable.avg_pool_row(input, window, y, out);
    }

    fn add_row(
        &self,
        first: &Rows<'_>,
        second: &Rows<'_>,
        output: &OutputScale,
        y: u16,
        out: &mut [i8],
    ) {
        Portable.add_row(first, second, output, y, out);
    }

    fn fully_connected(
        &self,
        input: &[i8],
        parameters: &Parameters<'_>,
        _scratch: &mut [i8],
        out: &mut [i8],
    ) {
        for (o, out) in out.iter_mut().enumerate() {
            let row = &parameters.weights[o * input.len()..(o + 1) * input.len()];
            let channel = parameters.channels.get(o);
            let products = input.iter().zip(row);
            let sum: i64 = products
                .map(|(&q, &w)| i64::from(q) * i64::from(w.cast_signed()))
                .sum();
            let value = i128::from(sum + i64::from(channel.bias)) * i128::from(channel.mantissa);
            let half_up = (2 * value + (1 << channel.shift)) >> (channel.shift + 1);
            *out = parameters.output.clamp(half_up as i64);
        }
    }

    fn classifier(
        &self,
        input: &[i8],
        parameters: &Parameters<'_>,
        scratch: &mut [i8],
        out: &mut [i16],
    ) {
        Portable.classifier(input, parameters, scratch, out);
    }

    fn maximum(&self, out: &mut [i8], cell: &[i8]) {
        Portable.maximum(out, cell);
    }
}

#[test]
fn rounding_halves_up_is_noticed() {
    let failure = (0..400)
        .find_map(|seed| random::check_one_with(seed, &Options::default(), HalfUp).err())
        .expect("ties occur");
    let first = failure.report.first_mismatch().unwrap();
    assert!(first.name.contains(" FC "), "{failure}");
    assert!(failure.to_string().contains("random model"), "{failure}");
}

#[test]
fn a_real_size_agrees() {
    let spec = random_model(
        5,
        &Options {
            max_side: 240,
            max_macs: 4_000_000,
            ..Options::default()
        },
    );
    let bytes = spec.to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let image = random_image(5, spec.input);
    let segments = random_segments(5, spec.input.width, spec.input.height, 40);
    let inputs = Inputs {
        image: image.view().unwrap(),
        maps: &segments.map_views().unwrap(),
        segments: &segments.views(),
        rule: segments.applicable(model.labelling()),
    };
    let report = check(&model, &inputs, Naming::Layers).unwrap();
    assert!(report.is_exact(), "{report}");
    assert_eq!(report.segments, 40);
}

fn street() -> Model<'static> {
    Model::parse(STREET.cfm).unwrap()
}

#[test]
fn street_passes() {
    let report = check_parity(&street(), &Scene::sample().photo).unwrap();
    assert!(report.segments > 100 && report.elements() > 1_000_000);
    assert_parity(&street(), &Scene::render(70, 90, 3).photo);
}

#[test]
fn segments_may_be_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("segments.png");
    let scene = Scene::render(60, 45, 3);
    scene.labels.save(&path).unwrap();
    let segments = Segments::open(&path, &Default::default()).unwrap();
    let model = street();
    let check = PhotoCheck::new(&model).segments(&segments);
    check.assert(&scene.photo);
    let report = check.run(&scene.photo).unwrap();
    assert_eq!(
        report.segments as usize,
        segments.resized(240, 180).unwrap().len()
    );
}

#[test]
fn what_a_trace_lacks_is_a_difference() {
    let model = street();
    let pipeline = Pipeline::new(&model).unwrap();
    let photo = Scene::render(60, 45, 3).photo;
    Inputs::of_photo(&pipeline, &photo, |inputs| {
        let segments = &inputs.segments[..2];
        let inputs = &Inputs {
            segments,
            ..*inputs
        };
        let whole = core_trace::trace(&model, inputs).unwrap();
        let differences =
            |less: &Trace| compare(&model, inputs, Naming::Layers, less, &whole).mismatches();
        assert_eq!(differences(&whole), 0);
        for lack in [
            |trace: &mut Trace| trace.tensors.truncate(1),
            |trace: &mut Trace| trace.segments.truncate(1),
            |trace: &mut Trace| trace.segments[0].hidden.clear(),
        ] {
            let mut less = whole.clone();
            lack(&mut less);
            assert!(differences(&less) > 0);
        }
    })
    .unwrap();
}

/// The message of a panic.
fn panic_of(f: impl FnOnce() + UnwindSafe) -> String {
    let panic = catch_unwind(f).expect_err("a panic");
    panic.downcast_ref::<String>().expect("a message").clone()
}

#[test]
fn a_faulty_kernel_panics_with_the_first_difference() {
    let message = panic_of(|| {
        PhotoCheck::new(&street())
            .kernels(HalfUp)
            .assert(&Scene::sample().photo);
    });
    let (first, report) = message.split_once("\n\n").unwrap();
    let report: Vec<&str> = report.lines().collect();
    let at = report
        .iter()
        .position(|line| !line.ends_with(" 0 mismatches"))
        .unwrap();
    // The line names the tensor that differs first in the order of computation, with its place and both values.
    let (tensor, rest) = first
        .strip_prefix("core and reference differ in ")
        .and_then(|text| text.split_once(": "))
        .unwrap();
    assert!(
        tensor.contains(" FC ") && report[at].starts_with(tensor),
        "{message}"
    );
    let (_, values) = rest.split_once("first at segment ").unwrap();
    let (core, reference) = values
        .split_once("]: core ")
        .and_then(|(_, values)| values.split_once(", reference "))
        .unwrap();
    let [core, reference] = [core, reference].map(|value| value.parse::<i64>().unwrap());
    // Halves that the contract rounds to even.
    assert_eq!((core - reference, reference % 2), (1, 0), "{message}");
}

#[test]
fn what_cannot_be_compared_panics_with_the_reason() {
    let spec = ModelSpec {
        proposals: Some(vec![1, 2, 3]),
        ..random_model(2, &Options::default())
    };
    let bytes = spec.to_bytes().unwrap();
    let message = panic_of(|| {
        let model = Model::parse(&bytes).unwrap();
        assert_parity(&model, &Scene::render(8, 6, 1).photo);
    });
    assert!(
        message.contains("cannot be compared: section PROP: it has 3 bytes"),
        "{message}"
    );
}

#[test]
fn every_part_of_a_rule_matters() {
    let mut noticed = [0; 5];
    for seed in 0..150 {
        let spec = random_model(seed, &Options::default());
        let with = |rule| ModelSpec {
            labelling: Some(rule),
            ..spec.clone()
        };
        let vote = |power, area, purity, refinement| LabellingRule {
            combination: Combination::Vote {
                power,
                area,
                purity,
            },
            refinement,
        };
        let inhibited = LabellingRule {
            combination: Combination::Paste {
                inhibition: U0F16::from_num(0.5),
            },
            refinement: None,
        };
        let refined = LabellingRule {
            refinement: Some(0),
            ..LabellingRule::PASTE
        };
        let plain = vote(2, AreaFactor::One, 0, None);
        let pairs = [
            (LabellingRule::PASTE, inhibited),
            (LabellingRule::PASTE, refined),
            (plain, vote(2, AreaFactor::Inverse, 0, None)),
            (plain, vote(2, AreaFactor::One, 3, None)),
            (plain, vote(2, AreaFactor::One, 0, Some(0))),
        ];
        for ((one, other), noticed) in pairs.into_iter().zip(&mut noticed) {
            let report = traces(&with(one), &with(other), seed);
            *noticed += usize::from(report.mismatches() > 0);
        }
    }
    assert!(noticed.iter().all(|&n| n >= 5), "{noticed:?}");
}

#[test]
fn refusals_are_errors_not_differences() {
    let spec = random_model(1, &Options::default());
    let bytes = spec.to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let image = random_image(1, spec.input);
    let outside = [Run {
        y: spec.input.height,
        x0: 0,
        x1: 1,
    }];
    let inputs = Inputs {
        image: image.view().unwrap(),
        maps: &[],
        segments: &[Segment::Runs(&outside)],
        rule: LabellingRule::DEFAULT,
    };
    let error = check(&model, &inputs, Naming::Layers).unwrap_err();
    assert!(
        error.to_string().starts_with("the core: segment 0"),
        "{error}"
    );
    let other = [0; 12];
    let inputs = Inputs {
        image: ImageView::rgb(&other, 4, 1).unwrap(),
        segments: &[],
        ..inputs
    };
    assert!(matches!(
        check(&model, &inputs, Naming::Layers),
        Err(ParityError::Core(CoreError::Execute(_)))
    ));
    let inputs = Inputs {
        image: image.view().unwrap(),
        rule: LabellingRule {
            refinement: Some(0),
            ..LabellingRule::DEFAULT
        },
        ..inputs
    };
    assert!(matches!(
        check(&model, &inputs, Naming::Layers),
        Err(ParityError::Core(CoreError::Label(
            LabelError::RefinementMap
        )))
    ));
}
