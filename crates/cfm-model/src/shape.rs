//! Shapes that follow from a structure: every tensor's, and the length of every fully connected layer's input.
//!
//! A float network and its quantized form have the same structure, so both describe their layers with the small types
//! here and share the inference. Bounds of the file format are not this module's business; the reader checks them.

use cfm_core::model::{Path, Shape, Window};
use thiserror::Error;

use crate::spec::{HeadSpec, InputSpec, LayerSpec, ModelSpec};

/// A layer without its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerShape {
    /// Convolution.
    Conv2d {
        /// The tensor it reads.
        input: usize,
        /// Kernel, stride, dilation, padding.
        window: Window,
        /// Groups.
        groups: u16,
        /// Output channels.
        out_channels: u16,
    },
    /// Maximum or average pooling.
    Pool {
        /// The tensor it reads.
        input: usize,
        /// Kernel, stride, padding.
        window: Window,
    },
    /// Sum of two tensors.
    Add {
        /// The tensors it reads.
        inputs: [usize; 2],
    },
}

/// A structure that does not hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ShapeError {
    /// A layer reads a tensor that no earlier layer writes.
    #[error("layer {layer} reads tensor {input}, which is not computed before it")]
    Input {
        /// The layer.
        layer: usize,
        /// The tensor.
        input: usize,
    },
    /// No window fits into the padded input, or kernel, stride or dilation is zero.
    #[error("layer {layer}: no window fits into the padded input")]
    Window {
        /// The layer.
        layer: usize,
    },
    /// Groups are zero or do not divide the channels.
    #[error("layer {layer}: groups are zero or do not divide the channels")]
    Groups {
        /// The layer.
        layer: usize,
    },
    /// The inputs of an addition differ in shape.
    #[error("layer {layer}: the inputs of the addition differ in shape")]
    Add {
        /// The layer.
        layer: usize,
    },
}

impl LayerShape {
    /// The tensors that the layer reads.
    pub fn inputs(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, second) = match *self {
            Self::Conv2d { input, .. } | Self::Pool { input, .. } => (input, None),
            Self::Add { inputs: [a, b] } => (a, Some(b)),
        };
        std::iter::once(first).chain(second)
    }

    /// Weights of one output channel; `None` for a layer without weights.
    #[must_use]
    pub fn filter_len(&self, inputs: &[Shape]) -> Option<usize> {
        match *self {
            Self::Conv2d {
                input,
                window: Window { kernel, .. },
                groups,
                ..
            } => {
                let channels = inputs.get(input)?.channels.checked_div(groups)?;
                Some(usize::from(kernel[0]) * usize::from(kernel[1]) * usize::from(channels))
            }
            Self::Pool { .. } | Self::Add { .. } => None,
        }
    }

    /// The shape that the layer writes, given those of the tensors before it.
    ///
    /// # Errors
    /// A [`ShapeError`] naming `layer`, the number of tensors given less one.
    pub fn output(&self, tensors: &[Shape]) -> Result<Shape, ShapeError> {
        let layer = tensors.len().saturating_sub(1);
        let read = |input: usize| {
            tensors
                .get(input)
                .copied()
                .ok_or(ShapeError::Input { layer, input })
        };
        match *self {
            Self::Conv2d {
                input,
                window,
                groups,
                out_channels,
            } => {
                let input = read(input)?;
                if groups == 0
                    || !input.channels.is_multiple_of(groups)
                    || !out_channels.is_multiple_of(groups)
                {
                    return Err(ShapeError::Groups { layer });
                }
                slide(window, input, out_channels).ok_or(ShapeError::Window { layer })
            }
            Self::Pool { input, window } => {
                let input = read(input)?;
                slide(window, input, input.channels).ok_or(ShapeError::Window { layer })
            }
            Self::Add { inputs: [a, b] } => {
                let (a, b) = (read(a)?, read(b)?);
                if a == b {
                    Ok(a)
                } else {
                    Err(ShapeError::Add { layer })
                }
            }
        }
    }
}

fn slide(window: Window, input: Shape, channels: u16) -> Option<Shape> {
    let zero = [window.kernel, window.stride, window.dilation]
        .iter()
        .any(|pair| pair.contains(&0));
    if zero {
        return None;
    }
    Some(Shape {
        height: window.output_len(0, input.height)?,
        width: window.output_len(1, input.width)?,
        channels,
    })
}

/// The shapes of all tensors: the image, then every layer's output.
///
/// # Errors
/// The first [`ShapeError`].
pub fn tensors(
    input: InputSpec,
    layers: impl IntoIterator<Item = LayerShape>,
) -> Result<Vec<Shape>, ShapeError> {
    let mut tensors = vec![Shape {
        height: input.height,
        width: input.width,
        channels: input.channels,
    }];
    for layer in layers {
        tensors.push(layer.output(&tensors)?);
    }
    Ok(tensors)
}

/// A head without its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadShape {
    /// Bins of the segment path's pyramid, all levels together.
    pub segment_bins: usize,
    /// Bins of the region path's pyramid.
    pub region_bins: usize,
    /// Output lengths of the fully connected layers of the segment, region and joint path.
    pub outputs: [Vec<u16>; 3],
}

impl HeadShape {
    /// The input length of every fully connected layer, path by path, over a feature map of `channels` channels.
    #[must_use]
    pub fn fc_inputs(&self, channels: u16) -> [Vec<usize>; 3] {
        let chain = |first: usize, outputs: &[u16]| {
            let mut lengths = vec![first];
            lengths.extend(outputs.iter().copied().map(usize::from));
            let last = lengths.pop().unwrap_or(first);
            (lengths, last)
        };
        let channels = usize::from(channels);
        let [segment, region, joint] = &self.outputs;
        let (segment, segment_end) = chain(self.segment_bins * channels, segment);
        let (region, region_end) = chain(self.region_bins * channels, region);
        let (joint, _) = chain(segment_end + region_end, joint);
        [segment, region, joint]
    }
}

/// Bins of all levels of a pyramid together.
#[must_use]
pub fn bins(levels: &[u8]) -> usize {
    levels.iter().map(|&n| usize::from(n).pow(2)).sum()
}

impl LayerSpec {
    /// The layer without its numbers.
    #[must_use]
    pub fn shape(&self) -> LayerShape {
        match self {
            Self::Conv2d(conv) => LayerShape::Conv2d {
                input: conv.input,
                window: conv.window,
                groups: conv.groups,
                out_channels: conv.out_channels,
            },
            Self::MaxPool(pool) | Self::AvgPool(pool) => LayerShape::Pool {
                input: pool.input,
                window: pool.window,
            },
            Self::Add(add) => LayerShape::Add { inputs: add.inputs },
        }
    }
}

impl HeadSpec {
    /// The head without its numbers.
    #[must_use]
    pub fn shape(&self) -> HeadShape {
        HeadShape {
            segment_bins: bins(&self.segment_levels),
            region_bins: bins(&self.region_levels),
            outputs: Path::ALL.map(|path| self.fcs(path).iter().map(|fc| fc.outputs).collect()),
        }
    }
}

impl ModelSpec {
    /// The shapes of all tensors: the image, then every layer's output; the last is the feature map's.
    ///
    /// # Errors
    /// A [`ShapeError`] when the layers do not fit together.
    pub fn tensor_shapes(&self) -> Result<Vec<Shape>, ShapeError> {
        tensors(self.input, self.layers.iter().map(LayerSpec::shape))
    }
}
