//! All cuts of a source lead to the same documents, those of a plain reader.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shardmill_fuzz::checks::units;

fuzz_target!(|input: &[u8]| units::check(input));
