//! Fully connected layers and the classifier, in real numbers.

use cfm_core::model::{FullyConnected, Head, Path};

use super::layers::dot;
use super::real::{RealParameters, Scale};

/// The layers of a head, dequantized once for all segments.
#[derive(Debug, Clone)]
pub struct RealHead<'a> {
    layers: Vec<RealLayer<'a>>,
}

#[derive(Debug, Clone)]
struct RealLayer<'a> {
    path: Path,
    layer: FullyConnected<'a>,
    input: Scale,
    real: RealParameters,
}

/// What the fully connected layers computed for a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadTrace {
    /// The outputs of every layer but the classifier, in the order of the model file.
    pub hidden: Vec<Vec<i8>>,
    /// The classifier's outputs.
    pub logits: Vec<i16>,
}

impl<'a> RealHead<'a> {
    /// Dequantizes a head that reads a feature map of scale `feature`.
    #[must_use]
    pub fn new(head: &Head<'a>, feature: Scale) -> Self {
        let mut layers = Vec::new();
        let mut joint_input = feature;
        for path in Path::ALL {
            let mut input = match path {
                Path::Joint => joint_input,
                Path::Segment | Path::Region => feature,
            };
            for layer in head.layers(path) {
                let output = layer.parameters.output;
                layers.push(RealLayer {
                    path,
                    layer,
                    input,
                    real: RealParameters::new(&layer.parameters, input, output.exponent),
                });
                input = output.into();
            }
            if path == Path::Segment {
                // The two paths of Design A end with the same scale.
                joint_input = input;
            }
        }
        Self { layers }
    }

    /// Computes the head for the pooled vectors of a segment; `region` is empty unless the head is Design A.
    #[must_use]
    pub fn forward(&self, segment: &[i8], region: &[i8]) -> HeadTrace {
        let (mut hidden, mut logits) = (Vec::new(), Vec::new());
        let mut current = [segment.to_vec(), region.to_vec(), Vec::new()];
        let mut joined = false;
        for (index, real) in self.layers.iter().enumerate() {
            if real.path == Path::Joint && !joined {
                current[2] = [current[0].as_slice(), current[1].as_slice()].concat();
                joined = true;
            }
            let vector = &mut current[real.path as usize];
            let sums = real.sums(vector);
            let output = real.layer.parameters.output;
            if index + 1 == self.layers.len() {
                let step = Scale {
                    zero_point: 0,
                    exponent: output.exponent,
                };
                logits = sums.iter().map(|&sum| logit(sum, step)).collect();
            } else {
                let scale = Scale::from(output);
                *vector = sums
                    .iter()
                    .map(|&sum| scale.quantize(sum, output.low, output.high))
                    .collect();
                hidden.push(vector.clone());
            }
        }
        HeadTrace { hidden, logits }
    }
}

impl RealLayer<'_> {
    fn sums(&self, vector: &[i8]) -> Vec<f64> {
        let x: Vec<f64> = vector.iter().map(|&q| self.input.real(q)).collect();
        (0..self.layer.outputs)
            .map(|o| {
                let row = &self.real.weights[o * x.len()..(o + 1) * x.len()];
                let sum = self.real.biases[o] + dot(&x, row);
                self.real.debug_check(o, sum);
                sum
            })
            .collect()
    }
}

/// `clamp(round(real / 2^exponent), -32768, 32767)`.
fn logit(real: f64, step: Scale) -> i16 {
    let steps = (real / super::real::power_of_two(i32::from(step.exponent))).round_ties_even();
    steps.clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
}
