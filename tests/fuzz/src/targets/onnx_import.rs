//! Any bytes as an ONNX network, or as the head of one: an error, or a model that can be written and read.

use cfm_core::model::Model;
use cfm_model::onnx::import::{Import, Options, import};
use cfm_model::quantize::blank;
use cfm_model::spec::ModelSpec;

const BACKBONE: &[u8] = include_bytes!("../../../onnx/design-a.onnx");
const HEAD: &[u8] = include_bytes!("../../../onnx/design-a-head.onnx");

/// Runs the target on these bytes.
///
/// # Panics
/// When what must hold does not.
pub fn run(data: &[u8]) {
    let options = Options::default();
    for (backbone, head) in [(data, None), (data, Some(HEAD)), (BACKBONE, Some(data))] {
        let spec = match import(backbone, head, &options) {
            Err(_) => continue,
            Ok(Import::Integers(imported)) => imported.model,
            // Scales come with calibration; before it, the structure must hold.
            Ok(Import::Float(imported)) => match blank(&imported.model) {
                Ok(spec) => spec,
                Err(_) => continue,
            },
        };
        // What the format cannot hold is refused in words.
        if let Ok(bytes) = spec.to_bytes() {
            let model = Model::parse(&bytes).expect("what was written can be read");
            assert_eq!(ModelSpec::try_from(&model).as_ref(), Ok(&spec));
        }
    }
}
