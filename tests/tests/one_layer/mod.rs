//! Models with a single layer before the head.

use cfm_core::model::Shape;
use cfm_model::spec::{
    ClassKind, ClassSpec, Classifier, Design, FcSpec, HeadSpec, InputSpec, LayerSpec, MaskRule,
    ModelSpec,
};

/// A model of a layer, a fully connected layer, and a classifier.
pub fn model(input: Shape, layer: LayerSpec, fc: FcSpec, classifier: FcSpec) -> Vec<u8> {
    let classes = (0..classifier.outputs).map(|class| ClassSpec {
        name: format!("class {class}"),
        kind: ClassKind::Stuff,
        color: [0; 3],
        label: class.try_into().expect("there are few classes"),
    });
    let spec = ModelSpec {
        input: InputSpec {
            height: input.height,
            width: input.width,
            channels: input.channels,
        },
        layers: vec![layer],
        classes: classes.collect(),
        head: HeadSpec {
            design: Design::Plain,
            classifier: Classifier::Softmax,
            mask_rule: MaskRule::Max,
            segment_levels: vec![1],
            region_levels: Vec::new(),
            segment_fcs: vec![fc],
            region_fcs: Vec::new(),
            joint_fcs: vec![classifier],
            logit_exponent: -4,
        },
        labelling: None,
        calibration: None,
        proposals: None,
        provenance: Vec::new(),
        unknown: Vec::new(),
    };
    spec.to_bytes().expect("it is valid")
}
