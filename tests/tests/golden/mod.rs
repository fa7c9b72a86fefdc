//! Makes the golden cases: random models that together cover every layer kind, head, mask rule and labelling rule,
//! with the expected tensors from the float reference.

use std::collections::{BTreeMap, BTreeSet};

use cfm_conformance::case::{Content, MAGIC};
use cfm_core::model::{
    AreaFactor, ClassKind, Classifier, Combination, Design, LabellingRule, MaskRule, Model,
};
use cfm_core::receptive_field::Axis;
use cfm_core::segment::Segment;
use cfm_model::random::{Options, random_image, random_model, random_segments};
use cfm_model::spec::{LayerSpec, ModelSpec};
use cfm_sim::reference;
use cfm_sim::trace::{Inputs, Trace};

/// A case file by name.
pub type NamedCase = (String, Vec<u8>);

/// Segments per case.
const SEGMENTS: usize = 6;
/// Seeds that are looked at.
const SEEDS: u64 = 4000;
/// Cases above this size are passed over: firmware carries all of them.
const MAX_BYTES: usize = 12 * 1024;

const OPTIONS: Options = Options {
    max_side: 20,
    max_channels: 9,
    max_layers: 5,
    max_classes: 8,
    max_macs: 40_000,
    rgb_only: false,
};

/// How many cases show the same thing.
const REPEATS: usize = 4;

/// The cases: of the seeds in order, those that show something fewer than [`REPEATS`] earlier ones have shown.
pub fn make() -> Vec<NamedCase> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut cases = Vec::new();
    for seed in 0..SEEDS {
        let spec = random_model(seed, &OPTIONS);
        let shown = features(&spec, seed);
        if shown
            .iter()
            .all(|what| seen.get(what).is_some_and(|&n| n >= REPEATS))
        {
            continue;
        }
        let bytes = case(&spec, seed);
        if bytes.len() <= MAX_BYTES {
            for what in shown {
                *seen.entry(what).or_default() += 1;
            }
            cases.push((format!("random-{seed:04}"), bytes));
        }
    }
    let missing: Vec<_> = wanted()
        .into_iter()
        .filter(|what| !seen.contains_key(what))
        .collect();
    assert!(missing.is_empty(), "no case shows {missing:?}");
    cases
}

/// What the cases must show between them.
fn wanted() -> BTreeSet<String> {
    let mut wanted = BTreeSet::new();
    for design in [Design::Plain, Design::A, Design::B] {
        for rule in ["Average", "Max", "Nearest", "Off"] {
            for classifier in [Classifier::Softmax, Classifier::Svm] {
                wanted.insert(format!("{design:?} {rule} {classifier:?}"));
            }
        }
    }
    for simple in [
        "conv",
        "grouped",
        "depthwise",
        "dilated",
        "strided",
        "padded unevenly",
        "1x1",
        "max pool",
        "average pool",
        "add",
        "general mantissa",
        "power-of-two scale",
        "saturated weights",
        "zero point -128",
        "zero point 127",
        "narrow clamp",
        "background class",
        "paste",
        "inhibition",
        "vote",
        "vote by root",
        "vote by area",
        "purity",
        "paste refined",
        "inhibition refined",
        "vote refined",
        "runs",
        "superpixels",
        "one row",
        "one column",
        "not RGB",
        "large shift",
        "nearest between cells",
    ] {
        wanted.insert(simple.to_owned());
    }
    for power in 1..=4 {
        wanted.insert(format!("vote power {power}"));
    }
    wanted
}

fn features(spec: &ModelSpec, seed: u64) -> BTreeSet<String> {
    let mut shown = BTreeSet::new();
    let mut show = |condition: bool, what: &str| {
        if condition {
            shown.insert(what.to_owned());
        }
    };
    for (i, layer) in spec.layers.iter().enumerate() {
        match layer {
            LayerSpec::MaxPool(_) => show(true, "max pool"),
            LayerSpec::AvgPool(_) => show(true, "average pool"),
            LayerSpec::Add(_) => show(true, "add"),
            LayerSpec::Conv2d(conv) => {
                let (window, inputs) = (conv.window, channels_of(spec, conv.input));
                show(true, "conv");
                show(conv.groups > 1 && conv.groups < inputs, "grouped");
                show(conv.groups > 1 && conv.groups == inputs, "depthwise");
                show(
                    window.dilation != [1, 1] && window.kernel != [1, 1],
                    "dilated",
                );
                show(window.stride != [1, 1], "strided");
                show(window.padding[0] != window.padding[2], "padded unevenly");
                show(window.kernel == [1, 1], "1x1");
                show(
                    conv.channels.iter().any(|c| c.mantissa > 1 << 14),
                    "general mantissa",
                );
                show(
                    conv.channels.iter().all(|c| c.mantissa == 1 << 14),
                    "power-of-two scale",
                );
                show(conv.channels.iter().any(|c| c.shift > 40), "large shift");
                show(
                    conv.weights.iter().all(|w| w.abs() == 127),
                    "saturated weights",
                );
                show(conv.output.high < 100 && i > 0, "narrow clamp");
            }
        }
    }
    for scale in spec.tensor_scales() {
        show(scale.zero_point == -128, "zero point -128");
        show(scale.zero_point == 127, "zero point 127");
    }
    show(
        spec.classes.iter().any(|c| c.kind == ClassKind::Background),
        "background class",
    );
    let bytes = spec.to_bytes().expect("random models can be written");
    let model = Model::parse(&bytes).expect("random models are valid");
    // The pixel nearest a cell's centre may belong to the cell before it.
    let between = |axis: &Axis| axis.jump() == 1 && axis.offset2() % 2 != 0;
    show(
        spec.head.mask_rule == MaskRule::Nearest
            && (between(model.rows()) || between(model.columns())),
        "nearest between cells",
    );
    show(spec.input.height == 1, "one row");
    show(spec.input.width == 1, "one column");
    show(spec.input.channels != 3, "not RGB");
    let segments = random_segments(seed, spec.input.width, spec.input.height, SEGMENTS);
    let rule = segments.applicable(spec.labelling.unwrap_or(LabellingRule::DEFAULT));
    let combination = match rule.combination {
        Combination::Paste { inhibition } if inhibition > 0 => "inhibition",
        Combination::Paste { .. } => "paste",
        Combination::Vote { power, .. } => {
            show(true, &format!("vote power {power}"));
            "vote"
        }
    };
    match rule.combination {
        Combination::Vote { area, purity, .. } => {
            show(purity > 0, "purity");
            match area {
                AreaFactor::One => {}
                AreaFactor::InverseRoot => show(true, "vote by root"),
                AreaFactor::Inverse => show(true, "vote by area"),
            }
        }
        Combination::Paste { .. } => {}
    }
    match rule.refinement {
        None => show(true, combination),
        Some(_) => show(true, &format!("{combination} refined")),
    }
    for segment in segments.views() {
        match segment {
            Segment::Runs(_) => show(true, "runs"),
            Segment::Superpixels { .. } => show(true, "superpixels"),
        }
    }
    let rule = match spec.head.mask_rule {
        MaskRule::Average { .. } => "Average",
        MaskRule::Max => "Max",
        MaskRule::Nearest => "Nearest",
        MaskRule::Off => "Off",
    };
    let (design, classifier) = (spec.head.design, spec.head.classifier);
    show(true, &format!("{design:?} {rule} {classifier:?}"));
    shown
}

fn channels_of(spec: &ModelSpec, tensor: usize) -> u16 {
    match tensor
        .checked_sub(1)
        .and_then(|layer| spec.layers.get(layer))
    {
        None => spec.input.channels,
        Some(LayerSpec::Conv2d(conv)) => conv.out_channels,
        Some(LayerSpec::MaxPool(pool) | LayerSpec::AvgPool(pool)) => channels_of(spec, pool.input),
        Some(LayerSpec::Add(add)) => channels_of(spec, add.inputs[0]),
    }
}

/// The case of a model, with the image and the segments of `seed`.
fn case(spec: &ModelSpec, seed: u64) -> Vec<u8> {
    let bytes = spec.to_bytes().expect("random models can be written");
    let model = Model::parse(&bytes).expect("random models are valid");
    let image = random_image(seed, spec.input);
    let segments = random_segments(seed, spec.input.width, spec.input.height, SEGMENTS);
    let maps = segments.map_views().expect("random maps are valid");
    let views = segments.views();
    let rule = segments.applicable(model.labelling());
    let inputs = Inputs {
        image: image.view().expect("random images are valid"),
        maps: &maps,
        segments: &views,
        rule,
    };
    let trace = reference::trace(&model, &inputs).expect("random cases can be computed");

    let mut file = MAGIC.to_vec();
    push(&mut file, Content::Model, bytes.iter().copied());
    push(&mut file, Content::Image, image.pixels.iter().copied());
    for (i, map) in (0..).zip(&maps) {
        let words = [map.count()]
            .into_iter()
            .chain(map.labels().iter().copied());
        push(&mut file, Content::Map(i), words.flat_map(u16::to_le_bytes));
    }
    for (i, segment) in (0..).zip(&views) {
        match segment {
            Segment::Runs(runs) => {
                let words = runs.iter().flat_map(|run| [run.y, run.x0, run.x1]);
                push(
                    &mut file,
                    Content::Runs(i),
                    words.flat_map(u16::to_le_bytes),
                );
            }
            Segment::Superpixels { map, members } => {
                let map = u16::try_from(*map).expect("few maps");
                let words = [map].into_iter().chain(members.iter().copied());
                push(
                    &mut file,
                    Content::Members(i),
                    words.flat_map(u16::to_le_bytes),
                );
            }
        }
    }
    push(&mut file, Content::Rule, rule.to_bytes().into_iter());
    push_expected(&mut file, &trace);
    file
}

fn push_expected(file: &mut Vec<u8>, trace: &Trace) {
    let push_i8 = |file: &mut Vec<u8>, content, values: &[i8]| {
        push(file, content, values.iter().map(|v| v.cast_unsigned()));
    };
    for (i, tensor) in (0..).zip(&trace.tensors) {
        push_i8(file, Content::Tensor(i), tensor);
    }
    for (i, segment) in (0..).zip(&trace.segments) {
        let window = segment.window.into_iter().flat_map(u16::to_le_bytes);
        push(
            file,
            Content::Extent(i),
            segment.area.to_le_bytes().into_iter().chain(window),
        );
        push(file, Content::Mask(i), segment.mask.iter().copied());
        push(file, Content::BinMask(i), segment.bin_mask.iter().copied());
        push_i8(file, Content::SegmentVector(i), &segment.segment_vector);
        push_i8(file, Content::RegionVector(i), &segment.region_vector);
        for (sub, hidden) in (0..).zip(&segment.hidden) {
            push_i8(file, Content::Hidden(i, sub), hidden);
        }
        let logits = segment.logits.iter().flat_map(|l| l.to_le_bytes());
        push(file, Content::Logits(i), logits);
        let probabilities = segment.probabilities.iter().flat_map(|p| p.to_le_bytes());
        push(file, Content::Probabilities(i), probabilities);
    }
    push(file, Content::Labels, trace.labels.iter().copied());
}

fn push(file: &mut Vec<u8>, content: Content, bytes: impl Iterator<Item = u8>) {
    let bytes: Vec<u8> = bytes.collect();
    if bytes.is_empty() {
        return;
    }
    let (kind, sub, index) = content.key();
    file.extend([kind, sub]);
    file.extend(index.to_le_bytes());
    file.extend(
        u32::try_from(bytes.len())
            .expect("cases are small")
            .to_le_bytes(),
    );
    file.extend(bytes);
}
