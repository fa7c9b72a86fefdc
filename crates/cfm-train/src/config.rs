//! What a run is made of: one TOML file that, with the data set, reproduces it.

mod head;
mod sampling;
mod svm;

pub use self::head::{ClassifierConfig, DesignConfig, HeadConfig, MaskConfig, MaskRuleConfig};
pub use self::sampling::{PaperConfig, SamplingConfig, SamplingMethod};
pub use self::svm::SvmConfig;

use std::path::Path;

use cfm_model::bounded_file;
use cfm_model::float_model::Activation;
use cfm_sim::proposal_config::{ProposalConfig, ProposalConfigError, named_or_table};
use serde::{Deserialize, Serialize};

use crate::fake_quantize::Range;
use crate::network::ranges;

/// Everything that shapes a training run. Every field has a default, so a file names only what it changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name written into the model.
    pub name: String,
    /// Seed of everything random: initial weights, order of the images, augmentation, sampling of segments. At most
    /// 2^63 - 1, the largest integer of TOML.
    pub seed: u64,
    /// Size of the network's input.
    pub input: InputSize,
    /// Where the layers that name a source in [`LayerConfig::from`] take their first weights from: `efficientnet-lite0`,
    /// which comes with this crate, or a file in the form of [`crate::pretrained`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<String>,
    /// The convolutional backbone, layer by layer.
    pub backbone: Vec<LayerConfig>,
    /// Pooling and classifier.
    pub head: HeadConfig,
    /// How segments become masks over the feature map.
    pub mask: MaskConfig,
    /// The candidate segments, in training and in the exported model: parameters, or the name of ready-made ones
    /// (`cfm proposals --params`).
    #[serde(deserialize_with = "named_or_table")]
    pub proposals: ProposalConfig,
    /// Random changes of the training images.
    pub augment: AugmentConfig,
    /// Which segments a training step looks at.
    pub sampling: SamplingConfig,
    /// The support vector machines, if the head has them.
    pub svm: SvmConfig,
    /// First phase: training in floats, with batch normalization.
    pub float: FloatPhase,
    /// Second phase: fine-tuning through the fake quantizer, batch normalization folded.
    pub quantized: QuantizedPhase,
    /// Splits of the data set.
    pub data: DataConfig,
    /// Validate after every this many epochs, always after the last of the float phase, and the model that comes out in the
    /// end; never as long as the head has not been trained. 0 for never at all.
    pub validate_every: usize,
}

/// Size of the network's input, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// One convolution of the backbone, followed by batch normalization (folded later) and an activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerConfig {
    /// Output channels.
    pub channels: usize,
    /// Side of the square kernel, odd; the padding keeps the centre.
    #[serde(default = "three")]
    pub kernel: usize,
    /// Stride, the same both ways.
    #[serde(default = "one")]
    pub stride: usize,
    /// Dilation, the same both ways.
    #[serde(default = "one")]
    pub dilation: usize,
    /// Groups; equal to the channels for a depthwise layer.
    #[serde(default = "one")]
    pub groups: usize,
    /// What follows the normalization.
    #[serde(default = "relu")]
    pub activation: Activation,
    /// Add to the output what this many layers up to this one were given: 1 for the layer's own input, 3 for that of
    /// an inverted residual block (expand, depthwise, project), 0 for nothing. The sum is not rectified again.
    #[serde(default)]
    pub residual: usize,
    /// Name of the layer in [`Config::pretrained`] whose weights and normalization this layer starts with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

const fn relu() -> Activation {
    Activation::Relu
}

const fn one() -> usize {
    1
}

const fn three() -> usize {
    3
}

impl LayerConfig {
    /// A 3x3 layer.
    #[must_use]
    pub const fn new(channels: usize, stride: usize) -> Self {
        Self {
            channels,
            kernel: 3,
            stride,
            dilation: 1,
            groups: 1,
            activation: Activation::Relu,
            residual: 0,
            from: None,
        }
    }

    /// Rows and columns of padding on every side.
    #[must_use]
    pub const fn padding(&self) -> usize {
        self.dilation * (self.kernel - 1) / 2
    }

    /// Output length for an input of `n`.
    #[must_use]
    pub const fn output(&self, n: usize) -> usize {
        (n + 2 * self.padding() - self.dilation * (self.kernel - 1) - 1) / self.stride + 1
    }
}

/// Random changes of the training images; all of them keep labels and superpixels aligned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentConfig {
    /// Mirror half of the images.
    pub flip: bool,
    /// Largest change of brightness, as a share of the full range.
    pub brightness: f32,
    /// Largest relative change of contrast.
    pub contrast: f32,
    /// Largest relative change of each colour channel.
    pub color: f32,
    /// Largest change of saturation, as a factor (1 for none): colours are scaled by between its inverse and itself.
    pub saturation: f32,
    /// Largest exponent of the tone curve (1 for none): between its inverse and itself.
    pub gamma: f32,
    /// Largest zoom into the image (1 for none); the crop is placed at random.
    pub zoom: f32,
}

/// Training in floats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FloatPhase {
    /// Passes over the training images.
    pub epochs: usize,
    /// Of these, the first passes that train the backbone by the dense loss alone.
    pub dense_epochs: usize,
    /// Weight of the dense loss afterwards.
    pub dense_weight: f32,
    /// Images a step.
    pub batch: usize,
    /// Peak of the one-cycle learning rate.
    pub lr: f64,
    /// Share of the cycle in which the rate rises.
    pub warmup: f64,
    /// The rate of layers with pretrained weights, as a share of that of the others: in this phase, and in the second one
    /// as well.
    pub pretrained_rate: f64,
    /// This many layers, the first of the backbone, stay as they are in this phase. In the second one they move with the
    /// others: their rounding to integers is what it makes up for.
    pub frozen_layers: usize,
    /// Momentum of the stochastic gradient descent.
    pub momentum: f64,
    /// Weight decay.
    pub weight_decay: f32,
}

/// Fine-tuning through the fake quantizer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuantizedPhase {
    /// Passes over the training images; 0 quantizes the float network as it is.
    pub epochs: usize,
    /// First learning rate; it falls to zero along a cosine. Layers with pretrained weights have
    /// [`FloatPhase::pretrained_rate`] times this rate.
    pub lr: f64,
    /// Training images from which the exponents of the activations are chosen.
    pub calibration_images: usize,
}

/// Splits of the data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Split that is trained on (`NAME.txt` in the data set).
    pub train: String,
    /// Split that is validated on.
    pub val: String,
    /// Names of classes to leave out: the model does not know them, and their pixels count for nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leave_out: Vec<String>,
    /// Train on the photographs of both splits that are not of this drive, and validate on those that are:
    /// [`crate::data::drive`] says which one a photograph is named after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_out: Option<String>,
    /// Use only the first images of each split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        let layer = LayerConfig::new;
        Self {
            name: "model".to_owned(),
            seed: 1,
            input: InputSize {
                width: 240,
                height: 180,
            },
            pretrained: None,
            backbone: vec![
                layer(16, 2),
                layer(16, 1),
                layer(32, 2),
                layer(32, 1),
                layer(64, 2),
                layer(64, 1),
                layer(64, 1),
                layer(64, 1),
            ],
            head: HeadConfig::default(),
            mask: MaskConfig::default(),
            proposals: ProposalConfig::default(),
            augment: AugmentConfig::default(),
            sampling: SamplingConfig::default(),
            svm: SvmConfig::default(),
            float: FloatPhase::default(),
            quantized: QuantizedPhase::default(),
            data: DataConfig::default(),
            validate_every: 4,
        }
    }
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            flip: true,
            brightness: 0.1,
            contrast: 0.2,
            color: 0.0,
            saturation: 1.0,
            gamma: 1.0,
            zoom: 1.0,
        }
    }
}

impl AugmentConfig {
    /// What makes no sense in it, if anything.
    fn complaint(&self) -> Option<&'static str> {
        let factors = [self.saturation, self.gamma, self.zoom];
        if !factors.iter().all(|factor| (1.0..=16.0).contains(factor)) {
            return Some("zoom, saturation or gamma is not between 1 and 16");
        }
        let shares = [self.brightness, self.contrast, self.color];
        (!shares.iter().all(|share| (0.0..=1.0).contains(share)))
            .then_some("brightness, contrast or color is not between 0 and 1")
    }
}

/// Whether it is a learning rate, or a factor of one.
fn is_rate(rate: f64) -> bool {
    (0.0..=100.0).contains(&rate)
}

impl FloatPhase {
    /// What makes no sense in it, if anything.
    fn complaint(&self) -> Option<&'static str> {
        if self.batch == 0 {
            return Some("the batch is empty");
        }
        if self.dense_epochs > self.epochs {
            return Some("dense_epochs exceeds epochs");
        }
        if !is_rate(self.lr) || !is_rate(self.pretrained_rate) {
            return Some("lr or pretrained_rate is not between 0 and 100");
        }
        if !(0.0..=1.0).contains(&self.warmup) || !(0.0..1.0).contains(&self.momentum) {
            return Some(
                "warmup is not between 0 and 1, or momentum not between 0 and less than 1",
            );
        }
        let weights = [self.dense_weight, self.weight_decay];
        (!weights.iter().all(|weight| (0.0..=1000.0).contains(weight)))
            .then_some("dense_weight or weight_decay is not between 0 and 1000")
    }
}

impl QuantizedPhase {
    /// What makes no sense in it, if anything.
    fn complaint(&self) -> Option<&'static str> {
        (!is_rate(self.lr)).then_some("the lr of the quantized phase is not between 0 and 100")
    }
}

impl Default for FloatPhase {
    fn default() -> Self {
        Self {
            epochs: 24,
            dense_epochs: 12,
            dense_weight: 0.5,
            batch: 4,
            lr: 0.08,
            warmup: 0.25,
            pretrained_rate: 1.0,
            frozen_layers: 0,
            momentum: 0.9,
            weight_decay: 1e-4,
        }
    }
}

impl Default for QuantizedPhase {
    fn default() -> Self {
        Self {
            epochs: 6,
            lr: 0.01,
            calibration_images: 16,
        }
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            train: "train".to_owned(),
            val: "val".to_owned(),
            leave_out: Vec::new(),
            hold_out: None,
            limit: None,
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The file is not a configuration.
    #[error("{path}: {source}")]
    Parse {
        /// The file.
        path: String,
        /// What went wrong.
        source: Box<toml::de::Error>,
    },
    /// The proposals' parameters make no sense.
    #[error("proposals: {0}")]
    Proposals(#[from] ProposalConfigError),
    /// A value makes no sense.
    #[error("{0}")]
    Value(String),
}

/// Most bytes of a configuration.
const MAX_FILE: u64 = 1 << 20;

impl Config {
    /// Reads a TOML file and sets single values in it, each as `key=value` with a dotted key and a TOML value; a value
    /// that is no TOML is taken for a string. Without a file, the values change the default configuration.
    ///
    /// # Errors
    /// When the file cannot be read, it or a setting names unknown fields, or holds values that make no sense.
    pub fn read(path: Option<&Path>, settings: &[String]) -> Result<Self, ConfigError> {
        let name = path.map_or("default".to_owned(), |path| path.display().to_string());
        let text = match path {
            Some(path) => {
                bounded_file::read_text(path, MAX_FILE).map_err(|source| ConfigError::Read {
                    path: name.clone(),
                    source,
                })?
            }
            None => String::new(),
        };
        let parse = |source| ConfigError::Parse {
            path: name.clone(),
            source: Box::new(source),
        };
        let mut table: toml::Table = text.parse().map_err(parse)?;
        for setting in settings {
            set(&mut table, setting)?;
        }
        // Through text again, so that an error shows the place.
        let text = if settings.is_empty() {
            text
        } else {
            table.to_string()
        };
        let config: Self = toml::from_str(&text).map_err(parse)?;
        config.check()?;
        Ok(config)
    }

    /// Checks that the values make sense together.
    ///
    /// # Errors
    /// [`ConfigError::Value`] or [`ConfigError::Proposals`] names the first that does not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |text: &str| Err(ConfigError::Value(text.to_owned()));
        if i64::try_from(self.seed).is_err() {
            return refuse("the seed exceeds 2^63 - 1, the largest integer of TOML");
        }
        if self.input.width == 0 || self.input.height == 0 {
            return refuse("the input size is zero");
        }
        if self.backbone.is_empty() {
            return refuse("the backbone has no layer");
        }
        let mut channels = 3;
        // Channels and scale of what every layer is given.
        let mut given = Vec::new();
        let mut scale = 1_usize;
        for (index, layer) in self.backbone.iter().enumerate() {
            if layer.channels == 0 || layer.stride == 0 || layer.dilation == 0 {
                return refuse(&format!("backbone layer {index} holds a zero"));
            }
            if layer.kernel % 2 == 0 {
                return refuse(&format!("backbone layer {index} has an even kernel"));
            }
            let fields = [layer.kernel, layer.stride, layer.dilation];
            if fields.iter().any(|&field| field > 255) || layer.padding() > 255 {
                return refuse(&format!(
                    "a kernel, stride, dilation or padding of backbone layer {index} exceeds 255"
                ));
            }
            if layer.channels > usize::from(u16::MAX) {
                return refuse(&format!(
                    "backbone layer {index} has more than 65535 channels"
                ));
            }
            if layer.groups == 0
                || channels % layer.groups != 0
                || layer.channels % layer.groups != 0
            {
                return refuse(&format!(
                    "the groups of backbone layer {index} do not divide its channels"
                ));
            }
            given.push((channels, scale));
            let Some(spacing) = scale.checked_mul(layer.stride) else {
                return refuse(&format!(
                    "the strides up to backbone layer {index} are too large together"
                ));
            };
            scale = spacing;
            channels = layer.channels;
            if layer.residual > given.len() {
                return refuse(&format!(
                    "the residual of backbone layer {index} starts before the first layer"
                ));
            }
            if layer.residual > 0 && given[given.len() - layer.residual] != (channels, scale) {
                return refuse(&format!(
                    "the residual of backbone layer {index} adds tensors of different sizes"
                ));
            }
            if layer.from.is_some() && self.pretrained.is_none() {
                return refuse(&format!(
                    "backbone layer {index} names pretrained weights, but the configuration names none"
                ));
            }
        }
        let complaints = [
            self.head.complaint(),
            self.mask.complaint(),
            self.sampling.complaint(),
            self.svm.complaint(),
        ];
        if let Some(complaint) = complaints.into_iter().flatten().next() {
            return refuse(complaint);
        }
        // A masked cell counts as zero, and no cell of the segment may count as less.
        let layers = self.backbone.iter().map(|l| (l.activation, l.residual));
        if ranges(layers).last() == Some(&Range::Signed) {
            return refuse(
                "the feature map can be negative: end the backbone with a rectified layer",
            );
        }
        self.proposals.params()?;
        if let Some(complaint) = self.float.complaint().or(self.quantized.complaint()) {
            return refuse(complaint);
        }
        if self.float.frozen_layers > self.backbone.len() {
            return refuse("more layers are frozen than the backbone has");
        }
        if self.data.limit == Some(0) {
            return refuse("the limit leaves no image");
        }
        match self.augment.complaint() {
            Some(complaint) => refuse(complaint),
            None => Ok(()),
        }
    }

    /// The configuration as TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration is always representable as TOML")
    }
}

/// Sets `key=value` in a table.
fn set(table: &mut toml::Table, setting: &str) -> Result<(), ConfigError> {
    let refuse = |why: &str| Err(ConfigError::Value(format!("{setting}: {why}")));
    let Some((key, value)) = setting.split_once('=') else {
        return refuse("a setting has the form key=value");
    };
    let parsed = format!("value = {value}")
        .parse::<toml::Table>()
        .ok()
        .filter(|parsed| parsed.len() == 1)
        .and_then(|mut parsed| parsed.remove("value"));
    // It would be taken for a string, but was meant as a number.
    let number = value.trim().parse::<i128>();
    if parsed.is_none() && number.is_ok_and(|number| i64::try_from(number).is_err()) {
        return refuse("TOML has no number beyond 2^63; give a string in quotation marks");
    }
    let value = parsed.unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let mut keys: Vec<&str> = key.trim().split('.').collect();
    let Some(last) = keys.pop().filter(|last| !last.is_empty()) else {
        return refuse("the key is empty");
    };
    let mut table = table;
    for key in keys {
        let inner = table
            .entry(key)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let Some(inner) = inner.as_table_mut() else {
            return refuse(&format!("{key} is no table"));
        };
        table = inner;
    }
    table.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_survives_toml() {
        let config = Config::default();
        config.check().unwrap();
        assert_eq!(toml::from_str::<Config>(&config.to_toml()).unwrap(), config);
    }

    #[test]
    fn numbers_that_toml_does_not_have_are_refused() {
        let largest = i64::MAX.unsigned_abs();
        let seeded = |seed| Config {
            seed,
            ..Config::default()
        };
        let config = seeded(largest);
        config.check().unwrap();
        assert_eq!(toml::from_str::<Config>(&config.to_toml()).unwrap(), config);
        let error = seeded(largest + 1).check().unwrap_err().to_string();
        assert!(error.contains("the seed exceeds 2^63 - 1"), "{error}");

        let read = |setting: String| Config::read(None, &[setting]);
        assert_eq!(read(format!("seed={largest}")).unwrap().seed, largest);
        let error = read(format!("seed={}", largest + 1)).unwrap_err();
        assert!(error.to_string().contains("beyond 2^63"), "{error}");
        let long = "9".repeat(25);
        assert_eq!(read(format!("name=\"{long}\"")).unwrap().name, long);
        assert_eq!(read("name=007".to_owned()).unwrap().name, "007");
    }

    #[test]
    fn strides_that_overflow_are_refused() {
        let config = Config {
            backbone: vec![LayerConfig::new(8, 255); 9],
            ..Config::default()
        };
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("strides up to backbone layer 8"), "{error}");
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(toml::from_str::<Config>("sead = 3").is_err());
    }

    #[test]
    fn settings_change_single_values() {
        let read = |settings: &[&str]| {
            let settings: Vec<String> = settings.iter().map(|&s| s.to_owned()).collect();
            Config::read(None, &settings)
        };
        let config = read(&["seed=7", "float.lr=0.5", "name=thing", "head.levels=[6, 1]"]).unwrap();
        let mut expected = Config {
            seed: 7,
            name: "thing".to_owned(),
            ..Config::default()
        };
        expected.float.lr = 0.5;
        expected.head.levels = vec![6, 1];
        assert_eq!(config, expected);
        for wrong in [
            "seed",
            "=3",
            "sead=3",
            "seed=x",
            "seed.x=3",
            "float.batch=0",
            "float.",
        ] {
            assert!(read(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn senseless_values_are_refused() {
        for text in [
            "input = { width = 0, height = 3 }",
            "backbone = []",
            "backbone = [{ channels = 8, stride = 0 }]",
            "backbone = [{ channels = 8, kernel = 2 }]",
            "backbone = [{ channels = 8, kernel = 0 }]",
            "backbone = [{ channels = 8, residual = 1 }]",
            "backbone = [{ channels = 3, residual = 2 }]",
            "backbone = [{ channels = 8 }, { channels = 3, stride = 2, residual = 2 }]",
            "backbone = [{ channels = 8, activation = \"none\" }]",
            "backbone = [{ channels = 3, residual = 1 }]",
            "backbone = [{ channels = 8, from = \"stem\" }]",
            "backbone = [{ channels = 8, groups = 2 }]",
            "[head]\nlevels = [3, 0]",
            "[head]\nlevels = [3, 1, 3]",
            "[head]\nlevels = [33]",
            "[head]\nlevels = [1, 2, 3, 4, 5, 6, 7, 8, 9]",
            "[head]\nhidden = 0",
            "[mask]\nthreshold = 0.0",
            "[mask]\nthreshold = nan",
            "[svm]\ncost = 0.0",
            "[svm]\nfew = 2.0",
            "[svm]\nrounds = 0",
            "[sampling]\npure_share = 1.5",
            "[sampling.paper]\nobjects = 0.6\nstuff = 0.6",
            "[sampling.paper]\nbackground_iou = [0.1, 0.5]",
            "[sampling.paper]\nbackground_purity = 0.7",
            "[proposals]\nscales = []",
            "[proposals]\nmax_segments = 0",
            "[float]\nbatch = 0",
            "[float]\nfrozen_layers = 9",
            "[float]\nepochs = 1\ndense_epochs = 2",
            "[augment]\nzoom = 0.5",
            "[augment]\ngamma = nan",
            "[augment]\nbrightness = nan",
            "[augment]\ncontrast = 1.5",
            "[augment]\ncolor = -0.1",
            "backbone = [{ channels = 8, stride = 258 }]",
            "backbone = [{ channels = 8, kernel = 257 }]",
            "backbone = [{ channels = 8, kernel = 5, dilation = 200 }]",
            "backbone = [{ channels = 65536 }]",
            "[head]\nhidden = 65536",
            "[float]\nlr = nan",
            "[float]\nwarmup = 1.5",
            "[float]\nmomentum = 1.0",
            "[float]\ndense_weight = -1.0",
            "[quantized]\nlr = inf",
            "[sampling]\npure = 0\nmixed = 0",
            "[sampling]\npure = 9000000000000000000",
            "[sampling]\nmethod = \"paper\"\n[sampling.paper]\nsegments = 0",
            "[sampling]\nmethod = \"paper\"\n[sampling.paper]\nsegments = 1",
            "[sampling]\nmethod = \"paper\"\n[sampling.paper]\nobjects = 0.0\nstuff = 0.0",
            "[sampling.paper]\nsegments = 70000",
            "[data]\nlimit = 0",
        ] {
            let config: Config = toml::from_str(text).unwrap();
            assert!(config.check().is_err(), "{text}");
        }
    }
}
