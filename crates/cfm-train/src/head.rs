//! The head: classifies segments from their pooled features.

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};
use cfm_core::model::Classifier;

use crate::config::HeadConfig;
use crate::fake_quantize::{self, IMAGE_EXPONENT, Range};
use crate::network::{Exponents, Init};
use crate::pooling::{Paths, Pyramid};
use crate::svm::Machine;

/// A fully connected layer; the weights' first axis is the output.
#[derive(Module, Debug)]
pub struct Dense {
    /// Weights: output, input.
    pub weight: Param<Tensor<2>>,
    /// Bias.
    pub bias: Param<Tensor<1>>,
}

/// A fully connected layer on every pathway, then a classifier over all of them.
#[derive(Module, Debug)]
pub struct Head {
    /// Fully connected layer of each path; the segment path is the only one but in Design A.
    pub segment: Dense,
    /// Fully connected layer of the region path of Design A.
    pub region: Option<Dense>,
    /// Classifier over the paths: the classes, then "mixed".
    pub classifier: Dense,
    #[module(skip)]
    kind: Classifier,
    #[module(skip)]
    pyramid: Pyramid,
}

impl Head {
    /// A head with random weights over features of `channels` channels, for `classes` classes (without "mixed").
    pub(crate) fn new(
        config: &HeadConfig,
        channels: usize,
        classes: usize,
        init: &mut Init,
    ) -> Self {
        let pyramid = Pyramid {
            design: config.design.into(),
            levels: config.levels.clone(),
        };
        let inputs = pyramid.bins() * channels;
        let hidden = config.hidden;
        let mut path = || Dense::new(inputs, hidden, 2.0, init);
        let segment = path();
        let region = pyramid.has_region().then(path);
        let joint = if region.is_some() { 2 * hidden } else { hidden };
        Self {
            segment,
            region,
            classifier: Dense::new(joint, classes + 1, 0.01, init),
            kind: Classifier::Softmax,
            pyramid,
        }
    }

    /// The head with support vector machines, one for every output, in the place of its classifier.
    #[must_use]
    pub fn with_machines(self, machines: &[Machine]) -> Self {
        let device = self.classifier.bias.val().device();
        let dims = self.classifier.weight.val().dims();
        let weights = machines.iter().flat_map(|machine| &machine.weights);
        let weights: Vec<f32> = weights.map(|&w| w as f32).collect();
        let bias: Vec<f32> = machines.iter().map(|machine| machine.bias as f32).collect();
        let weights = Tensor::from_data(TensorData::new(weights, dims), &device);
        let bias = Tensor::from_data(TensorData::new(bias, [dims[0]]), &device);
        Self {
            classifier: Dense {
                weight: Param::from_tensor(weights),
                bias: Param::from_tensor(bias),
            },
            kind: Classifier::Svm,
            ..self
        }
    }

    /// What the classifier is, and its logits mean.
    #[must_use]
    pub const fn kind(&self) -> Classifier {
        self.kind
    }

    /// What the head pools.
    #[must_use]
    pub const fn pyramid(&self) -> &Pyramid {
        &self.pyramid
    }

    /// Class scores of segments from their pooled features, one row each; quantized when exponents are given.
    #[must_use]
    pub fn logits(&self, pooled: Paths<Tensor<2>>, exponents: Option<&Exponents>) -> Tensor<2> {
        let hidden = self.hidden(pooled, exponents);
        let logits = self.classifier.forward(hidden, exponents.map(|e| e.hidden));
        match exponents {
            Some(exponents) => fake_quantize::logits(logits, exponents.logits),
            None => logits,
        }
    }

    /// What the classifier sees of segments, one row each: the rectified outputs of the paths, segment first;
    /// quantized when exponents are given.
    #[must_use]
    pub fn hidden(&self, pooled: Paths<Tensor<2>>, exponents: Option<&Exponents>) -> Tensor<2> {
        let input = exponents.map(|e| e.activations.last().copied().unwrap_or(IMAGE_EXPONENT));
        let segment = self.segment.forward(pooled.segment, input);
        let region = self.region.as_ref().zip(pooled.region);
        let hidden = relu(match region {
            Some((layer, region)) => Tensor::cat(vec![segment, layer.forward(region, input)], 1),
            None => segment,
        });
        match exponents {
            Some(exponents) => {
                fake_quantize::activation(hidden, exponents.hidden, Range::Rectified)
            }
            None => hidden,
        }
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
