//! What a file says beside its graph: the `cfm.*` keys that the documentation of [`export`](super) lists.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cfm_core::model::Path;
use serde::Serialize;
use serde_json::{Value, json};

use super::backbone::tensor_name;
use super::classify::fc_name;
use crate::onnx::proto::StringStringEntryProto;
use crate::spec::{Classifier, Design, MaskRule, ModelSpec};

/// Version of names, patterns and keys.
pub(super) const VERSION: &str = "1";

#[derive(Serialize)]
struct Quantization {
    zero_point: i8,
    exponent: i8,
}

/// The entries of one file.
pub(super) fn entries(spec: &ModelSpec, part: &str) -> Vec<StringStringEntryProto> {
    let head = &spec.head;
    let mut entries = vec![
        ("version", VERSION.to_owned()),
        ("part", part.to_owned()),
        (
            "design",
            match head.design {
                Design::Plain => "plain",
                Design::A => "A",
                Design::B => "B",
            }
            .to_owned(),
        ),
        (
            "classifier",
            match head.classifier {
                Classifier::Softmax => "softmax",
                Classifier::Svm => "svm",
            }
            .to_owned(),
        ),
    ];
    let rule = match head.mask_rule {
        MaskRule::Average { threshold } => {
            entries.push(("threshold", threshold.to_bits().to_string()));
            "average"
        }
        MaskRule::Max => "max",
        MaskRule::Nearest => "nearest",
        MaskRule::Off => "off",
    };
    entries.extend([
        ("mask_rule", rule.to_owned()),
        ("segment_levels", json!(head.segment_levels).to_string()),
        ("region_levels", json!(head.region_levels).to_string()),
        ("quantization", json!(quantization(spec)).to_string()),
        ("classes", json!(spec.classes).to_string()),
        ("provenance", json!(spec.provenance).to_string()),
    ]);
    // As the model's own JSON has it, since the core's rule does not know serde.
    let whole = json!(LabellingOnly {
        labelling: spec.labelling
    });
    if let Some(labelling @ Value::Object(_)) = whole.get("labelling") {
        entries.push(("labelling", labelling.to_string()));
    }
    if let Some(calibration) = &spec.calibration {
        entries.push(("calibration", json!(calibration).to_string()));
    }
    if let Some(proposals) = &spec.proposals {
        entries.push(("proposals", hexadecimal(proposals)));
    }
    entries
        .into_iter()
        .map(|(key, value)| StringStringEntryProto {
            key: format!("cfm.{key}"),
            value,
        })
        .collect()
}

#[derive(Serialize)]
struct LabellingOnly {
    #[serde(with = "crate::spec::serde_core::labelling")]
    labelling: Option<crate::spec::LabellingRule>,
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Zero point and exponent of every quantized tensor, by name.
fn quantization(spec: &ModelSpec) -> BTreeMap<String, Quantization> {
    let layers = spec.layers.len();
    let tensors = spec.tensor_scales().into_iter().enumerate();
    let tensors = tensors.map(|(at, scale)| (tensor_name(at, layers), scale));
    let fcs = Path::ALL.into_iter().flat_map(|path| {
        let fcs = spec.head.fcs(path).iter().enumerate();
        fcs.map(move |(at, fc)| (fc_name(&spec.head, path, at), fc.output))
    });
    tensors
        .chain(fcs)
        .map(|(name, scale)| {
            let quantization = Quantization {
                zero_point: scale.zero_point,
                exponent: scale.exponent,
            };
            (name, quantization)
        })
        .collect()
}
