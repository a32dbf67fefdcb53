//! A path or name -> the files to read.
//!
//! Never downloads: a Hub id is looked up in the local cache of the `hf` program.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::definition::names;
use crate::definition::refusal::quoted;
use crate::definition::{Cause, Place, Refusal};

/// The files of a tokenizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) path: PathBuf,
    /// The `merges.txt` that belongs to it, if it is a `vocab.json`.
    pub(crate) merges: Option<PathBuf>,
    /// Files beside it that name BOS and EOS, in the order in which they count.
    pub(crate) names: Vec<PathBuf>,
}

/// In a model's directory, the first of these that is there.
const IN_DIRECTORIES: [&str; 5] = [
    "tokenizer.json",
    "tekken.json",
    "tokenizer.model",
    "tiktoken.model",
    "vocab.json",
];

/// Rank files have any name with this extension.
const RANKS: &str = "tiktoken";

/// Finds a file, what is in a model's directory, or what the local Hub cache has of `ORG/NAME` or
/// `ORG/NAME@REVISION`.
pub(crate) fn locate(name: &str) -> Result<Located, Refusal> {
    locate_with(name, &|key| std::env::var_os(key))
}

type Environment<'e> = &'e dyn Fn(&str) -> Option<OsString>;

fn locate_with(name: &str, environment: Environment<'_>) -> Result<Located, Refusal> {
    let path = Path::new(name);
    if path.is_dir() {
        return in_directory(path)
            .ok_or_else(|| not_found("has no tokenizer").hint(what_is_searched()));
    }
    if path.exists() {
        return Ok(file(path.to_owned()));
    }
    match HubId::parse(name) {
        Some(id) => id.locate(environment),
        None => Err(not_found("there is no such file or directory")),
    }
}

fn not_found(what: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(Cause::NotFound, Place::File, what)
}

fn what_is_searched() -> String {
    format!("searched for {} and *.{RANKS}", IN_DIRECTORIES.join(", "))
}

fn in_directory(directory: &Path) -> Option<Located> {
    let named = IN_DIRECTORIES.iter().map(|name| directory.join(name));
    // A vocab.json is last, because it is of use only with its merges.
    let is_whole = |path: &PathBuf| !path.ends_with("vocab.json") || merges_of(path).is_some();
    let found = named.filter(|path| path.is_file()).find(is_whole);
    found.or_else(|| only_rank_file(directory)).map(file)
}

/// The rank file in a directory that has exactly one.
fn only_rank_file(directory: &Path) -> Option<PathBuf> {
    let paths = fs::read_dir(directory)
        .ok()?
        .flatten()
        .map(|entry| entry.path());
    let mut ranks =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == RANKS));
    match (ranks.next(), ranks.next()) {
        (Some(path), None) => Some(path),
        _ => None,
    }
}

/// A file, with what belongs to it.
fn file(path: PathBuf) -> Located {
    let beside = names::FILES.iter().map(|name| path.with_file_name(name));
    Located {
        merges: merges_of(&path),
        names: beside.filter(|path| path.is_file()).collect(),
        path,
    }
}

/// The `merges.txt` beside a `vocab.json`, or `NAME-merges.txt` beside `NAME-vocab.json`.
fn merges_of(path: &Path) -> Option<PathBuf> {
    let stem = path.file_name()?.to_str()?.strip_suffix("vocab.json")?;
    let merges = path.with_file_name(format!("{stem}merges.txt"));
    merges.is_file().then_some(merges)
}

/// The name of a model on the Hub.
#[derive(Debug)]
struct HubId<'a> {
    /// `ORG/NAME`, or only a name for some old models.
    id: &'a str,
    revision: &'a str,
}

impl<'a> HubId<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let (id, revision) = name.split_once('@').unwrap_or((name, "main"));
        let is_part = |part: &str| {
            let mut bytes = part.bytes();
            bytes
                .next()
                .is_some_and(|first| first.is_ascii_alphanumeric())
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        // What looks like a file was meant as one.
        let is_file = [".json", ".model", ".txt", ".tiktoken"]
            .iter()
            .any(|end| id.ends_with(end));
        let parts: Vec<_> = id.split('/').collect();
        let is_id = parts.len() <= 2 && parts.iter().all(|part| is_part(part)) && !is_file;
        (is_id && revision.split('/').all(is_part)).then_some(Self { id, revision })
    }

    fn locate(&self, environment: Environment<'_>) -> Result<Located, Refusal> {
        let is_plain = !self.id.contains('/');
        let cache = hub_cache(environment);
        let folder =
            cache.map(|cache| cache.join(format!("models--{}", self.id.replace('/', "--"))));
        let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
            if is_plain {
                return Err(not_found("there is no such file or directory"));
            }
            return Err(
                not_found("is no file, and not in the local Hub cache").hint(self.download())
            );
        };
        let snapshot = self.snapshot(&folder);
        let snapshot = snapshot.ok_or_else(|| {
            let what = format!(
                "the local Hub cache does not have revision {}",
                quoted(self.revision)
            );
            not_found(what).hint(self.download())
        })?;
        in_directory(&snapshot).ok_or_else(|| {
            not_found("has no tokenizer in the local Hub cache").hint(self.download())
        })
    }

    /// The directory of the revision.
    fn snapshot(&self, folder: &Path) -> Option<PathBuf> {
        let snapshots = folder.join("snapshots");
        let note = folder.join("refs").join(self.revision);
        if note.is_file()
            && let Ok(commit) = fs::read_to_string(note)
        {
            let snapshot = snapshots.join(commit.trim());
            return snapshot.is_dir().then_some(snapshot);
        }
        if self.revision != "main" {
            let snapshot = snapshots.join(self.revision);
            return snapshot.is_dir().then_some(snapshot);
        }
        // Without a note which one is meant, there must be only one.
        let mut all = fs::read_dir(snapshots)
            .ok()?
            .flatten()
            .map(|entry| entry.path());
        match (all.next(), all.next()) {
            (Some(snapshot), None) => snapshot.is_dir().then_some(snapshot),
            _ => None,
        }
    }

    fn download(&self) -> String {
        format!("run hf download {} tokenizer.json", self.id)
    }
}

/// Where the `hf` program keeps what it downloaded.
fn hub_cache(environment: Environment<'_>) -> Option<PathBuf> {
    let variable = |key: &str| {
        let value = environment(key).filter(|value| !value.is_empty())?;
        Some(PathBuf::from(value))
    };
    variable("HF_HUB_CACHE")
        .or_else(|| variable("HUGGINGFACE_HUB_CACHE"))
        .or_else(|| Some(variable("HF_HOME")?.join("hub")))
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("huggingface/hub")))
        .or_else(|| Some(variable("HOME")?.join(".cache/huggingface/hub")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(directory: &Path, names: &[&str]) {
        for name in names {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    fn found(name: &Path) -> Result<Located, Refusal> {
        locate_with(name.to_str().unwrap(), &|_| None)
    }

    #[test]
    fn a_directory_has_its_best_file() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        let name = || found(at).map(|found| found.path.file_name().unwrap().to_owned());
        put(at, &["vocab.json", "config.json"]);
        assert_eq!(name().unwrap_err().to_string(), "has no tokenizer");
        put(
            at,
            &[
                "merges.txt",
                "tokenizer_config.json",
                "generation_config.json",
            ],
        );
        let located = found(at).unwrap();
        assert_eq!(located.merges, Some(at.join("merges.txt")));
        assert_eq!(
            located.names,
            [
                at.join("tokenizer_config.json"),
                at.join("generation_config.json")
            ]
        );
        for better in [
            "tiktoken.model",
            "tokenizer.model",
            "tekken.json",
            "tokenizer.json",
        ] {
            put(at, &[better]);
            assert_eq!(name().unwrap(), better);
        }
        assert_eq!(
            found(&at.join("vocab.json")).unwrap().merges,
            Some(at.join("merges.txt"))
        );
    }

    #[test]
    fn one_rank_file_is_found_by_its_extension() {
        let directory = tempfile::tempdir().unwrap();
        put(directory.path(), &["qwen.tiktoken"]);
        assert_eq!(
            found(directory.path()).unwrap().path,
            directory.path().join("qwen.tiktoken")
        );
        put(directory.path(), &["other.tiktoken"]);
        assert!(found(directory.path()).is_err());
    }

    #[test]
    fn a_hub_id_is_found_in_the_cache() {
        let directory = tempfile::tempdir().unwrap();
        let hub = directory.path().join("hub");
        let model = hub.join(["models", "org", "name"].join("--"));
        let environment = |key: &str| (key == "HF_HOME").then(|| directory.path().into());
        let find = |name: &str| locate_with(name, &environment);
        let missing = find("org/name").unwrap_err();
        assert_eq!(
            missing.to_string(),
            "is no file, and not in the local Hub cache"
        );
        assert_eq!(
            missing.hint.unwrap(),
            "run hf download org/name tokenizer.json"
        );
        put(&model, &["snapshots/abc/tokenizer.json"]);
        assert_eq!(
            find("org/name").unwrap().path,
            model.join("snapshots/abc/tokenizer.json")
        );
        put(&model, &["snapshots/def/config.json"]);
        assert!(
            find("org/name")
                .unwrap_err()
                .to_string()
                .contains("revision \"main\"")
        );
        fs::create_dir(model.join("refs")).unwrap();
        fs::write(model.join("refs/main"), "abc\n").unwrap();
        assert!(find("org/name").is_ok());
        assert_eq!(
            find("org/name@abc").unwrap().path,
            model.join("snapshots/abc/tokenizer.json")
        );
        assert_eq!(
            find("org/name@def").unwrap_err().to_string(),
            "has no tokenizer in the local Hub cache"
        );
        assert!(find("org/name@../x").unwrap_err().hint.is_none());
    }

    #[test]
    fn the_cache_is_where_hf_has_it() {
        let with = |set: &'static [(&str, &str)]| {
            hub_cache(&|key| {
                set.iter()
                    .find(|(name, _)| *name == key)
                    .map(|(_, value)| value.into())
            })
        };
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[("HOME", "/h")]), path("/h/.cache/huggingface/hub"));
        assert_eq!(
            with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]),
            path("/x/huggingface/hub")
        );
        assert_eq!(
            with(&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/f")]),
            path("/f/hub")
        );
        assert_eq!(
            with(&[("HF_HOME", "/f"), ("HF_HUB_CACHE", "/c")]),
            path("/c")
        );
    }

    #[test]
    fn what_looks_like_a_file_is_no_hub_id() {
        for name in ["a/tokenizer.json", "./a", "a/b/c", "/a", "a b/c", ""] {
            let refusal = locate_with(name, &|_| None).unwrap_err();
            assert_eq!(
                refusal.to_string(),
                "there is no such file or directory",
                "{name}"
            );
        }
    }
}
