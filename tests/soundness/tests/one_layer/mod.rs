//! Models with a single layer before the head.

use cfm_core::model::Shape;
use cfm_model::spec::{FcSpec, InputSpec, LayerSpec, one_layer};

/// A model of a layer, a fully connected layer, and a classifier.
pub fn model(input: Shape, layer: LayerSpec, fc: FcSpec, classifier: FcSpec) -> Vec<u8> {
    let input = InputSpec {
        height: input.height,
        width: input.width,
        channels: input.channels,
    };
    let spec = one_layer(input, layer, vec![fc], classifier);
    spec.to_bytes().expect("it is valid")
}
