//! Byte-level vocabularies and byte fallbacks.

use serde_json::{Value, json};

use super::{byte_level, file, merges, read, read_text};
use crate::definition::{Alphabet, NO_BYTE, Unknown, Use};

#[test]
fn byte_level_texts_outside_the_alphabet_are_only_decoded() {
    let definition = read(&[
        ("/pre_tokenizer", byte_level()),
        (
            "/model/vocab",
            json!({"a": 0, "Ġ": 1, "Ġa": 2, " ": 3, " a": 4, "<｜x｜>": 5, "": 6}),
        ),
        ("/model/merges", json!([[" ", "a"], ["Ġ", "a"]])),
        ("/model/ignore_merges", json!(true)),
    ]);
    let tokens = &definition.model.tokens;
    let token = |id| (tokens.bytes(id), tokens.usage(id));
    assert_eq!(token(2), (&b" a"[..], Use::Text));
    assert_eq!(token(3), (&b" "[..], Use::Decoded));
    assert_eq!(token(4), (&b" a"[..], Use::Decoded));
    assert_eq!(token(5), ("<｜x｜>".as_bytes(), Use::Decoded));
    assert_eq!(token(6), (&b""[..], Use::Decoded));
    assert_eq!(
        merges(&definition),
        [(1, 0, 2, 1)],
        "the other never happens"
    );
    assert!(definition.model.whole_tokens);
}

/// A vocabulary with a byte fallback, without these bytes.
fn fallback(without: &[u8], others: &[&str]) -> Value {
    let bytes = (0..=u8::MAX).filter(|byte| !without.contains(byte));
    let texts = bytes
        .map(|byte| format!("<0x{byte:02X}>"))
        .chain(others.iter().map(|&text| text.to_owned()));
    Value::Object(
        texts
            .enumerate()
            .map(|(id, text)| (text, json!(id)))
            .collect(),
    )
}

#[test]
fn a_byte_fallback_must_be_whole() {
    let read = |vocab: Value, merges: Value| {
        let file = file(&[
            ("/model/vocab", vocab),
            ("/model/merges", merges),
            ("/model/byte_fallback", json!(true)),
            ("/model/unk_token", json!("<unk>")),
        ]);
        read_text(&file.to_string())
    };
    let whole = read(fallback(&[], &["<unk>"]), json!([])).unwrap().model;
    let Alphabet::Characters {
        fallback: Some(ids),
    } = &whole.alphabet
    else {
        panic!("no fallback");
    };
    assert_eq!(
        (ids[65], whole.tokens.bytes(65), whole.tokens.usage(65)),
        (65, &b"A"[..], Use::Byte)
    );
    assert_eq!(whole.unknown, None, "nothing is unknown");
    // What no text needs may be missing.
    let model = read(fallback(&[0xc0, 0xff, b'\t'], &["<unk>", "\t"]), json!([]))
        .unwrap()
        .model;
    let Alphabet::Characters {
        fallback: Some(ids),
    } = &model.alphabet
    else {
        panic!("no fallback");
    };
    assert_eq!((ids[9], ids[0xc0]), (NO_BYTE, NO_BYTE));
    let message = |vocab, merges| read(vocab, merges).unwrap_err().to_string();
    assert_eq!(
        message(fallback(&[0xe2], &["<unk>"]), json!([])),
        "model.vocab lacks \"<0xE2>\", which byte_fallback needs"
    );
    assert_eq!(
        message(fallback(&[9], &["<unk>"]), json!([])),
        "model.vocab lacks \"<0x09>\", which byte_fallback needs"
    );
    let merge = json!([["<0x41>", "<0x42>"]]);
    assert_eq!(
        message(fallback(&[], &["<unk>", "<0x41><0x42>"]), merge),
        "model.merges[0] uses \"<0x41>\", a byte of byte_fallback"
    );
    // Without any, it does nothing.
    let model = read(json!({"a": 0, "<unk>": 1}), json!([])).unwrap().model;
    assert_eq!(model.alphabet, Alphabet::Characters { fallback: None });
    assert_eq!(model.unknown, Some(Unknown { id: 1, fuse: false }));
}
