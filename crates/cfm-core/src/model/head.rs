//! The head as the model file describes it: design, mask rule, pyramids, fully connected layers.

use fixed::types::U0F16;

use super::format::{MAX_FC, MAX_LEVELS};
use super::layer::Parameters;

/// Which of the patent's pathways a head has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Design {
    /// The segment path alone: pyramid over the masked feature map (claim 1, FIG. 2).
    Plain,
    /// Segment path and region path side by side (claims 5-7, FIG. 5).
    A,
    /// One path over the box, whose finest level is masked (claims 8-9, FIG. 6).
    B,
}

/// What the logits mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Classifier {
    /// Softmax over all outputs.
    Softmax,
    /// One support vector machine per class against the rest; logits are margins.
    Svm,
}

/// How a segment becomes a low-resolution binary mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MaskRule {
    /// A cell is set when at least `threshold` of its pixels belong to the segment.
    Average {
        /// Share of the cell's pixels, above 0.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        threshold: U0F16,
    },
    /// A cell is set when any of its pixels belongs to the segment.
    Max,
    /// A cell takes the value of the pixel nearest its centre (direct down-scaling).
    Nearest,
    /// Every cell of the segment's window is set: no masking, for comparison.
    Off,
}

/// Levels of a spatial pyramid: level n has n x n bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Levels {
    pub(super) bins: [u8; MAX_LEVELS],
    pub(super) len: u8,
}

impl Levels {
    /// The levels in the model's order.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bins.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Bins of all levels together.
    #[must_use]
    pub const fn bin_count(&self) -> usize {
        let mut total = 0;
        let mut i = 0;
        while i < self.len as usize && i < MAX_LEVELS {
            total += self.bins[i] as usize * self.bins[i] as usize;
            i += 1;
        }
        total
    }

    /// The finest level, the one that Design B masks.
    #[must_use]
    pub const fn finest(&self) -> u8 {
        let mut finest = 0;
        let mut i = 0;
        while i < self.len as usize && i < MAX_LEVELS {
            if self.bins[i] > finest {
                finest = self.bins[i];
            }
            i += 1;
        }
        finest
    }
}

/// One of the chains of fully connected layers in a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Path {
    /// After the pyramid over the segment (the only one in the plain design and in Design B).
    Segment,
    /// After the pyramid over the box (Design A).
    Region,
    /// After the paths are joined; its last layer is the classifier.
    Joint,
}

impl Path {
    /// All paths, in the order in which they are computed and stored.
    pub const ALL: [Self; 3] = [Self::Segment, Self::Region, Self::Joint];
}

/// A fully connected layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FullyConnected<'a> {
    /// Length of the input vector.
    pub inputs: usize,
    /// Length of the output vector.
    pub outputs: usize,
    /// Weights `[out][in]`, biases, multipliers, output scale.
    pub parameters: Parameters<'a>,
}

/// The head of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// Which pathways there are.
    pub design: Design,
    /// What the logits mean.
    pub classifier: Classifier,
    /// How segments become masks.
    pub mask_rule: MaskRule,
    /// Pyramid of the segment path.
    pub segment_levels: Levels,
    /// Pyramid of the region path (Design A; empty otherwise).
    pub region_levels: Levels,
    /// Real value of a logit is `q * 2^logit_exponent`.
    pub logit_exponent: i8,
    pub(super) counts: [u8; 3],
    pub(super) layers: [Option<FullyConnected<'a>>; MAX_FC],
    pub(super) joint_inputs: [usize; 2],
    pub(super) longest: usize,
}

impl<'a> Head<'a> {
    /// Number of fully connected layers of `path`.
    #[must_use]
    pub const fn layer_count(&self, path: Path) -> usize {
        self.counts[path as usize] as usize
    }

    /// The fully connected layers of `path`, in order.
    pub fn layers(&self, path: Path) -> impl Iterator<Item = FullyConnected<'a>> + '_ {
        let first: usize = self
            .counts
            .iter()
            .take(path as usize)
            .map(|&n| usize::from(n))
            .sum();
        self.layers
            .iter()
            .skip(first)
            .take(self.layer_count(path))
            .flatten()
            .copied()
    }

    /// Lengths of the vectors that the segment path and the region path hand to the joint layers.
    #[must_use]
    pub const fn joint_inputs(&self) -> [usize; 2] {
        self.joint_inputs
    }

    /// Bins of the level that the mask is applied to after pooling: Design B's finest, none otherwise.
    #[must_use]
    pub const fn finest_bins(&self) -> usize {
        match self.design {
            Design::B => {
                let n = self.segment_levels.finest() as usize;
                n * n
            }
            Design::Plain | Design::A => 0,
        }
    }

    /// The longest input of any fully connected layer.
    #[must_use]
    pub const fn longest_input(&self) -> usize {
        let mut longest = 0;
        let mut i = 0;
        while i < MAX_FC {
            if let Some(layer) = &self.layers[i]
                && layer.inputs > longest
            {
                longest = layer.inputs;
            }
            i += 1;
        }
        longest
    }

    /// The longest output of any fully connected layer.
    #[must_use]
    pub const fn longest_output(&self) -> usize {
        self.longest
    }
}
