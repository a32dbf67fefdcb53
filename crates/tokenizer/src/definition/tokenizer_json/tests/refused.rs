//! What is refused, and where.

use serde_json::{Value, json};

use super::{byte_level, message};

#[expect(clippy::too_many_lines, reason = "a table")]
#[test]
fn each_unknown_or_unsupported_field_is_refused_by_path() {
    let split = |key: &str, value: Value| {
        let mut split = json!({"type": "Split", "pattern": {"String": "a"}, "behavior": "Isolated", "invert": false});
        split[key] = value;
        split
    };
    let template = |single: Value| json!({"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": {}});
    for (pointer, value, expected) in [
        ("/extra", json!(1), "extra is not known"),
        ("/role_to_token", json!({}), "role_to_token is not known"),
        ("/version", json!("3.0"), "version \"3.0\" is not supported"),
        ("/version", json!(1), "version is not a string but a number"),
        ("/model", json!("(remove)"), "model is missing"),
        ("/model/extra", json!(1), "model.extra is not known"),
        (
            "/model/type",
            json!(3),
            "model.type is not a string but a number",
        ),
        (
            "/model/byte_level",
            json!(true),
            "model.byte_level is not known",
        ),
        (
            "/model/dropout",
            json!(0.1),
            "model.dropout 0.1 is not supported",
        ),
        (
            "/model/dropout",
            json!(true),
            "model.dropout is not a number but a boolean",
        ),
        (
            "/model/end_of_word_suffix",
            json!("</w>"),
            "model.end_of_word_suffix \"</w>\" is not supported",
        ),
        (
            "/model/continuing_subword_prefix",
            json!("##"),
            "model.continuing_subword_prefix \"##\" is not supported",
        ),
        (
            "/model/unk_token",
            json!("<unk>"),
            "model.unk_token \"<unk>\" is not in the vocabulary",
        ),
        (
            "/model/unk_token",
            json!("a"),
            "model.unk_token \"a\" is a character itself, which is not supported",
        ),
        (
            "/model/unk_token",
            json!("ab"),
            "model.merges[0] uses \"ab\", the unk_token",
        ),
        (
            "/model/fuse_unk",
            json!(1),
            "model.fuse_unk is not true or false but a number",
        ),
        (
            "/normalizer",
            json!({"type": "Prepend", "prepend": ""}),
            "normalizer.prepend \"\" is not supported",
        ),
        (
            "/normalizer",
            json!({"type": "NFKC"}),
            "normalizer.type \"NFKC\" is not supported",
        ),
        (
            "/normalizer",
            json!({"type": "NFC", "x": 1}),
            "normalizer.x is not known",
        ),
        (
            "/normalizer",
            json!("NFC"),
            "normalizer is not an object but a string",
        ),
        (
            "/normalizer",
            json!({"normalizers": []}),
            "normalizer.type is missing",
        ),
        (
            "/normalizer",
            json!({"type": "Strip", "strip_left": true}),
            "normalizer.strip_right is missing",
        ),
        (
            "/normalizer",
            json!({"type": "Replace", "pattern": {"Regex": "a"}, "content": ""}),
            "normalizer.pattern.Regex of a normalizer is not supported",
        ),
        (
            "/normalizer",
            json!({"type": "Replace", "pattern": {"String": ""}, "content": ""}),
            "normalizer.pattern.String \"\" is not supported",
        ),
        (
            "/normalizer",
            json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}]}),
            "normalizer.normalizers[1].normalizers[0].type \"Lowercase\" is not supported",
        ),
        (
            "/normalizer",
            json!({"type": "MetaspaceNormalizer"}),
            "normalizer.type \"MetaspaceNormalizer\" is not supported",
        ),
        (
            "/pre_tokenizer",
            json!({"type": "BertPreTokenizer"}),
            "pre_tokenizer.type \"BertPreTokenizer\" is not supported",
        ),
        (
            "/pre_tokenizer",
            json!({"type": "Whitespace"}),
            "pre_tokenizer.type \"Whitespace\" is not supported",
        ),
        (
            "/pre_tokenizer",
            json!({"type": "Digits"}),
            "pre_tokenizer.individual_digits is missing",
        ),
        (
            "/pre_tokenizer",
            json!({"type": "ByteLevel", "add_prefix_space": true}),
            "pre_tokenizer.trim_offsets is missing",
        ),
        (
            "/pre_tokenizer",
            json!({"type": "Sequence", "pretokenizers": [byte_level(), byte_level()]}),
            "pre_tokenizer.pretokenizers[1] (\"ByteLevel\") after ByteLevel is not supported",
        ),
        (
            "/pre_tokenizer",
            json!({"type": "Sequence", "pretokenizers": [{"type": "Metaspace", "replacement": "▁"}, {"type": "Digits", "individual_digits": true}]}),
            "pre_tokenizer.pretokenizers[1] (\"Digits\") after Metaspace is not supported",
        ),
        (
            "/pre_tokenizer",
            json!({"type": "Metaspace", "replacement": "ab"}),
            "pre_tokenizer.replacement \"ab\" is not one character",
        ),
        (
            "/pre_tokenizer",
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": null}),
            "pre_tokenizer.prepend_scheme is not a string but null",
        ),
        (
            "/pre_tokenizer",
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "last"}),
            "pre_tokenizer.prepend_scheme \"last\" is not first, never or always",
        ),
        (
            "/pre_tokenizer",
            json!({"type": "Metaspace", "replacement": "▁", "add_prefix_space": false}),
            "pre_tokenizer.add_prefix_space false contradicts prepend_scheme",
        ),
        (
            "/pre_tokenizer",
            split("behavior", json!("isolated")),
            "pre_tokenizer.behavior \"isolated\" is not known",
        ),
        (
            "/pre_tokenizer",
            split("invert", json!(null)),
            "pre_tokenizer.invert is not true or false but null",
        ),
        (
            "/pre_tokenizer",
            split("pattern", json!("a")),
            "pre_tokenizer.pattern is not an object but a string",
        ),
        (
            "/pre_tokenizer",
            split("pattern", json!({"String": ""})),
            "pre_tokenizer.pattern.String \"\" is not supported",
        ),
        (
            "/pre_tokenizer",
            split("pattern", json!({"String": "a", "Regex": "b"})),
            "pre_tokenizer.pattern.String is not known",
        ),
        (
            "/pre_tokenizer",
            split("x", json!(1)),
            "pre_tokenizer.x is not known",
        ),
        (
            "/post_processor",
            json!({"type": "Other"}),
            "post_processor.type \"Other\" is not supported",
        ),
        (
            "/post_processor",
            template(json!([])),
            "post_processor.single does not have the text once, which is not supported",
        ),
        (
            "/post_processor",
            template(json!([{"SpecialToken": {"id": "x", "type_id": 0}}])),
            "post_processor.single[0].SpecialToken.id \"x\" is not in special_tokens",
        ),
        (
            "/post_processor",
            template(json!([{"Sequence": {"id": "B", "type_id": 0}}])),
            "post_processor.single[0] is not about text \"A\" but \"B\"",
        ),
        (
            "/post_processor",
            json!({"type": "BertProcessing", "sep": ["x", 1], "cls": 3}),
            "post_processor.cls is not a token and its id but a number",
        ),
        ("/added_tokens", json!(null), "added_tokens is not an array"),
    ] {
        assert_eq!(message(pointer, value), expected);
    }
}
