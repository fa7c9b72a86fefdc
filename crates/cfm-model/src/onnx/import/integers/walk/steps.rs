//! The re-quantization that the project's own files spell out, step by step. Every step is taken at most once, and in one
//! order: in another one the same steps compute something else.

use super::super::layers::{Kind, Sum, Tensor};

/// Numbers of a sum's re-quantization.
#[derive(Debug, Clone)]
pub struct Steps {
    pub sum: Sum,
    pub factor: Option<Vec<f64>>,
    pub zero: f64,
    pub range: [f64; 2],
    /// The last step that was taken.
    stage: Stage,
}

/// The steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The sum alone.
    Summed,
    /// Biases are added.
    Biased,
    /// It is of f64.
    Real,
    /// It is multiplied, so in steps of the output.
    Scaled,
    /// It is rounded.
    Rounded,
    /// The zero point is added.
    Moved,
    /// It is between two bounds.
    Clipped,
}

/// No bounds.
pub const UNBOUNDED: [f64; 2] = [f64::NEG_INFINITY, f64::INFINITY];

impl Steps {
    /// A sum of which no step is taken; one of tensors that have their factors already is scaled.
    pub fn new(kind: Kind, outputs: usize, factor: Option<Vec<f64>>) -> Self {
        let stage = if factor.is_some() {
            Stage::Scaled
        } else {
            Stage::Summed
        };
        Self {
            sum: Sum {
                kind,
                unit: None,
                bias: vec![0; outputs],
            },
            factor,
            zero: 0.0,
            range: UNBOUNDED,
            stage,
        }
    }

    /// Takes a step; whether all that were taken come before it.
    pub fn take(&mut self, step: Stage) -> bool {
        let in_order = self.stage < step;
        self.stage = step;
        in_order
    }

    /// Whether it is rounded.
    pub fn rounded(&self) -> bool {
        self.stage >= Stage::Rounded
    }
}

/// An integer tensor as real numbers, on its way to a sum.
#[derive(Debug, Clone)]
pub struct Shifted {
    pub tensor: Tensor,
    /// Whether the zero point is subtracted.
    pub moved: bool,
    /// What it is multiplied with then.
    pub factor: Option<f64>,
}
