//! The integer network while it is read: layers so far, and the sums that become layers once their output's scale is known.

use std::rc::Rc;

use crate::shape::LayerShape;
use crate::spec::{
    AddSpec, Channel, ConvSpec, IMAGE_SCALE, InputSpec, LayerSpec, OutputScale, PoolSpec, Window,
};

use super::super::chain::Chain;
use super::super::error::Reason;
use super::super::order::{channel_last, in_project_order};
use super::super::pathways::{self, Part};
use super::multiplier::{Multiplier, is_power_of_two, nominal};

/// Where an integer tensor lies.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// A tensor of the backbone; 0 is the image.
    Map(usize),
    /// A pyramid level over the feature map, still with spatial axes.
    Level(Part),
    /// A vector of the head.
    Vector(Vec<Part>),
}

/// An integer tensor. All values are those of i8: an unsigned file's less 128.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub place: Place,
    /// Whether nobody else reads it.
    pub exclusive: bool,
    /// Real value of a step; unknown for an input until somebody says it.
    pub scale: Option<f32>,
    /// The value that stands for zero; likewise.
    pub zero: Option<i32>,
    /// Smallest value.
    pub low: i32,
    /// Whether the file has it as u8.
    pub unsigned: bool,
}

impl Tensor {
    /// Roughly how many numbers it holds by itself.
    pub fn size(&self) -> usize {
        match &self.place {
            Place::Vector(parts) => 8 + 8 * parts.len(),
            Place::Map(_) | Place::Level(_) => 8,
        }
    }
}

/// A sum on its way to an output.
#[derive(Debug, Clone)]
pub struct Sum {
    pub kind: Kind,
    /// Real value of a step of the accumulator, channel by channel. Until then, in the integer form, unknown.
    pub unit: Option<Vec<f64>>,
    /// Bias at the accumulator's scale, for real activations.
    pub bias: Vec<i64>,
}

/// What is summed.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A convolution with weights `[out][kernel row][kernel column][in / groups]`.
    Conv {
        input: Tensor,
        window: Window,
        groups: u16,
        weights: Rc<Vec<i8>>,
    },
    /// A fully connected layer with weights `[out][in]` in the project's order.
    Fc {
        input: Tensor,
        parts: Vec<Part>,
        weights: Rc<Vec<i8>>,
    },
    /// Two tensors.
    Add { inputs: [Tensor; 2] },
    /// The cells of a window inside the image.
    Average { input: Tensor, window: Window },
}

impl Kind {
    /// Roughly how many numbers it holds by itself, without weights: copies share them.
    pub fn size(&self) -> usize {
        let inputs = match self {
            Self::Conv { input, .. } | Self::Average { input, .. } => input.size(),
            Self::Fc { input, parts, .. } => input.size() + 8 * parts.len(),
            Self::Add { inputs: [a, b] } => a.size() + b.size(),
        };
        16 + inputs
    }
}

/// The output side of a layer, in the file's terms.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub scale: f32,
    pub zero: i32,
    pub unsigned: bool,
    /// Smallest and largest value.
    pub range: [i32; 2],
    /// Whether there is more to that than the file's type: an activation or a clamp.
    pub bounded: bool,
}

/// What a fully connected layer computes with.
#[derive(Debug)]
pub struct Numbers {
    pub weights: Vec<i8>,
    pub bias: Vec<i32>,
    /// Real value of a step of the accumulator.
    pub unit: Vec<f64>,
    pub scale: f32,
    pub zero: i32,
    pub range: [i32; 2],
    /// Whether an activation or a clamp follows.
    pub bounded: bool,
}

/// The layers so far.
#[derive(Debug)]
pub struct Layers {
    pub chain: Chain<LayerSpec>,
    pub head: pathways::Layers<Numbers>,
    /// Largest relative error of a multiplier.
    pub worst: f64,
    /// Whether a scale is no power of two.
    pub general: bool,
}

impl Layers {
    pub fn new(input: InputSpec) -> Self {
        Self {
            chain: Chain::new(input),
            head: pathways::Layers(Vec::new()),
            worst: 0.0,
            general: false,
        }
    }

    fn push(&mut self, layer: LayerSpec) -> Result<usize, Reason> {
        let shape = layer.shape();
        self.chain.push(layer, shape)
    }

    fn multiplier(&mut self, real: f64) -> Result<Multiplier, Reason> {
        let multiplier = Multiplier::nearest(real)?;
        self.worst = self.worst.max(multiplier.error);
        Ok(multiplier)
    }

    /// The tensor with its zero where the file's padding has it: the image's, which is fixed, is moved by a layer that
    /// does nothing else.
    pub fn centred(&mut self, tensor: Tensor) -> Result<Tensor, Reason> {
        let zero = tensor.zero.ok_or("its zero point is not known")?;
        if tensor.place != Place::Map(0) || zero == i32::from(IMAGE_SCALE.zero_point) {
            return Ok(tensor);
        }
        let channels = self.chain.shapes[0].channels;
        let narrow = i8::try_from(zero).map_err(|_| format!("the zero point {zero}"))?;
        let scale = tensor.scale.ok_or("its scale is not known")?;
        let index = self.push(LayerSpec::Conv2d(ConvSpec {
            input: 0,
            window: Window::UNIT,
            groups: channels,
            out_channels: channels,
            output: OutputScale {
                zero_point: narrow,
                exponent: nominal(scale)?,
                low: i8::MIN,
                high: i8::MAX,
            },
            weights: vec![1; channels.into()],
            // q = z + (q - z) * 2^14 * 2^-14.
            channels: vec![
                Channel {
                    bias: -zero,
                    mantissa: 1 << 14,
                    shift: 14,
                };
                channels.into()
            ],
        }))?;
        Ok(Tensor {
            place: Place::Map(index),
            ..tensor
        })
    }

    /// The index of a tensor of the backbone.
    pub fn map(&self, tensor: &Tensor) -> Result<usize, Reason> {
        match tensor.place {
            Place::Map(index) => Ok(index),
            _ => Err(
                "it belongs to a backbone, but follows after the pooling of the head".to_owned(),
            ),
        }
    }

    /// The convolution of `input` with weights `[out][in / groups][kernel row][kernel column]`.
    pub fn convolution(
        &mut self,
        input: Tensor,
        window: Window,
        groups: u16,
        weights: &[i8],
        outputs: usize,
    ) -> Result<Kind, Reason> {
        let visible = window.padding != [0; 4];
        let input = if visible { self.centred(input)? } else { input };
        let shape = LayerShape::Conv2d {
            input: self.map(&input)?,
            window,
            groups,
            out_channels: u16::try_from(outputs).map_err(|_| format!("{outputs} channels"))?,
        };
        shape
            .output(&self.chain.shapes)
            .map_err(|error| error.to_string())?;
        let filter_len = shape.filter_len(&self.chain.shapes).unwrap_or(0);
        if weights.len() != filter_len * outputs {
            return Err(format!(
                "the weights have {} elements instead of {}",
                weights.len(),
                filter_len * outputs
            ));
        }
        let cells = usize::from(window.kernel[0]) * usize::from(window.kernel[1]);
        let weights = Rc::new(channel_last(weights, filter_len / cells, window));
        Ok(Kind::Conv {
            input,
            window,
            groups,
            weights,
        })
    }

    /// A fully connected layer with weights `[out][in]` in ONNX's order.
    pub fn fully_connected(
        &mut self,
        input: Tensor,
        weights: &[i8],
        outputs: usize,
    ) -> Result<Kind, Reason> {
        let Place::Vector(parts) = input.place.clone() else {
            return Err("it does not read a vector".to_owned());
        };
        let lengths = self.head.part_lens(&parts);
        let inputs: usize = lengths.iter().sum();
        if weights.is_empty() || inputs.checked_mul(outputs) != Some(weights.len()) {
            return Err(format!(
                "it reads a vector of {inputs}, but has {} weights for {outputs} outputs",
                weights.len()
            ));
        }
        let weights = Rc::new(in_project_order(&parts, weights, &lengths));
        Ok(Kind::Fc {
            input,
            parts,
            weights,
        })
    }

    /// Makes a layer of a sum.
    pub fn finish(&mut self, sum: Sum, output: Output, joint: bool) -> Result<Tensor, Reason> {
        let exponent = nominal(output.scale)?;
        self.general |= !is_power_of_two(output.scale);
        let narrow =
            |value: i32| i8::try_from(value).map_err(|_| format!("{value} is no 8-bit value"));
        let [low, high] = output.range;
        if low > high {
            return Err(format!("nothing lies between its bounds {low} and {high}"));
        }
        // A sum can become many layers, each with weights of its own.
        if let Kind::Conv { weights, .. } | Kind::Fc { weights, .. } = &sum.kind {
            self.chain.count(weights.len())?;
        }
        let place = match sum.kind {
            Kind::Fc {
                input,
                parts,
                weights,
            } => {
                let bias = folded(&weights, &sum.bias, input.zero)?;
                self.head.0.push(pathways::Layer {
                    inputs: parts,
                    outputs: bias.len(),
                    joint,
                    numbers: Numbers {
                        weights: Rc::unwrap_or_clone(weights),
                        bias,
                        unit: sum.unit.ok_or("its scale is not known")?,
                        scale: output.scale,
                        zero: output.zero,
                        range: output.range,
                        bounded: output.bounded,
                    },
                });
                Place::Vector(vec![Part::Layer(self.head.0.len() - 1)])
            }
            Kind::Conv {
                input,
                window,
                groups,
                weights,
            } => {
                let unit = sum.unit.ok_or("its scale is not known")?;
                let mut channels = Vec::with_capacity(unit.len());
                let bias = folded(&weights, &sum.bias, input.zero)?;
                for (unit, bias) in unit.iter().zip(bias) {
                    let multiplier = self.multiplier(unit / f64::from(output.scale))?;
                    channels.push(Channel {
                        bias,
                        mantissa: multiplier.mantissa,
                        shift: multiplier.shift,
                    });
                }
                Place::Map(self.push(LayerSpec::Conv2d(ConvSpec {
                    input: self.map(&input)?,
                    window,
                    groups,
                    out_channels: u16::try_from(channels.len()).map_err(|e| e.to_string())?,
                    output: OutputScale {
                        zero_point: narrow(output.zero)?,
                        exponent,
                        low: narrow(low)?,
                        high: narrow(high)?,
                    },
                    weights: Rc::unwrap_or_clone(weights),
                    channels,
                }))?)
            }
            Kind::Add { inputs } => {
                let mut tensors = [0; 2];
                for (tensor, input) in tensors.iter_mut().zip(inputs) {
                    let input = self.centred(input)?;
                    *tensor = self.map(&input)?;
                    let scale = input.scale.ok_or("the scale of an input is not known")?;
                    let own = self.exponent(*tensor);
                    if own != nominal(scale)? {
                        return Err(format!(
                            "it reads the image, which has scale 2^{own} in the format, and {scale:e} here: sums are aligned by shifts"
                        ));
                    }
                    let distance = i32::from(own) - i32::from(exponent);
                    if f64::from(scale) / f64::from(output.scale) != f64::from(distance).exp2() {
                        return Err(format!(
                            "an input's scale {scale:e} is not the output's, {:e}, times a power of two: sums are aligned by shifts",
                            output.scale
                        ));
                    }
                }
                Place::Map(self.push(LayerSpec::Add(AddSpec {
                    inputs: tensors,
                    output: OutputScale {
                        zero_point: narrow(output.zero)?,
                        exponent,
                        low: narrow(low)?,
                        high: narrow(high)?,
                    },
                }))?)
            }
            Kind::Average { input, window } => {
                let input = self.centred(input)?;
                if input.scale != Some(output.scale) || input.zero != Some(output.zero) {
                    return Err(
                        "scale and zero point of the mean are not those of its input".to_owned(),
                    );
                }
                let pool = PoolSpec {
                    input: self.map(&input)?,
                    window,
                };
                Place::Map(self.push(LayerSpec::AvgPool(pool))?)
            }
        };
        Ok(Tensor {
            place,
            exclusive: true,
            scale: Some(output.scale),
            zero: Some(output.zero),
            low,
            unsigned: output.unsigned,
        })
    }

    /// The maximum over windows.
    pub fn max_pool(&mut self, tensor: Tensor, window: Window) -> Result<Tensor, Reason> {
        let tensor = self.centred(tensor)?;
        let pool = PoolSpec {
            input: self.map(&tensor)?,
            window,
        };
        let place = Place::Map(self.push(LayerSpec::MaxPool(pool))?);
        Ok(Tensor {
            place,
            exclusive: false,
            ..tensor
        })
    }

    /// The exponent that a tensor has in the format: pooling passes on its input's, the image's among them.
    fn exponent(&self, mut tensor: usize) -> i8 {
        while let Some(layer) = tensor.checked_sub(1) {
            match &self.chain.layers[layer] {
                LayerSpec::Conv2d(conv) => return conv.output.exponent,
                LayerSpec::Add(add) => return add.output.exponent,
                LayerSpec::MaxPool(pool) | LayerSpec::AvgPool(pool) => tensor = pool.input,
            }
        }
        IMAGE_SCALE.exponent
    }

    /// Notes an activation behind `tensor`, if a fully connected layer writes it.
    pub fn mark_bounded(&mut self, tensor: &Tensor) {
        if let Place::Vector(parts) = &tensor.place
            && let [Part::Layer(layer)] = **parts
        {
            self.head.0[layer].numbers.bounded = true;
        }
    }

    /// Clamps what the layer before writes.
    pub fn clamp(&mut self, tensor: &mut Tensor, range: [i32; 2]) -> Result<(), Reason> {
        let [low, high] = range;
        let refused = "the clamp does not follow directly after a layer that only it reads";
        if !tensor.exclusive || low > high {
            return Err(refused.to_owned());
        }
        match &tensor.place {
            Place::Map(index) => {
                let output = match index
                    .checked_sub(1)
                    .and_then(|i| self.chain.layers.get_mut(i))
                {
                    Some(LayerSpec::Conv2d(conv)) => &mut conv.output,
                    Some(LayerSpec::Add(add)) => &mut add.output,
                    _ => return Err(refused.to_owned()),
                };
                // Between the two ends of i8, which it was before.
                output.low = (low.clamp(output.low.into(), output.high.into())) as i8;
                output.high = (high.clamp(output.low.into(), output.high.into())) as i8;
            }
            Place::Vector(parts) => match **parts {
                [Part::Layer(layer)] => {
                    let numbers = &mut self.head.0[layer].numbers;
                    let [old_low, old_high] = numbers.range;
                    let low = low.clamp(old_low, old_high);
                    numbers.range = [low, high.clamp(low, old_high)];
                    numbers.bounded |= numbers.range != [old_low, old_high];
                }
                _ => return Err(refused.to_owned()),
            },
            Place::Level(_) => return Err(refused.to_owned()),
        }
        tensor.low = tensor.low.max(low);
        Ok(())
    }
}

/// Biases with `- zero * sum(w)` in them.
fn folded(weights: &[i8], bias: &[i64], zero: Option<i32>) -> Result<Vec<i32>, Reason> {
    let zero = i64::from(zero.ok_or("the zero point of its input is not known")?);
    let filters = weights.chunks_exact((weights.len() / bias.len().max(1)).max(1));
    filters
        .zip(bias)
        .map(|(filter, bias)| {
            let sum: i64 = filter.iter().map(|&w| i64::from(w)).sum();
            i32::try_from(bias - zero * sum).map_err(|_| "a bias leaves 32 bits".to_owned())
        })
        .collect()
}
