//! Tests of tokenizer.json.
//!
//! ```text
//! mod      spellings, vocabularies and merges
//! refused  what is refused, and where
//! added    added tokens
//! model    byte-level vocabularies and byte fallbacks
//! parts    normalizers, pre-tokenizers, post-processors, decoders, and version 2.0
//! ```

mod added;
mod model;
mod parts;
mod refused;

use serde_json::{Value, json};

use crate::definition::tokens::Merge;
use crate::definition::{Alphabet, Definition, Merges, Refusal, Source, Use, parse};

/// A small file, with some values replaced by JSON pointer.
fn file(changes: &[(&str, Value)]) -> Value {
    let mut file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": null,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5, "Ġ": 6},
            "merges": ["a b", "b c"],
        }
    });
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = file.pointer_mut(parent).unwrap();
        match value.as_str() {
            Some("(remove)") => drop(parent.as_object_mut().unwrap().remove(key)),
            _ => drop(
                parent
                    .as_object_mut()
                    .unwrap()
                    .insert(key.to_owned(), value.clone()),
            ),
        }
    }
    file
}

fn read_text(text: &str) -> Result<Definition, Refusal> {
    parse(&Source {
        bytes: text.as_bytes(),
        ..Source::default()
    })
}

fn read(changes: &[(&str, Value)]) -> Definition {
    read_text(&file(changes).to_string()).unwrap()
}

fn message(pointer: &str, value: Value) -> String {
    let file = file(&[(pointer, value)]).to_string();
    read_text(&file).unwrap_err().to_string()
}

fn merges(definition: &Definition) -> Vec<(u32, u32, u32, u32)> {
    let Merges::List(list) = &definition.model.merges else {
        panic!("no list");
    };
    let row = |m: &Merge| (m.left, m.right, m.merged, m.rank);
    list.iter().map(row).collect()
}

const BYTE_LEVEL: &str = r#"{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true}"#;

fn byte_level() -> Value {
    serde_json::from_str(BYTE_LEVEL).unwrap()
}

#[test]
fn a_plain_file_is_read() {
    let definition = read(&[]);
    assert_eq!(merges(&definition), [(0, 1, 3, 0), (1, 2, 4, 1)]);
    let tokens = &definition.model.tokens;
    assert_eq!((tokens.limit(), tokens.bytes(3)), (7, &b"ab"[..]));
    assert_eq!(tokens.usage(4), Use::Text);
    assert_eq!(tokens.usage(5), Use::Decoded, "no merge makes it");
    assert_eq!(
        definition.model.alphabet,
        Alphabet::Characters { fallback: None }
    );
    assert!(definition.stages.is_empty() && definition.notes.len() == 1);
}

#[test]
fn many_spellings_mean_the_same() {
    let usual = read(&[]);
    for (pointer, value) in [
        ("/version", json!("(remove)")),
        ("/model/type", json!("(remove)")),
        ("/added_tokens", json!("(remove)")),
        ("/model/dropout", json!(0)),
        ("/model/dropout", json!(0.0)),
        ("/model/fuse_unk", json!(null)),
        ("/model/ignore_merges", json!(false)),
        ("/model/end_of_word_suffix", json!("")),
        ("/model/continuing_subword_prefix", json!("(remove)")),
        (
            "/model/merges",
            json!(["#version: 0.2", "a b", "#version", "b c"]),
        ),
        ("/model/merges", json!([["a", "b"], ["b", "c"]])),
        (
            "/normalizer",
            json!({"type": "Sequence", "normalizers": []}),
        ),
        (
            "/pre_tokenizer",
            json!({"type": "Sequence", "pretokenizers": []}),
        ),
    ] {
        assert_eq!(
            read(&[(pointer, value.clone())]),
            usual,
            "{pointer} {value}"
        );
    }
    // Keys may have any order, and texts escapes.
    let text = r#"{"model":{"merges":["a b"],"vocab":{"a":0,"\u0062":1,"ab":2}}}"#;
    assert_eq!(merges(&read_text(text).unwrap()), [(0, 1, 2, 0)]);
}

#[test]
fn the_last_of_equal_merges_counts() {
    let definition = read(&[(
        "/model/merges",
        json!(["a b", "b c", "ab c", "a bc", "a b"]),
    )]);
    let expected = [(1, 2, 4, 1), (3, 2, 5, 2), (0, 4, 5, 3), (0, 1, 3, 4)];
    assert_eq!(merges(&definition), expected);
}

#[test]
fn broken_merges_and_vocabularies_are_refused() {
    let in_merges = |value| message("/model/merges", value);
    assert_eq!(
        in_merges(json!(["a b", "a x"])),
        "model.merges[1] \"x\" is not in the vocabulary"
    );
    assert_eq!(
        in_merges(json!(["#version", "c a"])),
        "model.merges[1] \"ca\" is not in the vocabulary"
    );
    assert_eq!(
        in_merges(json!(["a b", ""])),
        "model.merges[1] \"\" is not two tokens with one space between"
    );
    assert_eq!(
        in_merges(json!(["a b c"])),
        "model.merges[0] \"a b c\" is not two tokens with one space between"
    );
    assert_eq!(
        in_merges(json!(["a b", ["b", "c"]])),
        "model.merges[1] has another form than the entries before"
    );
    assert_eq!(
        in_merges(json!([["a"]])),
        "model.merges[0] is not two tokens"
    );
    assert_eq!(in_merges(json!("(remove)")), "model.merges is missing");
    let in_vocab = |value| message("/model/vocab", value);
    assert_eq!(
        in_vocab(json!({"a": 0, "b": 1, "c": 1})),
        "model.vocab \"c\" and \"b\" have the same id 1"
    );
    assert_eq!(
        in_vocab(json!({"a": 4_294_967_295_u32})),
        "model.vocab \"a\": id 4294967295 is 524,288 or more"
    );
    assert!(in_vocab(json!({"a": -1})).starts_with("is not valid: invalid value: integer `-1`"));
    assert!(in_vocab(json!({"a": 1.0})).starts_with("is not valid: invalid type: floating point"));
    assert_eq!(in_vocab(json!("(remove)")), "model.vocab is missing");
    let twice = r#"{"model":{"type":"BPE","vocab":{"a":0,"a":1},"merges":[]}}"#;
    assert_eq!(
        read_text(twice).unwrap_err().to_string(),
        "model.vocab \"a\" is there twice, with ids 0 and 1"
    );
}

#[test]
fn other_models_are_refused_by_name() {
    for (model, name) in [
        (
            json!({"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.5]]}),
            "Unigram",
        ),
        (json!({"unk_id": 0, "vocab": [["a", 0.5]]}), "Unigram"),
        (
            json!({"vocab": [["a", 0.5]], "unk_id": 0, "type": "Unigram"}),
            "Unigram",
        ),
        (
            json!({"type": "WordPiece", "vocab": {"a": 0}, "max_input_chars_per_word": 100}),
            "WordPiece",
        ),
        (
            json!({"unk_token": "u", "vocab": {"a": 0}, "max_input_chars_per_word": 100}),
            "WordPiece",
        ),
        (json!({"vocab": {"a": 0}, "unk_token": "u"}), "WordLevel"),
    ] {
        let expected = format!("model.type \"{name}\" is not supported");
        assert_eq!(message("/model", model), expected);
    }
}
