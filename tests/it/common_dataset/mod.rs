//! What the tests of datasets share: fixtures, the oracle, runs of the pipeline, streams and, in
//! `model`, a small second implementation of the dataset.

#![allow(dead_code, reason = "each test program uses a part of it")]
pub(crate) mod model;
#[path = "../support/same_ids.rs"]
pub(crate) mod same_ids;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread::JoinHandle;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use shardmill::dataset::Tokens;
use shardmill::document::Format;
use shardmill::pipeline::Outcome;
use shardmill::tokenizer::BUILTIN_NAMES;
use shardmill::{
    Corpus, CorpusOptions, Durability, Error, Stats, TokenId, TokenStore, TokenizeConfig,
    Tokenizer, tokenize, verify,
};
use tempfile::TempDir;
use tiktoken_rs::CoreBPE;

/// Every text fixture.
pub(crate) const TEXTS: [&str; 11] = [
    "tinyshakespeare.txt",
    "the-verdict.txt",
    "udhr.txt",
    "code.txt",
    "markdown.md",
    "edge/bom.txt",
    "edge/crlf.txt",
    "edge/empty.txt",
    "edge/no_final_newline.txt",
    "edge/nul.txt",
    "edge/special_tokens.txt",
];

pub(crate) fn text_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/text")
        .join(name)
}

pub(crate) fn text(name: &str) -> String {
    fs::read_to_string(text_path(name)).unwrap()
}

pub(crate) fn records_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/jsonl/records.jsonl")
}

fn index(name: &str) -> usize {
    BUILTIN_NAMES
        .iter()
        .position(|other| *other == name)
        .unwrap()
}

/// The encoding under test, loaded once.
pub(crate) fn encoding(name: &str) -> &'static Tokenizer {
    static LOADED: [OnceLock<Tokenizer>; 7] = [const { OnceLock::new() }; 7];
    LOADED[index(name)].get_or_init(|| Tokenizer::by_name(name).unwrap())
}

/// The tiktoken-rs encoding with that name; there, gpt2 and `r50k_base` are the same.
pub(crate) fn oracle(name: &str) -> &'static CoreBPE {
    match name {
        "gpt2" | "r50k_base" => tiktoken_rs::r50k_base_singleton(),
        "p50k_base" => tiktoken_rs::p50k_base_singleton(),
        "p50k_edit" => tiktoken_rs::p50k_edit_singleton(),
        "cl100k_base" => tiktoken_rs::cl100k_base_singleton(),
        "o200k_base" => tiktoken_rs::o200k_base_singleton(),
        "o200k_harmony" => tiktoken_rs::o200k_harmony_singleton(),
        _ => panic!("no oracle for {name}"),
    }
}

/// The vocabulary behind a name's ordinary ids, so that long texts go to the oracle only once.
pub(crate) fn ordinary_oracle(name: &'static str) -> &'static str {
    match name {
        "gpt2" => "r50k_base",
        "p50k_edit" => "p50k_base",
        "o200k_harmony" => "o200k_base",
        other => other,
    }
}

/// Settings for a test: two threads, nothing forced to the disk.
pub(crate) fn config(unit_size_bytes: u64) -> TokenizeConfig {
    let mut config = TokenizeConfig::default();
    config.threads = 2;
    config.durability = Durability::None;
    config.settings.unit_size_bytes = unit_size_bytes;
    config
}

/// A dataset in its own temporary directory.
#[derive(Debug)]
pub(crate) struct Dataset {
    pub(crate) directory: TempDir,
    pub(crate) store: TokenStore,
}

impl Dataset {
    /// Tokenizes `inputs`, and checks the outcome with `verify`.
    pub(crate) fn make<P: AsRef<Path>>(
        inputs: &[P],
        encoding: &Tokenizer,
        config: &TokenizeConfig,
    ) -> Self {
        Self::try_make(inputs, encoding, config).unwrap()
    }

    pub(crate) fn try_make<P: AsRef<Path>>(
        inputs: &[P],
        encoding: &Tokenizer,
        config: &TokenizeConfig,
    ) -> Result<Self, Error> {
        let directory = TempDir::new().unwrap();
        try_tokenize(inputs, encoding, config, &directory.path().join("out"))?;
        Ok(Self::open(directory))
    }

    /// The dataset that was written to `out` in `directory`.
    pub(crate) fn open(directory: TempDir) -> Self {
        let out = directory.path().join("out");
        verify(&out, &Stats::default()).unwrap();
        let store = TokenStore::open(&out).unwrap();
        Self { directory, store }
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    /// Ids over all shards, taken from the mapped files.
    pub(crate) fn ids(&self) -> Vec<TokenId> {
        let shards = self.store.shards().map(Result::unwrap);
        shards.flat_map(|shard| widen(shard.tokens())).collect()
    }

    /// All files by name, except `run.json`, which differs between runs.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(self.out()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            files.insert(name, fs::read(entry.path()).unwrap());
        }
        assert!(files.remove("run.json").is_some());
        files
    }

    /// Each document as (source, bytes in the source, ids).
    pub(crate) fn documents(&self) -> Vec<model::Document> {
        let all = self.ids();
        let at = |offset: u64| usize::try_from(offset).unwrap();
        self.store
            .documents()
            .map(Result::unwrap)
            .map(|document| model::Document {
                source: document.source,
                bytes: document.bytes,
                ids: all[at(document.tokens.start)..at(document.tokens.end)].to_vec(),
            })
            .collect()
    }
}

pub(crate) fn widen(tokens: Tokens<'_>) -> Vec<TokenId> {
    match tokens {
        Tokens::U16(ids) => ids.iter().copied().map(u32::from).collect(),
        Tokens::U32(ids) => ids.to_vec(),
    }
}

pub(crate) fn try_tokenize<P: AsRef<Path>>(
    inputs: &[P],
    encoding: &Tokenizer,
    config: &TokenizeConfig,
    out: &Path,
) -> Result<Outcome, Error> {
    let arguments: Vec<_> = inputs
        .iter()
        .map(|path| path.as_ref().as_os_str().to_owned())
        .collect();
    let corpus = Corpus::open(&arguments, &CorpusOptions::default())?;
    let run = serde_json::json!({});
    tokenize(&corpus, encoding, config, out, &run, &Stats::default())
}

/// The bytes of the ids of `path`, which becomes one unit, by way of `out`. Nothing is left there.
pub(crate) fn ids_of(path: &Path, config: &TokenizeConfig, out: &Path) -> Result<Vec<u8>, Error> {
    let made = try_tokenize(&[path], encoding("gpt2"), config, out);
    let partial = out.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(partial).unwrap();
    }
    made?;
    let ids = fs::read(out.join("shard-00000.u32")).unwrap();
    fs::remove_dir_all(out).unwrap();
    Ok(ids)
}

/// Asserts that two datasets have the same files; reports the first that differs, not its bytes.
pub(crate) fn assert_same_files(
    found: &BTreeMap<String, Vec<u8>>,
    expected: &BTreeMap<String, Vec<u8>>,
    what: &str,
) {
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{what}");
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "{what}: {name} differs");
    }
}

/// Makes a FIFO and feeds `bytes` into it once there is a reader.
pub(crate) fn fifo(path: &Path, bytes: Vec<u8>) -> JoinHandle<()> {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let path = path.to_owned();
    std::thread::spawn(move || {
        let mut file = File::options().write(true).open(path).unwrap();
        file.write_all(&bytes).unwrap();
    })
}

/// Writes `bytes` under `name`, creating the directories in the name.
pub(crate) fn write(directory: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

/// Runs the program in `directory` with `stdin`; returns its standard output and requires success.
pub(crate) fn shardmill(directory: &Path, arguments: &[&str], stdin: &[u8]) -> Vec<u8> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_shardmill"))
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    let feeder = std::thread::spawn(move || pipe.write_all(&stdin));
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {message}");
    feeder.join().unwrap().unwrap();
    output.stdout
}

/// The format of a file, by its name.
pub(crate) fn format_of(path: &Path) -> Format {
    Format::of_path(path)
}
