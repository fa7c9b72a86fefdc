//! The head: what is pooled, masked and classified.

use cfm_core::model::format::{MAX_LEVEL, MAX_LEVELS};
use cfm_core::model::{Classifier, Design, MaskRule};
use fixed::types::U0F16;
use serde::{Deserialize, Serialize};

/// The head: paths over spatial pyramids, one fully connected layer each, then one classifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeadConfig {
    /// Which pathways there are.
    pub design: DesignConfig,
    /// Levels of the spatial pyramid of every path, in output order: at most 8, up to 32, none of them twice.
    pub levels: Vec<u8>,
    /// Outputs of the fully connected layer of each path: Design A has two of them, the others one.
    pub hidden: usize,
    /// What classifies the outputs of these layers in the exported model.
    pub classifier: ClassifierConfig,
}

/// The designs of the patent WO2016/197303.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DesignConfig {
    /// The pyramid over the masked feature map (claim 1).
    Plain,
    /// Beside it the pyramid over the unmasked box (claims 5 to 7).
    A,
    /// The pyramid over the box, whose finest level is masked (claims 8 and 9).
    B,
}

/// The classifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassifierConfig {
    /// The softmax the head is trained with.
    Softmax,
    /// Linear support vector machines, one against the rest, which take the softmax's place after the training; see
    /// [`crate::svm`].
    Svm,
}

/// How segments become masks over the feature map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaskConfig {
    /// The rule.
    pub rule: MaskRuleConfig,
    /// Smallest share of a cell's pixels in the segment, for the rule `average`; above 0, below 1.
    pub threshold: f64,
}

/// The mask rules; see [`cfm_core::mask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MaskRuleConfig {
    /// A cell is set from a share of its pixels on.
    Average,
    /// A cell is set from one pixel on.
    Max,
    /// A cell takes the value of the pixel nearest its centre (direct down-scaling).
    Nearest,
    /// All cells of the box are set: no masking, for comparison.
    Off,
}

impl Default for HeadConfig {
    fn default() -> Self {
        Self {
            design: DesignConfig::A,
            levels: vec![3, 2, 1],
            hidden: 128,
            classifier: ClassifierConfig::Softmax,
        }
    }
}

impl Default for MaskConfig {
    fn default() -> Self {
        Self {
            rule: MaskRuleConfig::Average,
            threshold: 0.5,
        }
    }
}

impl HeadConfig {
    /// What makes no sense in it, if anything.
    pub(super) fn complaint(&self) -> Option<&'static str> {
        if self.levels.is_empty() || self.levels.contains(&0) {
            return Some("the head has no pyramid level, or a level of zero bins");
        }
        if self.levels.len() > MAX_LEVELS || self.levels.iter().any(|&level| level > MAX_LEVEL) {
            return Some("the head has more than 8 pyramid levels, or a level above 32");
        }
        let repeated = |(at, level)| self.levels[..at].contains(level);
        if self.levels.iter().enumerate().any(repeated) {
            return Some("the head has a pyramid level twice");
        }
        (!(1..=usize::from(u16::MAX)).contains(&self.hidden))
            .then_some("the head's hidden outputs are none, or more than 65535")
    }
}

impl MaskConfig {
    /// The rule as the core knows it.
    #[must_use]
    pub fn rule(&self) -> MaskRule {
        match self.rule {
            MaskRuleConfig::Average => MaskRule::Average {
                // In 1 ..= 65535, as has been checked.
                threshold: U0F16::saturating_from_num(self.threshold).max(U0F16::DELTA),
            },
            MaskRuleConfig::Max => MaskRule::Max,
            MaskRuleConfig::Nearest => MaskRule::Nearest,
            MaskRuleConfig::Off => MaskRule::Off,
        }
    }

    /// What makes no sense in it, if anything.
    pub(super) fn complaint(&self) -> Option<&'static str> {
        (!(self.threshold > 0.0 && self.threshold < 1.0))
            .then_some("the mask's threshold is not between 0 and 1")
    }
}

impl From<DesignConfig> for Design {
    fn from(design: DesignConfig) -> Self {
        match design {
            DesignConfig::Plain => Self::Plain,
            DesignConfig::A => Self::A,
            DesignConfig::B => Self::B,
        }
    }
}

impl From<ClassifierConfig> for Classifier {
    fn from(classifier: ClassifierConfig) -> Self {
        match classifier {
            ClassifierConfig::Softmax => Self::Softmax,
            ClassifierConfig::Svm => Self::Svm,
        }
    }
}
