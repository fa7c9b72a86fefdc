//! The kernels of this processor against the portable ones, layer by layer: shapes that models rarely have, any
//! multipliers, and inputs at the ends of their range.

mod one_layer;
#[cfg(target_arch = "x86_64")]
#[path = "../../tests/x86/mod.rs"]
mod x86;

use cfm_conformance::backend::{Backend, NativeBackend};
#[cfg(target_arch = "aarch64")]
use cfm_core::kernels::Neon;
use cfm_core::kernels::{Kernels, Portable, Rows, conv2d_scratch, fully_connected_scratch, native};
use cfm_core::model::{Model, Operation, Path, Shape, Window};
use cfm_core::requantize::OutputScale;
use cfm_model::spec::{Channel, ConvSpec, FcSpec, LayerSpec, PoolSpec, classifier_output};
use cfm_soundness::portion;
use one_layer::model;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Random numbers of a layer.
struct Numbers(ChaCha8Rng);

impl Numbers {
    fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// `low ..= high`.
    fn within(&mut self, low: i32, high: i32) -> i32 {
        let above = self.0.next_u32() % (high - low + 1).cast_unsigned();
        low + above.cast_signed()
    }

    fn u8(&mut self, low: u8, high: u8) -> u8 {
        self.within(low.into(), high.into())
            .try_into()
            .expect("it is between two bytes")
    }

    fn u16(&mut self, low: u16, high: u16) -> u16 {
        self.within(low.into(), high.into())
            .try_into()
            .expect("it is between two of 16 bits")
    }

    fn i8(&mut self, low: i8, high: i8) -> i8 {
        self.within(low.into(), high.into())
            .try_into()
            .expect("it is between two bytes")
    }

    fn one_in(&mut self, count: i32) -> bool {
        self.within(1, count) == 1
    }

    /// Values of the whole range, or only its ends.
    fn values(&mut self, count: usize, low: i8) -> Vec<i8> {
        let ends = self.one_in(4);
        (0..count)
            .map(|_| match ends {
                true if self.one_in(2) => low,
                true => i8::MAX,
                false => self.i8(low, i8::MAX),
            })
            .collect()
    }

    /// Channels with filters of so many weights.
    fn channels(&mut self, count: usize, filter_len: usize) -> Vec<Channel> {
        // A layer with shifts only, one without, or both mixed.
        let general = self.within(0, 2);
        let outliers = self.one_in(2);
        // Sums up to the ends of 32 bits, whatever the weights are.
        let products = i32::try_from(filter_len * 127 * 255).expect("filters are short");
        let largest = i32::MAX - products;
        (0..count)
            .map(|_| {
                let power_of_two = general == 0 || (general == 1 && self.one_in(2));
                let extreme = outliers && self.one_in(8);
                Channel {
                    bias: match extreme {
                        true if self.one_in(2) => largest,
                        true => -largest,
                        false => self.within(-100_000, 100_000),
                    },
                    mantissa: if power_of_two {
                        1 << 14
                    } else {
                        self.u16(1 << 14, (1 << 15) - 1)
                    },
                    shift: if extreme {
                        self.u8(30, 46)
                    } else if outliers && self.one_in(8) {
                        self.u8(0, 62)
                    } else {
                        self.u8(14, 32)
                    },
                }
            })
            .collect()
    }

    fn output(&mut self) -> OutputScale {
        let (a, b) = (self.i8(i8::MIN, i8::MAX), self.i8(i8::MIN, i8::MAX));
        let all = self.one_in(2);
        OutputScale {
            zero_point: self.i8(i8::MIN, i8::MAX),
            exponent: self.i8(-8, 0),
            low: if all { i8::MIN } else { a.min(b) },
            high: if all { i8::MAX } else { a.max(b) },
        }
    }

    fn window(&mut self, dilated: bool) -> Window {
        let kernel = [self.u8(1, 5), self.u8(1, 5)];
        let padding = |this: &mut Self, kernel: u8| this.u8(0, kernel - 1);
        Window {
            kernel,
            stride: [self.u8(1, 3), self.u8(1, 3)],
            dilation: if dilated {
                [self.u8(1, 3), self.u8(1, 3)]
            } else {
                [1, 1]
            },
            padding: [
                padding(self, kernel[0]),
                padding(self, kernel[1]),
                padding(self, kernel[0]),
                padding(self, kernel[1]),
            ],
        }
    }
}

impl Numbers {
    fn fully_connected(&mut self, inputs: u16, outputs: u16, output: OutputScale) -> FcSpec {
        FcSpec {
            outputs,
            output,
            weights: self.values(usize::from(inputs) * usize::from(outputs), -127),
            channels: self.channels(outputs.into(), inputs.into()),
        }
    }

    /// A tensor's rows: shape and values, zero point and exponent.
    fn tensor(&mut self, shape: Shape) -> (Vec<i8>, i8, i8) {
        let values = self.values(shape.len(), i8::MIN);
        (values, self.i8(i8::MIN, i8::MAX), self.i8(-12, 4))
    }

    fn shape(&mut self) -> Shape {
        // Miri is slow, but whole vectors and their rests there must be.
        let [height, width, channels] = if cfg!(miri) { [4, 9, 16] } else { [9, 17, 50] };
        Shape {
            height: self.u16(1, height),
            width: self.u16(1, width),
            channels: self.u16(1, channels),
        }
    }
}

/// Height and width of what the window makes of a tensor, if that is anything.
fn outputs(shape: Shape, window: &Window) -> Option<[u16; 2]> {
    Some([
        window.output_len(0, shape.height)?,
        window.output_len(1, shape.width)?,
    ])
}

/// What `run` writes to `len` elements, with memory in any state and at any alignment.
fn run<T: Clone + From<i8>>(
    scratch: usize,
    len: usize,
    run: impl FnOnce(&mut [i8], &mut [T]),
) -> Vec<T> {
    let mut memory = vec![-86; scratch + 1];
    let mut out = vec![T::from(77); len];
    run(&mut memory[1..], &mut out);
    out
}

/// A random convolution, on both kernels; whether there is one for this seed.
fn convolution(backend: &impl Backend, seed: u64) -> bool {
    let numbers = &mut Numbers::new(seed);
    let mut shape = numbers.shape();
    let mut out_channels = numbers.u16(1, 40);
    let groups = match numbers.within(0, 5) {
        0 => {
            out_channels = shape.channels;
            shape.channels
        }
        1 => {
            let groups = numbers.u16(1, 4);
            shape.channels = shape.channels.next_multiple_of(groups);
            out_channels = out_channels.next_multiple_of(groups);
            groups
        }
        _ => 1,
    };
    let window = numbers.window(true);
    let Some([height, width]) = outputs(shape, &window) else {
        return false;
    };
    let filter_len = usize::from(window.kernel[0])
        * usize::from(window.kernel[1])
        * usize::from(shape.channels / groups);
    let layer = LayerSpec::Conv2d(ConvSpec {
        input: 0,
        window,
        groups,
        out_channels,
        output: numbers.output(),
        weights: numbers.values(filter_len * usize::from(out_channels), -127),
        channels: numbers.channels(out_channels.into(), filter_len),
    });
    let fc = numbers.fully_connected(out_channels, 1, OUTPUT);
    let classifier = numbers.fully_connected(1, 1, classifier_output(-4));
    let file = model(shape, layer, fc, classifier);
    let model = Model::parse(&file).expect("it is valid");
    let Some(Operation::Conv2d(conv)) = model.layer(0).map(|layer| layer.operation) else {
        panic!("the layer is a convolution");
    };
    let kernels = backend.kernels(&model);
    let (values, zero_point, exponent) = numbers.tensor(shape);
    let input = Rows::new(&values, shape, zero_point, exponent);
    let scratch = conv2d_scratch(&conv, shape.channels);
    let len = usize::from(width) * usize::from(out_channels);
    for y in 0..height {
        assert_eq!(
            run(scratch, len, |scratch, out| kernels
                .conv2d_row(&input, &conv, y, scratch, out)),
            run(scratch, len, |scratch, out| Portable
                .conv2d_row(&input, &conv, y, scratch, out)),
            "seed {seed}, row {y} of {conv:?} over {shape:?}"
        );
    }
    true
}

const OUTPUT: OutputScale = OutputScale {
    zero_point: -128,
    exponent: -4,
    low: -128,
    high: 127,
};

/// Random layers of a head, on both kernels.
fn head(backend: &impl Backend, seed: u64) {
    let numbers = &mut Numbers::new(seed);
    let shape = Shape {
        height: 1,
        width: 1,
        channels: numbers.u16(1, if cfg!(miri) { 70 } else { 600 }),
    };
    let layer = LayerSpec::MaxPool(PoolSpec {
        input: 0,
        window: Window::UNIT,
    });
    let most = if cfg!(miri) { 20 } else { 60 };
    let (hidden, classes) = (numbers.u16(1, most), numbers.u16(1, 30));
    let output = numbers.output();
    let fc = numbers.fully_connected(shape.channels, hidden, output);
    let classifier = numbers.fully_connected(hidden, classes, classifier_output(-4));
    let file = model(shape, layer, fc, classifier);
    let model = Model::parse(&file).expect("it is valid");
    let kernels = backend.kernels(&model);
    let layers = |path| {
        model
            .head()
            .layers(path)
            .next()
            .expect("there is a layer")
            .parameters
    };
    let (fc, classifier) = (layers(Path::Segment), layers(Path::Joint));
    let (inputs, ..) = numbers.tensor(shape);
    let scratch = fully_connected_scratch(inputs.len());
    let on = |kernels: &dyn Fn(&mut [i8], &mut [i8])| run(scratch, hidden.into(), kernels);
    let values = on(&|scratch, out| Portable.fully_connected(&inputs, &fc, scratch, out));
    assert_eq!(
        on(&|scratch, out| kernels.fully_connected(&inputs, &fc, scratch, out)),
        values,
        "seed {seed}: fully connected"
    );
    let scratch = fully_connected_scratch(values.len());
    let on = |kernels: &dyn Fn(&mut [i8], &mut [i16])| run(scratch, classes.into(), kernels);
    assert_eq!(
        on(&|scratch, out| kernels.classifier(&values, &classifier, scratch, out)),
        on(&|scratch, out| Portable.classifier(&values, &classifier, scratch, out)),
        "seed {seed}: classifier"
    );
}

/// A model that only pools, for kernels that want one.
fn pooling(numbers: &mut Numbers, shape: Shape) -> Vec<u8> {
    let layer = LayerSpec::MaxPool(PoolSpec {
        input: 0,
        window: Window::UNIT,
    });
    let fc = numbers.fully_connected(shape.channels, 1, OUTPUT);
    let classifier = numbers.fully_connected(1, 1, classifier_output(-4));
    model(shape, layer, fc, classifier)
}

/// Random pooling and addition, on both kernels.
fn elements(backend: &impl Backend, seed: u64) {
    let numbers = &mut Numbers::new(seed);
    let shape = numbers.shape();
    let file = pooling(numbers, shape);
    let kernels = backend.kernels(&Model::parse(&file).expect("it is valid"));
    let window = numbers.window(false);
    let output = numbers.output();
    let (a, b) = (numbers.tensor(shape), numbers.tensor(shape));
    let first = Rows::new(&a.0, shape, a.1, a.2);
    let second = Rows::new(&b.0, shape, b.1, b.2);
    let on = |len, kernels: &dyn Fn(&mut [i8])| run(0, len, |_, out| kernels(out));
    if let Some([height, width]) = outputs(shape, &window) {
        let len = usize::from(width) * usize::from(shape.channels);
        for y in 0..height {
            assert_eq!(
                on(len, &|out| kernels.max_pool_row(&first, &window, y, out)),
                on(len, &|out| Portable.max_pool_row(&first, &window, y, out)),
                "seed {seed}: maximum, row {y} of {window:?} over {shape:?}"
            );
            assert_eq!(
                on(len, &|out| kernels.avg_pool_row(&first, &window, y, out)),
                on(len, &|out| Portable.avg_pool_row(&first, &window, y, out)),
                "seed {seed}: mean, row {y} of {window:?} over {shape:?}"
            );
        }
    }
    for y in 0..shape.height {
        assert_eq!(
            on(shape.row_len(), &|out| kernels
                .add_row(&first, &second, &output, y, out)),
            on(shape.row_len(), &|out| Portable
                .add_row(&first, &second, &output, y, out)),
            "seed {seed}: sum of {:?} and {:?} to {output:?}",
            (a.1, a.2),
            (b.1, b.2)
        );
    }
    for cell in b.0.chunks(usize::from(shape.channels)) {
        let maximum = |kernels: &dyn Fn(&mut [i8], &[i8])| {
            let mut out = a.0[..cell.len()].to_vec();
            kernels(&mut out, cell);
            out
        };
        assert_eq!(
            maximum(&|out, cell| kernels.maximum(out, cell)),
            maximum(&|out, cell| Portable.maximum(out, cell)),
            "seed {seed}: maximum of {} channels",
            cell.len()
        );
    }
}

/// Many random layers of each kind.
fn all(backend: &impl Backend) {
    let layers = portion(1000, 6) as u64;
    let convolutions = (0..layers)
        .filter(|&seed| convolution(backend, seed))
        .count();
    let least = if cfg!(miri) { 0 } else { layers / 2 };
    assert!(
        convolutions as u64 > least,
        "only {convolutions} convolutions"
    );
    for seed in 0..layers {
        head(backend, seed);
        elements(backend, seed);
    }
}

#[test]
fn the_native_kernels_equal_the_portable_ones() {
    all(&native());
    all(&NativeBackend);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_kernels_of_every_x86_equal_the_portable_ones() {
    for backend in x86::X86Backend::all_of_the_processor() {
        println!("{backend:?}");
        all(&backend);
    }
}

#[cfg(target_arch = "aarch64")]
#[test]
fn the_kernels_of_every_64_bit_arm_equal_the_portable_ones() {
    all(&Neon::new());
}
