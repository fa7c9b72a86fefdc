//! Any bytes as an ONNX network, or as the head of one: an error, or a model that can be written and read.
#![no_main]

use cfm_core::model::Model;
use cfm_fuzz::protobuf::mutate_field;
use cfm_model::onnx::import::{Import, Options, import};
use cfm_model::quantize::blank;
use cfm_model::spec::ModelSpec;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

const BACKBONE: &[u8] = include_bytes!("../../onnx/design-a.onnx");
const HEAD: &[u8] = include_bytes!("../../onnx/design-a-head.onnx");

// Most changes of single bytes only break a length.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if !seed.is_multiple_of(4)
        && let Some(mutant) = mutate_field(&data[..size], seed >> 2, |bytes, length| {
            fuzzer_mutate(bytes, length, bytes.len())
        })
        && mutant.len() <= max_size
    {
        data[..mutant.len()].copy_from_slice(&mutant);
        return mutant.len();
    }
    fuzzer_mutate(data, size, max_size)
});

fuzz_target!(|data: &[u8]| {
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
});
