//! Changes to outputs are detected, or repaired by the run that resumes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shardmill_fuzz::checks::records;

fuzz_target!(|input: &[u8]| records::check(input));
