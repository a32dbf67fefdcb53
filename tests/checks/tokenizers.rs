//! Tokenizer files: refused in one line, or a tokenizer that encodes and decodes any text.

use shardmill::tokenizer::{Error, FileOptions};
use shardmill::{Special, Tokenizer};

use super::edits::{Entry, Files, apply, write};
use super::place;

const TEXTS: [&str; 4] = [
    "",
    "ab ba  abab\u{2581}a <e>\n1234 \u{4e2d}\u{e9}e\u{301} <0x41>",
    "\u{0}\u{10ffff} \r\n\t'll ABCdef\u{3000}\u{200d}",
    " <e><e> a",
];

const MERGES: &[u8] = b"#version: 0.2\na b\nab a\n";

/// Opens a file that `input` describes: one of several, changed.
pub fn check(input: &[u8]) {
    let Some((&which, edits)) = input.split_first() else {
        return;
    };
    let (name, bytes, pattern) = base(which);
    let mut files = Files::from([(name.to_owned(), Entry::Bytes(bytes))]);
    if name == "vocab.json" {
        files.insert("merges.txt".to_owned(), Entry::Bytes(MERGES.to_vec()));
    }
    apply(&mut files, edits);
    // A long file takes as much memory as it is long.
    if files
        .values()
        .any(|entry| matches!(entry, Entry::Sparse(..)))
    {
        return;
    }
    let place = place();
    write(&files, place.path());
    let mut options = FileOptions::default();
    options.pattern = pattern.map(str::to_owned);
    options.cache = Some(place.path().join("cache"));
    let path = place.path().join(name);
    let open = || Tokenizer::open(path.to_str().unwrap(), &options);
    let tokenizer = match open() {
        Ok(tokenizer) => tokenizer,
        Err(error) => {
            let line = error.to_string();
            assert!(line.len() < 4000 && !line.contains('\n'), "{line}");
            assert!(
                matches!(error, Error::File { .. } | Error::Io { .. }),
                "{line}"
            );
            return;
        }
    };
    // The second time, it is compiled already.
    let again = open().unwrap();
    assert_eq!(again.vocabulary_hash(), tokenizer.vocabulary_hash());
    for text in TEXTS {
        for special in [Special::Encode, Special::Text] {
            let ids = tokenizer.encode(text, special).unwrap();
            assert!(ids.iter().all(|&id| id < tokenizer.n_vocab()));
            assert_eq!(again.encode(text, special).unwrap(), ids);
            tokenizer.decode_bytes(&ids).unwrap();
        }
    }
}

/// Opens the file of this number unchanged.
pub fn open_unchanged(which: u8) -> shardmill::Result<Tokenizer> {
    let (name, bytes, pattern) = base(which);
    let place = place();
    let path = place.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    if name == "vocab.json" {
        std::fs::write(place.path().join("merges.txt"), MERGES).unwrap();
    }
    let mut options = FileOptions::default();
    options.pattern = pattern.map(str::to_owned);
    Ok(Tokenizer::open(path.to_str().unwrap(), &options)?)
}

/// A file's name, its bytes, and the pattern that it needs.
fn base(which: u8) -> (&'static str, Vec<u8>, Option<&'static str>) {
    match which % 6 {
        0 => ("tokenizer.json", byte_level(), None),
        1 => ("tokenizer.json", words(), None),
        2 => ("ranks.tiktoken", ranks(), Some("cl100k")),
        3 => ("vocab.json", vocab(), None),
        4 => ("tekken.json", tekken(), None),
        _ => ("tokenizer.model", model(), None),
    }
}

/// The characters that stand for bytes in byte-level vocabularies.
fn byte_characters() -> Vec<char> {
    let mut others = (256..).filter_map(char::from_u32);
    let is_own = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..);
    let of = |byte: u8| {
        if is_own(byte) {
            Some(char::from(byte))
        } else {
            others.next()
        }
    };
    (0..=u8::MAX).map(of).map(Option::unwrap).collect()
}

fn vocab() -> Vec<u8> {
    let tokens = byte_characters().into_iter().map(String::from);
    let tokens = tokens.chain(["ab".to_owned(), "aba".to_owned()]);
    let entries = tokens
        .enumerate()
        .map(|(id, token)| format!("{}:{id}", serde_json::json!(token)));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(",")).into_bytes()
}

fn byte_level() -> Vec<u8> {
    let vocab = String::from_utf8(vocab()).unwrap();
    format!(
        r#"{{"version":"1.0","added_tokens":[{{"id":258,"content":"<e>","single_word":false,
        "lstrip":false,"rstrip":true,"normalized":false,"special":true}}],"normalizer":{{"type":"NFC"}},
        "pre_tokenizer":{{"type":"Sequence","pretokenizers":[{{"type":"Split","pattern":{{"Regex":
        "[^\\s\\p{{N}}]+|\\p{{N}}{{1,3}}|\\s+(?!\\S)|\\s+"}},"behavior":"Isolated","invert":false}},
        {{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}}]}},
        "model":{{"type":"BPE","ignore_merges":true,"vocab":{vocab},"merges":["a b","ab a"]}}}}"#
    )
    .into_bytes()
}

fn words() -> Vec<u8> {
    let bytes = (0..256).map(|byte| format!("\"<0x{byte:02X}>\":{byte}"));
    let vocab = bytes.collect::<Vec<_>>().join(",");
    format!(
        r#"{{"version":"1.0","added_tokens":[{{"id":261,"content":"<e>","single_word":true,
        "lstrip":true,"rstrip":false,"normalized":true,"special":false}}],
        "normalizer":{{"type":"Sequence","normalizers":[{{"type":"Prepend","prepend":"\u2581"}},
        {{"type":"Replace","pattern":{{"String":" "}},"content":"\u2581"}}]}},"pre_tokenizer":null,
        "model":{{"type":"BPE","byte_fallback":true,"vocab":{{{vocab},"a":256,"b":257,"\u2581":258,
        "ab":259,"\u2581a":260}},"merges":["a b","\u2581 a"]}}}}"#
    )
    .into_bytes()
}

/// Base64, as rank files have it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes.chunks(3).flat_map(|group| {
        let at = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        let digit = move |i: usize| char::from(DIGITS[(bits >> (18 - 6 * i)) as usize & 63]);
        let len = group.len();
        (0..4).map(move |i| if i <= len { digit(i) } else { '=' })
    });
    groups.collect()
}

fn tokens() -> impl Iterator<Item = Vec<u8>> {
    (0..=u8::MAX)
        .map(|byte| vec![byte])
        .chain([b"ab".to_vec(), b"ba".to_vec(), b"aba".to_vec()])
}

fn ranks() -> Vec<u8> {
    let lines = tokens().enumerate();
    let lines = lines.map(|(rank, token)| format!("{} {rank}\n", base64(&token)));
    lines.collect::<String>().into_bytes()
}

fn tekken() -> Vec<u8> {
    let vocab = tokens().enumerate().map(|(rank, token)| {
        format!(
            r#"{{"rank":{rank},"token_bytes":"{}","token_str":null}}"#,
            base64(&token)
        )
    });
    let vocab = vocab.collect::<Vec<_>>().join(",");
    format!(
        r#"{{"config":{{"pattern":"[^\\s]+|\\s+","num_vocab_tokens":259,"default_vocab_size":279,
        "default_num_special_tokens":20,"version":"v3"}},"vocab":[{vocab}]}}"#
    )
    .into_bytes()
}

/// A SentencePiece model: pieces, and settings that ask for BPE and bytes.
fn model() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut piece = |text: &str, score: f32, kind: u8| {
        let mut body = vec![0x0a, u8::try_from(text.len()).unwrap()];
        body.extend(text.as_bytes());
        body.push(0x15);
        body.extend(score.to_le_bytes());
        body.extend([0x18, kind]);
        bytes.extend([0x0a, u8::try_from(body.len()).unwrap()]);
        bytes.extend(body);
    };
    piece("<unk>", 0.0, 2);
    piece("<s>", 0.0, 3);
    piece("</s>", 0.0, 3);
    for byte in 0..=u8::MAX {
        piece(&format!("<0x{byte:02X}>"), 0.0, 6);
    }
    for (text, score) in [
        ("ab", 0.0),
        ("\u{2581}a", -1.0),
        ("a", -2.0),
        ("b", -3.0),
        ("\u{2581}", -4.0),
    ] {
        piece(text, score, 1);
    }
    // model_type: BPE; byte_fallback.
    bytes.extend([0x12, 5, 0x18, 2, 0x98, 0x02, 1]);
    // Normalization: the identity, with a space before each text and none removed.
    bytes.extend([0x1a, 14, 0x0a, 8]);
    bytes.extend(b"identity");
    bytes.extend([0x18, 1, 0x20, 0]);
    bytes
}
