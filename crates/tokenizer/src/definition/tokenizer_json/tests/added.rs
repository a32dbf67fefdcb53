//! Added tokens, and the ids that they get.

use serde_json::{Value, json};

use super::{file, message, read, read_text};
use crate::definition::Cause;

fn token(id: u64, content: &str) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
}

#[test]
fn added_tokens_have_the_ids_that_tokenizers_gives() {
    let ids = |list: Value| -> Vec<_> {
        let added = read(&[("/added_tokens", list)]).added;
        added.iter().map(|token| token.id).collect()
    };
    assert_eq!(
        ids(json!([token(7, "<x>"), token(3, "ab"), token(8, "<y>")])),
        [7, 3, 8]
    );
    // An empty one is ignored, and so is the same one again.
    assert_eq!(
        ids(json!([
            token(7, ""),
            token(7, "<x>"),
            token(7, "<x>"),
            token(8, "<y>")
        ])),
        [7, 8]
    );
}

#[test]
fn added_tokens_that_would_get_other_ids_are_refused() {
    let mut other = token(7, "<x>");
    other["lstrip"] = json!(true);
    let mut extra = token(7, "<x>");
    extra["extra"] = json!(1);
    let mut short = token(7, "<x>");
    short.as_object_mut().unwrap().remove("special");
    for (list, expected) in [
        (
            json!([token(8, "<x>")]),
            "added_tokens[0].id 8 is not the id 7 that tokenizers gives to \"<x>\"",
        ),
        (
            json!([token(7, "ab")]),
            "added_tokens[0].id 7 is not the id 3 that tokenizers gives to \"ab\"",
        ),
        (
            json!([token(7, "<x>"), other]),
            "added_tokens[1] \"<x>\" is there twice, not the same",
        ),
        (
            json!([token(1 << 40, "<x>")]),
            "added_tokens[0].id 1099511627776 is not the id 7 that tokenizers gives to \"<x>\"",
        ),
    ] {
        assert_eq!(message("/added_tokens", list), expected);
    }
    let refusal = read_text(&file(&[("/added_tokens", json!([extra]))]).to_string()).unwrap_err();
    assert_eq!(refusal.cause, Cause::Unsupported);
    assert!(
        refusal
            .to_string()
            .starts_with("added_tokens[0] is not valid: unknown field `extra`")
    );
    let missing = message("/added_tokens", json!([short]));
    assert!(
        missing.starts_with("added_tokens[0] is not valid: missing field `special`"),
        "{missing}"
    );
    // With holes in the vocabulary, the next id may be that of another text.
    let file = file(&[
        ("/model/vocab", json!({"a": 0, "b": 2, "c": 5})),
        ("/model/merges", json!([])),
        (
            "/added_tokens",
            json!([token(3, "<x>"), token(4, "<y>"), token(5, "<z>")]),
        ),
    ]);
    let refusal = read_text(&file.to_string()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "added_tokens[2].id 5 of \"<z>\" is that of \"c\" in the vocabulary"
    );
}
