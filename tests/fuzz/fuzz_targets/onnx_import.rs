//! libFuzzer's entry to the target of this name, and changes that keep an ONNX file well-formed.
#![no_main]

use cfm_fuzz::protobuf::mutate_field;
use cfm_fuzz::targets::onnx_import;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

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

fuzz_target!(|data: &[u8]| onnx_import::run(data));
