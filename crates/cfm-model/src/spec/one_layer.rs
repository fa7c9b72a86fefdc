//! Models of a single layer, to test and time kernels on.

use super::{
    ClassKind, ClassSpec, Classifier, Design, FcSpec, HeadSpec, InputSpec, LayerSpec, MaskRule,
    ModelSpec,
};

/// A model whose backbone is `layer`, and whose head pools the window of a segment into one bin, runs `segment_fcs`, and
/// then `classifier`.
#[must_use]
pub fn one_layer(
    input: InputSpec,
    layer: LayerSpec,
    segment_fcs: Vec<FcSpec>,
    classifier: FcSpec,
) -> ModelSpec {
    let classes = (0..classifier.outputs).map(|class| ClassSpec {
        name: format!("class {class}"),
        kind: ClassKind::Stuff,
        color: [0; 3],
        // Labels end at 254; more classes than that are refused when the model is written.
        label: u8::try_from(class).unwrap_or(u8::MAX),
    });
    ModelSpec {
        input,
        layers: vec![layer],
        classes: classes.collect(),
        head: HeadSpec {
            design: Design::Plain,
            classifier: Classifier::Softmax,
            mask_rule: MaskRule::Max,
            segment_levels: vec![1],
            region_levels: Vec::new(),
            segment_fcs,
            region_fcs: Vec::new(),
            logit_exponent: classifier.output.exponent,
            joint_fcs: vec![classifier],
        },
        labelling: None,
        calibration: None,
        proposals: None,
        provenance: Vec::new(),
        unknown: Vec::new(),
    }
}
