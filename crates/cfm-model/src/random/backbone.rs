//! Random backbones: chains of layers, residual blocks and branches.

use cfm_core::model::Shape;
use cfm_core::model::format::MAX_LAYERS;

use super::moments::Moments;
use super::parameters::{self, Input};
use super::scale::Term;
use super::source::Source;
use super::{Options, scale, window};
use crate::spec::{
    AddSpec, ConvSpec, IMAGE_SCALE, InputSpec, LayerSpec, OutputScale, PoolSpec, Window,
};

/// Layers after which no block is begun: the longest has four.
const MOST_LAYERS: u16 = MAX_LAYERS as u16 - 4;
/// Distance of neighbouring cells, in pixels, from which on the shape stays.
const FARTHEST: u32 = 256;

/// A tensor: its shape, its scale, and how its values are expected to spread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tensor {
    pub(super) shape: Shape,
    pub(super) scale: OutputScale,
    pub(super) moments: Moments,
    /// Distance of neighbouring cells in pixels, along the axis where it is larger.
    jump: u32,
}

impl Tensor {
    fn input(&self) -> Input {
        Input {
            zero_point: self.scale.zero_point,
            moments: self.moments,
        }
    }
}

/// A backbone being built. Every block reads the last tensor, so that none is left without a reader.
pub(super) struct Backbone {
    tensors: Vec<Tensor>,
    layers: Vec<LayerSpec>,
}

/// A part of a backbone.
#[derive(Debug, Clone, Copy)]
enum Block {
    Convolution,
    MaxPool,
    AvgPool,
    /// A few layers that keep the shape, and a connection past them.
    Residual,
    /// Two convolutions of the same tensor, added.
    Branches,
    /// A tensor added to itself.
    Double,
}

impl Backbone {
    pub(super) fn random(source: &mut Source, options: &Options, input: InputSpec) -> Self {
        let mut backbone = Self {
            tensors: vec![Tensor {
                shape: Shape {
                    height: input.height,
                    width: input.width,
                    channels: input.channels,
                },
                scale: IMAGE_SCALE,
                moments: Moments::IMAGE,
                jump: 1,
            }],
            layers: Vec::new(),
        };
        let most = options.max_layers.clamp(1, MOST_LAYERS);
        let layers = usize::from(source.range(1..=most));
        while backbone.layers.len() < layers {
            backbone.block(source, options);
        }
        if source.chance(1, 16) {
            backbone.move_feature_exponent(source);
        }
        backbone
    }

    /// The feature map.
    pub(super) fn feature(&self) -> Tensor {
        self.tensor(self.layers.len())
    }

    pub(super) fn into_layers(self) -> Vec<LayerSpec> {
        self.layers
    }

    fn tensor(&self, index: usize) -> Tensor {
        self.tensors[index]
    }

    fn block(&mut self, source: &mut Source, options: &Options) {
        let x = self.layers.len();
        if self.tensor(x).jump > FARTHEST {
            // The geometry has bounds; from here on the shape stays.
            return self.residual(source);
        }
        let block = source.weighted(&[
            (10, Block::Convolution),
            (2, Block::MaxPool),
            (2, Block::AvgPool),
            (4, Block::Residual),
            (2, Block::Branches),
            (1, Block::Double),
        ]);
        match block {
            Block::Convolution => {
                let window = window::convolution(source, self.tensor(x).shape);
                self.convolution(source, options, x, window);
            }
            Block::MaxPool | Block::AvgPool => {
                let window = window::pooling(source, self.tensor(x).shape);
                self.pool(x, window, matches!(block, Block::MaxPool));
            }
            Block::Residual => self.residual(source),
            Block::Branches => {
                let first = window::convolution(source, self.tensor(x).shape);
                let a = self.convolution(source, options, x, first);
                let second = window::twin(source, first);
                let channels = self.tensor(a).shape.channels;
                let groups = common_divisor(source, self.tensor(x).shape.channels, channels);
                let b = self.convolution_with(source, x, second, groups, channels);
                self.add(source, a, b);
            }
            Block::Double => {
                self.add(source, x, x);
            }
        }
    }

    fn residual(&mut self, source: &mut Source) {
        let x = self.layers.len();
        for _ in 0..source.range(1..=3) {
            self.keeping_layer(source);
        }
        self.add(source, x, self.layers.len());
    }

    /// A layer over the last tensor that keeps its shape.
    fn keeping_layer(&mut self, source: &mut Source) {
        let x = self.layers.len();
        let channels = self.tensor(x).shape.channels;
        if source.chance(1, 5) {
            let window = window::pooling_keeping(source);
            self.pool(x, window, source.chance(1, 2));
        } else {
            let window = window::keeping(source);
            let groups = common_divisor(source, channels, channels);
            self.convolution_with(source, x, window, groups, channels);
        }
    }

    /// Appends a convolution with random groups and channels; returns the tensor it writes.
    fn convolution(
        &mut self,
        source: &mut Source,
        options: &Options,
        input: usize,
        window: Window,
    ) -> usize {
        let shape = self.tensor(input).shape;
        let in_channels = shape.channels;
        let groups = match source.range(0..=5) {
            // Depthwise.
            0 => in_channels,
            1 | 2 => common_divisor(source, in_channels, in_channels),
            _ => 1,
        };
        let most = options.max_channels;
        let wanted = match source.range(0..=8) {
            0..=4 => source.range(1..=8.min(most)),
            5..=7 => source.range(1..=20.min(most)),
            _ => source.range(1..=most.max(1)),
        };
        let cells = |axis, n| u64::from(window.output_len(axis, n).unwrap_or(1));
        let macs = cells(0, shape.height)
            * cells(1, shape.width)
            * u64::from(window.kernel[0])
            * u64::from(window.kernel[1])
            * u64::from(in_channels / groups);
        let affordable = u16::try_from(options.max_macs / macs.max(1)).unwrap_or(u16::MAX);
        let per_group = (wanted.min(affordable) / groups).max(1);
        // A depthwise convolution over more channels than are wanted keeps them.
        self.convolution_with(source, input, window, groups, groups * per_group)
    }

    fn convolution_with(
        &mut self,
        source: &mut Source,
        input: usize,
        window: Window,
        groups: u16,
        out_channels: u16,
    ) -> usize {
        let from = self.tensor(input);
        let output = scale::convolution(source);
        let filter_len = usize::from(window.kernel[0])
            * usize::from(window.kernel[1])
            * usize::from(from.shape.channels / groups);
        let drawn = parameters::random(
            source,
            filter_len,
            out_channels,
            from.input(),
            output.into(),
        );
        let layer = LayerSpec::Conv2d(ConvSpec {
            input,
            window,
            groups,
            out_channels,
            output,
            weights: drawn.weights,
            channels: drawn.channels,
        });
        let moments = Moments::clamped(drawn.centre, drawn.deviation, output);
        self.push(layer, output, moments)
    }

    fn pool(&mut self, input: usize, window: Window, maximum: bool) -> usize {
        let Tensor { scale, moments, .. } = self.tensor(input);
        let pool = PoolSpec { input, window };
        let count = u16::from(window.kernel[0]) * u16::from(window.kernel[1]);
        if maximum {
            let moments = if count > 1 {
                moments.maximum()
            } else {
                moments
            };
            self.push(LayerSpec::MaxPool(pool), scale, moments)
        } else {
            self.push(LayerSpec::AvgPool(pool), scale, moments.average(count))
        }
    }

    fn add(&mut self, source: &mut Source, a: usize, b: usize) -> usize {
        let inputs = if source.chance(1, 2) { [a, b] } else { [b, a] };
        let terms = inputs.map(|t| {
            let Tensor { scale, moments, .. } = self.tensor(t);
            Term {
                exponent: scale.exponent,
                offset: moments.mean - f64::from(scale.zero_point),
                deviation: moments.deviation,
            }
        });
        let (output, centre, deviation) = scale::addition(source, terms);
        let moments = Moments::clamped(centre, deviation, output);
        self.push(LayerSpec::Add(AddSpec { inputs, output }), output, moments)
    }

    fn push(&mut self, layer: LayerSpec, scale: OutputScale, moments: Moments) -> usize {
        let shapes: Vec<Shape> = self.tensors.iter().map(|tensor| tensor.shape).collect();
        let shape = layer
            .shape()
            .output(&shapes)
            .expect("blocks only make layers that fit");
        let (input, [down, across]) = match &layer {
            LayerSpec::Conv2d(conv) => (conv.input, conv.window.stride),
            LayerSpec::MaxPool(pool) | LayerSpec::AvgPool(pool) => (pool.input, pool.window.stride),
            LayerSpec::Add(add) => (add.inputs[0], [1, 1]),
        };
        let jump = self.tensor(input).jump * u32::from(down.max(across));
        self.tensors.push(Tensor {
            shape,
            scale,
            moments,
            jump,
        });
        self.layers.push(layer);
        self.layers.len()
    }

    /// Gives the feature map an exponent that no addition could take, if a convolution made it.
    fn move_feature_exponent(&mut self, source: &mut Source) {
        if let Some(LayerSpec::Conv2d(conv)) = self.layers.last_mut()
            && let Some(feature) = self.tensors.last_mut()
        {
            conv.output.exponent = source.pick(&[-64, 63]);
            feature.scale = conv.output;
        }
    }
}

/// A random common divisor.
fn common_divisor(source: &mut Source, a: u16, b: u16) -> u16 {
    let divisors: Vec<u16> = (1..=a.min(b))
        .filter(|&d| a.is_multiple_of(d) && b.is_multiple_of(d))
        .collect();
    match source.range(0..=2) {
        0 => 1,
        1 => divisors[divisors.len() - 1],
        _ => source.pick(&divisors),
    }
}
