//! The layers of a backbone while it is read, and the bounds that keep a file from asking for more than a model holds.

use std::cell::Cell;

use cfm_core::model::Shape;
use cfm_core::model::format::MAX_LAYERS;

use crate::shape::LayerShape;
use crate::spec::InputSpec;

use super::MAX_PARAMETERS;
use super::error::Reason;

/// Most changes of single weights: normalization and arithmetic behind a layer need a few for each weight.
const MAX_CHANGES: usize = 16 * MAX_PARAMETERS;

/// Weights that were changed after they were stored, which costs time, but no memory.
#[derive(Debug, Default)]
pub struct Changes(Cell<usize>);

impl Changes {
    /// Counts weights that are about to be changed.
    pub fn count(&self, weights: usize) -> Result<(), Reason> {
        self.0.set(self.0.get().saturating_add(weights));
        if self.0.get() > MAX_CHANGES {
            return Err("it changes the network's weights too often".to_owned());
        }
        Ok(())
    }
}

/// Layers, each with the tensor that it writes.
#[derive(Debug)]
pub struct Chain<L> {
    /// The layers.
    pub layers: Vec<L>,
    /// The shape of every tensor: the image, then each layer's output.
    pub shapes: Vec<Shape>,
    parameters: Cell<usize>,
    /// What was changed in the layers, or in those of a head.
    pub changes: Changes,
}

impl<L> Chain<L> {
    /// No layers yet.
    pub fn new(input: InputSpec) -> Self {
        Self {
            layers: Vec::new(),
            shapes: vec![Shape {
                height: input.height,
                width: input.width,
                channels: input.channels,
            }],
            parameters: Cell::new(0),
            changes: Changes::default(),
        }
    }

    /// Counts numbers that are about to be stored or copied.
    pub fn count(&self, numbers: usize) -> Result<(), Reason> {
        count(&self.parameters, numbers)
    }

    /// Adds a layer; returns the index of its tensor.
    pub fn push(&mut self, layer: L, shape: LayerShape) -> Result<usize, Reason> {
        if self.layers.len() == MAX_LAYERS {
            return Err(format!("a backbone has at most {MAX_LAYERS} layers"));
        }
        let output = shape.output(&self.shapes).map_err(|e| e.to_string())?;
        self.layers.push(layer);
        self.shapes.push(output);
        Ok(self.layers.len())
    }
}

/// Adds `numbers` to those of before; refuses more than a network has.
pub fn count(before: &Cell<usize>, numbers: usize) -> Result<(), Reason> {
    before.set(before.get().saturating_add(numbers));
    if before.get() > MAX_PARAMETERS {
        return Err(format!(
            "the network has more than {MAX_PARAMETERS} weights"
        ));
    }
    Ok(())
}
