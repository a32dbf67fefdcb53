//! The outputs to change: complete ones, and ones that wait to be completed.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::json;
use shardmill::document::BadRecords;
use shardmill::{
    Corpus, CorpusOptions, Durability, EmbedConfig, Gatherer, Loader, LoaderConfig, Stats, Table,
    TokenStore, TokenizeConfig, UnitShare, run, tokenize_units,
};

use super::edits::{Entry, Files, write};
use super::{encoding, place};

/// Files of outputs by kind, each below its own name.
pub(super) struct Base {
    /// The inputs, in `in`.
    pub(super) inputs: Files,
    /// A dataset with embeddings in `d`, and the state of a loader of it.
    pub(super) published: Files,
    /// Two of the three units of that dataset, for `d`.
    pub(super) interrupted: Files,
    /// All three of them.
    pub(super) unfinished: Files,
    /// The gatherer of the loader.
    pub(super) gatherer: Gatherer,
}

/// The name of the loader's state among the files.
pub(super) const STATE: &str = "state.json";

pub(super) fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let inputs = Files::from(
            [
                ("in/a.txt", "Hello world, a story of one."),
                (
                    "in/b.jsonl",
                    "{\"text\":\"one\"}\n{\"text\":\"\"}\n{\"text\":7}\n",
                ),
            ]
            .map(|(name, text)| (name.to_owned(), Entry::Bytes(text.into()))),
        );
        let rows = vec![0.5_f32; encoding().n_vocab() as usize];
        let table = Table::from_vec(rows.len(), 1, rows).unwrap();
        let gatherer = Gatherer::new(table, None).unwrap();
        Base {
            published: published(&inputs, &gatherer),
            interrupted: units(&inputs, 2),
            unfinished: units(&inputs, 1),
            inputs,
            gatherer,
        }
    })
}

/// The corpus in a place that has the inputs.
pub(super) fn corpus(place: &Path) -> Corpus {
    Corpus::open(
        &[OsString::from(place.join("in"))],
        &CorpusOptions::default(),
    )
    .unwrap()
}

pub(super) fn config() -> TokenizeConfig {
    let mut config = TokenizeConfig::default();
    config.threads = 1;
    config.durability = Durability::None;
    config.settings.unit_size_bytes = 20;
    config.settings.bad_records = BadRecords::Skip;
    config
}

pub(super) fn loader_config() -> LoaderConfig {
    let mut config = LoaderConfig::default();
    config.windows.seq_len = 2;
    config.windows.stride = Some(1);
    config.windows.batch_size = 2;
    config
}

fn published(inputs: &Files, gatherer: &Gatherer) -> Files {
    let place = place();
    write(inputs, place.path());
    let mut embed = EmbedConfig::default();
    embed.windows.seq_len = 4;
    embed.windows.stride = Some(4);
    embed.init_seed = Some(1);
    embed.dim = Some(1);
    embed.threads = 1;
    embed.durability = Durability::None;
    let out = place.path().join("d");
    let (corpus, stats) = (corpus(place.path()), Stats::default());
    run(
        &corpus,
        encoding(),
        &config(),
        &embed,
        &out,
        &json!({}),
        &stats,
    )
    .unwrap();
    let mut files = read(place.path(), "d");
    let store = TokenStore::open(&out).unwrap().into();
    let loader = Loader::new(&store, &loader_config(), Some(gatherer.clone())).unwrap();
    let state = serde_json::to_vec(&loader.state()).unwrap();
    files.insert(STATE.to_owned(), Entry::Bytes(state));
    files
}

/// The units that the first of `of` processes makes.
fn units(inputs: &Files, of: usize) -> Files {
    let place = place();
    write(inputs, place.path());
    let (corpus, stats) = (corpus(place.path()), Stats::default());
    let share = UnitShare::new(0, of).unwrap();
    let out = place.path().join("d");
    tokenize_units(&corpus, encoding(), &config(), share, &out, &stats).unwrap();
    read(place.path(), "d.partial")
}

/// The files below `place/name`, without what differs between runs.
fn read(place: &Path, name: &str) -> Files {
    let mut files = Files::new();
    for entry in fs::read_dir(place.join(name)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{name}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            files.extend(read(place, &name));
        } else if !name.ends_with("run.json") {
            files.insert(name, Entry::Bytes(fs::read(entry.path()).unwrap()));
        }
    }
    files
}
