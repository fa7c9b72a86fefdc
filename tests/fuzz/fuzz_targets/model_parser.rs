//! libFuzzer's entry to the target of this name.
#![no_main]

use cfm_fuzz::targets::model_parser;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| model_parser::run(data));
