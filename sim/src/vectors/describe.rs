//! `model.json`: everything about the model that is not an array, and the names of the arrays.

use cfm_core::model::{
    AreaFactor, Class, ClassKind, Classifier, Combination, Design, LabellingRule, MaskRule, Path,
    Shape, Tensor,
};
use cfm_core::receptive_field::Axis;
use cfm_core::requantize::OutputScale;
use cfm_core::segment::Segment;
use serde::Serialize;

use super::arrays::ArrayFile;

/// The whole description.
#[derive(Debug, Clone, Serialize)]
pub struct Description {
    /// What kind of file this is: `cfm-vectors`.
    pub format: &'static str,
    /// Version of the layout.
    pub version: u32,
    /// The image as it went in: u8, height, width, samples.
    pub image: ArrayFile,
    /// All activation tensors: the image's, then each layer's output.
    pub tensors: Vec<TensorDescription>,
    /// The backbone; layer `i` writes tensor `i + 1`.
    pub layers: Vec<LayerDescription>,
    /// From pixels to cells of the feature map.
    pub geometry: Geometry,
    /// The head.
    pub head: HeadDescription,
    /// One class per output of the classifier.
    pub classes: Vec<ClassDescription>,
    /// How segments become pixels.
    pub labelling: LabellingDescription,
    /// The superpixel maps: u16, height, width.
    pub superpixel_maps: Vec<ArrayFile>,
    /// The segments.
    pub segments: Vec<SegmentDescription>,
    /// Segments that were left out.
    pub segments_left_out: usize,
    /// What was computed for the segments, stacked, and the labels.
    pub results: Results,
    /// The model's own provenance.
    pub provenance: String,
}

/// An activation tensor.
#[derive(Debug, Clone, Serialize)]
pub struct TensorDescription {
    /// Quantized value of real zero.
    pub zero_point: i8,
    /// One step is `2^exponent`.
    pub exponent: i8,
    /// Its values: i8, height, width, channels.
    pub values: ArrayFile,
}

impl TensorDescription {
    pub(super) fn new(tensor: Tensor, values: ArrayFile) -> Self {
        Self {
            zero_point: tensor.zero_point,
            exponent: tensor.exponent,
            values,
        }
    }
}

pub(super) fn dimensions(shape: Shape) -> [usize; 3] {
    [shape.height, shape.width, shape.channels].map(usize::from)
}

/// A layer of the backbone.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LayerDescription {
    /// Convolution.
    Conv2d {
        /// The tensor it reads.
        input: usize,
        /// The window.
        window: WindowDescription,
        /// Groups.
        groups: u16,
        /// Weights (out, kernel row, kernel column, in / groups), biases, multipliers, output scale.
        parameters: Box<ParametersDescription>,
    },
    /// Maximum over a window.
    MaxPool {
        /// The tensor it reads.
        input: usize,
        /// The window.
        window: WindowDescription,
    },
    /// Mean over a window's cells inside the image.
    AvgPool {
        /// The tensor it reads.
        input: usize,
        /// The window.
        window: WindowDescription,
    },
    /// Sum.
    Add {
        /// The first tensor it reads.
        input: usize,
        /// The second one.
        second: usize,
        /// Output scale.
        output: OutputDescription,
    },
}

/// A sliding window.
#[derive(Debug, Clone, Serialize)]
pub struct WindowDescription {
    /// Height and width.
    pub kernel: [u8; 2],
    /// Vertical and horizontal stride.
    pub stride: [u8; 2],
    /// Vertical and horizontal dilation.
    pub dilation: [u8; 2],
    /// Top, left, bottom, right.
    pub padding: [u8; 4],
}

/// Output scale and fused activation.
#[derive(Debug, Clone, Serialize)]
pub struct OutputDescription {
    /// Quantized value of real zero.
    pub zero_point: i8,
    /// One step is `2^exponent`.
    pub exponent: i8,
    /// Smallest output.
    pub low: i8,
    /// Largest output.
    pub high: i8,
}

impl From<OutputScale> for OutputDescription {
    fn from(output: OutputScale) -> Self {
        Self {
            zero_point: output.zero_point,
            exponent: output.exponent,
            low: output.low,
            high: output.high,
        }
    }
}

/// Weights, biases and multipliers.
#[derive(Debug, Clone, Serialize)]
pub struct ParametersDescription {
    /// i8.
    pub weights: ArrayFile,
    /// i32, one per output.
    pub biases: ArrayFile,
    /// u16, one per output.
    pub mantissas: ArrayFile,
    /// u8, one per output.
    pub shifts: ArrayFile,
    /// Output scale (of a classifier: only its exponent means anything).
    pub output: OutputDescription,
}

/// Both axes of the map from pixels to cells.
#[derive(Debug, Clone, Serialize)]
pub struct Geometry {
    /// Vertical.
    pub rows: AxisDescription,
    /// Horizontal.
    pub columns: AxisDescription,
}

/// One axis: cell `i` is centred on pixel `jump * i + offset2 / 2`.
#[derive(Debug, Clone, Serialize)]
pub struct AxisDescription {
    /// Distance between centres, in pixels.
    pub jump: i32,
    /// Centre of cell 0, in half pixels.
    pub offset2: i32,
    /// Length in pixels.
    pub pixels: u16,
    /// Length in cells.
    pub cells: u16,
}

impl From<&Axis> for AxisDescription {
    fn from(axis: &Axis) -> Self {
        Self {
            jump: axis.jump(),
            offset2: axis.offset2(),
            pixels: axis.pixels(),
            cells: axis.cells(),
        }
    }
}

/// The head.
#[derive(Debug, Clone, Serialize)]
pub struct HeadDescription {
    /// `plain`, `A` or `B`.
    pub design: &'static str,
    /// `softmax` or `svm`.
    pub classifier: &'static str,
    /// `average`, `max` or `nearest`.
    pub mask_rule: &'static str,
    /// Threshold of the average rule, in 1/65536.
    pub threshold: Option<u16>,
    /// Levels of the segment path's pyramid.
    pub segment_levels: Vec<u8>,
    /// Levels of the region path's pyramid.
    pub region_levels: Vec<u8>,
    /// A logit's real value is `q * 2^logit_exponent`.
    pub logit_exponent: i8,
    /// Segment path, then region path, then joint; the last one is the classifier.
    pub fully_connected: Vec<FullyConnectedDescription>,
}

/// A fully connected layer.
#[derive(Debug, Clone, Serialize)]
pub struct FullyConnectedDescription {
    /// `segment`, `region` or `joint`.
    pub path: &'static str,
    /// Weights (out, in), biases, multipliers, output scale.
    pub parameters: ParametersDescription,
}

/// A class.
#[derive(Debug, Clone, Serialize)]
pub struct ClassDescription {
    /// Name.
    pub name: String,
    /// `stuff`, `object` or `background`.
    pub kind: &'static str,
    /// RGB.
    pub color: [u8; 3],
    /// Value in label images.
    pub label: u8,
}

impl From<Class<'_>> for ClassDescription {
    fn from(class: Class<'_>) -> Self {
        Self {
            name: class.name.to_owned(),
            kind: match class.kind {
                ClassKind::Stuff => "stuff",
                ClassKind::Object => "object",
                ClassKind::Background => "background",
            },
            color: class.color,
            label: class.label,
        }
    }
}

/// The labelling rule.
#[derive(Debug, Clone, Serialize)]
pub struct LabellingDescription {
    /// How overlapping segments are combined.
    #[serde(flatten)]
    pub combination: CombinationDescription,
    /// The superpixel map by which labels are refined.
    pub refinement: Option<u8>,
}

/// How overlapping segments are combined.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum CombinationDescription {
    /// A pixel takes the class of the best segment.
    Paste {
        /// A segment is dropped if this share of its pixels, in 1/65536, belongs to better ones; 0 drops none.
        inhibition: u16,
    },
    /// A pixel takes the class with most votes.
    Vote {
        /// Power of the score.
        power: u8,
        /// What the weight is divided by: `one`, `root` of the area, or `area`.
        divisor: &'static str,
        /// Power of the purity.
        purity: u8,
    },
}

impl From<LabellingRule> for LabellingDescription {
    fn from(rule: LabellingRule) -> Self {
        Self {
            combination: match rule.combination {
                Combination::Paste { inhibition } => CombinationDescription::Paste {
                    inhibition: inhibition.to_bits(),
                },
                Combination::Vote {
                    power,
                    area,
                    purity,
                } => CombinationDescription::Vote {
                    power,
                    divisor: match area {
                        AreaFactor::One => "one",
                        AreaFactor::InverseRoot => "root",
                        AreaFactor::Inverse => "area",
                    },
                    purity,
                },
            },
            refinement: rule.refinement,
        }
    }
}

/// A segment.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum SegmentDescription {
    /// Superpixels of a map.
    Superpixels {
        /// Index of the map.
        map: usize,
        /// Ids.
        members: Vec<u16>,
    },
    /// Runs of pixels: row, first column, one past the last column.
    Runs {
        /// The runs.
        runs: Vec<[u16; 3]>,
    },
}

impl From<&Segment<'_>> for SegmentDescription {
    fn from(segment: &Segment<'_>) -> Self {
        match *segment {
            Segment::Superpixels { map, members } => Self::Superpixels {
                map,
                members: members.to_vec(),
            },
            Segment::Runs(runs) => Self::Runs {
                runs: runs.iter().map(|run| [run.y, run.x0, run.x1]).collect(),
            },
        }
    }
}

/// What was computed, one row per segment.
#[derive(Debug, Clone, Serialize)]
pub struct Results {
    /// u32: pixels.
    pub areas: ArrayFile,
    /// u16: top, left, bottom, right in cells, the last two exclusive.
    pub windows: ArrayFile,
    /// bool: mask over the whole feature map, false outside the window.
    pub masks: ArrayFile,
    /// bool, Design B: mask over the finest level's bins.
    pub bin_masks: Option<ArrayFile>,
    /// i8: the segment path's pyramid.
    pub segment_vectors: ArrayFile,
    /// i8, Design A: the region path's pyramid.
    pub region_vectors: Option<ArrayFile>,
    /// i8: the outputs of every fully connected layer but the classifier.
    pub hidden: Vec<ArrayFile>,
    /// i16: the classifier's outputs.
    pub logits: ArrayFile,
    /// u16, softmax: probabilities in 1/65536.
    pub probabilities: Option<ArrayFile>,
    /// u8: the class of every pixel, 255 where there is none.
    pub labels: ArrayFile,
}

pub(super) const fn design(design: Design) -> &'static str {
    match design {
        Design::Plain => "plain",
        Design::A => "A",
        Design::B => "B",
    }
}

pub(super) const fn classifier(classifier: Classifier) -> &'static str {
    match classifier {
        Classifier::Softmax => "softmax",
        Classifier::Svm => "svm",
    }
}

pub(super) const fn mask_rule(rule: MaskRule) -> (&'static str, Option<u16>) {
    match rule {
        MaskRule::Average { threshold } => ("average", Some(threshold.to_bits())),
        MaskRule::Max => ("max", None),
        MaskRule::Nearest => ("nearest", None),
        MaskRule::Off => ("off", None),
    }
}

pub(super) const fn path(path: Path) -> &'static str {
    match path {
        Path::Segment => "segment",
        Path::Region => "region",
        Path::Joint => "joint",
    }
}
