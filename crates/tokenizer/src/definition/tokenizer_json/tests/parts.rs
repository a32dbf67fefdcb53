//! Normalizers, pre-tokenizers, post-processors, decoders, and version 2.0.

use serde_json::{Value, json};

use super::{byte_level, file, read, read_text};
use crate::definition::{Alphabet, Decoding, Metaspace, Normalizer, PrefixScheme};
use crate::pretoken::{Behavior, Stage, Syntax};

#[test]
fn stages_are_in_the_order_of_the_file() {
    let chain = json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "x+"}, "behavior": "Removed", "invert": true},
        {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithNext", "invert": false},
            {"type": "Digits", "individual_digits": true},
            {"type": "Punctuation"},
        ]},
        {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
    ]});
    let definition = read(&[("/pre_tokenizer", chain)]);
    let regex = |pattern: &str, behavior, invert| Stage::Regex {
        pattern: pattern.to_owned(),
        syntax: Syntax::Onig,
        behavior,
        invert,
    };
    assert_eq!(
        definition.stages,
        [
            regex("x+", Behavior::Removed, true),
            Stage::Literal {
                text: " ".to_owned(),
                behavior: Behavior::MergedWithNext,
                invert: false
            },
            Stage::Digits { individual: true },
            Stage::Punctuation {
                behavior: Behavior::Isolated
            },
            Stage::PrefixSpace,
            regex(crate::definition::patterns::GPT2, Behavior::Isolated, false),
        ]
    );
    assert_eq!(definition.model.alphabet, Alphabet::Bytes);
    assert_eq!(definition.model.tokens.bytes(6), b" ");
}

#[test]
fn metaspace_has_older_fields() {
    let metaspace = |changes: &[(&str, Value)]| {
        let mut node = json!({"type": "Metaspace", "replacement": "▁"});
        for (key, value) in changes {
            node[*key] = value.clone();
        }
        read(&[("/pre_tokenizer", node)]).metaspace.unwrap()
    };
    let usual = Metaspace {
        replacement: '▁',
        prepend: PrefixScheme::Always,
        split: true,
    };
    assert_eq!(metaspace(&[]), usual);
    assert_eq!(
        metaspace(&[
            ("add_prefix_space", json!(true)),
            ("str_rep", json!("▁")),
            ("split", json!(null))
        ]),
        usual
    );
    let never = Metaspace {
        prepend: PrefixScheme::Never,
        ..usual
    };
    assert_eq!(
        metaspace(&[
            ("add_prefix_space", json!(false)),
            ("prepend_scheme", json!("never"))
        ]),
        never
    );
    assert_eq!(
        metaspace(&[
            ("add_prefix_space", json!(true)),
            ("prepend_scheme", json!("never"))
        ]),
        never
    );
    let first = Metaspace {
        prepend: PrefixScheme::First,
        split: false,
        ..usual
    };
    assert_eq!(
        metaspace(&[("prepend_scheme", json!("first")), ("split", json!(false))]),
        first
    );
}

#[test]
fn normalizers_are_in_the_order_of_the_file() {
    let chain = json!({"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": " "}, "content": "▁"}, {"type": "NFC"}]},
        {"type": "Strip", "strip_left": true, "strip_right": false},
    ]});
    assert_eq!(
        read(&[("/normalizer", chain)]).normalizers,
        [
            Normalizer::Prepend("▁".to_owned()),
            Normalizer::Replace {
                from: " ".to_owned(),
                to: "▁".to_owned()
            },
            Normalizer::Nfc,
            Normalizer::Strip {
                left: true,
                right: false
            },
        ]
    );
}

#[test]
fn post_processors_say_bos_and_eos() {
    let template = json!({"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
        {"type": "TemplateProcessing",
         "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
         "pair": [], "special_tokens": {
            "<s>": {"id": "<s>", "ids": [10, 11], "tokens": ["<", "s"]},
            "</s>": {"id": "</s>", "ids": [12], "tokens": ["</s>"]}}},
    ]});
    let definition = read(&[("/post_processor", template)]);
    assert_eq!((definition.bos, definition.eos), (vec![10, 11], vec![12]));
    let roberta = json!({"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": true, "add_prefix_space": false});
    let definition = read(&[("/post_processor", roberta)]);
    assert_eq!((definition.bos, definition.eos), (vec![0], vec![2]));
}

#[test]
fn decoders_are_known_or_noted() {
    let llama = |last: Value| {
        json!({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, last]})
    };
    let decoding = |decoder: Value| {
        let definition = read(&[("/decoder", decoder)]);
        (definition.decoding, definition.notes.len())
    };
    let strip = json!({"type": "Strip", "content": " ", "start": 1, "stop": 0});
    assert_eq!(
        decoding(llama(strip)),
        (
            Decoding::Words {
                marker: '▁',
                strip: 1
            },
            0
        )
    );
    assert_eq!(
        decoding(llama(json!({"type": "Fuse"}))),
        (Decoding::Other, 1)
    );
    let metaspace = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"});
    assert_eq!(
        decoding(metaspace),
        (
            Decoding::Metaspace {
                marker: '▁',
                drop_in_first: false
            },
            0
        )
    );
    assert_eq!(decoding(json!({"type": "WordPiece"})), (Decoding::Other, 1));
    let definition = read(&[
        ("/truncation", json!({"max_length": 512})),
        ("/padding", json!({})),
    ]);
    assert_eq!(
        definition.notes[1..],
        ["truncation is not applied", "padding is not applied"]
    );
}

#[test]
fn version_two_is_read() {
    let two = |changes: &[(&str, Value)]| {
        let mut all = vec![
            ("/version", json!("2.0")),
            ("/model/byte_level", json!(false)),
            ("/role_to_token", json!({})),
        ];
        all.extend_from_slice(changes);
        read_text(&file(&all).to_string())
    };
    let regex = json!({"type": "Split", "pattern": {"Regex": "x"}});
    let definition = two(&[
        ("/pre_tokenizer", regex),
        ("/model/byte_level", json!(true)),
    ])
    .unwrap();
    assert_eq!(definition.model.alphabet, Alphabet::Bytes);
    assert_eq!(
        definition.stages,
        [Stage::Regex {
            pattern: "x".to_owned(),
            syntax: Syntax::Fancy,
            behavior: Behavior::Isolated,
            invert: false
        }]
    );
    let marker = json!({"type": "MetaspaceNormalizer", "replacement": "▁", "prepend": "first", "drop_whitespace": false});
    let split = json!({"type": "Split", "pattern": {"String": "▁"}, "behavior": "MergedWithNext", "invert": false});
    let metaspace = Metaspace {
        replacement: '▁',
        prepend: PrefixScheme::First,
        split: false,
    };
    let changes = [("/normalizer", marker.clone())];
    assert_eq!(two(&changes).unwrap().metaspace, Some(metaspace));
    let changes = [("/normalizer", marker.clone()), ("/pre_tokenizer", split)];
    let definition = two(&changes).unwrap();
    assert_eq!(
        (definition.metaspace, definition.stages.len()),
        (
            Some(Metaspace {
                split: true,
                ..metaspace
            }),
            0
        )
    );
    let message = |changes: &[(&str, Value)]| two(changes).unwrap_err().to_string();
    let dropping = json!({"type": "MetaspaceNormalizer", "replacement": "▁", "prepend": "first", "drop_whitespace": true});
    assert_eq!(
        message(&[("/normalizer", dropping)]),
        "normalizer.drop_whitespace true is not supported"
    );
    assert_eq!(
        message(&[("/normalizer", json!({"type": "NFC"}))]),
        "normalizer.type \"NFC\" in a file of version 2.0 is not supported"
    );
    assert_eq!(
        message(&[("/pre_tokenizer", byte_level())]),
        "pre_tokenizer.type \"ByteLevel\" is not supported"
    );
    assert_eq!(
        message(&[("/model/byte_level", json!("(remove)"))]),
        "model.byte_level is missing"
    );
    assert_eq!(
        message(&[
            ("/normalizer", marker.clone()),
            ("/model/byte_level", json!(true))
        ]),
        "model.byte_level with a MetaspaceNormalizer is not supported"
    );
    let digits = json!({"type": "Digits"});
    assert_eq!(
        message(&[("/normalizer", marker), ("/pre_tokenizer", digits)]),
        "pre_tokenizer after a MetaspaceNormalizer is not supported, unless it splits before the marker"
    );
    let template = json!({"type": "TemplateProcessing", "single": [{"ids": [3]}, {"seq": "A", "type_id": 1}], "pair": []});
    assert_eq!(two(&[("/post_processor", template)]).unwrap().bos, [3]);
}
