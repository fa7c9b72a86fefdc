//! The head: classifies segments from their pooled features.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use crate::config::HeadConfig;
use crate::fake_quantize::{self, IMAGE_EXPONENT};
use crate::network::{Exponents, Init};

/// A fully connected layer; the weights' first axis is the output.
#[derive(Module, Debug)]
pub struct Dense {
    /// Weights: output, input.
    pub weight: Param<Tensor<2>>,
    /// Bias.
    pub bias: Param<Tensor<1>>,
}

/// Fully connected layers over the pooled features, then a classifier.
#[derive(Module, Debug)]
pub struct Head {
    /// Fully connected layer of the segment path.
    pub segment: Dense,
    /// Fully connected layer of the region path.
    pub region: Dense,
    /// Classifier over both paths: the classes, then "mixed".
    pub classifier: Dense,
}

impl Head {
    /// A head with random weights over features of `channels` channels, for `classes` classes (without "mixed").
    pub(crate) fn new(
        config: &HeadConfig,
        channels: usize,
        classes: usize,
        init: &mut Init,
    ) -> Self {
        let bins: usize = config
            .levels
            .iter()
            .map(|&n| usize::from(n) * usize::from(n))
            .sum();
        let hidden = config.hidden;
        Self {
            segment: Dense::new(bins * channels, hidden, 2.0, init),
            region: Dense::new(bins * channels, hidden, 2.0, init),
            classifier: Dense::new(2 * hidden, classes + 1, 0.01, init),
        }
    }

    /// Class scores of segments from their pooled features, one row each; quantized when exponents are given.
    #[must_use]
    pub fn logits(
        &self,
        segment: Tensor<2>,
        region: Tensor<2>,
        exponents: Option<&Exponents>,
    ) -> Tensor<2> {
        let hidden = self.hidden(segment, region, exponents);
        let hidden = match exponents {
            Some(exponents) => fake_quantize::activation(hidden, exponents.hidden),
            None => hidden,
        };
        let logits = self.classifier.forward(hidden, exponents.map(|e| e.hidden));
        match exponents {
            Some(exponents) => fake_quantize::logits(logits, exponents.logits),
            None => logits,
        }
    }

    /// The rectified outputs of both paths, segment first, before quantization.
    pub(crate) fn hidden(
        &self,
        segment: Tensor<2>,
        region: Tensor<2>,
        exponents: Option<&Exponents>,
    ) -> Tensor<2> {
        let input = exponents.map(|e| e.activations.last().copied().unwrap_or(IMAGE_EXPONENT));
        let segment = self.segment.forward(segment, input);
        let region = self.region.forward(region, input);
        relu(Tensor::cat(vec![segment, region], 1))
    }
}

impl Dense {
    pub(crate) fn new(inputs: usize, outputs: usize, gain: f32, init: &mut Init) -> Self {
        let bias = Tensor::zeros([outputs], &init.device);
        Self {
            weight: init.normal([outputs, inputs], (gain / inputs as f32).sqrt()),
            bias: Param::from_tensor(bias),
        }
    }

    pub(crate) fn forward(&self, x: Tensor<2>, input_exponent: Option<i32>) -> Tensor<2> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        let (weight, bias) = match input_exponent {
            Some(exponent) => fake_quantize::weights(weight, bias, exponent),
            None => (weight, bias),
        };
        x.matmul(weight.transpose()) + bias.unsqueeze_dim(0)
    }
}
