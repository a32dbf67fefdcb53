//! Ids are tiktoken's, whatever was encoded before, and decode to the text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shardmill::Tokenizer;
use shardmill_fuzz::{NAMES, assert_same_ids, kept, oracle, text_of};

fuzz_target!(|input: &[u8]| {
    let text = text_of(input);
    for (index, name) in NAMES.into_iter().enumerate() {
        let expected = oracle(index).encode_ordinary(&text);
        let ids = kept(index).encode_ordinary(&text);
        assert_same_ids(&ids, &expected, &format!("{name}, kept, {text:?}"));
        let fresh = Tokenizer::by_name(name).unwrap().encode_ordinary(&text);
        assert_same_ids(&fresh, &expected, &format!("{name}, fresh, {text:?}"));
        let bytes = kept(index).decode_bytes(&ids).unwrap();
        assert_eq!(bytes, text.as_bytes(), "{name}");
    }
});
