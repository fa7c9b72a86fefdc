//! The layers of a model, packed, and how a layer is recognised.
//!
//! A layer is recognised by where its weights and channel records are in the model's file. The file is borrowed as long as
//! the packed layers live, so nothing else can lie there.

use core::marker::PhantomData;
use std::vec::Vec;

use super::dense::Dense;
use super::depthwise::Depthwise;
use super::simd::Simd;
use crate::model::{Conv2d, Model, Operation, Parameters, Path, Shape, Window};
use crate::requantize::OutputScale;

/// What makes a layer, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    weights: (usize, usize),
    channels: (usize, usize),
    output: OutputScale,
    /// Window, groups and the shape of the input, for a convolution.
    convolution: Option<(Window, u16, Shape)>,
}

impl Key {
    fn new(parameters: &Parameters<'_>, convolution: Option<(Window, u16, Shape)>) -> Self {
        let place = |bytes: &[u8]| (bytes.as_ptr().addr(), bytes.len());
        Self {
            weights: place(parameters.weights),
            channels: place(parameters.channels.bytes()),
            output: parameters.output,
            convolution,
        }
    }

    fn of_convolution(conv: &Conv2d<'_>, input: Shape) -> Self {
        Self::new(&conv.parameters, Some((conv.window, conv.groups, input)))
    }
}

/// A packed layer.
#[derive(Debug)]
pub(super) enum Packed {
    Dense(Dense),
    Depthwise(Depthwise),
}

impl Packed {
    /// Bytes of the layer and of its workspace.
    fn bytes(&self) -> usize {
        match self {
            Self::Dense(layer) => layer.bytes(),
            Self::Depthwise(layer) => layer.bytes(),
        }
    }
}

/// All layers of a model that there are fast kernels for.
#[derive(Debug)]
pub(super) struct Layers<'m> {
    keys: Vec<Key>,
    packed: Vec<Packed>,
    file: PhantomData<&'m [u8]>,
}

/// Bytes that the packed layers of any model, and what they are computed in, may take together.
const MOST: usize = 64 << 20;

/// How many times its own length a model's file may grow beyond [`MOST`].
const MOST_PER_BYTE: usize = 8;

impl<'m> Layers<'m> {
    /// Packs the layers of a model for an instruction set, as many of them as there is memory for. Layers may share their
    /// weights and then be packed each in its own way, or be packed with far more zeros than weights: a small file must not
    /// make that gigabytes.
    pub(super) fn new<S: Simd>(model: &Model<'m>) -> Self {
        let mut layers = Self::none();
        let mut most = model.bytes().len().saturating_mul(MOST_PER_BYTE).max(MOST);
        for (layer, tensor) in model.layers().zip(model.tensors().iter().skip(1)) {
            let Operation::Conv2d(conv) = layer.operation else {
                continue;
            };
            let Some(input) = model.tensors().get(layer.input).map(|t| t.shape) else {
                continue;
            };
            let width = tensor.shape.width;
            let packed = if conv.groups == 1 {
                Dense::convolution::<S>(&conv, input, width, most).map(Packed::Dense)
            } else if conv.groups == input.channels && conv.groups == tensor.shape.channels {
                Depthwise::new::<S>(&conv, width, most).map(Packed::Depthwise)
            } else {
                None
            };
            layers.push(Key::of_convolution(&conv, input), packed, &mut most);
        }
        for path in [Path::Segment, Path::Region, Path::Joint] {
            for layer in model.head().layers(path) {
                let packed = Dense::fully_connected::<S>(&layer.parameters, layer.inputs, most);
                let key = Key::new(&layer.parameters, None);
                layers.push(key, packed.map(Packed::Dense), &mut most);
            }
        }
        layers
    }

    pub(super) fn none() -> Self {
        Self {
            keys: Vec::new(),
            packed: Vec::new(),
            file: PhantomData,
        }
    }

    /// Adds a layer that is packed, and takes its bytes from what is left.
    fn push(&mut self, key: Key, packed: Option<Packed>, most: &mut usize) {
        if let Some(packed) = packed
            && !self.keys.contains(&key)
        {
            *most = most.saturating_sub(packed.bytes());
            self.keys.push(key);
            self.packed.push(packed);
        }
    }

    /// A convolution with an input of this shape, if it is packed.
    pub(super) fn convolution(&self, conv: &Conv2d<'_>, input: Shape) -> Option<&Packed> {
        self.find(&Key::of_convolution(conv, input))
    }

    /// A fully connected layer with so many inputs, if it is packed.
    pub(super) fn fully_connected(
        &self,
        parameters: &Parameters<'_>,
        inputs: usize,
    ) -> Option<&Dense> {
        match self.find(&Key::new(parameters, None))? {
            Packed::Dense(layer) if parameters.filter_len() == inputs => Some(layer),
            _ => None,
        }
    }

    fn find(&self, key: &Key) -> Option<&Packed> {
        let at = self.keys.iter().position(|k| k == key)?;
        self.packed.get(at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::avx2::Avx2;
    use super::super::avx512::Avx512;
    use super::*;

    const SMALL: &[u8] = include_bytes!("../../../data/small.cfm");

    fn found<S: Simd>(packed: &Model<'_>, asked: &Model<'_>) -> usize {
        let layers = Layers::new::<S>(packed);
        let convolutions = asked.layers().filter(|layer| match layer.operation {
            Operation::Conv2d(conv) => {
                let input = asked.tensors()[layer.input].shape;
                layers.convolution(&conv, input).is_some()
            }
            _ => false,
        });
        let paths = [Path::Segment, Path::Region, Path::Joint];
        let connected = paths.into_iter().flat_map(|path| asked.head().layers(path));
        let connected = connected.filter(|layer| {
            layers
                .fully_connected(&layer.parameters, layer.inputs)
                .is_some()
        });
        convolutions.count() + connected.count()
    }

    #[test]
    fn every_layer_of_the_model_is_packed() {
        let model = Model::parse(SMALL).unwrap();
        assert_eq!(found::<Avx2>(&model, &model), 5 + 3);
        assert_eq!(found::<Avx512>(&model, &model), 5 + 3);
    }

    #[test]
    fn a_copy_of_the_model_is_not_mistaken_for_it() {
        let model = Model::parse(SMALL).unwrap();
        let copy = SMALL.to_vec();
        let copy = Model::parse(&copy).unwrap();
        assert_eq!(found::<Avx512>(&model, &copy), 0);
    }
}
