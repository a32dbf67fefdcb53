//! Inputs of every kind, changed, are refused, or read alike whatever the units and threads.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shardmill_fuzz::checks::inputs;

fuzz_target!(|input: &[u8]| inputs::check(input));
