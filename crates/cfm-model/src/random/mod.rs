//! Random valid models, images and segments, for tests that compare implementations.
//!
//! [`random_model`] draws from everything that the format allows: every kind of layer, head, classifier and mask rule,
//! odd shapes down to one pixel, asymmetric padding wider than the kernel, dilation, groups, residual connections
//! between different scales, saturating weights, accumulators at the very bound, zero points at both ends, every sort
//! of clamp, shifts from 0 to 62. Most layers are scaled so that their outputs spread over the range, since a tensor
//! full of clamped values compares equal whatever went wrong.
//!
//! The same seed gives the same result on every machine: the generator is `ChaCha8`, and the draws from its words are
//! defined in this crate. Model, image and segments of one seed come from separate streams.

mod backbone;
mod head;
mod image;
mod moments;
mod parameters;
mod scale;
mod segments;
mod source;
mod window;

pub use image::{RandomImage, random_image};
pub use segments::{RandomMap, RandomSegment, RandomSegments, random_segments};

use cfm_core::model::format::MAX_MAPS;
use fixed::types::U0F16;

use crate::spec::{
    AreaFactor, CalibrationSpec, ClassKind, ClassSpec, Combination, InputSpec, LabellingRule,
    ModelSpec,
};
use backbone::Backbone;
use source::{Source, Stream};

/// Bounds on the random models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Largest height and width of the image, at least 1.
    pub max_side: u16,
    /// Most channels of a tensor, at least 1; depthwise convolutions may double it.
    pub max_channels: u16,
    /// About how many layers the backbone has at most, `1 ..= 60`. A residual block is finished even so.
    pub max_layers: u16,
    /// Most outputs of the classifier, `1 ..= 255`.
    pub max_classes: u8,
    /// About how many multiplications a layer takes at most.
    pub max_macs: u64,
    /// Whether all images are RGB; otherwise some have 1 to 5 samples per pixel.
    pub rgb_only: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_side: 40,
            max_channels: 40,
            max_layers: 8,
            max_classes: 12,
            max_macs: 400_000,
            rgb_only: false,
        }
    }
}

/// A random valid model.
///
/// It has no proposal parameters: its segments come from [`random_segments`].
///
/// ```
/// use cfm_model::random::{Options, random_model};
/// let model = random_model(7, &Options::default());
/// assert_eq!(model, random_model(7, &Options::default()));
/// assert!(model.to_bytes().is_ok());
/// ```
#[must_use]
pub fn random_model(seed: u64, options: &Options) -> ModelSpec {
    let mut source = Source::new(seed, Stream::Model);
    let source = &mut source;
    let input = input(source, options);
    let backbone = Backbone::random(source, options, input);
    let classes = classes(source, options);
    let outputs = u16::try_from(classes.len()).unwrap_or(u16::MAX);
    let head = head::random(source, backbone.feature(), outputs);
    ModelSpec {
        input,
        layers: backbone.into_layers(),
        head,
        classes,
        labelling: labelling(source),
        calibration: calibration(source),
        proposals: None,
        provenance: vec![
            ("generator".to_owned(), "random_model".to_owned()),
            ("seed".to_owned(), seed.to_string()),
        ],
        unknown: vec![],
    }
}

fn input(source: &mut Source, options: &Options) -> InputSpec {
    let mut side = || {
        let small = options.max_side.min(5);
        match source.weighted(&[(1, 1), (2, small), (9, options.max_side)]) {
            1 => 1,
            most => source.range(1..=most),
        }
    };
    let (height, width) = (side(), side());
    InputSpec {
        height,
        width,
        channels: if options.rgb_only || source.chance(3, 4) {
            3
        } else {
            source.range(1..=5)
        },
    }
}

fn classes(source: &mut Source, options: &Options) -> Vec<ClassSpec> {
    let count = usize::from(source.range(1..=options.max_classes.max(1)));
    let mut labels: Vec<u8> = (0..u8::MAX).collect();
    source.shuffle(&mut labels);
    let foreground = source.range(0..=count - 1);
    let names = [
        "road",
        "",
        "Gehölz",
        "日",
        "a class with a longer name than most",
    ];
    labels
        .into_iter()
        .take(count)
        .enumerate()
        .map(|(i, label)| {
            let kind = source.weighted(&[
                (4, ClassKind::Stuff),
                (4, ClassKind::Object),
                (2, ClassKind::Background),
            ]);
            // One class that can label a pixel is what a model needs.
            let kind = if i == foreground && kind == ClassKind::Background {
                ClassKind::Stuff
            } else {
                kind
            };
            let label = if kind == ClassKind::Background && source.chance(1, 2) {
                u8::MAX
            } else {
                label
            };
            ClassSpec {
                name: source.pick(&names).to_owned(),
                kind,
                color: [source.any_u8(), source.any_u8(), source.any_u8()],
                label,
            }
        })
        .collect()
}

fn labelling(source: &mut Source) -> Option<LabellingRule> {
    match source.range(0..=3) {
        0 => None,
        _ => Some(LabellingRule {
            combination: combination(source),
            refinement: source.chance(1, 3).then(|| source.range(0..=MAX_MAPS - 1)),
        }),
    }
}

fn combination(source: &mut Source) -> Combination {
    if source.chance(1, 2) {
        return Combination::Paste {
            inhibition: U0F16::from_bits(match source.range(0..=4) {
                0 | 1 => 0,
                2 => source.pick(&[1, 1 << 15, u16::MAX]),
                _ => source.range(1..=u16::MAX),
            }),
        };
    }
    Combination::Vote {
        power: source.range(1..=LabellingRule::MAX_POWER),
        area: source.pick(&[
            AreaFactor::One,
            AreaFactor::InverseRoot,
            AreaFactor::Inverse,
        ]),
        purity: match source.range(0..=1) {
            0 => 0,
            _ => source.range(1..=LabellingRule::MAX_POWER),
        },
    }
}

fn calibration(source: &mut Source) -> Option<CalibrationSpec> {
    source.chance(1, 4).then(|| CalibrationSpec {
        slope: source.range(-64..=256) as f32 / 64.0,
        intercept: source.range(-256..=256) as f32 / 64.0,
    })
}
