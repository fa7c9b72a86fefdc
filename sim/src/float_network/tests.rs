//! The float network against the integers that are quantized from it.

use cfm_core::model::{ClassKind, Design, LabellingRule, MaskRule, Window};
use cfm_model::float_model::{Activation, ActivationScale, FloatConv, FloatFc};
use cfm_model::quantize::{logit_exponent, quantize};
use cfm_model::random::{random_image, random_segments};
use cfm_model::spec::{ClassSpec, InputSpec};

use super::*;
use crate::reference;

/// Numbers in -1 .. 1 that differ from one another.
struct Numbers(u32);

impl Numbers {
    fn take(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count)
            .map(|_| {
                self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0) * scale
            })
            .collect()
    }
}

fn conv(
    n: &mut Numbers,
    input: usize,
    inputs: u16,
    outputs: u16,
    groups: u16,
    stride: u8,
) -> FloatLayer {
    let filter_len = 9 * usize::from(inputs / groups);
    FloatLayer::Conv2d(FloatConv {
        input,
        window: Window {
            kernel: [3, 3],
            stride: [stride; 2],
            dilation: [1, 1],
            padding: [1; 4],
        },
        groups,
        out_channels: outputs,
        weights: n.take(
            filter_len * usize::from(outputs),
            2.0 / (filter_len as f32).sqrt(),
        ),
        bias: n.take(usize::from(outputs), 0.2),
        output: ActivationScale::relu(-5),
    })
}

fn fc(n: &mut Numbers, inputs: usize, outputs: u16) -> FloatFc {
    FloatFc {
        outputs,
        weights: n.take(inputs * usize::from(outputs), 4.0 / (inputs as f32).sqrt()),
        bias: n.take(usize::from(outputs), 0.2),
        output: ActivationScale::relu(-5),
    }
}

/// Every kind of layer, and the given head.
pub(crate) fn float_model(design: Design) -> FloatModel {
    let n = &mut Numbers(7);
    let pool = |input| PoolSpec {
        input,
        window: Window {
            kernel: [2, 2],
            stride: [2, 1],
            ..Window::UNIT
        },
    };
    let layers = vec![
        conv(n, 0, 3, 8, 1, 1),
        conv(n, 1, 8, 8, 2, 1),
        FloatLayer::Add(FloatAdd {
            inputs: [1, 2],
            output: ActivationScale::relu(-4),
        }),
        FloatLayer::MaxPool(pool(3)),
        FloatLayer::AvgPool(pool(4)),
        conv(n, 5, 8, 12, 4, 2),
    ];
    let (segment_levels, region_levels) = match design {
        Design::Plain | Design::B => (vec![1, 3], vec![]),
        Design::A => (vec![2, 1], vec![1, 2]),
    };
    let (segment_fcs, region_fcs, joint) = match design {
        Design::Plain => (vec![], vec![], 120),
        Design::A => (vec![fc(n, 60, 10)], vec![fc(n, 60, 6)], 16),
        Design::B => (vec![fc(n, 120, 10)], vec![], 10),
    };
    let class = |label| ClassSpec {
        name: format!("class {label}"),
        kind: ClassKind::Stuff,
        color: [label; 3],
        label,
    };
    FloatModel {
        input: InputSpec {
            height: 24,
            width: 20,
            channels: 3,
        },
        layers,
        head: FloatHead {
            design,
            classifier: Classifier::Softmax,
            mask_rule: MaskRule::Max,
            segment_levels,
            region_levels,
            segment_fcs,
            region_fcs,
            joint_fcs: vec![fc(n, joint, 9), fc(n, 9, 3)],
            logit_exponent: -11,
        },
        classes: (0..3).map(class).collect(),
        labelling: None,
        calibration: None,
        proposals: None,
        provenance: vec![],
    }
}

/// Sets the scales of the backbone to the ranges that the image takes, and some of the head's.
pub(crate) fn calibrate(float: &mut FloatModel, tensors: &[Tensor]) {
    for (layer, tensor) in float.layers.iter_mut().zip(tensors.iter().skip(1)) {
        let max = tensor.data.iter().copied().fold(0.0, f32::max);
        let scale = ActivationScale::for_range(Activation::Relu, max).unwrap();
        match layer {
            FloatLayer::Conv2d(conv) => conv.output = scale,
            FloatLayer::Add(add) => add.output = scale,
            FloatLayer::MaxPool(_) | FloatLayer::AvgPool(_) => {}
        }
    }
    let head = &mut float.head;
    head.logit_exponent = logit_exponent(16.0).unwrap();
    if let Some(classifier) = head.joint_fcs.last_mut() {
        classifier.output = ActivationScale::logits(head.logit_exponent);
    }
}

#[test]
fn integers_follow_the_float_network() {
    for design in [Design::Plain, Design::A, Design::B] {
        let mut float = float_model(design);
        let image = random_image(3, float.input);
        let image = image.view().unwrap();
        let segments = random_segments(9, 20, 24, 30);
        // Tensors do not depend on the scales, which are only known afterwards.
        let tensors = {
            let mut any = float.clone();
            calibrate(&mut any, &[]);
            let bytes = quantize(&any).unwrap().to_bytes().unwrap();
            let model = Model::parse(&bytes).unwrap();
            let network = FloatNetwork::new(&model, any).unwrap();
            network.tensors(&image).unwrap()
        };
        calibrate(&mut float, &tensors);
        let bytes = quantize(&float).unwrap().to_bytes().unwrap();
        let model = Model::parse(&bytes).unwrap();
        let inputs = Inputs {
            image,
            maps: &segments.map_views().unwrap(),
            segments: &segments.views(),
            rule: LabellingRule::DEFAULT,
        };
        let trace = reference::trace(&model, &inputs).unwrap();
        for ((tensor, info), values) in tensors.iter().zip(model.tensors()).zip(&trace.tensors) {
            let step = f32::from(info.exponent).exp2();
            let errors = tensor.data.iter().zip(values).map(|(real, &q)| {
                (real / step - (f32::from(q) - f32::from(info.zero_point))).abs()
            });
            let mean = errors.sum::<f32>() / values.len() as f32;
            assert!(mean < 1.0, "{design:?}: {mean} steps off on average");
        }
        let scores = FloatNetwork::new(&model, float)
            .unwrap()
            .label(&inputs)
            .unwrap();
        let step = f32::from(model.head().logit_exponent).exp2();
        let (mut error, mut spread) = (0.0, 0.0);
        for (real, segment) in scores.logits.iter().zip(&trace.segments) {
            for (real, &q) in real.iter().zip(&segment.logits) {
                error += (real - f32::from(q) * step).abs();
                spread += real.abs();
            }
        }
        assert!(
            error < 0.1 * spread,
            "{design:?}: error {error}, logits {spread}"
        );
        let agree = scores
            .labels
            .iter()
            .zip(&trace.labels)
            .filter(|(a, b)| a == b);
        assert!(agree.count() * 100 >= trace.labels.len() * 95, "{design:?}");
    }
}

#[test]
fn other_weights_are_refused() {
    let mut float = float_model(Design::A);
    calibrate(&mut float, &[]);
    let bytes = quantize(&float).unwrap().to_bytes().unwrap();
    let model = Model::parse(&bytes).unwrap();
    let other = float_model(Design::B);
    let refused = |float| {
        matches!(
            FloatNetwork::new(&model, float),
            Err(FloatNetworkError::OtherModel)
        )
    };
    assert!(refused(other));
    float.head.joint_fcs[0].weights.pop();
    assert!(refused(float));
}
