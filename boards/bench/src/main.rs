//! Runs single kernels between the markers `bench_begin` and `bench_end`, where a QEMU plugin counts instructions,
//! compares their output with that of the portable kernels, and prints what ran, in the order of the regions.
#![cfg_attr(target_os = "none", no_std, no_main)]

use core::hint::black_box;

use cfm_core::arena::Arena;
use cfm_core::kernels::{Kernels, Portable, Rows};
use cfm_core::model::{Conv2d, Model, Operation, Parameters, Path, Shape, Window};
use cfm_core::requantize::OutputScale;
#[cfg(target_os = "none")]
use cortex_m as _;
#[cfg(target_os = "none")]
use semihosting::println;

/// Starts counting.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bench_begin() {
    black_box(0_u8);
}

/// Ends counting.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bench_end() {
    black_box(1_u8);
}

const INPUT: Shape = Shape {
    height: 32,
    width: 32,
    channels: 32,
};

struct Memory {
    input: [i8; INPUT.len()],
    expected: [i8; 2 * INPUT.len()],
    output: [i8; 2 * INPUT.len()],
    scratch: Arena<8192>,
}

const MEMORY: Memory = Memory {
    input: [0; INPUT.len()],
    expected: [0; 2 * INPUT.len()],
    output: [0; 2 * INPUT.len()],
    scratch: Arena::new(),
};

/// A kernel's work.
enum Work<'a> {
    Conv2d(Conv2d<'a>, Shape, Shape),
    FullyConnected(Parameters<'a>),
    MaxPool,
    AvgPool,
    Add,
    Maximum,
}

/// Two by two cells become one.
const HALF: Window = Window {
    kernel: [2; 2],
    stride: [2; 2],
    ..Window::UNIT
};

/// Channels of a cell whose maximum is taken.
const CELL: usize = 64;

impl<'a> Work<'a> {
    /// The only layer of a model.
    fn of(model: &Model<'a>) -> Option<Self> {
        if let Some(layer) = model.head().layers(Path::Segment).next() {
            return Some(Self::FullyConnected(layer.parameters));
        }
        match model.layer(0)?.operation {
            Operation::Conv2d(conv) => {
                Some(Self::Conv2d(conv, model.input(), model.feature().shape))
            }
            _ => None,
        }
    }

    /// What the counts are divided by: multiply-accumulates, or inputs.
    fn operations(&self) -> usize {
        match self {
            Self::Conv2d(conv, _, output) => {
                let cells = usize::from(output.height) * usize::from(output.width);
                conv.parameters.weights.len() * cells
            }
            Self::FullyConnected(parameters) => parameters.weights.len(),
            Self::MaxPool | Self::AvgPool | Self::Add | Self::Maximum => INPUT.len(),
        }
    }

    fn run<K: Kernels>(&self, kernels: &K, input: &[i8], scratch: &mut [i8], output: &mut [i8]) {
        let shape = match self {
            Self::Conv2d(_, shape, _) => *shape,
            _ => INPUT,
        };
        let tensor = input.get(..shape.len()).unwrap_or(&[]);
        let rows = Rows::new(tensor, shape, 3, -7);
        let pooled = output.chunks_exact_mut(INPUT.row_len() / 2).take(16);
        match self {
            Self::Conv2d(conv, _, out) => {
                let outputs = output.chunks_exact_mut(out.row_len());
                for (y, output) in (0..out.height).zip(outputs) {
                    kernels.conv2d_row(&rows, conv, y, scratch, output);
                }
            }
            Self::FullyConnected(parameters) => {
                let (inputs, outputs) = (parameters.filter_len(), parameters.channels.len());
                if let (Some(input), Some(output)) =
                    (input.get(..inputs), output.get_mut(..outputs))
                {
                    kernels.fully_connected(input, parameters, scratch, output);
                }
            }
            Self::MaxPool => {
                for (y, output) in (0..).zip(pooled) {
                    kernels.max_pool_row(&rows, &HALF, y, output);
                }
            }
            Self::AvgPool => {
                for (y, output) in (0..).zip(pooled) {
                    kernels.avg_pool_row(&rows, &HALF, y, output);
                }
            }
            Self::Add => {
                let second = Rows::new(tensor, shape, -20, -6);
                let scale = OutputScale {
                    zero_point: 5,
                    exponent: -5,
                    low: 5,
                    high: 127,
                };
                let outputs = output.chunks_exact_mut(INPUT.row_len());
                for (y, output) in (0..INPUT.height).zip(outputs) {
                    kernels.add_row(&rows, &second, &scale, y, output);
                }
            }
            Self::Maximum => {
                if let Some(output) = output.get_mut(..CELL) {
                    output.fill(i8::MIN);
                    for cell in input.chunks_exact(CELL) {
                        kernels.maximum(output, cell);
                    }
                }
            }
        }
    }
}

/// Counts the same work on both kernels; whether the outputs are equal.
fn measure(
    name: &str,
    portable: &Work<'_>,
    fast: &Work<'_>,
    kernels: &impl Kernels,
    memory: &mut Memory,
) -> bool {
    let Memory {
        input,
        expected,
        output,
        scratch,
    } = memory;
    let scratch = scratch.as_mut_slice();
    output.fill(1);
    expected.fill(1);
    bench_begin();
    portable.run(&Portable, input, scratch, expected);
    bench_end();
    bench_begin();
    fast.run(kernels, input, scratch, output);
    bench_end();
    let equal = output == expected && output.iter().any(|&value| value != 1);
    println!(
        "kernel {} operations={} equal={}",
        name,
        fast.operations(),
        equal
    );
    equal
}

/// The models of a layer: for the portable kernels, and for the fast ones.
macro_rules! models {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".rows.cfm")).as_slice(),
            if cfg!(feature = "dsp") {
                include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".quads.cfm")).as_slice()
            } else {
                include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".rows.cfm")).as_slice()
            },
        )
    };
}

/// Measures every kernel; whether all outputs are equal.
fn measure_all(kernels: &impl Kernels, memory: &mut Memory) -> bool {
    let mut state = 1_u32;
    for value in &mut memory.input {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *value = (state >> 24) as u8 as i8;
    }
    bench_begin();
    bench_end();
    println!("kernel empty operations=0");
    let mut good = true;
    for (name, rows, fast) in [
        models!("conv3x3"),
        models!("conv1x1"),
        models!("depthwise3x3"),
        models!("fully_connected"),
    ] {
        let (Ok(rows), Ok(fast)) = (Model::parse(rows), Model::parse(fast)) else {
            println!("{}: the model is refused", name);
            return false;
        };
        let (Some(rows), Some(fast)) = (Work::of(&rows), Work::of(&fast)) else {
            println!("{}: the model has another layer", name);
            return false;
        };
        good &= measure(name, &rows, &fast, kernels, memory);
    }
    for (name, work) in [
        ("max_pool2x2", Work::MaxPool),
        ("avg_pool2x2", Work::AvgPool),
        ("add", Work::Add),
        ("maximum", Work::Maximum),
    ] {
        good &= measure(name, &work, &work, kernels, memory);
    }
    good
}

/// The kernels to be measured.
fn kernels() -> impl Kernels {
    #[cfg(feature = "dsp")]
    return cfm_core::kernels::Dsp;
    #[cfg(feature = "mve")]
    // SAFETY: with this feature the program is for a Cortex-M55 with the vector extension, which `cortex-m-rt` has switched on.
    return unsafe { cfm_core::kernels::Mve::new() };
    #[cfg(not(any(feature = "dsp", feature = "mve")))]
    return cfm_core::kernels::native();
}

#[cfg(target_os = "none")]
#[cortex_m_rt::entry]
fn main() -> ! {
    static MEMORY_CELL: static_cell::ConstStaticCell<Memory> =
        static_cell::ConstStaticCell::new(MEMORY);
    let good = MEMORY_CELL
        .try_take()
        .is_some_and(|memory| measure_all(&kernels(), memory));
    semihosting::process::exit(i32::from(!good));
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    semihosting::process::exit(1);
}

#[cfg(not(target_os = "none"))]
fn main() -> std::process::ExitCode {
    let good = measure_all(&kernels(), &mut Box::new(MEMORY));
    std::process::ExitCode::from(u8::from(!good))
}
