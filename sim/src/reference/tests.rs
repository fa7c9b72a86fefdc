//! A whole model by hand.

use cfm_core::image::ImageView;
use cfm_core::model::{AreaFactor, Combination, LabellingRule, Model};
use cfm_core::segment::{Run, Segment};
use cfm_model::spec::{
    Channel, ClassKind, ClassSpec, Classifier, ConvSpec, Design, FcSpec, HeadSpec, InputSpec,
    LayerSpec, MaskRule, ModelSpec, OutputScale, Window, classifier_output,
};
use fixed::types::U0F16;

use super::*;

fn channel(bias: i32, shift: u8) -> Channel {
    Channel {
        bias,
        mantissa: 1 << 14,
        shift,
    }
}

fn class(label: u8, kind: ClassKind) -> ClassSpec {
    ClassSpec {
        name: label.to_string(),
        kind,
        color: [label; 3],
        label,
    }
}

/// A 1x2 convolution of a 2x2 image, masked, pooled to one bin, two classes.
fn model() -> ModelSpec {
    ModelSpec {
        input: InputSpec {
            height: 2,
            width: 2,
            channels: 1,
        },
        layers: vec![LayerSpec::Conv2d(ConvSpec {
            input: 0,
            window: Window {
                kernel: [1, 2],
                padding: [0, 0, 0, 1],
                ..Window::UNIT
            },
            groups: 1,
            out_channels: 1,
            output: OutputScale {
                zero_point: -10,
                exponent: -6,
                low: -128,
                high: 127,
            },
            weights: vec![2, -1],
            channels: vec![channel(3, 15)],
        })],
        head: HeadSpec {
            design: Design::Plain,
            classifier: Classifier::Softmax,
            mask_rule: MaskRule::Average {
                threshold: U0F16::from_num(0.6),
            },
            segment_levels: vec![1],
            region_levels: vec![],
            segment_fcs: vec![],
            region_fcs: vec![],
            joint_fcs: vec![FcSpec {
                outputs: 2,
                output: classifier_output(-2),
                weights: vec![1, -3],
                // 5 and -2, less -10 times the weight.
                channels: vec![channel(15, 14), channel(-32, 15)],
            }],
            logit_exponent: -2,
        },
        classes: vec![class(3, ClassKind::Stuff), class(4, ClassKind::Object)],
        labelling: None,
        calibration: None,
        proposals: None,
        provenance: vec![],
        unknown: vec![],
    }
}

#[test]
fn a_small_model_by_hand() {
    let bytes = model().to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let pixels = [130, 128, 126, 138];
    let runs = [Run { y: 0, x0: 0, x1: 1 }, Run { y: 1, x0: 0, x1: 2 }];
    let inputs = Inputs {
        image: ImageView::new(&pixels, 2, 2, 1).unwrap(),
        maps: &[],
        segments: &[Segment::Runs(&runs)],
        rule: LabellingRule {
            combination: Combination::Vote {
                power: 1,
                area: AreaFactor::One,
                purity: 0,
            },
            refinement: None,
        },
    };
    let trace = trace(&model, &inputs).unwrap();
    assert_eq!(trace.tensors[0], [2, 0, -2, 10]);
    // 3 + 2 x - next: 7, 3, -11, 23; halved, ties to even: 4, 2, -6, 12; less 10.
    assert_eq!(trace.tensors[1], [-6, -8, -16, 2]);
    let segment = &trace.segments[0];
    // Column centres are 0.5 and 1.5: both pixels are nearest (or tied) to the first column.
    assert_eq!((segment.area, segment.window), (3, [0, 0, 2, 1]));
    // Half of the upper cell is below the threshold; all of the lower cell is not.
    assert_eq!(segment.mask, [0, 1]);
    // The upper cell counts as real zero.
    assert_eq!(segment.segment_vector, [-10]);
    assert_eq!(segment.hidden, Vec::<Vec<i8>>::new());
    // The input is real zero, so the sums are the real biases, 5 and -2; the second is halved.
    assert_eq!(segment.logits, [5, -1]);
    // e^-1.5 / (1 + e^-1.5) = 0.182426.
    assert!(segment.probabilities[1].abs_diff(11955) <= 16);
    assert_eq!(trace.labels, [0, labelling::VOID, 0, 0]);
}

#[test]
fn wrong_inputs_are_refused() {
    let bytes = model().to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let pixels = [0; 6];
    let inputs = Inputs {
        image: ImageView::new(&pixels, 3, 2, 1).unwrap(),
        maps: &[],
        segments: &[],
        rule: LabellingRule::PASTE,
    };
    assert_eq!(trace(&model, &inputs), Err(ReferenceError::ImageShape));
    let inputs = Inputs {
        image: ImageView::new(&pixels[..4], 2, 2, 1).unwrap(),
        segments: &[Segment::Runs(&[])],
        ..inputs
    };
    assert_eq!(
        trace(&model, &inputs),
        Err(ReferenceError::Segment(0, SegmentError::Empty))
    );
    let inputs = Inputs {
        segments: &[],
        rule: LabellingRule {
            refinement: Some(0),
            ..inputs.rule
        },
        ..inputs
    };
    assert_eq!(trace(&model, &inputs), Err(ReferenceError::RefinementMap));
}
