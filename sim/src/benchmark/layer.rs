//! A model of a single convolution, to compare kernels on.

use cfm_core::model::{Shape, Window};
use cfm_core::requantize::OutputScale;
use cfm_model::spec::{
    Channel, ConvSpec, FcSpec, InputSpec, LayerSpec, classifier_output, one_layer,
};
use cfm_model::writer::WriteError;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A convolution with as many filters as inputs, 3x3, padded to keep the size, with random weights, power-of-two scales and
/// a clamp at real zero; followed by the smallest head that there is.
///
/// # Errors
/// [`WriteError`] for a shape that no model can have.
pub fn convolution(input: Shape) -> Result<Vec<u8>, WriteError> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let channels = usize::from(input.channels);
    let mut weights = |count: usize| -> Vec<i8> {
        (0..count)
            .map(|_| (random.next_u32() % 255) as u8)
            .map(|byte| byte.cast_signed().max(-127))
            .collect()
    };
    // 9 * 64 products of random bytes: a standard deviation of some 2^17, so that a shift of 11 uses the range of 8 bits.
    let channel = |shift: u8| Channel {
        bias: 0,
        mantissa: 1 << 14,
        shift: 14 + shift,
    };
    let layer = LayerSpec::Conv2d(ConvSpec {
        input: 0,
        window: Window {
            kernel: [3, 3],
            padding: [1; 4],
            ..Window::UNIT
        },
        groups: 1,
        out_channels: input.channels,
        output: OutputScale {
            zero_point: -128,
            exponent: -4,
            low: i8::MIN,
            high: i8::MAX,
        },
        weights: weights(9 * channels * channels),
        channels: vec![channel(11); channels],
    });
    let classifier = FcSpec {
        outputs: 1,
        output: classifier_output(-4),
        weights: weights(channels),
        channels: vec![channel(4)],
    };
    let input = InputSpec {
        height: input.height,
        width: input.width,
        channels: input.channels,
    };
    one_layer(input, layer, Vec::new(), classifier).to_bytes()
}
