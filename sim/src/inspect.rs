//! What a model is made of and what it costs: layers, memory, flash.

use cfm_core::model::format::{HEADER_LEN, SECTION_ENTRY_LEN, tag};
use cfm_core::model::{
    ClassKind, Classifier, Design, Layer, MaskRule, Model, Operation, Path, Shape, Tensor,
};
use cfm_model::reader::MAX_PROVENANCE;
use cfm_proposals::Params;
use serde::Serialize;

use crate::labelling::RuleSpec;

/// Everything about a model that can be said without running it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// Size of the file in bytes.
    pub file_bytes: usize,
    /// The image: height, width, samples per pixel.
    pub input: [u16; 3],
    /// The feature map: height, width, channels.
    pub feature_map: [u16; 3],
    /// Distance between neighbouring cells in pixels, down and across.
    pub stride: [i32; 2],
    /// The backbone.
    pub layers: Vec<LayerReport>,
    /// The head.
    pub head: HeadReport,
    /// Multiply-accumulates of the backbone, once per image.
    pub backbone_macs: u64,
    /// Multiply-accumulates of the fully connected layers, once per segment.
    pub segment_macs: u64,
    /// Weights of all layers.
    pub parameters: u64,
    /// The arena.
    pub arena: ArenaReport,
    /// The flash.
    pub flash: Vec<SectionReport>,
    /// How segments become pixels, as `--labelling` takes it.
    pub labelling: RuleSpec,
    /// How proposals are made.
    pub proposals: String,
    /// The classifier's outputs.
    pub classes: Vec<ClassReport>,
    /// How the model was made, line by line; nothing if that is longer than [`MAX_PROVENANCE`].
    pub provenance: Vec<(String, String)>,
}

/// A layer of the backbone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerReport {
    /// What it computes.
    pub kind: &'static str,
    /// The tensors it reads; 0 is the image.
    pub inputs: Vec<usize>,
    /// Its output: height, width, channels.
    pub output: [u16; 3],
    /// Height and width of its window.
    pub kernel: [u8; 2],
    /// Vertical and horizontal stride.
    pub stride: [u8; 2],
    /// Vertical and horizontal dilation.
    pub dilation: [u8; 2],
    /// Padding: top, left, bottom, right.
    pub padding: [u8; 4],
    /// Groups of a convolution, otherwise 1.
    pub groups: u16,
    /// Zero point of the output.
    pub zero_point: i8,
    /// Exponent of the output's scale.
    pub exponent: i8,
    /// Weights and biases.
    pub parameters: u64,
    /// Multiply-accumulates per image.
    pub macs: u64,
}

/// The head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeadReport {
    /// Plain, A or B.
    pub design: &'static str,
    /// Softmax or SVM.
    pub classifier: &'static str,
    /// How a segment becomes a mask.
    pub mask_rule: String,
    /// Pyramid levels of the segment path.
    pub segment_levels: Vec<u8>,
    /// Pyramid levels of the region path.
    pub region_levels: Vec<u8>,
    /// The fully connected layers.
    pub layers: Vec<FullyConnectedReport>,
}

/// A fully connected layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FullyConnectedReport {
    /// Segment, region or joint.
    pub path: &'static str,
    /// Length of the input vector.
    pub inputs: usize,
    /// Length of the output vector.
    pub outputs: usize,
    /// Weights and biases.
    pub parameters: u64,
    /// Multiply-accumulates per segment.
    pub macs: u64,
}

/// The memory that the executor and the scorer need. Line buffers and scratch share their place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArenaReport {
    /// What the core asks for.
    pub total_bytes: usize,
    /// The feature map.
    pub feature_map_bytes: usize,
    /// All line buffers together.
    pub line_bytes: usize,
    /// What the kernels work in beside the line buffers.
    pub kernel_bytes: usize,
    /// The scorer's scratch memory.
    pub scratch_bytes: usize,
    /// For comparison, what convolving layer by layer would take: the largest sum of a layer's whole inputs and its
    /// whole output, as if nothing else had to be kept.
    pub layer_at_a_time_bytes: usize,
    /// The image and every layer's output.
    pub tensors: Vec<TensorReport>,
}

/// A tensor's place in the arena.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TensorReport {
    /// Number of the tensor; 0 is the image.
    pub tensor: usize,
    /// Height, width, channels.
    pub shape: [u16; 3],
    /// Rows kept at once.
    pub rows: u16,
    /// Bytes of these rows.
    pub bytes: usize,
}

/// A part of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SectionReport {
    /// Tag of the section.
    pub section: String,
    /// What it holds.
    pub content: &'static str,
    /// Its length.
    pub bytes: usize,
}

/// A class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassReport {
    /// Name.
    pub name: String,
    /// Stuff, object or background.
    pub kind: &'static str,
    /// Value in label images; background classes have none.
    pub label: Option<u8>,
    /// RGB colour in pictures.
    pub color: [u8; 3],
}

const SECTIONS: [([u8; 4], &str); 11] = [
    (tag::INPUT, "image"),
    (tag::LAYERS, "layers"),
    (tag::CHANNELS, "biases and multipliers"),
    (tag::WEIGHTS, "weights"),
    (tag::WEIGHT_QUADS, "weights in quads"),
    (tag::HEAD, "head"),
    (tag::CLASSES, "classes"),
    (tag::LABELLING, "labelling rule"),
    (tag::CALIBRATION, "calibration"),
    (tag::PROPOSALS, "proposal parameters"),
    (tag::PROVENANCE, "provenance"),
];

const fn dimensions(shape: Shape) -> [u16; 3] {
    [shape.height, shape.width, shape.channels]
}

/// Describes a model.
#[must_use]
pub fn inspect(model: &Model<'_>) -> Inspection {
    let layers = layers(model);
    let head = head(model);
    let sum = |values: &mut dyn Iterator<Item = u64>| values.sum::<u64>();
    Inspection {
        file_bytes: model.bytes().len(),
        input: dimensions(model.input()),
        feature_map: dimensions(model.feature().shape),
        stride: [model.rows().jump(), model.columns().jump()],
        backbone_macs: sum(&mut layers.iter().map(|layer| layer.macs)),
        segment_macs: sum(&mut head.layers.iter().map(|layer| layer.macs)),
        parameters: sum(&mut layers
            .iter()
            .map(|layer| layer.parameters)
            .chain(head.layers.iter().map(|layer| layer.parameters))),
        layers,
        head,
        arena: arena(model),
        flash: flash(model),
        labelling: RuleSpec(model.labelling()),
        proposals: proposals(model),
        classes: classes(model),
        provenance: provenance(model.provenance()),
    }
}

/// Keys and values of all lines that are not empty; a line that has no key stands as it is.
fn provenance(text: &str) -> Vec<(String, String)> {
    if text.len() > MAX_PROVENANCE {
        return Vec::new();
    }
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| match line.split_once('=') {
            Some((key, value)) => (key.trim().to_owned(), value.trim().to_owned()),
            None => (String::new(), line.to_owned()),
        })
        .collect()
}

fn layers(model: &Model<'_>) -> Vec<LayerReport> {
    let outputs = model.tensors().iter().skip(1);
    model
        .layers()
        .zip(outputs)
        .map(|(layer, tensor)| {
            let window = layer.operation.window();
            let (kind, groups, filters) = match layer.operation {
                Operation::Conv2d(conv) => ("conv2d", conv.groups, Some(conv.parameters)),
                Operation::MaxPool { .. } => ("max_pool", 1, None),
                Operation::AvgPool { .. } => ("avg_pool", 1, None),
                Operation::Add { .. } => ("add", 1, None),
            };
            let weights = filters.map_or(0, |filters| filters.weights.len() as u64);
            let biases = filters.map_or(0, |filters| filters.channels.len() as u64);
            let cells = u64::from(tensor.shape.height) * u64::from(tensor.shape.width);
            LayerReport {
                kind,
                inputs: std::iter::once(layer.input)
                    .chain(layer.operation.second())
                    .collect(),
                output: dimensions(tensor.shape),
                kernel: window.kernel,
                stride: window.stride,
                dilation: window.dilation,
                padding: window.padding,
                groups,
                zero_point: tensor.zero_point,
                exponent: tensor.exponent,
                parameters: weights + biases,
                macs: weights * cells,
            }
        })
        .collect()
}

fn head(model: &Model<'_>) -> HeadReport {
    let head = model.head();
    let layers = [
        (Path::Segment, "segment"),
        (Path::Region, "region"),
        (Path::Joint, "joint"),
    ]
    .into_iter()
    .flat_map(|(path, name)| {
        head.layers(path).map(move |layer| FullyConnectedReport {
            path: name,
            inputs: layer.inputs,
            outputs: layer.outputs,
            parameters: (layer.inputs as u64 + 1) * layer.outputs as u64,
            macs: layer.inputs as u64 * layer.outputs as u64,
        })
    })
    .collect();
    HeadReport {
        design: match head.design {
            Design::Plain => "plain",
            Design::A => "A",
            Design::B => "B",
        },
        classifier: match head.classifier {
            Classifier::Softmax => "softmax",
            Classifier::Svm => "svm",
        },
        mask_rule: match head.mask_rule {
            MaskRule::Average { threshold } => {
                format!("average >= {:.4}", threshold.to_num::<f64>())
            }
            MaskRule::Max => "maximum".to_owned(),
            MaskRule::Nearest => "nearest".to_owned(),
            MaskRule::Off => "off".to_owned(),
        },
        segment_levels: head.segment_levels.as_slice().to_vec(),
        region_levels: head.region_levels.as_slice().to_vec(),
        layers,
    }
}

fn arena(model: &Model<'_>) -> ArenaReport {
    ArenaReport {
        total_bytes: model.arena_bytes(),
        feature_map_bytes: model.feature_bytes(),
        line_bytes: model.line_bytes(),
        kernel_bytes: model.kernel_bytes(),
        layer_at_a_time_bytes: layer_at_a_time(model),
        scratch_bytes: model.scratch_bytes(),
        tensors: model
            .tensors()
            .iter()
            .enumerate()
            .map(|(number, tensor)| TensorReport {
                tensor: number,
                shape: dimensions(tensor.shape),
                rows: tensor.rows,
                bytes: usize::from(tensor.rows) * tensor.shape.row_len(),
            })
            .collect(),
    }
}

fn layer_at_a_time(model: &Model<'_>) -> usize {
    let tensors = model.tensors();
    let buffers = |(layer, output): (Layer<'_>, &Tensor)| {
        let inputs = std::iter::once(layer.input).chain(layer.operation.second());
        inputs
            .map(|input| tensors[input].shape.len())
            .sum::<usize>()
            + output.shape.len()
    };
    let layers = model.layers().zip(&tensors[1..]);
    layers.map(buffers).max().unwrap_or(0)
}

/// The known sections in the format's order, the header with the section table, and whatever else the file holds.
fn flash(model: &Model<'_>) -> Vec<SectionReport> {
    let mut reports: Vec<SectionReport> = SECTIONS
        .iter()
        .filter_map(|&(tag, content)| {
            Some(SectionReport {
                section: String::from_utf8_lossy(&tag).into_owned(),
                content,
                bytes: model.section(tag)?.len(),
            })
        })
        .collect();
    let table = SECTION_ENTRY_LEN * reports.len();
    reports.push(SectionReport {
        section: "-".to_owned(),
        content: "header and section table",
        bytes: HEADER_LEN + table,
    });
    let known: usize = reports.iter().map(|report| report.bytes).sum();
    reports.push(SectionReport {
        section: "-".to_owned(),
        content: "alignment and unknown sections",
        bytes: model.bytes().len().saturating_sub(known),
    });
    reports
}

fn proposals(model: &Model<'_>) -> String {
    let Some(bytes) = model.section(tag::PROPOSALS) else {
        return format!("default: {}", describe_params(&Params::DEFAULT));
    };
    match <&[u8; Params::BYTES]>::try_from(bytes) {
        Err(_) => format!(
            "refused: {} bytes instead of {}",
            bytes.len(),
            Params::BYTES
        ),
        Ok(bytes) => match Params::from_bytes(bytes) {
            Err(error) => format!("refused: {error}"),
            Ok(params) => describe_params(&params),
        },
    }
}

fn describe_params(params: &Params) -> String {
    let scales: Vec<String> = params
        .scales()
        .iter()
        .enumerate()
        .map(|(at, scale)| match params.slic(at) {
            Some(slic) => format!(
                "SLIC spacing {} (at least {} pixels)",
                slic.spacing, slic.min_size
            ),
            None => format!("k {} (at least {} pixels)", scale.k, scale.min_size),
        })
        .collect();
    format!(
        "superpixels at {}; {} grouping(s) each; at most {} segments",
        scales.join(", "),
        params.mixes().len() + usize::from(params.contours()),
        params.max_segments()
    )
}

fn classes(model: &Model<'_>) -> Vec<ClassReport> {
    model
        .classes()
        .map(|class| ClassReport {
            name: class.name.to_owned(),
            kind: match class.kind {
                ClassKind::Stuff => "stuff",
                ClassKind::Object => "object",
                ClassKind::Background => "background",
            },
            label: (class.kind != ClassKind::Background).then_some(class.label),
            color: class.color,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn superpixels_are_called_by_what_makes_them() {
        assert_eq!(
            describe_params(&Params::SCENE),
            "superpixels at k 100 (at least 40 pixels), k 300 (at least 100 pixels), SLIC spacing 20 (at least 50 pixels); 5 \
             grouping(s) each; at most 1000 segments"
        );
    }
}
