//! A dataset has tiktoken's ids, however its source is cut; what must be refused is refused.

#![no_main]

use std::fs;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use shardmill::dataset::Eot;
use shardmill::document::InvalidUtf8;
use shardmill::{
    Corpus, CorpusOptions, Durability, Error, Special, Stats, TokenStore, TokenizeConfig, tokenize,
    verify,
};
use shardmill_fuzz::{NAMES, assert_same_ids, bytes_of, kept, oracle};
use tempfile::TempDir;

/// Bytes of text in one parallel step of the pipeline.
const CHUNK_BYTES: usize = 1 << 20;

/// What the last bytes of an input choose.
struct Choice {
    config: TokenizeConfig,
    index: usize,
    is_jsonl: bool,
    is_long: bool,
}

impl Choice {
    fn new(last: [u8; 3]) -> Self {
        let [how, shape, unit] = last.map(usize::from);
        let mut config = TokenizeConfig::default();
        config.settings.special = Special::ALL[how % 3];
        config.settings.invalid_utf8 = InvalidUtf8::ALL[how / 3 % 3];
        config.settings.eot = Eot::ALL[how / 9 % 3];
        config.threads = 1 + how / 27 % 2;
        config.durability = Durability::None;
        config.settings.unit_size_bytes = (1 + unit * unit / 8) as u64;
        Self {
            config,
            index: shape % 4,
            is_jsonl: shape / 4 % 2 == 1,
            is_long: shape / 8 == 15,
        }
    }
}

/// A document of the source, before it is decoded.
struct Document {
    /// Where its text begins in the source, if it is there unchanged.
    start: Option<usize>,
    bytes: Vec<u8>,
}

/// A JSON Lines source with a document for each line of `bytes`, and its documents.
fn jsonl(bytes: &[u8]) -> (Vec<u8>, Vec<Document>) {
    let mut source = Vec::new();
    let mut documents = Vec::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        source.extend_from_slice(match index % 4 {
            0 => br#"{"text":""#,
            1 => br#" {"id": [1, {}], "text" : ""#,
            2 => b"\n \t\r\n{\"text\": 1, \"text\": \"",
            _ => br#"{"te\u0078t":""#,
        });
        for &byte in line {
            match byte {
                0..b' ' => source.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                b'"' | b'\\' => source.extend_from_slice(&[b'\\', byte]),
                _ => source.push(byte),
            }
        }
        source.extend_from_slice(if index % 2 == 0 {
            b"\"}\n"
        } else {
            b"\" }\r\n"
        });
        documents.push(Document {
            start: None,
            bytes: line.to_vec(),
        });
    }
    (source, documents)
}

/// The text of `bytes` under `policy`; `None` if that refuses them.
fn decode(bytes: &[u8], policy: InvalidUtf8) -> Option<String> {
    match policy {
        InvalidUtf8::Strict => std::str::from_utf8(bytes).ok().map(str::to_owned),
        InvalidUtf8::Replace => Some(String::from_utf8_lossy(bytes).into_owned()),
        InvalidUtf8::Ignore => Some(bytes.utf8_chunks().map(|chunk| chunk.valid()).collect()),
    }
}

/// The ids that the dataset must have; `None` if the source must be refused.
fn expected(choice: &Choice, documents: &[Document]) -> Option<Vec<u32>> {
    let bpe = oracle(choice.index);
    let end_of_text = kept(choice.index).end_of_text();
    let end_of_text = end_of_text.expect("a built-in tokenizer has one");
    let mut ids = Vec::new();
    for document in documents {
        let text = decode(&document.bytes, choice.config.settings.invalid_utf8)?;
        if choice.config.settings.eot == Eot::Before {
            ids.push(end_of_text);
        }
        match choice.config.settings.special {
            Special::Error if first_special(choice.index, &text).is_some() => return None,
            Special::Encode => ids.extend(bpe.encode_with_special_tokens(&text)),
            _ => ids.extend(bpe.encode_ordinary(&text)),
        }
        if choice.config.settings.eot == Eot::After {
            ids.push(end_of_text);
        }
    }
    Some(ids)
}

/// Where the first special token begins in `text`.
fn first_special(index: usize, text: &str) -> Option<usize> {
    let names = oracle(index).special_tokens();
    names.into_iter().filter_map(|name| text.find(name)).min()
}

/// Whether an error names what is wrong and, if that is certain, the byte.
fn is_right(error: &Error, choice: &Choice, documents: &[Document]) -> bool {
    let invalid = |document: &Document| std::str::from_utf8(&document.bytes).err();
    let has_invalid = documents.iter().any(|document| invalid(document).is_some());
    match error {
        Error::Utf8 { offset, .. } => {
            let at = documents.iter().find_map(|document| {
                let at = invalid(document)?.valid_up_to();
                document.start.map(|start| (start + at) as u64)
            });
            has_invalid
                && choice.config.settings.invalid_utf8 == InvalidUtf8::Strict
                && at.is_none_or(|at| at == *offset)
        }
        Error::Byte { offset, .. } => {
            let text = std::str::from_utf8(&documents[0].bytes);
            let at = text.map(|text| first_special(choice.index, text));
            choice.config.settings.special == Special::Error
                && !choice.is_jsonl
                && at.is_ok_and(|at| at == usize::try_from(*offset).ok()) | has_invalid
        }
        Error::Json { .. } => choice.config.settings.special == Special::Error && choice.is_jsonl,
        _ => false,
    }
}

/// The bytes of the longest run of white space. The oracle gives up on long ones.
fn longest_space(bytes: &[u8]) -> usize {
    let text = String::from_utf8_lossy(bytes);
    let runs = text.split(|c: char| !c.is_whitespace());
    runs.map(str::len).max().unwrap_or(0)
}

/// Runs the library, then checks and reads what it wrote.
fn made(choice: &Choice, source: &[u8], directory: &Path) -> Result<Vec<u32>, Error> {
    let input = directory.join(if choice.is_jsonl { "a.jsonl" } else { "a.txt" });
    let out = directory.join("out");
    fs::write(&input, source).unwrap();
    let corpus = Corpus::open(&[input.into_os_string()], &CorpusOptions::default())?;
    let (encoding, run) = (kept(choice.index), serde_json::json!({}));
    let done = tokenize(
        &corpus,
        encoding,
        &choice.config,
        &out,
        &run,
        &Stats::default(),
    );
    if let Err(error) = done {
        assert!(!out.exists(), "{error} left an output");
        return Err(error);
    }
    verify(&out, &Stats::default()).unwrap();
    let store = TokenStore::open(&out).unwrap();
    let mut ids = vec![0; usize::try_from(store.n_tokens()).unwrap()];
    store.read(0, &mut ids).unwrap();
    Ok(ids)
}

fuzz_target!(|input: &[u8]| {
    let Some((rest, last)) = input.split_last_chunk::<3>() else {
        return;
    };
    let mut choice = Choice::new(*last);
    let mut bytes = bytes_of(rest);
    if choice.is_long && !bytes.is_empty() {
        bytes = bytes.repeat((CHUNK_BYTES + CHUNK_BYTES / 4).div_ceil(bytes.len()));
    }
    // A source that begins like a compressed file would be refused.
    if matches!(
        bytes.first(),
        Some(b'P' | b'A' | b'B' | 0x1f | 0x28 | 0xfd | 0x04)
    ) {
        bytes.insert(0, b'a');
    }
    if longest_space(&bytes) > 50_000 {
        return;
    }
    let (source, documents) = if choice.is_jsonl {
        jsonl(&bytes)
    } else {
        let documents = vec![Document {
            start: Some(0),
            bytes: bytes.clone(),
        }];
        (bytes, documents)
    };
    // At most 32 shards per input. A long one mostly has so few that they are cut into chunks.
    let smallest = source.len() / if choice.is_long { 2 } else { 32 };
    choice.config.settings.unit_size_bytes = choice
        .config
        .settings
        .unit_size_bytes
        .max(smallest as u64 + 1);

    let memory = Path::new("/dev/shm");
    let parent = memory.is_dir().then(|| memory.to_owned());
    let directory = TempDir::new_in(parent.unwrap_or_else(std::env::temp_dir)).unwrap();
    let found = made(&choice, &source, directory.path());
    let what = format!("{} {:?}", NAMES[choice.index], choice.config);
    match (found, expected(&choice, &documents)) {
        (Ok(found), Some(expected)) => assert_same_ids(&found, &expected, &what),
        (Ok(_), None) => panic!("{what}: not refused"),
        (Err(error), None) => {
            assert!(is_right(&error, &choice, &documents), "{what}: {error}");
        }
        (Err(error), Some(_)) => panic!("{what}: {error}"),
    }
});
