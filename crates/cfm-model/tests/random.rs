//! Random models are valid, reproducible, varied, and their tensors are not full of one value.

use std::collections::{BTreeMap, BTreeSet};

use cfm_core::executor::Executor;
use cfm_core::model::Model;
use cfm_core::model::format::MAX_MAPS;
use cfm_core::scorer::Scorer;
use cfm_core::segment::Segment;
use cfm_model::random::{
    Options, RandomSegment, RandomSegments, random_image, random_model, random_segments,
};
use cfm_model::spec::{
    AreaFactor, Channel, ClassKind, Classifier, Combination, Design, HeadSpec, LabellingRule,
    LayerSpec, MaskRule, ModelSpec, OutputScale, Path, Window,
};
use fixed::types::U0F16;

fn model(seed: u64) -> ModelSpec {
    random_model(seed, &Options::default())
}

#[test]
fn thousands_are_valid_and_read_back() {
    for seed in 0..4000 {
        let spec = model(seed);
        let bytes = spec
            .to_bytes()
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(ModelSpec::from_bytes(&bytes), Ok(spec), "seed {seed}");
    }
}

#[test]
fn options_bound_the_models() {
    for (i, max_side) in [1, 2, 3, 90].into_iter().enumerate() {
        let options = Options {
            max_side,
            max_channels: 1 + i as u16,
            max_layers: 1 + i as u16,
            max_classes: 1 + 80 * i as u8,
            max_macs: 1 << i,
            rgb_only: true,
        };
        for seed in 0..300 {
            let spec = random_model(seed, &options);
            assert!(spec.to_bytes().is_ok(), "seed {seed}");
            assert!(spec.input.height <= max_side && spec.input.width <= max_side);
            assert_eq!(spec.input.channels, 3);
            assert!(spec.classes.len() <= usize::from(options.max_classes));
        }
    }
}

#[test]
fn the_deepest_models_are_valid() {
    let options = Options {
        max_side: 200,
        max_layers: u16::MAX,
        ..Options::default()
    };
    let mut deepest = 0;
    for seed in 0..300 {
        let spec = random_model(seed, &options);
        let written = spec.to_bytes();
        assert!(written.is_ok(), "seed {seed}: {}", written.unwrap_err());
        deepest = deepest.max(spec.layers.len());
    }
    assert!(deepest >= 60, "{deepest}");
}

/// The numbers behind a seed are promised to stay: a change here is a change of every recorded case.
#[test]
fn seeds_are_pinned() {
    let options = Options::default();
    let models = (0..8).flat_map(|seed| random_model(seed, &options).to_bytes().unwrap());
    let images = (0..8).flat_map(|seed| random_image(seed, model(seed).input).pixels);
    let segments = (0..8).flat_map(|seed| numbers(&random_segments(seed, 30, 20, 20)));
    let found = [
        crc32fast::hash(&models.collect::<Vec<u8>>()),
        crc32fast::hash(&images.collect::<Vec<u8>>()),
        crc32fast::hash(&segments.collect::<Vec<u8>>()),
    ];
    assert_eq!(
        found,
        [0x7f2d_78b5, 0x9a74_2b31, 0x7fc1_cf8b],
        "{found:#x?}"
    );
}

/// All numbers of the maps and segments, as bytes.
fn numbers(drawn: &RandomSegments) -> Vec<u8> {
    let maps = drawn.maps.iter().flat_map(|map| map.labels.clone());
    let segments = drawn.segments.iter().flat_map(|segment| match segment {
        RandomSegment::Runs(runs) => runs.iter().flat_map(|r| [r.y, r.x0, r.x1]).collect(),
        RandomSegment::Superpixels { members, .. } => members.clone(),
    });
    maps.chain(segments).flat_map(u16::to_le_bytes).collect()
}

/// Everything that a seed should bring up sooner or later, with how often it came.
#[derive(Default)]
struct Seen(BTreeMap<&'static str, usize>);

impl Seen {
    fn note(&mut self, name: &'static str, here: bool) {
        *self.0.entry(name).or_default() += usize::from(here);
    }

    fn assert_all(&self, least: usize) {
        for (name, &count) in &self.0 {
            assert!(count >= least, "{name}: {count} times in {:#?}", self.0);
        }
    }

    fn labelling(&mut self, rule: LabellingRule) {
        for map in 0..MAX_MAPS {
            let name = ["map 0", "map 1", "map 2", "map 3"][usize::from(map)];
            self.note(name, rule.refinement == Some(map));
        }
        match rule.combination {
            Combination::Paste { inhibition } => {
                let refined = rule.refinement.is_some();
                self.note("pasting", rule == LabellingRule::PASTE);
                self.note("refined paste", inhibition == U0F16::ZERO && refined);
                self.note("inhibition", inhibition > U0F16::ZERO && !refined);
                self.note("refined inhibition", inhibition > U0F16::ZERO && refined);
                self.note("largest inhibition", inhibition == U0F16::MAX);
                self.note("smallest inhibition", inhibition == U0F16::DELTA);
            }
            Combination::Vote {
                power,
                area,
                purity,
            } => {
                for n in 1..=4 {
                    let at = usize::from(n) - 1;
                    let powers = ["power 1", "power 2", "power 3", "power 4"];
                    self.note(powers[at], power == n);
                    let purities = ["purity 1", "purity 2", "purity 3", "purity 4"];
                    self.note(purities[at], purity == n);
                }
                self.note("no purity", purity == 0);
                self.note("no area", area == AreaFactor::One);
                self.note("root of the area", area == AreaFactor::InverseRoot);
                self.note("area", area == AreaFactor::Inverse);
            }
        }
    }

    fn window(&mut self, window: &Window) {
        let Window {
            kernel,
            stride,
            dilation,
            padding: [top, left, bottom, right],
        } = *window;
        self.note("kernel of one cell", kernel == [1, 1]);
        self.note("even kernel", kernel[0] % 2 == 0);
        self.note("kernel that is not square", kernel[0] != kernel[1]);
        self.note("kernel of 7", kernel.contains(&7));
        self.note("stride 2", stride.contains(&2));
        self.note("odd stride", stride.contains(&3));
        self.note("stride wider than the kernel", stride[0] > kernel[0]);
        self.note("different strides", stride[0] != stride[1]);
        self.note("dilation", dilation != [1, 1]);
        self.note("different dilations", dilation[0] != dilation[1]);
        self.note("no padding", [top, left, bottom, right] == [0; 4]);
        self.note("asymmetric padding", top != bottom && left != right);
        self.note("padding wider than half the kernel", top > kernel[0] / 2);
        self.note(
            "whole window in the padding",
            u16::from(top) >= window.extent(0),
        );
    }

    fn output(&mut self, output: &OutputScale) {
        let OutputScale {
            zero_point: z,
            low,
            high,
            ..
        } = *output;
        self.note("zero point -128", z == -128);
        self.note("zero point 127", z == 127);
        self.note("zero point 0", z == 0);
        self.note("zero point elsewhere", ![-128, 0, 127].contains(&z));
        self.note("no clamp", (low, high) == (-128, 127));
        self.note("ReLU inside the range", low == z && z > -128);
        self.note("both ends clamped", low > -128 && high < 127);
        self.note("a single value", low == high);
        self.note("zero outside the clamp", z < low || z > high);
    }

    fn parameters(&mut self, filter_len: usize, weights: &[i8], channels: &[Channel]) {
        let power_of_two = |c: &Channel| c.mantissa == 1 << 14;
        self.note("power-of-two scales", channels.iter().all(power_of_two));
        self.note("general scales", !channels.iter().all(power_of_two));
        for (channel, filter) in channels.iter().zip(weights.chunks(filter_len)) {
            let magnitude: u64 = filter.iter().map(|w| u64::from(w.unsigned_abs())).sum();
            let bound = magnitude * 255 + u64::from(channel.bias.unsigned_abs());
            self.note("largest mantissa", channel.mantissa == (1 << 15) - 1);
            self.note("shift 0", channel.shift == 0);
            self.note("shift 62", channel.shift == 62);
            self.note("accumulator at the bound", bound == i32::MAX as u64);
            self.note(
                "all weights saturated",
                filter.iter().all(|w| w.abs() == 127),
            );
            self.note("all weights 127", filter.iter().all(|&w| w == 127));
            self.note("no weights", magnitude == 0);
        }
    }

    fn layers(&mut self, spec: &ModelSpec) {
        let shapes = spec.tensor_shapes().unwrap();
        let scales = spec.tensor_scales();
        for (i, layer) in spec.layers.iter().enumerate() {
            self.note("maximum pooling", matches!(layer, LayerSpec::MaxPool(_)));
            self.note("average pooling", matches!(layer, LayerSpec::AvgPool(_)));
            match layer {
                LayerSpec::Conv2d(conv) => {
                    let channels = shapes[conv.input].channels;
                    self.window(&conv.window);
                    self.output(&conv.output);
                    let filter_len = layer.shape().filter_len(&shapes).unwrap();
                    self.parameters(filter_len, &conv.weights, &conv.channels);
                    let groups = conv.groups;
                    self.note("dense convolution", groups == 1 && channels > 1);
                    self.note("depthwise", groups == channels && channels > 1);
                    self.note("grouped", 1 < groups && groups < channels);
                    self.note("more than 32 channels", conv.out_channels > 32);
                }
                LayerSpec::MaxPool(pool) | LayerSpec::AvgPool(pool) => {
                    self.note("padded pooling", pool.window.padding != [0; 4]);
                    self.note("pooling of the image", pool.input == 0);
                    self.note("strided pooling", pool.window.stride[0] > 1);
                }
                LayerSpec::Add(add) => {
                    self.output(&add.output);
                    let [a, b] = add.inputs;
                    let exponents = [scales[a].exponent, scales[b].exponent];
                    let distance = exponents[0].abs_diff(exponents[1]);
                    let reach = exponents.map(|e| e.abs_diff(add.output.exponent));
                    self.note("addition", a != b);
                    self.note("addition of a tensor to itself", a == b);
                    self.note("addition of one scale", a != b && distance == 0);
                    self.note("addition of different scales", distance > 0);
                    self.note("addition of distant scales", distance > 15);
                    self.note("sum finer than its terms", reach.iter().all(|&r| r > 0));
                    self.note("long residual", i + 1 - a.min(b) > 3);
                    self.note("residual of the image", a.min(b) == 0);
                }
            }
            let shape = shapes[i + 1];
            self.note("tensor of one cell", shape.height == 1 && shape.width == 1);
            self.note("tensor of one channel", shape.channels == 1);
        }
    }

    fn head(&mut self, head: &HeadSpec) {
        self.note("plain", head.design == Design::Plain);
        self.note("Design A", head.design == Design::A);
        self.note("Design B", head.design == Design::B);
        self.note("softmax", head.classifier == Classifier::Softmax);
        self.note("SVM", head.classifier == Classifier::Svm);
        self.note("rule: maximum", head.mask_rule == MaskRule::Max);
        self.note("rule: nearest", head.mask_rule == MaskRule::Nearest);
        self.note("rule: off", head.mask_rule == MaskRule::Off);
        if let MaskRule::Average { threshold } = head.mask_rule {
            self.note("threshold 1/2", threshold.to_bits() == 1 << 15);
            self.note("lowest threshold", threshold.to_bits() == 1);
            self.note("highest threshold", threshold.to_bits() == u16::MAX);
        }
        let levels = &head.segment_levels;
        self.note("one level", levels.len() == 1);
        self.note("many levels", levels.len() >= 5);
        self.note("finest possible level", levels.contains(&32));
        self.note("unsorted levels", !levels.is_sorted());
        self.note(
            "Design B, finest level not first",
            head.design == Design::B && levels.iter().max() != levels.first(),
        );
        let [segment, region, joint] = Path::ALL.map(|path| head.fcs(path).len());
        let two = head.design == Design::A;
        self.note(
            "Design A, paths without layers",
            two && segment + region == 0,
        );
        self.note(
            "Design A, one path without layers",
            two && segment > 0 && region == 0,
        );
        self.note(
            "Design A, two layers a path",
            two && segment == 2 && region == 2,
        );
        self.note("no layer but the classifier", segment + region + joint == 1);
        self.note("hidden joint layers", joint == 3);
        for path in Path::ALL {
            for fc in head.fcs(path) {
                let extreme = [-64, 63].contains(&fc.output.exponent);
                self.note("extreme exponent", extreme);
                self.parameters(
                    fc.weights.len() / usize::from(fc.outputs),
                    &fc.weights,
                    &fc.channels,
                );
            }
        }
    }
}

#[test]
fn everything_occurs() {
    let mut seen = Seen::default();
    for seed in 0..2000 {
        let spec = model(seed);
        seen.note("one pixel", spec.input.height == 1 && spec.input.width == 1);
        seen.note("one row", spec.input.height == 1 && spec.input.width > 9);
        seen.note("image that is not RGB", spec.input.channels != 3);
        seen.layers(&spec);
        seen.head(&spec.head);
        let background = |i: usize| spec.classes[i].kind == ClassKind::Background;
        seen.note("one class", spec.classes.len() == 1);
        seen.note("twelve classes", spec.classes.len() == 12);
        seen.note("background first", background(0));
        seen.note(
            "objects",
            spec.classes.iter().any(|c| c.kind == ClassKind::Object),
        );
        seen.note("calibrated", spec.calibration.is_some());
        seen.note("no labelling rule", spec.labelling.is_none());
        if let Some(rule) = spec.labelling {
            seen.labelling(rule);
        }
    }
    seen.assert_all(8);
}

/// Runs a model; returns the different values of its feature map and its logits over some segments.
fn run(seed: u64) -> (usize, usize, BTreeSet<i16>) {
    let bytes = model(seed).to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let spec = ModelSpec::try_from(&model).unwrap();
    let image = random_image(seed, spec.input);
    let mut arena = vec![0; model.arena_bytes()];
    let mut executor = Executor::new(&model, &mut arena).unwrap();
    executor.push_image(&image.view().unwrap()).unwrap();
    let (features, scratch) = executor.finish().unwrap();
    let values: BTreeSet<i8> = features.data().iter().copied().collect();
    let size = features.data().len();
    let mut scorer = Scorer::new(&model, features, scratch).unwrap();
    let mut logits = vec![0; model.class_count()];
    let segments = random_segments(seed, image.width, image.height, 12);
    let mut seen = BTreeSet::new();
    for segment in segments.views() {
        if matches!(segment, Segment::Runs(_)) {
            scorer.score(&segment, &[], &mut logits).unwrap();
            seen.extend(&logits);
        }
    }
    (size, values.len(), seen)
}

#[test]
fn outputs_spread_over_the_range() {
    let (mut large, mut varied, mut saturated, mut scores) = (0, 0, 0, 0);
    let count = 400;
    for seed in 0..count {
        let (size, values, logits) = run(seed);
        if size >= 100 {
            large += 1;
            varied += u64::from(values >= 20);
        }
        saturated += u64::from(logits.contains(&i16::MIN) || logits.contains(&i16::MAX));
        scores += u64::from(logits.len() >= 4);
    }
    assert!(large * 10 > count * 4, "{large} large feature maps");
    assert!(
        varied * 10 > large * 6,
        "{varied} of {large} feature maps have many values"
    );
    assert!(
        scores * 10 > count * 6,
        "{scores} of {count} models tell segments apart"
    );
    assert!(
        saturated > count / 50,
        "{saturated} of {count} models saturate a logit"
    );
}

#[test]
fn segments_are_valid_and_varied() {
    let mut seen = Seen::default();
    for seed in 0..600 {
        let spec = model(seed);
        let (width, height) = (spec.input.width, spec.input.height);
        let drawn = random_segments(seed, width, height, 10);
        let maps = drawn.map_views().unwrap();
        assert_eq!(drawn.segments.len(), 10);
        seen.note("no maps", maps.is_empty());
        seen.note("several maps", maps.len() > 1);
        for map in &maps {
            assert_eq!((map.width(), map.height()), (width, height));
            let used: BTreeSet<u16> = map.labels().iter().copied().collect();
            seen.note("ids without pixels", used.len() < usize::from(map.count()));
            seen.note("one superpixel", used.len() == 1);
            seen.note("many superpixels", used.len() > 200);
        }
        for segment in drawn.views() {
            match segment {
                Segment::Runs(runs) => {
                    assert!(!runs.is_empty());
                    assert!(
                        runs.iter()
                            .all(|r| r.y < height && r.x0 < r.x1 && r.x1 <= width)
                    );
                    assert!(
                        runs.windows(2)
                            .all(|w| (w[0].y, w[0].x1) <= (w[1].y, w[1].x0))
                    );
                    let area: u32 = runs.iter().map(|r| u32::from(r.x1 - r.x0)).sum();
                    let whole = u32::from(width) * u32::from(height);
                    let touch = |w: &[_; 2]| w[0] == w[1];
                    let ends = runs
                        .windows(2)
                        .map(|w| [(w[0].y, w[0].x1), (w[1].y, w[1].x0)]);
                    seen.note("touching runs", ends.into_iter().any(|w| touch(&w)));
                    seen.note("single pixel", area == 1 && whole > 1);
                    seen.note("whole image", area == whole);
                    seen.note("scattered pixels", area > 20 && runs.len() as u32 == area);
                }
                Segment::Superpixels { map, members } => {
                    let distinct: BTreeSet<u16> = members.iter().copied().collect();
                    assert_eq!(distinct.len(), members.len());
                    assert!(members.iter().all(|&id| id < maps[map].count()));
                    assert!(maps[map].labels().iter().any(|id| distinct.contains(id)));
                    seen.note(
                        "all superpixels",
                        members.len() == usize::from(maps[map].count()),
                    );
                    seen.note(
                        "one of many superpixels",
                        members.len() == 1 && maps[map].count() > 9,
                    );
                    seen.note("members out of order", !members.is_sorted());
                }
            }
        }
    }
    seen.assert_all(10);
}
