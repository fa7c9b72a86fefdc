//! The names of a model's tensors in a report.

use cfm_core::model::{
    AreaFactor, Classifier, Combination, Design, LabellingRule, Layer, MaskRule, Model, Operation,
    Path, Shape,
};

use crate::labelling::RuleSpec;

/// How a report calls the tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// By their place in the model.
    Layers,
    /// By what computes them, so that the reports of many models can be merged.
    Kinds,
}

/// How the names by kind begin, in the order of computation.
const KINDS: [&str; 20] = [
    "image",
    "conv2d",
    "max pool",
    "average pool",
    "add",
    "feature map",
    "segment area",
    "segment window",
    "mask",
    "bin mask",
    "segment pyramid",
    "region pyramid",
    "segment FC",
    "region FC",
    "joint FC",
    "logits (SVM)",
    "logits (softmax)",
    "logits (one call)",
    "probabilities",
    "labels",
];

/// A sort key that brings names by kind into the order of computation.
pub(super) fn place(name: &str) -> (usize, &str) {
    let kind = KINDS.iter().position(|kind| name.starts_with(kind));
    (kind.unwrap_or(KINDS.len()), name)
}

pub(super) struct Names {
    pub(super) tensors: Vec<String>,
    /// Width and channels of each tensor.
    pub(super) dimensions: Vec<[usize; 2]>,
    pub(super) area: &'static str,
    pub(super) window: &'static str,
    pub(super) mask: String,
    pub(super) bin_mask: String,
    pub(super) segment_vector: String,
    pub(super) region_vector: String,
    pub(super) hidden: Vec<String>,
    pub(super) logits: String,
    pub(super) probabilities: String,
    pub(super) labels: String,
    pub(super) whole_image: &'static str,
    pub(super) one_call: &'static str,
}

impl Names {
    pub(super) fn new(model: &Model<'_>, rule: LabellingRule, naming: Naming) -> Self {
        let head = model.head();
        let mut tensors = vec!["image".to_owned()];
        for (i, layer) in model.layers().enumerate() {
            let kind = kind(model, &layer);
            tensors.push(match naming {
                Naming::Layers => format!("layer {i} {kind}"),
                Naming::Kinds => kind.to_owned(),
            });
        }
        let design = match head.design {
            Design::Plain => "plain",
            Design::A => "design A",
            Design::B => "design B",
        };
        let mask_rule = match head.mask_rule {
            MaskRule::Average { .. } => "average",
            MaskRule::Max => "maximum",
            MaskRule::Nearest => "nearest",
            MaskRule::Off => "off",
        };
        let classifier = match head.classifier {
            Classifier::Softmax => "softmax",
            Classifier::Svm => "SVM",
        };
        Self {
            tensors,
            dimensions: model
                .tensors()
                .iter()
                .map(|tensor| dimensions(tensor.shape))
                .collect(),
            area: "segment area",
            window: "segment window",
            mask: format!("mask ({mask_rule})"),
            bin_mask: format!("bin mask ({mask_rule})"),
            segment_vector: format!("segment pyramid ({design})"),
            region_vector: format!("region pyramid ({design})"),
            hidden: hidden(model, naming),
            logits: format!("logits ({classifier})"),
            probabilities: "probabilities".to_owned(),
            labels: labels(rule, naming),
            whole_image: "feature map (whole-image call)",
            one_call: "logits (one call)",
        }
    }
}

fn dimensions(shape: Shape) -> [usize; 2] {
    [shape.width, shape.channels].map(usize::from)
}

fn kind(model: &Model<'_>, layer: &Layer<'_>) -> &'static str {
    let inputs = model
        .tensors()
        .get(layer.input)
        .map_or(0, |tensor| tensor.shape.channels);
    match layer.operation {
        Operation::Conv2d(conv) if conv.groups == 1 => "conv2d",
        Operation::Conv2d(conv) if conv.groups == inputs => "conv2d depthwise",
        Operation::Conv2d(_) => "conv2d grouped",
        Operation::MaxPool { .. } => "max pool",
        Operation::AvgPool { .. } => "average pool",
        Operation::Add { .. } => "add",
    }
}

fn hidden(model: &Model<'_>, naming: Naming) -> Vec<String> {
    let head = model.head();
    let mut names = Vec::new();
    for path in Path::ALL {
        let path_name = match path {
            Path::Segment => "segment",
            Path::Region => "region",
            Path::Joint => "joint",
        };
        for i in 0..head.layer_count(path) {
            names.push(match naming {
                Naming::Layers => format!("{path_name} FC {i}"),
                Naming::Kinds => format!("{path_name} FC"),
            });
        }
    }
    // The last one is the classifier, whose outputs are the logits.
    names.pop();
    names
}

fn labels(rule: LabellingRule, naming: Naming) -> String {
    let kind = match naming {
        Naming::Layers => RuleSpec(rule).to_string(),
        // What makes a difference to the code, without the numbers.
        Naming::Kinds => {
            let mut kind = match rule.combination {
                Combination::Paste { inhibition } if inhibition > 0 => "paste,inhibit".to_owned(),
                Combination::Paste { .. } => "paste".to_owned(),
                Combination::Vote { area, purity, .. } => {
                    let purity = if purity > 0 { ",purity" } else { "" };
                    let area = match area {
                        AreaFactor::One => "none",
                        AreaFactor::InverseRoot => "root",
                        AreaFactor::Inverse => "full",
                    };
                    format!("vote,area={area}{purity}")
                }
            };
            if rule.refinement.is_some() {
                kind += ",refine";
            }
            kind
        }
    };
    format!("labels ({kind})")
}
