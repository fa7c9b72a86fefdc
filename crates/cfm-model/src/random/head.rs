//! Random heads.

use cfm_core::model::format::{MAX_LEVEL, MAX_LEVELS};
use fixed::types::U0F16;

use super::backbone::Tensor;
use super::moments::Moments;
use super::parameters::{self, Aim, Input};
use super::scale;
use super::source::Source;
use crate::shape::bins;
use crate::spec::{Classifier, Design, FcSpec, HeadSpec, MaskRule, OutputScale, classifier_output};

/// Longest vector that a pyramid makes.
const LONGEST: usize = 6000;

/// A head over the feature map with `outputs` outputs.
pub(super) fn random(source: &mut Source, feature: Tensor, outputs: u16) -> HeadSpec {
    let design = source.pick(&[Design::Plain, Design::A, Design::B]);
    let channels = usize::from(feature.shape.channels);
    let segment_levels = levels(source, channels);
    let segment_count = source.range(0..=2);
    let (region_levels, region_count) = if design == Design::A {
        (levels(source, channels), source.range(0..=2))
    } else {
        (Vec::new(), 0)
    };
    // Where the paths meet they have one scale: that of the feature map, unless each has a layer to change it.
    let joined = if segment_count == 0 || (design == Design::A && region_count == 0) {
        feature.scale
    } else {
        scale::fully_connected(source)
    };
    let pooled = |levels: &[u8]| End {
        length: bins(levels) * channels,
        scale: feature.scale,
        moments: feature.moments.maximum(),
    };
    let (segment_fcs, segment) = path(source, pooled(&segment_levels), segment_count, joined);
    let (region_fcs, region) = path(source, pooled(&region_levels), region_count, joined);
    let joint = End {
        length: segment.length + region.length,
        scale: segment.scale,
        moments: segment.moments.either(region.moments),
    };
    let hidden = source.range(0..=2);
    let last = scale::fully_connected(source);
    let (mut joint_fcs, end) = path(source, joint, hidden, last);
    let logit_exponent = match source.range(0..=4) {
        0 => source.range(-30..=8),
        _ => source.range(-14..=-6),
    };
    let drawn = parameters::random(source, end.length, outputs, end.input(), Aim::LOGITS);
    joint_fcs.push(FcSpec {
        outputs,
        output: classifier_output(logit_exponent),
        weights: drawn.weights,
        channels: drawn.channels,
    });
    HeadSpec {
        design,
        classifier: source.pick(&[Classifier::Softmax, Classifier::Svm]),
        mask_rule: mask_rule(source),
        segment_levels,
        region_levels,
        segment_fcs,
        region_fcs,
        joint_fcs,
        logit_exponent,
    }
}

fn mask_rule(source: &mut Source) -> MaskRule {
    match source.range(0..=3) {
        0 => MaskRule::Max,
        1 => MaskRule::Nearest,
        _ => {
            let threshold = match source.range(0..=4) {
                0 => 1,
                1 => u16::MAX,
                2 => source.range(1..=u16::MAX),
                3 => return MaskRule::Off,
                _ => 1 << 15,
            };
            MaskRule::Average {
                threshold: U0F16::from_bits(threshold),
            }
        }
    }
}

/// Distinct levels in any order, whose bins over `channels` channels are not too many.
fn levels(source: &mut Source, channels: usize) -> Vec<u8> {
    let count = match source.range(0..=7) {
        0 => source.range(1..=MAX_LEVELS),
        1 | 2 => 1,
        _ => source.range(1..=4),
    };
    let mut levels = Vec::new();
    for _ in 0..count {
        let level = match source.range(0..=15) {
            0 => MAX_LEVEL,
            1 => source.range(1..=MAX_LEVEL),
            _ => source.range(1..=8),
        };
        let longer = (bins(&levels) + usize::from(level).pow(2)) * channels;
        if !levels.contains(&level) && longer <= LONGEST {
            levels.push(level);
        }
    }
    if levels.is_empty() {
        levels.push(1);
    }
    levels
}

/// The end of a chain of layers.
#[derive(Debug, Clone, Copy)]
struct End {
    length: usize,
    scale: OutputScale,
    moments: Moments,
}

impl End {
    fn input(&self) -> Input {
        Input {
            zero_point: self.scale.zero_point,
            moments: self.moments,
        }
    }
}

/// `count` layers from `start` on, the last of which has the zero point and exponent of `last`.
fn path(source: &mut Source, start: End, count: usize, last: OutputScale) -> (Vec<FcSpec>, End) {
    let mut end = start;
    let fcs = (0..count)
        .map(|i| {
            let output = if i + 1 == count {
                scale::with_zero_point(source, last.zero_point, last.exponent)
            } else {
                scale::fully_connected(source)
            };
            let outputs = source.range(1..=24);
            let drawn = parameters::random(source, end.length, outputs, end.input(), output.into());
            end = End {
                length: outputs.into(),
                scale: output,
                moments: Moments::clamped(drawn.centre, drawn.deviation, output),
            };
            FcSpec {
                outputs,
                output,
                weights: drawn.weights,
                channels: drawn.channels,
            }
        })
        .collect();
    (fcs, end)
}
