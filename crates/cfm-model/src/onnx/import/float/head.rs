//! The float head while it is read: vectors and fully connected layers.

use crate::float_model::{Activation, ActivationScale, FloatFc, FloatHead};

use super::super::HeadOptions;
use super::super::chain::Changes;
use super::super::error::{ImportError, Reason, Result};
use super::super::order::in_project_order;
use super::super::pathways::{self, Part, outputs};
use super::affine::Affine;
use super::backbone::{fold_before, fold_behind, later};

/// A vector of the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector {
    /// What it is made of.
    pub parts: Vec<Part>,
    /// Whether nobody else reads it.
    pub exclusive: bool,
    /// What has not become part of a layer yet.
    pub pending: Option<Affine>,
}

/// What a fully connected layer computes with.
#[derive(Debug)]
pub struct Numbers {
    weights: Vec<f32>,
    bias: Vec<f32>,
    activation: Activation,
}

/// The fully connected layers so far.
pub type Layers = pathways::Layers<Numbers>;

impl Layers {
    /// Length of a vector.
    pub fn len(&self, vector: &Vector) -> usize {
        self.part_lens(&vector.parts).iter().sum()
    }

    /// A fully connected layer with weights `[out][in]`, the inputs in ONNX's order.
    pub fn fully_connected(
        &mut self,
        vector: Vector,
        mut weights: Vec<f32>,
        mut bias: Vec<f32>,
    ) -> std::result::Result<Vector, Reason> {
        let lengths = self.part_lens(&vector.parts);
        let inputs: usize = lengths.iter().sum();
        if inputs.checked_mul(bias.len()) != Some(weights.len()) || weights.is_empty() {
            return Err(format!(
                "it reads a vector of {inputs}, but has {} weights for {} outputs",
                weights.len(),
                bias.len()
            ));
        }
        if let Some(affine) = &vector.pending {
            let outputs = bias.len();
            fold_before(&mut weights, &mut bias, affine, inputs, outputs);
        }
        let weights = in_project_order(&vector.parts, &weights, &lengths);
        self.0.push(pathways::Layer {
            inputs: vector.parts,
            outputs: bias.len(),
            joint: false,
            numbers: Numbers {
                weights,
                bias,
                activation: Activation::None,
            },
        });
        Ok(Vector {
            parts: vec![Part::Layer(self.0.len() - 1)],
            exclusive: true,
            pending: None,
        })
    }

    /// The layer whose output `vector` is and which can still be changed.
    fn open(&mut self, vector: &Vector) -> Option<&mut Numbers> {
        match *vector.parts {
            [Part::Layer(layer)] if vector.exclusive && vector.pending.is_none() => {
                let numbers = &mut self.0.get_mut(layer)?.numbers;
                (numbers.activation == Activation::None).then_some(numbers)
            }
            _ => None,
        }
    }

    /// Applies an affine map, in the layer before it or later.
    pub fn affine(
        &mut self,
        vector: Vector,
        affine: &Affine,
        changes: &Changes,
    ) -> std::result::Result<Vector, Reason> {
        if let Some(layer) = self.open(&vector) {
            changes.count(layer.weights.len())?;
            fold_behind(&mut layer.weights, &mut layer.bias, affine);
            return Ok(vector);
        }
        let pending = match &vector.pending {
            Some(pending) => pending.then(affine),
            None => affine.clone(),
        };
        Ok(Vector {
            pending: Some(pending),
            ..vector
        })
    }

    /// Applies an activation in the layer before it.
    pub fn activate(
        &mut self,
        vector: Vector,
        activation: Activation,
    ) -> std::result::Result<Vector, Reason> {
        let layer = self.open(&vector).ok_or(
            "the activation does not follow directly after a fully connected layer that only it reads",
        )?;
        layer.activation = activation;
        Ok(vector)
    }

    /// The head that computes `output` over a feature map of `channels` channels; `named` as in
    /// [`pathways`](Layers::pathways).
    pub fn head(
        self,
        output: &Vector,
        channels: u16,
        named: bool,
        options: &HeadOptions,
    ) -> Result<FloatHead> {
        /// Until data says which one is right.
        const LOGIT_EXPONENT: i8 = -8;
        let refuse = |reason: &str| ImportError::Head(reason.to_owned());
        let [Part::Layer(last)] = *output.parts else {
            return Err(refuse("the output is not that of a fully connected layer"));
        };
        if output.pending.is_some() || self.0[last].numbers.activation != Activation::None {
            return Err(refuse(
                "something follows after the classifier's fully connected layer",
            ));
        }
        let pathways = self.pathways(last, channels, named, options)?;
        let mut fcs = Vec::with_capacity(3);
        for layers in pathways.layers {
            let finished = layers.into_iter().map(finished);
            fcs.push(finished.collect::<Result<Vec<_>>>()?);
        }
        let [segment_fcs, region_fcs, mut joint_fcs] =
            <[Vec<FloatFc>; 3]>::try_from(fcs).unwrap_or_default();
        if let Some(first) = joint_fcs.first_mut() {
            let inputs = first.weights.len() / first.bias.len().max(1);
            for row in first.weights.chunks_exact_mut(inputs.max(1)) {
                row.rotate_left(pathways.rotate);
            }
        }
        if let Some(classifier) = joint_fcs.last_mut() {
            classifier.output = ActivationScale::logits(LOGIT_EXPONENT);
        }
        Ok(FloatHead {
            design: pathways.design,
            classifier: options.classifier,
            mask_rule: options.mask_rule,
            segment_levels: pathways.segment_levels,
            region_levels: pathways.region_levels,
            segment_fcs,
            region_fcs,
            joint_fcs,
            logit_exponent: LOGIT_EXPONENT,
        })
    }
}

fn finished(layer: pathways::Layer<Numbers>) -> Result<FloatFc> {
    let Numbers {
        weights,
        bias,
        activation,
    } = layer.numbers;
    Ok(FloatFc {
        outputs: outputs(layer.outputs)?,
        weights,
        bias,
        output: later(activation),
    })
}
