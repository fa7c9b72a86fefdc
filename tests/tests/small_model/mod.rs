//! The small model that packages carry: every kind of layer that the kernels pack, and a head with all three paths.

use cfm_model::spec::{
    AddSpec, Channel, ConvSpec, Design, FcSpec, LayerSpec, ModelSpec, OutputScale, Window,
    classifier_output,
};
use cfm_sim::built_in::STREET;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

const RELU: OutputScale = OutputScale {
    zero_point: -128,
    exponent: -4,
    low: -128,
    high: 127,
};
/// Cells of the pyramid's levels 2 and 1.
const BINS: u16 = 5;

/// `street` with another backbone and head.
pub fn make() -> Result<ModelSpec, Box<dyn std::error::Error>> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut spec = ModelSpec::from_bytes(STREET.cfm)?;
    let classes = u16::try_from(spec.classes.len())?;

    let sum = AddSpec {
        inputs: [4, 5],
        output: RELU,
    };
    spec.layers = vec![
        convolution(&mut random, 0, (3, 2), [3, 8], 1),
        convolution(&mut random, 1, (3, 2), [8, 8], 8),
        convolution(&mut random, 2, (1, 1), [8, 16], 1),
        convolution(&mut random, 3, (3, 2), [16, 16], 1),
        convolution(&mut random, 4, (1, 1), [16, 16], 1),
        LayerSpec::Add(sum),
    ];
    let head = &mut spec.head;
    head.design = Design::A;
    (head.segment_levels, head.region_levels) = (vec![2, 1], vec![2, 1]);
    head.segment_fcs = vec![connected(&mut random, BINS * 16, 8, RELU)];
    head.region_fcs = vec![connected(&mut random, BINS * 16, 8, RELU)];
    let logits = classifier_output(head.logit_exponent);
    head.joint_fcs = vec![connected(&mut random, 16, classes, logits)];
    spec.calibration = None;
    spec.provenance = vec![("generator".to_owned(), "make_small_model".to_owned())];
    Ok(spec)
}

fn convolution(
    random: &mut ChaCha8Rng,
    input: usize,
    (kernel, stride): (u8, u8),
    [inputs, outputs]: [u16; 2],
    groups: u16,
) -> LayerSpec {
    let taps = u16::from(kernel) * u16::from(kernel) * (inputs / groups);
    LayerSpec::Conv2d(ConvSpec {
        input,
        window: Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [kernel / 2; 4],
            ..Window::UNIT
        },
        groups,
        out_channels: outputs,
        output: RELU,
        weights: weights(random, taps, outputs),
        channels: channels(random, taps, outputs),
    })
}

fn connected(random: &mut ChaCha8Rng, inputs: u16, outputs: u16, output: OutputScale) -> FcSpec {
    FcSpec {
        outputs,
        output,
        weights: weights(random, inputs, outputs),
        channels: channels(random, inputs, outputs),
    }
}

/// Weights between -64 and 63.
fn weights(random: &mut ChaCha8Rng, taps: u16, outputs: u16) -> Vec<i8> {
    let count = usize::from(taps) * usize::from(outputs);
    (0..count)
        .map(|_| random.next_u32().to_le_bytes()[0].cast_signed() / 2)
        .collect()
}

/// Multipliers that keep the activations within their range: a sum of `taps` products of random numbers is some
/// `2^11 * sqrt(taps)`.
fn channels(random: &mut ChaCha8Rng, taps: u16, outputs: u16) -> Vec<Channel> {
    let shift = 20 + u8::try_from(taps.ilog2() / 2).unwrap_or(0);
    (0..outputs)
        .map(|_| Channel {
            bias: i32::from(random.next_u32().to_le_bytes()[0]) * 16,
            mantissa: 0x6000,
            shift,
        })
        .collect()
}
