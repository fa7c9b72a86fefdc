//! `serde` for the core's types, which do not know it.

use cfm_core::model::{ClassKind, Classifier, Design, LabellingRule, MaskRule, Window};
use cfm_core::requantize::{Channel, OutputScale};
use fixed::types::U0F16;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(remote = "Window")]
pub(crate) struct WindowDef {
    kernel: [u8; 2],
    stride: [u8; 2],
    dilation: [u8; 2],
    padding: [u8; 4],
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OutputScale")]
pub(crate) struct OutputScaleDef {
    zero_point: i8,
    exponent: i8,
    low: i8,
    high: i8,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Design")]
pub(crate) enum DesignDef {
    Plain,
    A,
    B,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Classifier")]
pub(crate) enum ClassifierDef {
    Softmax,
    Svm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ClassKind")]
pub(crate) enum ClassKindDef {
    Stuff,
    Object,
    Background,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Channel")]
struct ChannelDef {
    bias: i32,
    mantissa: u16,
    shift: u8,
}

/// Lists of channel records.
pub(crate) mod channels {
    use super::{Channel, ChannelDef};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Wrapped(#[serde(with = "ChannelDef")] Channel);

    pub(crate) fn serialize<S: Serializer>(
        channels: &[Channel],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(channels.iter().copied().map(Wrapped))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Channel>, D::Error> {
        let wrapped = Vec::<Wrapped>::deserialize(deserializer)?;
        Ok(wrapped.into_iter().map(|w| w.0).collect())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "LabellingRule")]
enum LabellingRuleDef {
    Paste,
    Vote { power: u8, by_root_area: bool },
}

/// Optional labelling rules.
pub(crate) mod labelling {
    use super::{LabellingRule, LabellingRuleDef};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Wrapped(#[serde(with = "LabellingRuleDef")] LabellingRule);

    pub(crate) fn serialize<S: Serializer>(
        rule: &Option<LabellingRule>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        rule.map(Wrapped).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<LabellingRule>, D::Error> {
        Ok(Option::<Wrapped>::deserialize(deserializer)?.map(|w| w.0))
    }
}

/// Mask rules; a threshold is written as the bits of its U0F16.
pub(crate) mod mask_rule {
    use super::{MaskRule, U0F16};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    enum Plain {
        Average { threshold: u16 },
        Max,
        Nearest,
    }

    pub(crate) fn serialize<S: Serializer>(
        rule: &MaskRule,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match rule {
            MaskRule::Average { threshold } => Plain::Average {
                threshold: threshold.to_bits(),
            },
            MaskRule::Max => Plain::Max,
            MaskRule::Nearest => Plain::Nearest,
        }
        .serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<MaskRule, D::Error> {
        Ok(match Plain::deserialize(deserializer)? {
            Plain::Average { threshold } => MaskRule::Average {
                threshold: U0F16::from_bits(threshold),
            },
            Plain::Max => MaskRule::Max,
            Plain::Nearest => MaskRule::Nearest,
        })
    }
}
