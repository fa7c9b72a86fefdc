//! `serde` for the core's types, which do not know it.

use cfm_core::model::{
    AreaFactor, ClassKind, Classifier, Combination, Design, LabellingRule, MaskRule, Window,
};
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
#[serde(remote = "AreaFactor")]
enum AreaFactorDef {
    One,
    InverseRoot,
    Inverse,
}

/// Optional labelling rules; a threshold is written as the bits of its U0F16.
pub(crate) mod labelling {
    use super::{AreaFactor, AreaFactorDef, Combination, LabellingRule, U0F16};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Plain {
        combination: PlainCombination,
        refinement: Option<u8>,
    }

    #[derive(Serialize, Deserialize)]
    enum PlainCombination {
        Paste {
            inhibition: u16,
        },
        Vote {
            power: u8,
            #[serde(with = "AreaFactorDef")]
            area: AreaFactor,
            purity: u8,
        },
    }

    impl From<LabellingRule> for Plain {
        fn from(rule: LabellingRule) -> Self {
            Self {
                combination: match rule.combination {
                    Combination::Paste { inhibition } => PlainCombination::Paste {
                        inhibition: inhibition.to_bits(),
                    },
                    Combination::Vote {
                        power,
                        area,
                        purity,
                    } => PlainCombination::Vote {
                        power,
                        area,
                        purity,
                    },
                },
                refinement: rule.refinement,
            }
        }
    }

    impl From<Plain> for LabellingRule {
        fn from(plain: Plain) -> Self {
            Self {
                combination: match plain.combination {
                    PlainCombination::Paste { inhibition } => Combination::Paste {
                        inhibition: U0F16::from_bits(inhibition),
                    },
                    PlainCombination::Vote {
                        power,
                        area,
                        purity,
                    } => Combination::Vote {
                        power,
                        area,
                        purity,
                    },
                },
                refinement: plain.refinement,
            }
        }
    }

    pub(crate) fn serialize<S: Serializer>(
        rule: &Option<LabellingRule>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        rule.map(Plain::from).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<LabellingRule>, D::Error> {
        Ok(Option::<Plain>::deserialize(deserializer)?.map(LabellingRule::from))
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
        Off,
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
            MaskRule::Off => Plain::Off,
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
            Plain::Off => MaskRule::Off,
        })
    }
}
