//! Tokenizer files, changed, are refused or encode any text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shardmill_fuzz::checks::tokenizers;

fuzz_target!(|input: &[u8]| tokenizers::check(input));
