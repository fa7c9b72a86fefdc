//! libFuzzer's entry to the target of this name.
#![no_main]

use cfm_fuzz::targets::image_decoding;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| image_decoding::run(data));
