//! The float backbone while it is read: layers so far, and what a value of the graph is among them.

use crate::float_model::{Activation, ActivationScale, FloatAdd, FloatConv, FloatLayer};
use crate::shape::LayerShape;
use crate::spec::{InputSpec, PoolSpec, Window};
use cfm_core::model::Shape;

use super::super::chain::Chain;
use super::super::error::Reason;
use super::super::order::channel_last;
use super::affine::Affine;

/// A value of the graph: a tensor, on which an affine map may still be due.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// The tensor: 0 is the image.
    pub tensor: usize,
    /// Whether nobody else reads the tensor, so that what comes next may become part of the layer that writes it.
    pub exclusive: bool,
    /// What has not become part of a layer yet.
    pub pending: Option<Affine>,
}

/// The layers so far.
#[derive(Debug)]
pub struct Backbone {
    /// The layers.
    pub chain: Chain<FloatLayer>,
    /// What the user may want to know.
    pub notes: Vec<String>,
    /// Keep the border's zeros exact rather than the layers few.
    pub exact_border: bool,
    /// Tensors written by a maximum that alone reads its input.
    private_maxima: Vec<usize>,
}

/// A scale for now: the real one comes from data.
const LATER: ActivationScale = ActivationScale::linear(-7);

/// The scale-to-be of an activation.
pub fn later(activation: Activation) -> ActivationScale {
    match activation {
        Activation::None => LATER,
        Activation::Relu => ActivationScale::relu(-7),
        Activation::Relu6 => ActivationScale::relu6(-5),
    }
}

impl Backbone {
    /// No layers yet.
    pub fn new(input: InputSpec, exact_border: bool) -> Self {
        Self {
            chain: Chain::new(input),
            notes: Vec::new(),
            exact_border,
            private_maxima: Vec::new(),
        }
    }

    /// The shape of a value.
    pub fn shape(&self, map: &Map) -> Shape {
        self.chain.shapes[map.tensor]
    }

    fn channels(&self, map: &Map) -> usize {
        self.shape(map).channels.into()
    }

    fn push(&mut self, layer: FloatLayer) -> Result<Map, Reason> {
        let shape = layer.shape();
        Ok(Map {
            tensor: self.chain.push(layer, shape)?,
            exclusive: true,
            pending: None,
        })
    }

    /// Applies an affine map: inside the convolution that writes the tensor if that is possible, otherwise later.
    pub fn affine(&mut self, map: Map, affine: &Affine) -> Result<Map, Reason> {
        if map.exclusive
            && map.pending.is_none()
            && let Some(FloatLayer::Conv2d(conv)) = map
                .tensor
                .checked_sub(1)
                .and_then(|layer| self.chain.layers.get_mut(layer))
            && conv.output.activation == Activation::None
        {
            self.chain.changes.count(conv.weights.len())?;
            fold_behind(&mut conv.weights, &mut conv.bias, affine);
            return Ok(map);
        }
        let pending = match &map.pending {
            Some(pending) => pending.then(affine),
            None => affine.clone(),
        };
        Ok(Map {
            pending: Some(pending),
            ..map
        })
    }

    /// Applies what is due in a layer of its own: a convolution of one cell, channel by channel.
    pub fn settle(&mut self, map: Map) -> Result<Map, Reason> {
        match map.pending {
            None => Ok(map),
            Some(affine) if affine.is_identity() => Ok(Map {
                pending: None,
                ..map
            }),
            Some(affine) => self.depthwise(map.tensor, &affine, Activation::None),
        }
    }

    fn depthwise(
        &mut self,
        input: usize,
        affine: &Affine,
        activation: Activation,
    ) -> Result<Map, Reason> {
        let channels = self.chain.shapes[input].channels;
        self.chain.count(channels.into())?;
        self.push(FloatLayer::Conv2d(FloatConv {
            input,
            window: Window::UNIT,
            groups: channels,
            out_channels: channels,
            weights: affine.scale.iter().map(|&scale| scale as f32).collect(),
            bias: affine.offset.iter().map(|&offset| offset as f32).collect(),
            output: later(activation),
        }))
    }

    /// A convolution over `map` with weights `[out][in / groups][kernel row][kernel column]`, as ONNX has them.
    pub fn convolution(
        &mut self,
        mut map: Map,
        window: Window,
        groups: u16,
        weights: &[f32],
        bias: Vec<f32>,
    ) -> Result<Map, Reason> {
        let out_channels = u16::try_from(bias.len())
            .map_err(|_| format!("{} output channels are more than 65535", bias.len()))?;
        let channels = self.channels(&map);
        let shape = LayerShape::Conv2d {
            input: map.tensor,
            window,
            groups,
            out_channels,
        };
        shape
            .output(&self.chain.shapes)
            .map_err(|error| error.to_string())?;
        let filter_len = shape.filter_len(&self.chain.shapes).unwrap_or(0);
        if weights.len() != filter_len * bias.len() {
            return Err(format!(
                "the weights have {} elements instead of {}",
                weights.len(),
                filter_len * bias.len()
            ));
        }
        self.chain.count(weights.len())?;
        let group_inputs = channels / usize::from(groups);
        let mut weights = channel_last(weights, group_inputs, window);
        let mut bias = bias;
        if let Some(mut affine) = map.pending.take() {
            let visible = window.padding != [0; 4] && affine.offset.iter().any(|&o| o != 0.0);
            if visible && (self.exact_border || map.tensor != 0) {
                (map, affine) = self.centre(map.tensor, affine)?;
            } else if visible {
                self.notes.push(
                    "the padding of the first convolution holds grey (128) instead of the network's zero"
                        .to_owned(),
                );
            }
            let per_group = bias.len() / usize::from(groups);
            fold_before(&mut weights, &mut bias, &affine, group_inputs, per_group);
        }
        self.push(FloatLayer::Conv2d(FloatConv {
            input: map.tensor,
            window,
            groups,
            out_channels,
            weights,
            bias,
            output: LATER,
        }))
    }

    /// Moves zero to where the network's padding has it, in a layer of its own; the scale is left for later. In 8 bits this
    /// loses nothing but the fraction of the offset, since it does not scale.
    fn centre(&mut self, tensor: usize, affine: Affine) -> Result<(Map, Affine), Reason> {
        let channels = affine.scale.len();
        let offset: Vec<f64> = affine
            .offset
            .iter()
            .zip(&affine.scale)
            .map(|(o, s)| o / s)
            .collect();
        if offset.iter().any(|offset| !offset.is_finite()) {
            let map = self.depthwise(tensor, &affine, Activation::None)?;
            return Ok((map, Affine::identity(channels)));
        }
        // The image is in -1 .. 1: with such an offset nothing is negative, and zero at the low end uses all of 8 bits.
        let rectified = tensor == 0 && offset.iter().all(|&offset| offset >= 1.0);
        let activation = if rectified {
            Activation::Relu
        } else {
            Activation::None
        };
        let centred = Affine {
            offset,
            ..Affine::identity(channels)
        };
        let map = self.depthwise(tensor, &centred, activation)?;
        if tensor == 0 {
            self.notes.push(format!(
                "layer {} moves zero to where the first convolution's padding has it",
                map.tensor - 1
            ));
        }
        let scale = Affine {
            scale: affine.scale,
            ..Affine::identity(channels)
        };
        Ok((map, scale))
    }

    /// Applies an activation: in the layer that writes the tensor if that is possible, otherwise in one of its own.
    pub fn activate(&mut self, map: Map, activation: Activation) -> Result<Map, Reason> {
        if activation == Activation::None {
            return Ok(map);
        }
        if map.pending.is_none() && map.exclusive {
            let mut tensor = map.tensor;
            while let Some(layer) = tensor
                .checked_sub(1)
                .and_then(|i| self.chain.layers.get_mut(i))
            {
                let output = match layer {
                    FloatLayer::Conv2d(FloatConv { output, .. })
                    | FloatLayer::Add(FloatAdd { output, .. }) => output,
                    // A maximum and an activation may change places, if nobody reads what lies between.
                    FloatLayer::MaxPool(pool) if self.private_maxima.contains(&tensor) => {
                        tensor = pool.input;
                        continue;
                    }
                    FloatLayer::MaxPool(_) | FloatLayer::AvgPool(_) => break,
                };
                match (output.activation, activation) {
                    (Activation::None, _) | (Activation::Relu, Activation::Relu6) => {
                        *output = later(activation);
                    }
                    (Activation::Relu | Activation::Relu6, Activation::Relu)
                    | (Activation::Relu6, Activation::Relu6) => {}
                    (_, Activation::None) => {}
                }
                return Ok(map);
            }
        }
        let affine = map
            .pending
            .unwrap_or_else(|| Affine::identity(self.chain.shapes[map.tensor].channels.into()));
        self.depthwise(map.tensor, &affine, activation)
    }

    /// The maximum over windows.
    pub fn max_pool(&mut self, map: Map, window: Window) -> Result<Map, Reason> {
        let Map {
            tensor: input,
            exclusive,
            ..
        } = self.settle(map)?;
        let pooled = self.push(FloatLayer::MaxPool(PoolSpec { input, window }))?;
        if exclusive {
            self.private_maxima.push(pooled.tensor);
        }
        Ok(pooled)
    }

    /// The mean over the cells of windows that lie inside the image.
    pub fn avg_pool(&mut self, map: Map, window: Window) -> Result<Map, Reason> {
        let input = self.settle(map)?.tensor;
        self.push(FloatLayer::AvgPool(PoolSpec { input, window }))
    }

    /// The mean over whole windows, with zeros in the padding: a convolution.
    pub fn padded_avg_pool(&mut self, map: Map, window: Window) -> Result<Map, Reason> {
        let map = self.settle(map)?;
        let channels = self.shape(&map).channels;
        let cells = usize::from(window.kernel[0]) * usize::from(window.kernel[1]);
        // A window of 255x255 cells is a few bytes of the file.
        self.chain.count(cells * usize::from(channels))?;
        let weights = vec![1.0 / cells as f32; cells * usize::from(channels)];
        self.convolution(map, window, channels, &weights, vec![0.0; channels.into()])
    }

    /// The sum of two values.
    pub fn add(&mut self, first: Map, second: Map) -> Result<Map, Reason> {
        let inputs = [self.settle(first)?.tensor, self.settle(second)?.tensor];
        self.push(FloatLayer::Add(FloatAdd {
            inputs,
            output: LATER,
        }))
    }
}

/// Makes an affine map of the outputs part of weights and biases.
pub fn fold_behind(weights: &mut [f32], bias: &mut [f32], affine: &Affine) {
    let filter_len = (weights.len() / bias.len().max(1)).max(1);
    let filters = weights.chunks_exact_mut(filter_len).zip(bias);
    for ((filter, bias), (scale, offset)) in filters.zip(affine.scale.iter().zip(&affine.offset)) {
        for weight in filter {
            *weight = (f64::from(*weight) * scale) as f32;
        }
        *bias = (f64::from(*bias) * scale + offset) as f32;
    }
}

/// Makes an affine map of the inputs part of weights `[out][..][in / groups]` and biases.
pub fn fold_before(
    weights: &mut [f32],
    bias: &mut [f32],
    affine: &Affine,
    group_inputs: usize,
    group_outputs: usize,
) {
    let filter_len = (weights.len() / bias.len().max(1)).max(1);
    let filters = weights.chunks_exact_mut(filter_len).zip(bias).enumerate();
    for (output, (filter, bias)) in filters {
        let first = output / group_outputs.max(1) * group_inputs;
        let mut sum = f64::from(*bias);
        for (at, weight) in filter.iter_mut().enumerate() {
            let input = first + at % group_inputs;
            sum += f64::from(*weight) * affine.offset[input];
            *weight = (f64::from(*weight) * affine.scale[input]) as f32;
        }
        *bias = sum as f32;
    }
}
