//! Inputs of every kind, changed, are refused, or read alike whatever the units and threads.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shardmill_fuzz::checks::inputs;

fuzz_target!(
    init: {
        // The crate that reads Parquet panics on some damage, which the reader catches, and the hook of
        // libFuzzer aborts before that. A panic that nothing catches aborts all the same.
        std::panic::set_hook(Box::new(|info| eprintln!("{info}")));
    },
    |input: &[u8]| inputs::check(input)
);
