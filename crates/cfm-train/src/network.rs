//! The network: an all-convolutional backbone, a dense side classifier for training, and the head.

use burn::module::{Module, ModuleVisitor, Param, ParamId, RunningState, list_param_ids};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use cfm_model::float_model::Activation;
use serde::{Deserialize, Serialize};

use crate::config::{Config, LayerConfig};
use crate::fake_quantize::{self, IMAGE_EXPONENT, Range, to_vec};
use crate::head::{Dense, Head};
use crate::pretrained::{Pretrained, PretrainedError, PretrainedLayer};
use crate::random::{Purpose, Stream};

/// The exponents that turn the network's activations into integers; the weights bring their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exponents {
    /// Every activation of the backbone in the order of computation: each convolution's, then its residual sum's.
    pub activations: Vec<i32>,
    /// The outputs of both paths' fully connected layers, which are concatenated.
    pub hidden: i32,
    /// The logits.
    pub logits: i32,
}

/// One convolution with its normalization and activation.
#[derive(Module, Debug)]
pub struct ConvLayer {
    /// Weights: output channel, input channel of the group, row, column.
    pub weight: Param<Tensor<4>>,
    /// Bias, once the normalization is folded.
    pub bias: Option<Param<Tensor<1>>>,
    /// Batch normalization, until it is folded.
    pub norm: Option<BatchNorm>,
    stride: usize,
    dilation: usize,
    padding: usize,
    groups: usize,
    residual: usize,
    #[module(skip)]
    activation: Activation,
}

/// Backbone, side classifier and head.
#[derive(Module, Debug)]
pub struct Network {
    /// The backbone's convolutions.
    pub layers: Vec<ConvLayer>,
    /// Classifier of single feature cells, for training only.
    pub side: Dense,
    /// Classifier of segments.
    pub head: Head,
}

/// Epsilon of the batch normalization.
const EPSILON: f64 = 1e-5;

impl Network {
    /// A network with random weights for `classes` classes (without "mixed").
    #[must_use]
    pub fn new(config: &Config, classes: usize, device: &Device) -> Self {
        let mut init = Init {
            seed: config.seed,
            parameter: 0,
            device: device.clone(),
        };
        let mut channels = 3;
        let layers = config
            .backbone
            .iter()
            .map(|layer| {
                let built = ConvLayer::new(layer, channels, &mut init);
                channels = layer.channels;
                built
            })
            .collect();
        Self {
            layers,
            side: Dense::new(channels, classes, 1.0, &mut init),
            head: Head::new(&config.head, channels, classes, &mut init),
        }
    }

    /// The network with the first weights of every layer of `backbone` that names pretrained ones.
    ///
    /// # Errors
    /// When a layer's weights are missing or have another shape.
    pub fn pretrained(
        mut self,
        file: &Pretrained,
        backbone: &[LayerConfig],
    ) -> Result<Self, PretrainedError> {
        for (layer, config) in self.layers.iter_mut().zip(backbone) {
            if let Some(name) = &config.from {
                let dims = layer.weight.val().dims();
                layer.start_with(&file.layer(name, dims)?, dims);
            }
        }
        Ok(self)
    }

    /// The network with its first `layers` layers frozen: no gradients, and the normalization by running statistics.
    #[must_use]
    pub fn frozen(mut self, layers: usize) -> Self {
        self.layers = self
            .layers
            .into_iter()
            .enumerate()
            .map(|(index, layer)| {
                if index < layers {
                    layer.freeze()
                } else {
                    layer
                }
            })
            .collect();
        self
    }

    /// The parameters of the layers of `backbone` that name pretrained weights, and all others.
    pub(crate) fn parameters_by_origin(
        &self,
        backbone: &[LayerConfig],
    ) -> (Vec<ParamId>, Vec<ParamId>) {
        let pretrained: Vec<ParamId> = self
            .layers
            .iter()
            .zip(backbone)
            .filter(|(_, config)| config.from.is_some())
            .flat_map(|(layer, _)| list_param_ids(layer))
            .collect();
        let own = list_param_ids(self)
            .into_iter()
            .filter(|id| !pretrained.contains(id))
            .collect();
        (pretrained, own)
    }

    /// The network with every batch normalization folded into its convolution.
    #[must_use]
    pub fn folded(self) -> Self {
        Self {
            layers: self.layers.into_iter().map(ConvLayer::folded).collect(),
            ..self
        }
    }

    /// Takes the last step's update into the running statistics, which the framework otherwise does at the next step.
    pub(crate) fn settle(&self) {
        for norm in self.layers.iter().filter_map(|layer| layer.norm.as_ref()) {
            norm.running_mean.value_sync();
            norm.running_var.value_sync();
        }
    }

    /// The names, shapes and values of all parameters of the backbone and the side classifier, in the order of the names.
    /// Equal weights give equal bytes, unlike the framework's records: these number the parameters at random.
    #[must_use]
    pub fn backbone_bytes(&self) -> Vec<u8> {
        let mut listing = Listing::default();
        self.layers.visit(&mut listing);
        listing.enter_module("side", "");
        self.side.visit(&mut listing);
        listing.found.sort();
        listing.found.concat()
    }

    /// The feature map of a batch of images; quantized when exponents are given.
    #[must_use]
    pub fn features(&self, images: Tensor<4>, exponents: Option<&Exponents>) -> Tensor<4> {
        self.features_observed(images, exponents, &mut |_, _| ())
    }

    /// As [`Network::features`], showing every activation, with its index in [`Exponents::activations`], on the way.
    pub fn features_observed(
        &self,
        images: Tensor<4>,
        exponents: Option<&Exponents>,
        observe: &mut dyn FnMut(usize, &Tensor<4>),
    ) -> Tensor<4> {
        let mut x = images;
        let mut input_exponent = IMAGE_EXPONENT;
        let mut index = 0;
        let mut finish = |x: Tensor<4>, range: Range, input_exponent: &mut i32| {
            observe(index, &x);
            let x = match exponents {
                Some(exponents) => {
                    *input_exponent = exponents.activations[index];
                    fake_quantize::activation(x, *input_exponent, range)
                }
                None => x,
            };
            index += 1;
            x
        };
        let mut ranges = self.ranges().into_iter();
        let mut range = || ranges.next().unwrap_or(Range::Rectified);
        // What every layer was given, as long as a later sum still needs it.
        let mut given: Vec<Option<Tensor<4>>> = Vec::with_capacity(self.layers.len());
        for (position, layer) in self.layers.iter().enumerate() {
            let needed = self.layers[position..]
                .iter()
                .enumerate()
                .any(|(later, layer)| layer.residual == later + 1);
            given.push(needed.then(|| x.clone()));
            let y = layer.forward(x, exponents.map(|_| input_exponent));
            x = finish(y, range(), &mut input_exponent);
            // Not taken out: several sums may start at one tensor.
            if layer.residual > 0
                && let Some(shortcut) = given[position + 1 - layer.residual].clone()
            {
                x = finish(x + shortcut, range(), &mut input_exponent);
            }
        }
        x
    }

    /// The range of every activation of the backbone, in the order of [`Exponents::activations`].
    #[must_use]
    pub fn ranges(&self) -> Vec<Range> {
        ranges(
            self.layers
                .iter()
                .map(|layer| (layer.activation, layer.residual)),
        )
    }

    /// Class scores of every feature cell.
    #[must_use]
    pub fn side_logits(&self, features: Tensor<4>) -> Tensor<4> {
        let weight: Tensor<4> = self.side.weight.val().unsqueeze_dims(&[2, 3]);
        let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
        conv2d(features, weight, Some(self.side.bias.val()), options)
    }

    /// Number of activations in the backbone.
    pub(crate) fn activations(&self) -> usize {
        self.layers.len()
            + self
                .layers
                .iter()
                .filter(|layer| layer.residual > 0)
                .count()
    }
}

/// Lists parameters: name, shape, and values in little-endian order.
#[derive(Default)]
struct Listing {
    path: Vec<String>,
    found: Vec<Vec<u8>>,
}

impl ModuleVisitor for Listing {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let values = parameter.val();
        let head = format!("{} {:?}\n", self.path.join("."), values.dims());
        let values = to_vec(values).into_iter().flat_map(f32::to_le_bytes);
        self.found
            .push(head.into_bytes().into_iter().chain(values).collect());
    }
}

/// The range of every activation of a backbone whose layers have these activations and residual spans.
pub(crate) fn ranges(layers: impl Iterator<Item = (Activation, usize)>) -> Vec<Range> {
    let mut ranges = Vec::new();
    // Whether what each layer is given may be negative; the image is.
    let mut given = vec![true];
    for (position, (activation, residual)) in layers.enumerate() {
        let mut signed = activation == Activation::None;
        ranges.push(Range::of(signed));
        if residual > 0 {
            signed |= given[position + 1 - residual];
            ranges.push(Range::of(signed));
        }
        given.push(signed);
    }
    ranges
}

impl ConvLayer {
    fn new(config: &LayerConfig, inputs: usize, init: &mut Init) -> Self {
        let inputs = inputs / config.groups;
        let side = config.kernel;
        let dims = [config.channels, inputs, side, side];
        Self {
            weight: init.normal(dims, (2.0 / (inputs * side * side) as f32).sqrt()),
            bias: None,
            norm: Some(
                BatchNormConfig::new(config.channels)
                    .with_epsilon(EPSILON)
                    .init(&init.device),
            ),
            stride: config.stride,
            dilation: config.dilation,
            padding: config.padding(),
            groups: config.groups,
            residual: config.residual,
            activation: config.activation,
        }
    }

    fn start_with(&mut self, layer: &PretrainedLayer, dims: [usize; 4]) {
        let Some(norm) = &mut self.norm else { return };
        let device = self.weight.val().device();
        let vector = |values: &[f32]| {
            Tensor::<1>::from_data(TensorData::new(values.to_vec(), [dims[0]]), &device)
        };
        norm.gamma = Param::from_tensor(vector(&layer.gamma));
        norm.beta = Param::from_tensor(vector(&layer.beta));
        norm.running_mean = RunningState::new(vector(&layer.mean));
        norm.running_var = RunningState::new(vector(&layer.variance));
        let weight = TensorData::new(layer.weight.clone(), dims);
        self.weight = Param::from_tensor(Tensor::from_data(weight, &device));
    }

    fn folded(self) -> Self {
        let Some(norm) = self.norm else { return self };
        let device = self.weight.val().device();
        let scales: Vec<f32> = to_vec(norm.gamma.val())
            .iter()
            .zip(to_vec(norm.running_var.value_sync()))
            .map(|(gamma, variance)| gamma / (variance + EPSILON as f32).sqrt())
            .collect();
        let bias: Vec<f32> = to_vec(norm.beta.val())
            .iter()
            .zip(to_vec(norm.running_mean.value_sync()))
            .zip(&scales)
            .map(|((beta, mean), scale)| beta - mean * scale)
            .collect();
        let channels = scales.len();
        let scales = Tensor::<4>::from_data(TensorData::new(scales, [channels, 1, 1, 1]), &device);
        let bias = Tensor::<1>::from_data(TensorData::new(bias, [channels]), &device);
        Self {
            weight: Param::from_tensor((self.weight.val() * scales).detach()),
            bias: Some(Param::from_tensor(bias)),
            norm: None,
            ..self
        }
    }

    /// Convolution, normalization, activation; the weights are quantized when the exponent of the input is given.
    fn forward(&self, x: Tensor<4>, input_exponent: Option<i32>) -> Tensor<4> {
        let options = ConvOptions::new(
            [self.stride; 2],
            [self.padding; 2],
            [self.dilation; 2],
            self.groups,
        );
        let weight = self.weight.val();
        let bias = self.bias.as_ref().map(Param::val);
        let (weight, bias) = match (input_exponent, bias) {
            (Some(exponent), Some(bias)) => {
                let (weight, bias) = fake_quantize::weights(weight, bias, exponent);
                (weight, Some(bias))
            }
            (_, bias) => (weight, bias),
        };
        let y = conv2d(x, weight, bias, options);
        let y = match &self.norm {
            Some(norm) => norm.forward(y),
            None => y,
        };
        match self.activation {
            Activation::None => y,
            Activation::Relu => relu(y),
            Activation::Relu6 => y.clamp(0.0, 6.0),
        }
    }

    /// Stride, the same both ways.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }
}

/// Draws initial weights, each parameter from a stream of its own.
pub(crate) struct Init {
    seed: u64,
    parameter: u64,
    pub(crate) device: Device,
}

impl Init {
    pub(crate) fn normal<const D: usize>(
        &mut self,
        dims: [usize; D],
        deviation: f32,
    ) -> Param<Tensor<D>> {
        let mut stream = Stream::new(self.seed, Purpose::Weights, self.parameter, 0);
        self.parameter += 1;
        let values: Vec<f32> = (0..dims.iter().product())
            .map(|_| stream.normal() * deviation)
            .collect();
        Param::from_tensor(Tensor::from_data(
            TensorData::new(values, dims),
            &self.device,
        ))
    }
}

/// A batch of 8-bit images as the network sees them: `(pixel - 128) / 128`, channels first.
#[must_use]
pub fn image_tensor(images: &[&[u8]], width: usize, height: usize, device: &Device) -> Tensor<4> {
    let mut values = Vec::with_capacity(images.len() * 3 * width * height);
    for image in images {
        for channel in 0..3 {
            values.extend(
                image
                    .iter()
                    .skip(channel)
                    .step_by(3)
                    .map(|&pixel| (f32::from(pixel) - 128.0) / 128.0),
            );
        }
    }
    Tensor::from_data(
        TensorData::new(values, [images.len(), 3, height, width]),
        device,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let residual = LayerConfig {
            residual: 1,
            dilation: 2,
            ..LayerConfig::new(8, 1)
        };
        Config {
            backbone: vec![LayerConfig::new(8, 2), LayerConfig::new(8, 2), residual],
            ..Config::default()
        }
    }

    #[test]
    fn folding_keeps_the_function() {
        let device = Device::flex().autodiff();
        let network = Network::new(&config(), 3, &device);
        let pixels: Vec<u8> = (0..2 * 3 * 20 * 16).map(|i| (i * 31 % 256) as u8).collect();
        let (a, b) = pixels.split_at(960);
        let images = |device: &Device| image_tensor(&[a, b], 20, 16, device);
        for _ in 0..3 {
            let _ = network.features(images(&device), None);
        }
        let network = network.valid();
        let plain = Device::flex();
        let before = to_vec(network.features(images(&plain), None));
        let after = to_vec(network.folded().features(images(&plain), None));
        assert_eq!(before.len(), 2 * 8 * 4 * 5);
        for (x, y) in before.iter().zip(&after) {
            assert!((x - y).abs() <= 1e-4 * (1.0 + x.abs()), "{x} {y}");
        }
    }

    #[test]
    fn equal_weights_give_equal_bytes() {
        let device = Device::flex().autodiff();
        let make = |seed| Network::new(&Config { seed, ..config() }, 3, &device);
        let (one, same) = (make(1), make(1));
        // The framework numbers them anew.
        assert_ne!(one.layers[0].weight.id, same.layers[0].weight.id);
        let bytes = one.backbone_bytes();
        assert_eq!(bytes, same.backbone_bytes());
        assert_ne!(bytes, make(2).backbone_bytes());
        for name in [
            "0.weight [8, 3, 3, 3]\n",
            "2.norm.running_var [8]\n",
            "side.bias [3]\n",
        ] {
            let name = name.as_bytes();
            let count = bytes.windows(name.len()).filter(|part| *part == name);
            assert_eq!(count.count(), 1, "{name:?}");
        }
        // The running statistics count, too.
        let images = image_tensor(&[&[200; 3 * 8 * 8]], 8, 8, &device);
        let _ = same.features(images, None);
        same.settle();
        assert_ne!(bytes, same.backbone_bytes());
    }

    #[test]
    fn several_sums_may_start_at_one_tensor() {
        let sum = |residual| LayerConfig {
            residual,
            ..LayerConfig::new(8, 1)
        };
        let config = Config {
            backbone: vec![LayerConfig::new(8, 2), sum(1), sum(2)],
            ..Config::default()
        };
        let device = Device::flex();
        let network = Network::new(&config, 3, &device).folded();
        let pixels = [7; 3 * 8 * 8];
        let mut seen = Vec::new();
        let images = image_tensor(&[&pixels], 8, 8, &device);
        let _ = network.features_observed(images, None, &mut |_, x| seen.push(to_vec(x.clone())));
        assert_eq!(seen.len(), network.activations());
        let [first, .., convolved, sum] = &seen[..] else {
            panic!("five activations")
        };
        for ((a, b), c) in first.iter().zip(convolved).zip(sum) {
            assert!((a + b - c).abs() < 1e-6, "{a} + {b} = {c}");
        }
    }

    #[test]
    fn pretrained_layers_start_where_the_file_says() {
        let text = r#"
            pretrained = "efficientnet-lite0"
            backbone = [
                { channels = 32, stride = 2, activation = "relu6", from = "stem" },
                { channels = 32, groups = 32, activation = "relu6", from = "block0.depthwise" },
                { channels = 8 },
            ]
        "#;
        let config: Config = toml::from_str(text).unwrap();
        config.check().unwrap();
        let device = Device::flex().autodiff();
        let file = Pretrained::open("efficientnet-lite0").unwrap();
        let fresh = Network::new(&config, 3, &device);
        let network = fresh.clone().pretrained(&file, &config.backbone).unwrap();
        for (index, dims) in [[32, 3, 3, 3], [32, 1, 3, 3]].into_iter().enumerate() {
            let name = config.backbone[index].from.as_ref().unwrap();
            let layer = file.layer(name, dims).unwrap();
            let norm = network.layers[index].norm.as_ref().unwrap();
            assert_eq!(to_vec(network.layers[index].weight.val()), layer.weight);
            assert_eq!(to_vec(norm.gamma.val()), layer.gamma);
            assert_eq!(to_vec(norm.running_var.value()), layer.variance);
        }
        let last = |network: &Network| to_vec(network.layers[2].weight.val());
        assert_eq!(last(&network), last(&fresh));
        let (pretrained, own) = network.parameters_by_origin(&config.backbone);
        let weights = network.layers.iter().map(|layer| layer.weight.id);
        for (index, id) in weights.enumerate() {
            assert_eq!(pretrained.contains(&id), index < 2);
            assert_eq!(own.contains(&id), index >= 2);
        }

        let mut wrong = config.backbone.clone();
        wrong[1].from = Some("block1.depthwise".to_owned());
        assert!(fresh.pretrained(&file, &wrong).is_err());
    }

    #[test]
    fn ranges_follow_the_signs() {
        use Range::{Rectified, Signed};
        let layers = [
            (Activation::Relu, 0),
            (Activation::Relu6, 0),
            (Activation::None, 2),
            (Activation::Relu, 1),
            (Activation::Relu, 1),
        ];
        let expected = [
            Rectified, Rectified, Signed, Signed, Rectified, Signed, Rectified, Signed,
        ];
        assert_eq!(ranges(layers.into_iter()), expected);
    }

    #[test]
    fn shipped_configurations_make_networks() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
        let device = Device::flex();
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let config = Config::read(Some(&entry.unwrap().path()), &[]).unwrap();
            let network = Network::new(&config, 3, &device);
            if let Some(name) = &config.pretrained {
                let file = Pretrained::open(name).unwrap();
                network.pretrained(&file, &config.backbone).unwrap();
            }
            count += 1;
        }
        assert!(count >= 3);
    }
}
