//! What the project's own files say beside their graph: the `cfm.*` keys.

use std::collections::{BTreeMap, HashMap};

use fixed::types::U0F16;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::onnx::proto::ModelProto;
use crate::spec::{CalibrationSpec, ClassSpec, Classifier, Design, LabellingRule, MaskRule};

use super::super::HeadOptions;
use super::super::error::{ImportError, Result};

/// The version of the keys that is read.
const VERSION: &str = "1";
/// Most bytes of a value, which takes many times its length once it is read: the longest, provenance, is at most 1 MiB before
/// it is JSON, in which a control character has six bytes.
const MAX_ENTRY: usize = 8 << 20;

/// Zero point and exponent of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Quantization {
    pub zero_point: i8,
    pub exponent: i8,
}

/// What a file of the project says.
#[derive(Debug, Clone)]
pub struct Metadata {
    pub head: HeadOptions,
    pub quantization: HashMap<String, Quantization>,
    pub classes: Vec<ClassSpec>,
    pub labelling: Option<LabellingRule>,
    pub calibration: Option<CalibrationSpec>,
    pub proposals: Option<Vec<u8>>,
    pub provenance: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Labelling {
    #[serde(with = "crate::spec::serde_core::labelling")]
    labelling: Option<LabellingRule>,
}

fn refuse(key: &str, reason: impl std::fmt::Display) -> ImportError {
    ImportError::Model(format!("metadata cfm.{key}: {reason}"))
}

fn json<T: DeserializeOwned>(key: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| refuse(key, error))
}

impl Metadata {
    /// The keys of a file; `None` if it is not one of the project's.
    pub fn read(model: &ModelProto) -> Result<Option<Self>> {
        let entries = entries(model);
        let Some(&version) = entries.get("version") else {
            return Ok(None);
        };
        if version != VERSION {
            return Err(refuse("version", format!("{version} is not {VERSION}")));
        }
        if let Some((key, _)) = entries.iter().find(|(_, text)| text.len() > MAX_ENTRY) {
            return Err(refuse(key, "it is longer than 8 MiB"));
        }
        let get = |key: &str| entries.get(key).copied();
        let need = |key: &str| get(key).ok_or_else(|| refuse(key, "it is missing"));
        let design = match need("design")? {
            "plain" => Design::Plain,
            "A" => Design::A,
            "B" => Design::B,
            other => return Err(refuse("design", format!("{other} is not known"))),
        };
        let mask_rule = match need("mask_rule")? {
            "average" => MaskRule::Average {
                threshold: U0F16::from_bits(json("threshold", need("threshold")?)?),
            },
            "max" => MaskRule::Max,
            "nearest" => MaskRule::Nearest,
            "off" => MaskRule::Off,
            other => return Err(refuse("mask_rule", format!("{other} is not known"))),
        };
        let classifier = match need("classifier")? {
            "softmax" => Classifier::Softmax,
            "svm" => Classifier::Svm,
            other => return Err(refuse("classifier", format!("{other} is not known"))),
        };
        let labelling = match get("labelling") {
            Some(text) => {
                json::<Labelling>("labelling", &format!("{{\"labelling\":{text}}}"))?.labelling
            }
            None => None,
        };
        Ok(Some(Self {
            head: HeadOptions {
                design: Some(design),
                pyramid: json("segment_levels", need("segment_levels")?)?,
                region_pyramid: Some(json("region_levels", need("region_levels")?)?),
                mask_rule,
                classifier,
            },
            quantization: json("quantization", need("quantization")?)?,
            classes: json("classes", need("classes")?)?,
            labelling,
            calibration: get("calibration")
                .map(|text| json("calibration", text))
                .transpose()?,
            proposals: get("proposals").map(hexadecimal).transpose()?,
            provenance: json("provenance", get("provenance").unwrap_or("[]"))?,
        }))
    }
}

/// Refuses a head of another export than the backbone's, where both say what they are of: the scales of one are not those
/// of the other.
pub fn check_same_export(backbone: &ModelProto, head: &ModelProto) -> Result<()> {
    let entries = |model| -> BTreeMap<&str, &str> {
        let mut entries = entries(model);
        entries.remove("part");
        entries
    };
    let (backbone, head) = (entries(backbone), entries(head));
    if backbone.is_empty() || head.is_empty() {
        return Ok(());
    }
    let mut keys = backbone.keys().chain(head.keys());
    match keys.find(|key| backbone.get(*key) != head.get(*key)) {
        Some(key) => Err(ImportError::Head(format!(
            "metadata cfm.{key} is not that of the backbone: they come from different exports"
        ))),
        None => Ok(()),
    }
}

/// The project's keys, without what they begin with.
fn entries(model: &ModelProto) -> BTreeMap<&str, &str> {
    (model.metadata_props.iter())
        .filter_map(|entry| Some((entry.key.strip_prefix("cfm.")?, &*entry.value)))
        .collect()
}

fn hexadecimal(text: &str) -> Result<Vec<u8>> {
    let refused = || refuse("proposals", "it is not hexadecimal");
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return Err(refused());
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| refused()))
        .collect()
}
