//! libFuzzer's entry to the target of this name.
#![no_main]

use cfm_fuzz::targets::side_files;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| side_files::run(data));
