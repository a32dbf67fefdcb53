//! Changed outputs are found out, or made good by the run that goes on.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shardmill_fuzz::checks::records;

fuzz_target!(|input: &[u8]| records::check(input));
