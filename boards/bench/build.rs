//! Makes the models whose layers are measured.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

use cfm_core::model::{Model, WeightOrder, Window, reorder};
use cfm_core::requantize::{Channel, OutputScale};
use cfm_model::spec::{
    ConvSpec, FcSpec, InputSpec, LayerSpec, ModelSpec, PoolSpec, classifier_output, one_layer,
};

/// A fixed sequence of numbers: the counts must not change from build to build.
struct Numbers(u32);

impl Numbers {
    fn next(&mut self, below: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) % below
    }

    fn weights(&mut self, count: usize) -> Vec<i8> {
        (0..count)
            .map(|_| (self.next(255) as i32 - 127) as i8)
            .collect()
    }

    fn channels(&mut self, count: usize) -> Vec<Channel> {
        (0..count)
            .map(|_| Channel {
                bias: self.next(20_000) as i32 - 10_000,
                mantissa: 1 << 14,
                shift: 14 + 10 + self.next(3) as u8,
            })
            .collect()
    }
}

const OUTPUT: OutputScale = OutputScale {
    zero_point: -128,
    exponent: -4,
    low: -128,
    high: 127,
};

/// A model of one convolution.
fn convolution(size: u16, inputs: u16, outputs: u16, kernel: u8, groups: u16) -> ModelSpec {
    let mut numbers = Numbers(u32::from(kernel) + u32::from(groups));
    let per_filter = usize::from(kernel) * usize::from(kernel) * usize::from(inputs / groups);
    let layer = LayerSpec::Conv2d(ConvSpec {
        input: 0,
        window: Window {
            kernel: [kernel; 2],
            padding: [kernel / 2; 4],
            ..Window::UNIT
        },
        groups,
        out_channels: outputs,
        output: OUTPUT,
        weights: numbers.weights(per_filter * usize::from(outputs)),
        channels: numbers.channels(outputs.into()),
    });
    model(
        [size, size, inputs],
        layer,
        outputs.into(),
        Vec::new(),
        numbers,
    )
}

/// A model whose head has a fully connected layer.
fn fully_connected(inputs: u16, outputs: u16) -> ModelSpec {
    let mut numbers = Numbers(7);
    let layer = LayerSpec::MaxPool(PoolSpec {
        input: 0,
        window: Window::UNIT,
    });
    let fc = FcSpec {
        outputs,
        output: OUTPUT,
        weights: numbers.weights(usize::from(inputs) * usize::from(outputs)),
        channels: numbers.channels(outputs.into()),
    };
    model([1, 1, inputs], layer, outputs.into(), vec![fc], numbers)
}

fn model(
    [height, width, channels]: [u16; 3],
    layer: LayerSpec,
    joint: usize,
    segment_fcs: Vec<FcSpec>,
    mut numbers: Numbers,
) -> ModelSpec {
    let input = InputSpec {
        height,
        width,
        channels,
    };
    let classifier = FcSpec {
        outputs: 1,
        output: classifier_output(-4),
        weights: numbers.weights(joint),
        channels: numbers.channels(1),
    };
    one_layer(input, layer, segment_fcs, classifier)
}

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    let models = [
        ("conv3x3", convolution(32, 16, 32, 3, 1)),
        ("conv1x1", convolution(32, 32, 64, 1, 1)),
        ("depthwise3x3", convolution(32, 32, 32, 3, 32)),
        ("fully_connected", fully_connected(1024, 64)),
    ];
    for (name, spec) in models {
        let rows = spec.to_bytes()?;
        let mut quads = vec![0; rows.len()];
        reorder::reorder(&Model::parse(&rows)?, WeightOrder::Quads, &mut quads)?;
        fs::write(out.join(format!("{name}.rows.cfm")), &rows)?;
        fs::write(out.join(format!("{name}.quads.cfm")), &quads)?;
    }
    println!("cargo::rerun-if-changed=build.rs");
    let memory = match env::var("TARGET")?.as_str() {
        "thumbv7em-none-eabihf" => "../mps2-an386/memory.x",
        "thumbv8m.main-none-eabihf" => "../mps3-an547/memory.x",
        // An operating system places programs itself.
        _ => return Ok(()),
    };
    fs::copy(memory, out.join("memory.x"))?;
    println!("cargo::rerun-if-changed={memory}");
    println!("cargo::rustc-link-search={}", out.display());
    Ok(())
}
