//! libFuzzer's entry to the target of this name.
#![no_main]

use cfm_fuzz::targets::segments;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| segments::run(data));
