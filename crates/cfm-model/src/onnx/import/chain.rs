//! The layers of a backbone while it is read, and the bounds that keep a file from asking for more than a model holds.

use cfm_core::model::Shape;
use cfm_core::model::format::MAX_LAYERS;

use crate::shape::LayerShape;
use crate::spec::InputSpec;

use super::MAX_PARAMETERS;
use super::error::Reason;

/// Layers, each with the tensor that it writes.
#[derive(Debug)]
pub struct Chain<L> {
    /// The layers.
    pub layers: Vec<L>,
    /// The shape of every tensor: the image, then each layer's output.
    pub shapes: Vec<Shape>,
    parameters: usize,
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
            parameters: 0,
        }
    }

    /// Counts numbers that are about to be stored.
    pub fn count(&mut self, numbers: usize) -> Result<(), Reason> {
        self.parameters = self.parameters.saturating_add(numbers);
        if self.parameters > MAX_PARAMETERS {
            return Err(format!(
                "the network has more than {MAX_PARAMETERS} weights"
            ));
        }
        Ok(())
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
