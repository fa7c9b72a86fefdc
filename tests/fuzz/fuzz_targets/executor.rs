//! libFuzzer's entry to the target of this name.
#![no_main]

use cfm_fuzz::targets::executor;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| executor::run(data));
