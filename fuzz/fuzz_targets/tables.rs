//! Table files are refused, or are tables that lie in them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shardmill_fuzz::checks::tables;

fuzz_target!(|input: &[u8]| tables::check(input));
