//! Tests of the table of formats, and of what hostile files do.

use std::time::{Duration, Instant};

use super::*;

fn refusal(bytes: &[u8]) -> Refusal {
    parse(&Source {
        bytes,
        ..Source::default()
    })
    .unwrap_err()
}

fn message(bytes: &[u8]) -> String {
    refusal(bytes).to_string()
}

#[test]
fn rows_are_in_the_order_of_the_kinds() {
    for row in &FORMATS {
        assert_eq!(row.kind.name(), row.name);
    }
}

#[test]
fn a_format_is_known_by_its_content() {
    let kinds = [
        (
            &br#"{"version":"1.0","model":{}}"#[..],
            Some(Kind::TokenizerJson),
        ),
        (b"  {\"added_tokens\":[]}", Some(Kind::TokenizerJson)),
        (b"\nIQ== 0\r\n", Some(Kind::Tiktoken)),
        (br#"{"vocab":[],"config":{}}"#, Some(Kind::Tekken)),
        (b"\x0a\x03\x0a\x01a", Some(Kind::SentencePiece)),
        (br#"{"a":0,"b":1}"#, Some(Kind::VocabMerges)),
        (br#"{"model":0,"b":1}"#, Some(Kind::TokenizerJson)),
        (b"", None),
        (b"\n", None),
        (b"{}", None),
        (br#"{"a":"b"}"#, None),
        (b"[1]", None),
        (b"some text", None),
        (b"some! 12", None),
        (b"\x0a\x05\x0a\x01a", None),
    ];
    for (bytes, kind) in kinds {
        assert_eq!(
            Kind::of(bytes),
            kind,
            "{:?}",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn what_is_no_tokenizer_is_refused() {
    assert_eq!(message(b""), "is empty");
    assert_eq!(message(b"text"), "is not a tokenizer");
    assert!(
        refusal(b"text")
            .hint
            .unwrap()
            .contains("tokenizer.json, tiktoken, tekken.json")
    );
    assert_eq!(
        message(b"version https://git-lfs.github.com/spec/v1\noid sha256:x"),
        "is a Git LFS pointer, not the file itself"
    );
    let json = br#"{"model":{"type":"BPE","vocab":{},"merges":[]}}"#;
    let with_pattern = parse(&Source {
        bytes: json,
        pattern: Some(("x", Syntax::Fancy)),
        ..Source::default()
    });
    let expected = "is a tokenizer.json file, which has its own split pattern";
    assert_eq!(with_pattern.unwrap_err().to_string(), expected);
    let special = [("<e>".to_owned(), 7)];
    let with_special = parse(&Source {
        bytes: json,
        special: &special,
        ..Source::default()
    });
    let expected = "is a tokenizer.json file, which has its own special tokens";
    assert_eq!(with_special.unwrap_err().to_string(), expected);
}

/// The message of a hostile file, which must come soon.
fn soon(bytes: &[u8]) -> String {
    let start = Instant::now();
    let message = message(bytes);
    // Unoptimized tests are slow, and so are machines that do something else.
    assert!(start.elapsed() < Duration::from_secs(10));
    message
}

#[test]
fn hostile_files_are_refused_soon() {
    let model = |vocab: &str, merges: &str| {
        format!(r#"{{"model":{{"type":"BPE","vocab":{{{vocab}}},"merges":[{merges}]}}}}"#)
            .into_bytes()
    };
    // A million merges of one pair are one merge.
    let many = r#""a b","#.repeat(1_000_000) + r#""a x""#;
    let many = soon(&model(r#""a":0,"b":1,"ab":2"#, &many));
    assert_eq!(many, "model.merges[1000000] \"x\" is not in the vocabulary");
    assert!(soon(&model(r#""a":4294967295"#, "")).contains("is 524,288 or more"));
    assert!(soon(&model(r#""a":18446744073709551616"#, "")).contains("is not valid"));
    assert!(soon(&model(&r#""a":0,"#.repeat(100_000), "")).contains("the same id 0"));
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let bpe = r#""vocab":{},"merges":[]"#;
    let file = format!(r#"{{"normalizer":{deep},"model":{{{bpe}}}}}"#);
    assert!(soon(file.as_bytes()).starts_with("normalizer is not valid: recursion limit"));
    let file = format!(r#"{{"model":{{"x":{deep},{bpe}}}}}"#);
    assert_eq!(soon(file.as_bytes()), "model.x is not known");
    let file = format!(r#"{{"model":{{"dropout":{deep},{bpe}}}}}"#);
    assert!(soon(file.as_bytes()).starts_with("model.dropout is not valid: recursion limit"));
    assert!(soon(format!(r#"{{"model":{deep}}}"#).as_bytes()).contains("is not valid"));
    let unclosed = "[".repeat(1 << 20);
    assert!(soon(format!(r#"{{"model":{{"x":{unclosed}"#).as_bytes()).contains("is not valid"));
    let long = "x".repeat(2 << 20);
    assert_eq!(
        soon(
            format!(r#"{{"normalizer":"{long}","model":{{"vocab":{{}},"merges":[]}}}}"#).as_bytes()
        ),
        "normalizer is larger than 1 MiB"
    );
    let long = soon(&model("", &format!(r#""{long}""#)));
    assert!(long.len() < 200, "{long}");
    assert!(soon(&[0xff; 1000]).contains("not a tokenizer"));
    assert_eq!(soon(b"{\"model\":\xff}"), "byte 9: is not UTF-8");
}

#[test]
fn every_prefix_of_a_file_is_refused() {
    let whole = br#"{"version":"1.0","added_tokens":[{"id":3,"content":"<e>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],"normalizer":{"type":"NFC"},"model":{"type":"BPE","vocab":{"a":0,"\u0062":1,"ab":2},"merges":[["a","b"]]}}"#;
    let parse = |bytes: &[u8]| {
        super::parse(&Source {
            bytes,
            ..Source::default()
        })
    };
    assert!(parse(whole).is_ok());
    for end in 0..whole.len() {
        assert!(parse(&whole[..end]).is_err(), "{end}");
    }
}

#[test]
fn known_ends_of_documents_are_found() {
    let file = br#"{"added_tokens":[{"id":3,"content":"<|endoftext|>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
        "model":{"type":"BPE","vocab":{"a":0,"</s>":1,"b":2},"merges":[]}}"#;
    let definition = parse(&Source {
        bytes: file,
        ..Source::default()
    });
    let expected = [("<|endoftext|>".to_owned(), 3), ("</s>".to_owned(), 1)];
    assert_eq!(end_of_text_candidates(&definition.unwrap()), expected);
}

/// Real files, if `TOKENIZERS` names a directory that has some of them.
#[test]
#[ignore = "needs files that are not in the repository"]
fn real_files_are_read() {
    let Some(directory) = std::env::var_os("TOKENIZERS") else {
        eprintln!("skipped: set TOKENIZERS to a directory of tokenizers");
        return;
    };
    let directory = std::path::PathBuf::from(directory);
    // Tokens of the model, merges, added tokens.
    let counts: [(&str, (usize, usize, usize)); 4] = [
        ("dolma2.json", (100_278, 100_000, 22)),
        ("gpt_neox_20b.json", (50_254, 50_009, 25)),
        ("mistral_7b_v03.json", (32_768, 58_980, 771)),
        ("mistral_7b_v03.model", (32_768, 58_980, 0)),
    ];
    let read = |name: &str| std::fs::read(directory.join(name)).ok();
    for (name, expected) in counts {
        let Some(bytes) = read(name) else { continue };
        let definition = parse(&Source {
            bytes: &bytes,
            ..Source::default()
        });
        let definition = definition.unwrap();
        let Merges::List(merges) = &definition.model.merges else {
            panic!("{name} has no list of merges");
        };
        let tokens = definition.model.tokens.count();
        let found = (tokens, merges.len(), definition.added.len());
        assert_eq!(found, expected, "{name}");
    }
    for (name, count) in [("kimi_k2.tiktoken", 163_584), ("qwen.tiktoken", 151_643)] {
        let Some(bytes) = read(name) else { continue };
        let definition = parse(&Source {
            bytes: &bytes,
            pattern: Some(("x", Syntax::Fancy)),
            ..Source::default()
        });
        assert_eq!(definition.unwrap().model.tokens.count(), count, "{name}");
    }
    for (name, expected) in [
        (
            "bert_base_cased.json",
            "model.type \"WordPiece\" is not supported",
        ),
        (
            "seqio_unigram_26.model",
            "trainer_spec.model_type UNIGRAM is not supported",
        ),
    ] {
        let Some(bytes) = read(name) else { continue };
        assert_eq!(message(&bytes), expected);
    }
}
