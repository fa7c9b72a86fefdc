//! Layers, and the default model's backbone, on all kernels that the processor has: `cargo bench -p cfm-conformance`.
//!
//! The layers are those of the README's table of instructions, and a larger one. Items are multiply-accumulates.

#[path = "../soundness/tests/one_layer/mod.rs"]
mod one_layer;
#[cfg(target_arch = "x86_64")]
#[path = "../tests/x86/mod.rs"]
mod x86;

use std::fmt;

use cfm_conformance::backend::Backend;
#[cfg(not(target_arch = "x86_64"))]
use cfm_conformance::backend::NativeBackend;
use cfm_core::executor::Executor;
use cfm_core::image::ImageView;
use cfm_core::kernels::{Kernels, Portable, fully_connected_scratch};
use cfm_core::model::{Model, Operation, Path, Shape, Window};
use cfm_core::requantize::OutputScale;
use cfm_model::spec::{Channel, ConvSpec, FcSpec, LayerSpec, classifier_output};
use divan::Bencher;
use divan::counter::ItemsCount;
#[cfg(target_arch = "x86_64")]
use x86::X86Backend;

fn main() {
    divan::main();
}

/// Which kernels run.
#[derive(Debug, Clone, Copy)]
enum Which {
    Portable,
    #[cfg(target_arch = "x86_64")]
    X86(X86Backend),
    #[cfg(not(target_arch = "x86_64"))]
    Native,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Portable => write!(f, "portable"),
            #[cfg(target_arch = "x86_64")]
            Self::X86(backend) => write!(f, "{:?}", backend.0),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Native => write!(f, "native"),
        }
    }
}

/// All kernels that the processor has.
fn kernels() -> Vec<Which> {
    let mut all = vec![Which::Portable];
    #[cfg(target_arch = "x86_64")]
    all.extend(X86Backend::all().map(Which::X86));
    #[cfg(not(target_arch = "x86_64"))]
    all.push(Which::Native);
    all
}

/// Calls a function with the backend.
macro_rules! on {
    ($which:expr, $function:ident($($argument:expr),*)) => {
        match $which {
            Which::Portable => $function(&Portable, $($argument),*),
            #[cfg(target_arch = "x86_64")]
            Which::X86(backend) => $function(&backend, $($argument),*),
            #[cfg(not(target_arch = "x86_64"))]
            Which::Native => $function(&NativeBackend, $($argument),*),
        }
    };
}

const OUTPUT: OutputScale = OutputScale {
    zero_point: -128,
    exponent: -4,
    low: -128,
    high: 127,
};

/// Numbers that are no special case.
fn weights(count: usize) -> Vec<i8> {
    let number = |i: usize| (i.wrapping_mul(2_654_435_761) >> 11) % 255;
    (0..count)
        .map(|i| i8::try_from(number(i).cast_signed() - 127).expect("it is 127 at most"))
        .collect()
}

fn channels(count: u16) -> Vec<Channel> {
    let channel = Channel {
        bias: 1000,
        mantissa: 1 << 14,
        shift: 25,
    };
    vec![channel; count.into()]
}

fn fully_connected(inputs: u16, outputs: u16, output: OutputScale) -> FcSpec {
    FcSpec {
        outputs,
        output,
        weights: weights(usize::from(inputs) * usize::from(outputs)),
        channels: channels(outputs),
    }
}

/// A model with a convolution of so many rows and columns, padded to keep the size, and a small head.
fn convolution(input: Shape, kernel: u8, out_channels: u16, groups: u16) -> Vec<u8> {
    let filter_len =
        usize::from(kernel) * usize::from(kernel) * usize::from(input.channels / groups);
    let layer = LayerSpec::Conv2d(ConvSpec {
        input: 0,
        window: Window {
            kernel: [kernel; 2],
            padding: [kernel / 2; 4],
            ..Window::UNIT
        },
        groups,
        out_channels,
        output: OUTPUT,
        weights: weights(filter_len * usize::from(out_channels)),
        channels: channels(out_channels),
    });
    let fc = fully_connected(out_channels, 64, OUTPUT);
    let classifier = fully_connected(64, 1, classifier_output(-4));
    one_layer::model(input, layer, fc, classifier)
}

/// The backbone of a model, line buffers and all.
fn backbone<B: Backend>(backend: &B, bencher: Bencher<'_, '_>, file: &[u8]) {
    let model = Model::parse(file).expect("it is valid");
    let kernels = backend.kernels(&model);
    let shape = model.input();
    let pixels: Vec<u8> = weights(shape.len())
        .iter()
        .map(|w| w.cast_unsigned())
        .collect();
    let image = ImageView::new(&pixels, shape.width, shape.height, shape.channels)
        .expect("it has as many pixels");
    let macs: usize = model
        .layers()
        .zip(&model.tensors()[1..])
        .map(|(layer, tensor)| match layer.operation {
            Operation::Conv2d(conv) => tensor.shape.len() * conv.parameters.filter_len(),
            _ => 0,
        })
        .sum();
    let mut arena = vec![0; model.arena_bytes()];
    bencher.counter(ItemsCount::new(macs)).bench_local(|| {
        let mut executor = Executor::with_kernels(&model, &mut arena, &kernels)?;
        executor.push_image(&image)
    });
}

#[divan::bench(args = kernels())]
fn conv_3x3_16_to_32_on_32x32(bencher: Bencher<'_, '_>, which: &Which) {
    let file = convolution(shape(32, 32, 16), 3, 32, 1);
    on!(*which, backbone(bencher, &file));
}

#[divan::bench(args = kernels())]
fn conv_1x1_32_to_64_on_32x32(bencher: Bencher<'_, '_>, which: &Which) {
    let file = convolution(shape(32, 32, 32), 1, 64, 1);
    on!(*which, backbone(bencher, &file));
}

#[divan::bench(args = kernels())]
fn depthwise_3x3_32_on_32x32(bencher: Bencher<'_, '_>, which: &Which) {
    let file = convolution(shape(32, 32, 32), 3, 32, 32);
    on!(*which, backbone(bencher, &file));
}

#[divan::bench(args = kernels())]
fn conv_3x3_64_to_64_on_80x60(bencher: Bencher<'_, '_>, which: &Which) {
    let file = convolution(shape(60, 80, 64), 3, 64, 1);
    on!(*which, backbone(bencher, &file));
}

#[divan::bench(args = kernels())]
fn fully_connected_1024_to_64(bencher: Bencher<'_, '_>, which: &Which) {
    let file = convolution(shape(1, 1, 1), 1, 1024, 1);
    on!(*which, first_fully_connected(bencher, &file));
}

#[divan::bench(args = kernels())]
fn street_backbone(bencher: Bencher<'_, '_>, which: &Which) {
    let file = include_bytes!("../../sim/models/street.cfm");
    on!(*which, backbone(bencher, file));
}

const fn shape(height: u16, width: u16, channels: u16) -> Shape {
    Shape {
        height,
        width,
        channels,
    }
}

/// The first fully connected layer of a model.
fn first_fully_connected<B: Backend>(backend: &B, bencher: Bencher<'_, '_>, file: &[u8]) {
    let model = Model::parse(file).expect("it is valid");
    let kernels = backend.kernels(&model);
    let layer = model
        .head()
        .layers(Path::Segment)
        .next()
        .expect("there is one");
    let input = weights(layer.inputs);
    let mut scratch = vec![0; fully_connected_scratch(layer.inputs)];
    let mut out = vec![0; layer.outputs];
    let macs = ItemsCount::new(layer.inputs * layer.outputs);
    bencher.counter(macs).bench_local(|| {
        kernels.fully_connected(&input, &layer.parameters, &mut scratch, &mut out);
    });
}
