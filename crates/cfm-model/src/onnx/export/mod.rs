//! A model as ONNX files: standard operators only, and the same integers.
//!
//! Three files are made, which share names and metadata:
//!
//! | file | inputs | output |
//! |---|---|---|
//! | `model.onnx` | `image`, `masks` | `logits` |
//! | `backbone.onnx` | `image` | `features` |
//! | `head.onnx` | `segment_vector`, Design A also `region_vector` | `logits` |
//!
//! # Tensors
//!
//! Activations are u8 in the files: `u = q + 128`, zero points likewise. With n segments (a symbolic length, `segments`):
//!
//! | name | type and shape | what |
//! |---|---|---|
//! | `image` | u8 `[1, channels, height, width]` | the pixels; tensor 0 |
//! | `masks` | bool `[n, height, width]` | the segments; each has at least one pixel |
//! | `tensor_I` | u8 `[1, channels, rows, columns]` | output of layer I - 1, I from 1 |
//! | `features` | the same | output of the last layer |
//! | `mask` | bool `[n, rows, columns]` | but for Design B: low-resolution masks, false outside the window (`model.onnx`) |
//! | `bin_mask` | bool `[n, bins, bins]` | Design B: bits of the finest level's bins (`model.onnx`) |
//! | `segment_vector`, `region_vector` | u8 `[n, length]` | pyramids: level, bin row, bin column, channel |
//! | `PATH_fc_I` | u8 `[n, outputs]` | fully connected layer I, from 0, of path `segment`, `region` or `joint` |
//! | `logits` | i16 `[n, classes]` | output of the last joint layer |
//!
//! # Layers
//!
//! A convolution or a fully connected layer that writes tensor T has the initializers `T.weights` (i8), `T.bias` (i32, at the
//! accumulator's scale, of real weights and activations: without the `- z_in * sum(w)` that the `.cfm` file folds in), and,
//! per output channel, `T.weight_scale` (f32) and `T.weight_zero_point` (i8, all 0) in a float form or `T.multiplier` (f64,
//! `mantissa * 2^-shift`) in the integer form. Each layer is one of these patterns, in which constants lie in initializers:
//!
//! - convolution, [`Format::QLinear`]: `QLinearConv`, then `Clip` (on u8) if there is a clamp;
//! - convolution, [`Format::Qdq`]: `DequantizeLinear` of input, weights and bias, `Conv`, `QuantizeLinear`, then `Clip`;
//! - convolution, integer form: `ConvInteger`, `Add` (bias, `[1, out, 1, 1]`), then the exact re-quantization;
//! - fully connected, always: `MatMulInteger` (weights `[in, out]`), `Add` (bias), then the exact re-quantization;
//! - exact re-quantization: `Cast` to f64, `Mul` (multiplier), `Round`, `Add` (zero point), `Clip` (the clamp), `Cast` to u8;
//!   for logits without the zero point, and to i16;
//! - maximum: `MaxPool` on u8;
//! - average: `DequantizeLinear`, `AveragePool` without padding in the count, `QuantizeLinear`;
//! - average, integer form: `Cast` to f32, `Sub` (zero point), `AveragePool`, `Round`, `Add` (zero point), `Cast` to u8;
//! - sum: `DequantizeLinear` twice, `Add`, `QuantizeLinear`, then `Clip` if there is a clamp;
//! - sum, integer form: for each input `Cast` to f64, `Sub` (zero point), `Mul` (`2^(e_in - e_out)`); `Add`; then the exact
//!   re-quantization without its first two operators.
//!
//! The integer form is that of [`Format::Integer`], and of layers that float operators would not compute exactly.
//! "A clamp" is one that u8 does not do by itself: without `Clip` it is `-128 ..= 127`.
//!
//! # Metadata
//!
//! `metadata_props` of all three files, so that each can be read by itself. Lists are JSON.
//!
//! | key | value |
//! |---|---|
//! | `cfm.version` | version of these names: `1` |
//! | `cfm.part` | `model`, `backbone` or `head` |
//! | `cfm.design` | `plain`, `A` or `B` |
//! | `cfm.classifier` | `softmax` or `svm` |
//! | `cfm.mask_rule` | `average`, `max`, `nearest` or `off` |
//! | `cfm.threshold` | of the average rule, in 1/65536; otherwise left out |
//! | `cfm.segment_levels`, `cfm.region_levels` | `[1, 2, 4]`; the second is `[]` unless Design A |
//! | `cfm.quantization` | per quantized tensor (`image`, `tensor_I`, `features`, `PATH_fc_I`, `logits`): `{"NAME": {"zero_point": z, "exponent": e}}`, z of i8: the real value is `(q - z) * 2^e` with `q = u - 128` (`q` itself for logits, z 0) |
//! | `cfm.classes` | in the logits' order: `[{"name": "sky", "kind": "Stuff", "color": [0, 0, 0], "label": 0}]`, a list of [`ClassSpec`] |
//! | `cfm.labelling` | how segments become pixels, as in the JSON of a [`ModelSpec`]; left out if the model does not say |
//! | `cfm.calibration` | [`CalibrationSpec`] as JSON; left out if there is none |
//! | `cfm.proposals` | the `PROP` section in hexadecimal digits; left out if there is none |
//! | `cfm.provenance` | `[["key", "value"]]` |
//!
//! Optional sections that this version does not know are left out.
//!
//! [`ClassSpec`]: crate::spec::ClassSpec
//! [`CalibrationSpec`]: crate::spec::CalibrationSpec
//! [`ModelSpec`]: crate::spec::ModelSpec

mod backbone;
mod classify;
mod graph;
mod mask;
mod metadata;
mod pyramid;
mod requantize;

use std::fmt;
use std::str::FromStr;

use cfm_core::model::Model;
use thiserror::Error;

use crate::onnx::proto::{DataType, ModelProto, OperatorSetIdProto};
use crate::reader::SpecError;
use crate::shape::ShapeError;
use crate::spec::ModelSpec;
use graph::{Graph, Length};

/// Version of the operators that the files use.
pub const OPSET: i64 = 17;
/// Version of the file format; that of the same release of ONNX.
const IR_VERSION: i64 = 8;
/// An image has fewer pixels, so that f32 counts them exactly.
pub const MAX_PIXELS: u32 = 1 << 24;

/// How convolutions and sums are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Float operators between `DequantizeLinear` and `QuantizeLinear`, which runtimes fuse.
    #[default]
    Qdq,
    /// `QLinearConv`; sums as in [`Format::Qdq`], since ONNX has no quantized sum.
    QLinear,
    /// `ConvInteger` and exact re-quantization everywhere: no operator rounds but where the contract does, for any model.
    Integer,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Qdq, Self::QLinear, Self::Integer];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Qdq => "qdq",
            Self::QLinear => "qlinear",
            Self::Integer => "integer",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No format has this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no ONNX format: qdq, qlinear and integer are")]
pub struct FormatError(String);

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(name: &str) -> Result<Self, FormatError> {
        let format = Self::ALL.into_iter().find(|format| format.name() == name);
        format.ok_or_else(|| FormatError(name.to_owned()))
    }
}

/// Why a model cannot be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The model's layers share too much.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The layers do not fit together; never so in a model that was parsed.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The image has [`MAX_PIXELS`] pixels or more.
    #[error("the image has {0} pixels; masks are counted exactly for fewer than {MAX_PIXELS}")]
    Pixels(u32),
}

/// A model as ONNX files.
#[derive(Debug, Clone, PartialEq)]
pub struct OnnxFiles {
    /// Image and masks to logits.
    pub model: ModelProto,
    /// Image to feature map.
    pub backbone: ModelProto,
    /// Pyramid vectors to logits.
    pub head: ModelProto,
}

impl OnnxFiles {
    /// All of them, by the names of their files.
    #[must_use]
    pub const fn all(&self) -> [(&'static str, &ModelProto); 3] {
        [
            ("model.onnx", &self.model),
            ("backbone.onnx", &self.backbone),
            ("head.onnx", &self.head),
        ]
    }
}

/// Writes a model as ONNX.
///
/// # Errors
/// [`ExportError::Spec`] for a file whose layers share too much, [`ExportError::Pixels`] for an image that is too large.
pub fn export(model: &Model<'_>, format: Format) -> Result<OnnxFiles, ExportError> {
    let spec = ModelSpec::try_from(model)?;
    let shapes = spec.tensor_shapes()?;
    let feature = model.feature();
    let [height, width] = [spec.input.height, spec.input.width];
    let pixels = u32::from(height) * u32::from(width);
    if pixels >= MAX_PIXELS {
        return Err(ExportError::Pixels(pixels));
    }

    let mut backbone = Graph::new("backbone");
    backbone::add(&mut backbone, &spec, &shapes, format);
    backbone::declare_features(&mut backbone, feature.shape);

    let mut head = Graph::new("head");
    classify::declare_vectors(&mut head, &spec.head, feature.shape.channels);
    classify::add(&mut head, &spec, feature.zero_point);

    let mut whole = Graph::new("model");
    backbone::add(&mut whole, &spec, &shapes, format);
    let size = [height, width].map(|side| Length::Fixed(side.into()));
    let masks = [Length::Segments, size[0], size[1]];
    let masks = whole.input("masks", DataType::Bool, &masks);
    let projection = mask::project(&mut whole, model, &masks);
    pyramid::pool(&mut whole, model, "features", &masks, &projection);
    classify::add(&mut whole, &spec, feature.zero_point);

    Ok(OnnxFiles {
        model: file(&spec, whole, "model"),
        backbone: file(&spec, backbone, "backbone"),
        head: file(&spec, head, "head"),
    })
}

fn file(spec: &ModelSpec, graph: Graph, part: &str) -> ModelProto {
    ModelProto {
        ir_version: IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph.into_proto()),
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: OPSET,
        }],
        metadata_props: metadata::entries(spec, part),
        ..ModelProto::default()
    }
}
