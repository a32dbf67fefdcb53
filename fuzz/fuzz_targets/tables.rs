//! A table file is refused, or its table lies inside the file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shardmill_fuzz::checks::tables;

fuzz_target!(|input: &[u8]| tables::check(input));
