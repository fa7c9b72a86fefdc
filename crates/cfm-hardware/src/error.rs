//! What the engine cannot represent.

use std::fmt;

use cfm_core::model::Path;
use serde::{Deserialize, Serialize};

/// A layer of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A layer of the backbone, counted from 0.
    Layer(usize),
    /// A fully connected layer of the segment path, counted from 0.
    Segment(usize),
    /// A fully connected layer of the region path, counted from 0.
    Region(usize),
    /// A fully connected layer after the paths, counted from 0; the last is the classifier.
    Joint(usize),
}

impl Part {
    pub(crate) const fn fully_connected(path: Path, index: usize) -> Self {
        match path {
            Path::Segment => Self::Segment(index),
            Path::Region => Self::Region(index),
            Path::Joint => Self::Joint(index),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer(index) => write!(f, "layer {index}"),
            Self::Segment(index) => write!(f, "segment path, layer {index}"),
            Self::Region(index) => write!(f, "region path, layer {index}"),
            Self::Joint(index) => write!(f, "joint layer {index}"),
        }
    }
}

/// A memory of the engine, or a number of things in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Memory {
    /// Words in every bank of the feature memory.
    Feature,
    /// Words of the weights outside of the engine.
    ExternalWeights,
    /// Records of the channel memory.
    Channels,
    /// Words of the control store.
    Store,
    /// Words of the scoring memory.
    Scoring,
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Feature => "feature memory: words in every bank",
            Self::ExternalWeights => "weights from outside: words",
            Self::Channels => "channel memory: channels",
            Self::Store => "control store: words",
            Self::Scoring => "scoring memory: words",
        })
    }
}

/// Why a model cannot be put on an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// No engine is built like that.
    #[error("folding {pe}x{lanes}: PE is 4, 8 or 16, and there are 1 to 16 lanes")]
    Folding {
        /// Channels in a word.
        pe: u32,
        /// Lanes.
        lanes: u32,
    },
    /// A horizontal stride takes too many passes of a fetch.
    #[error("{part}: a horizontal stride of {stride}; the engine has at most 15")]
    Stride {
        /// The layer.
        part: Part,
        /// Its stride.
        stride: u32,
    },
    /// The inputs of an addition are aligned by too many bits.
    #[error("{part}: an input is aligned by {shift} bits; the engine's weights hold at most 14")]
    AddShift {
        /// The layer.
        part: Part,
        /// Bits.
        shift: u32,
    },
    /// A fully connected layer on too many bins of the pyramid.
    #[error("{part}: it reads {bins} bins; the engine takes at most 255")]
    Bins {
        /// The layer.
        part: Part,
        /// Bins.
        bins: usize,
    },
    /// A layer with more inputs than a descriptor holds.
    #[error("{part}: it has {inputs} inputs, padding included; the engine takes at most 65535")]
    Inputs {
        /// The layer.
        part: Part,
        /// Inputs.
        inputs: u64,
    },
    /// Design B masks whole bins, of which the engine knows counts of pixels and no pixels.
    #[error("Design B with the nearest rule: the engine has no pixels when it masks bins")]
    NearestBins,
    /// A memory is too small.
    #[error("{memory}: {needed} are needed, there are {limit}")]
    Memory {
        /// Which.
        memory: Memory,
        /// What the model needs.
        needed: u64,
        /// What there is.
        limit: u64,
    },
}
