//! Reading and validating the head.

use fixed::types::U0F16;

use super::bytes::{i8_at, slice, u8_at, u16_at, u32_at, zeros};
use super::error::{ModelError, ModelErrorKind, Part, attempt, ensure};
use super::format::{FC_LEN, HEAD_LEN, MAX_FC, MAX_LEVEL, MAX_LEVELS, tag};
use super::head::{Classifier, Design, FullyConnected, Head, Levels, MaskRule};
use super::layer::{Tensor, output_scale_at};
use super::parse_layers::{check_output, check_parameters, parameters};
use super::weight_order::WeightSection;
use crate::requantize::OutputScale;

const PART: Part = Part::Section(tag::HEAD);

pub(super) const fn parse<'a>(
    section: &[u8],
    weights: WeightSection<'a>,
    channels: &'a [u8],
    feature: Tensor,
) -> Result<Head<'a>, ModelError> {
    ensure!(section.len() >= HEAD_LEN, SectionLength, PART);
    ensure!(zeros(section, 27, HEAD_LEN), Reserved, PART);
    let design = match u8_at(section, 0) {
        0 => Design::Plain,
        1 => Design::A,
        2 => Design::B,
        _ => return Err(ModelError::new(ModelErrorKind::Kind, PART)),
    };
    let classifier = match u8_at(section, 1) {
        0 => Classifier::Softmax,
        1 => Classifier::Svm,
        _ => return Err(ModelError::new(ModelErrorKind::Kind, PART)),
    };
    let logit_exponent = i8_at(section, 6);
    ensure!(
        logit_exponent >= -30 && logit_exponent <= 8,
        LogitScale,
        PART
    );
    let two_paths = matches!(design, Design::A);
    let counts = [u8_at(section, 24), u8_at(section, 25), u8_at(section, 26)];
    let total = counts[0] as usize + counts[1] as usize + counts[2] as usize;
    ensure!(
        counts[2] >= 1 && total <= MAX_FC && (two_paths || counts[1] == 0),
        FullyConnectedCount,
        PART
    );
    ensure!(
        section.len() == HEAD_LEN + total * FC_LEN,
        SectionLength,
        PART
    );
    let mut head = Head {
        design,
        classifier,
        mask_rule: attempt!(mask_rule(u8_at(section, 2), u16_at(section, 4))),
        segment_levels: attempt!(levels(section, u8_at(section, 3), 8, true)),
        region_levels: attempt!(levels(section, u8_at(section, 7), 16, two_paths)),
        logit_exponent,
        counts,
        layers: [None; MAX_FC],
        joint_inputs: [0; 2],
        longest: 0,
    };
    let pooled = feature.shape.channels as usize;
    let feature_scale = OutputScale {
        zero_point: feature.zero_point,
        exponent: feature.exponent,
        low: i8::MIN,
        high: i8::MAX,
    };
    let mut scales = [feature_scale; 3];
    let mut index = 0;
    let mut path = 0;
    while path < 3 {
        let mut length = match path {
            0 => head.segment_levels.bin_count() * pooled,
            1 => head.region_levels.bin_count() * pooled,
            _ => head.joint_inputs[0] + head.joint_inputs[1],
        };
        let mut i = 0;
        while i < counts[path] as usize {
            let classifier = index + 1 == total;
            let part = Part::FullyConnected(index as u16);
            // Always so, for there are `total`; asked, to keep the panic path out.
            ensure!(index < MAX_FC, FullyConnectedCount, part);
            let at = HEAD_LEN + index * FC_LEN;
            let Some(record) = slice(section, at as u64, FC_LEN as u64) else {
                return Err(ModelError::new(ModelErrorKind::SectionLength, part));
            };
            let layer = attempt!(fully_connected(record, length, weights, channels, part));
            let output = layer.parameters.output;
            if classifier {
                ensure!(output.exponent == logit_exponent, LogitScale, part);
                ensure!(
                    output.zero_point == 0 && output.low == 0 && output.high == 0,
                    Reserved,
                    part
                );
            } else {
                attempt!(check_output(output, part));
            }
            length = layer.outputs;
            if length > head.longest {
                head.longest = length;
            }
            scales[path] = output;
            head.layers[index] = Some(layer);
            index += 1;
            i += 1;
        }
        if path < 2 {
            head.joint_inputs[path] = length;
        }
        path += 1;
    }
    ensure!(
        !two_paths
            || (scales[0].zero_point == scales[1].zero_point
                && scales[0].exponent == scales[1].exponent),
        PathScales,
        PART
    );
    Ok(head)
}

const fn mask_rule(kind: u8, threshold: u16) -> Result<MaskRule, ModelError> {
    let rule = match kind {
        0 => MaskRule::Average {
            threshold: U0F16::from_bits(threshold),
        },
        1 => MaskRule::Max,
        2 => MaskRule::Nearest,
        3 => MaskRule::Off,
        _ => return Err(ModelError::new(ModelErrorKind::Kind, PART)),
    };
    let averages = matches!(rule, MaskRule::Average { .. });
    ensure!(averages == (threshold != 0), Threshold, PART);
    Ok(rule)
}

const fn levels(section: &[u8], len: u8, at: usize, wanted: bool) -> Result<Levels, ModelError> {
    ensure!(
        len as usize <= MAX_LEVELS && wanted == (len > 0),
        Levels,
        PART
    );
    let mut bins = [0; MAX_LEVELS];
    let mut i = 0;
    while i < MAX_LEVELS {
        let level = u8_at(section, at + i);
        if i < len as usize {
            ensure!(level >= 1 && level <= MAX_LEVEL, Levels, PART);
            let mut earlier = 0;
            while earlier < i {
                ensure!(bins[earlier] != level, Levels, PART);
                earlier += 1;
            }
            bins[i] = level;
        } else {
            ensure!(level == 0, Reserved, PART);
        }
        i += 1;
    }
    Ok(Levels { bins, len })
}

const fn fully_connected<'a>(
    record: &[u8],
    inputs: usize,
    weights: WeightSection<'a>,
    channels: &'a [u8],
    part: Part,
) -> Result<FullyConnected<'a>, ModelError> {
    let outputs = u16_at(record, 0);
    ensure!(outputs > 0, Dimension, part);
    ensure!(zeros(record, 6, 8), Reserved, part);
    match parameters(
        weights,
        u32_at(record, 8),
        channels,
        u32_at(record, 12),
        inputs as u64,
        1,
        outputs as u64,
        output_scale_at(record, 2),
    ) {
        Some(parameters) => {
            attempt!(check_parameters(&parameters, part));
            Ok(FullyConnected {
                inputs,
                outputs: outputs as usize,
                parameters,
            })
        }
        None => Err(ModelError::new(ModelErrorKind::ParameterRange, part)),
    }
}
