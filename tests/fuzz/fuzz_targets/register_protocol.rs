//! libFuzzer's entry to the target of this name.
#![no_main]

use cfm_fuzz::targets::register_protocol;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| register_protocol::run(data));
