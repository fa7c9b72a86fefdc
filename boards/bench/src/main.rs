//! Runs single kernels between the markers `bench_begin` and `bench_end`, where a QEMU plugin counts instructions,
//! compares their output with that of the portable kernels, and prints what ran, in the order of the regions.
#![no_std]
#![no_main]

use core::hint::black_box;

use cfm_core::arena::Arena;
use cfm_core::kernels::{Kernels, Portable, Rows};
use cfm_core::model::{Model, Operation, Path};
use cortex_m as _;
use cortex_m_rt::entry;
use semihosting::println;
use semihosting::process::exit;

#[cfg(feature = "dsp")]
use cfm_core::kernels::Dsp as Fast;
#[cfg(feature = "mve")]
use cfm_core::kernels::Mve as Fast;
#[cfg(not(any(feature = "dsp", feature = "mve")))]
use cfm_core::kernels::Portable as Fast;

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

struct Memory {
    input: [i8; 32 * 32 * 32],
    expected: [i8; 32 * 32 * 64],
    output: [i8; 32 * 32 * 64],
    scratch: Arena<8192>,
}

static mut MEMORY: Memory = Memory {
    input: [0; 32 * 32 * 32],
    expected: [0; 32 * 32 * 64],
    output: [0; 32 * 32 * 64],
    scratch: Arena::new(),
};

fn layer<K: Kernels>(
    kernels: &K,
    model: &Model<'_>,
    input: &[i8],
    scratch: &mut [i8],
    output: &mut [i8],
) -> (usize, u64) {
    if let Some(fc) = model.head().layers(Path::Segment).next() {
        let (Some(input), Some(output)) = (input.get(..fc.inputs), output.get_mut(..fc.outputs))
        else {
            return (0, 0);
        };
        kernels.fully_connected(input, &fc.parameters, scratch, output);
        return (fc.outputs, fc.parameters.weights.len() as u64);
    }
    let Some(Operation::Conv2d(conv)) = model.layer(0).map(|layer| layer.operation) else {
        return (0, 0);
    };
    let (shape, out_shape) = (model.input(), model.feature().shape);
    let Some(input) = input.get(..shape.len()) else {
        return (0, 0);
    };
    let rows = Rows::new(input, shape, 3, -7);
    for (y, out) in (0..).zip(
        output
            .chunks_exact_mut(out_shape.row_len())
            .take(out_shape.height.into()),
    ) {
        kernels.conv2d_row(&rows, &conv, y, scratch, out);
    }
    let cells = u64::from(out_shape.height) * u64::from(out_shape.width);
    (
        out_shape.len(),
        conv.parameters.weights.len() as u64 * cells,
    )
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

#[entry]
fn main() -> ! {
    #[allow(static_mut_refs)]
    // SAFETY: `main` runs once, and nothing else touches this memory.
    let memory = unsafe { &mut MEMORY };
    let mut state = 1_u32;
    for value in &mut memory.input {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *value = (state >> 24) as u8 as i8;
    }
    let mut good = true;
    bench_begin();
    bench_end();
    println!("kernel empty macs=0");
    for (name, rows, fast) in [
        models!("conv3x3"),
        models!("conv1x1"),
        models!("depthwise3x3"),
        models!("fully_connected"),
    ] {
        let (Ok(rows), Ok(fast)) = (Model::parse(rows), Model::parse(fast)) else {
            println!("{}: the model is refused", name);
            good = false;
            continue;
        };
        let scratch = memory.scratch.as_mut_slice();
        memory.output.fill(0);
        memory.expected.fill(0);
        bench_begin();
        layer(
            &Portable,
            &rows,
            &memory.input,
            scratch,
            &mut memory.expected,
        );
        bench_end();
        bench_begin();
        let (len, macs) = layer(&Fast, &fast, &memory.input, scratch, &mut memory.output);
        bench_end();
        let same = len > 0 && memory.output == memory.expected;
        good &= same;
        println!("kernel {} macs={} equal={}", name, macs, same);
    }
    exit(i32::from(!good));
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(1);
}
