//! What must hold of files with columns, whatever their format: the documents are those of JSON Lines,
//! rows without a text are bad records, and no changed byte is a panic.

use std::path::Path;
use std::{fs, panic};

use shardmill::dataset::bad_records;
use shardmill::document::{BadKind, BadRecords, Format, InvalidUtf8};
use shardmill::{
    Corpus, CorpusOptions, Error, Stats, TokenizeConfig, guard, verify, verify_inputs,
};
use tempfile::TempDir;

use crate::common_dataset::{
    Dataset, assert_same_files, config, encoding, ids_of, text, try_tokenize, write,
};

/// Texts of all lengths.
pub(crate) fn texts(count: usize) -> Vec<Option<String>> {
    let text = text("udhr.txt");
    let chars: Vec<_> = text.chars().collect();
    let row = |index: usize| {
        let length = match index % 17 {
            0 => 0,
            1 => 30_000,
            other => other * 71,
        };
        let start = index * 97 % (chars.len() - 30_000);
        Some(chars[start..start + length].iter().collect())
    };
    (0..count).map(row).collect()
}

/// Few and short texts, for files of which every byte counts.
pub(crate) fn short_texts() -> Vec<Option<String>> {
    let short = |text: String| text.chars().take(60).collect();
    texts(40).into_iter().map(|text| text.map(short)).collect()
}

/// Rows as JSON Lines.
pub(crate) fn lines<T: AsRef<str>>(rows: &[Option<T>]) -> Vec<u8> {
    let mut lines = Vec::new();
    for row in rows {
        let record = serde_json::json!({ "text": row.as_ref().map(AsRef::as_ref) });
        lines.extend(record.to_string().into_bytes());
        lines.push(b'\n');
    }
    lines
}

/// The dataset of these rows as JSON Lines.
pub(crate) fn dataset<T: AsRef<str>>(rows: &[Option<T>]) -> Dataset {
    let directory = TempDir::new().unwrap();
    let records = write(directory.path(), "a.jsonl", lines(rows));
    Dataset::make(&[records], encoding("gpt2"), &config(1 << 30))
}

/// Makes a dataset of the file `path`, and checks it against one of the same rows as JSON Lines.
#[track_caller]
pub(crate) fn check(
    path: &Path,
    format: Format,
    expected: &Dataset,
    config: &TokenizeConfig,
    what: &str,
) -> Dataset {
    let made = Dataset::make(&[path], encoding("gpt2"), config);
    assert!(made.ids() == expected.ids(), "{what}");
    let (totals, others) = (
        made.store.manifest().totals,
        expected.store.manifest().totals,
    );
    assert_eq!(totals.documents, others.documents, "{what}");
    assert_eq!(totals.text_bytes, others.text_bytes, "{what}");
    assert_eq!(totals.empty_documents, others.empty_documents, "{what}");
    let source = &made.store.manifest().sources[0];
    assert_eq!(source.format, format);
    assert_eq!(source.bytes, fs::metadata(path).unwrap().len());
    // Each document is a row.
    let rows = made.store.documents().map(|document| document.unwrap());
    let others = expected.store.documents().map(|document| document.unwrap());
    for ((row, document), other) in (0_u64..).zip(rows).zip(others) {
        assert_eq!(document.bytes.start, row, "{what}");
        assert_eq!(document.tokens, other.tokens, "{what}");
    }
    let corpus = Corpus::open(&[path.into()], &CorpusOptions::default()).unwrap();
    verify_inputs(&made.out(), &corpus, &Stats::default()).unwrap();
    made
}

/// As [`check`], in small units, with several numbers of threads, which all make the same files. Returns
/// how many shards there are.
#[track_caller]
pub(crate) fn check_threads(path: &Path, format: Format, expected: &Dataset, what: &str) -> usize {
    let make = |threads: usize| {
        let mut config = config(40_000);
        config.threads = threads;
        check(path, format, expected, &config, what)
    };
    let first = make(1);
    for threads in [2, 7] {
        assert_same_files(&make(threads).files(), &first.files(), what);
    }
    first.store.manifest().shards.len()
}

/// Checks the files of a directory of fixtures; returns their names, and how many documents are in each
/// shard.
#[track_caller]
pub(crate) fn check_fixtures(directory: &str, format: Format) -> Vec<(String, Vec<u64>)> {
    let fixtures = crate::support::fixture(directory);
    let records = crate::support::fixture("parquet/documents.jsonl");
    let expected = Dataset::make(&[records], encoding("gpt2"), &config(1 << 30));
    let mut names: Vec<_> = fs::read_dir(&fixtures)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "documents.jsonl")
        .collect();
    names.sort();
    let check = |name: String| {
        let mut config = config(1000);
        if name.contains("nested") {
            "document.text".clone_into(&mut config.settings.text_field);
        }
        let made = check(&fixtures.join(&name), format, &expected, &config, &name);
        let shards = made.store.manifest().shards.iter();
        let documents = shards.map(|shard| shard.documents).collect();
        (name, documents)
    };
    names.into_iter().map(check).collect()
}

/// Rows of which four are null, and which.
pub(crate) fn texts_with_nulls() -> (Vec<Option<String>>, [u64; 4]) {
    let nulls = [7, 120, 121, 299];
    let mut rows = texts(300);
    for row in nulls {
        rows[usize::try_from(row).unwrap()] = None;
    }
    (rows, nulls)
}

/// Checks a file of [`texts_with_nulls`].
#[track_caller]
pub(crate) fn check_nulls(path: &Path) {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    let (_, nulls) = texts_with_nulls();
    let error = try_tokenize(&[path], encoding("gpt2"), &config(1 << 30), &out).unwrap_err();
    assert_eq!(error.row(), Some(7), "{error}");
    let message = format!(
        "{}: row 7: field \"text\" is null, not a string",
        path.display()
    );
    assert_eq!(error.to_string(), message);
    for unit in [1, 1 << 30] {
        let mut config = config(unit);
        config.settings.bad_records = BadRecords::Skip;
        let made = Dataset::make(&[path], encoding("gpt2"), &config);
        assert_eq!(made.store.manifest().totals.documents, 296);
        let bad = bad_records(&made.out(), 10).unwrap();
        let found: Vec<_> = bad
            .iter()
            .map(|bad| (bad.row, bad.line, bad.kind))
            .collect();
        let expected = nulls.map(|row| (Some(row), None, BadKind::NullField));
        assert_eq!(found, expected);
        verify(&made.out(), &Stats::default()).unwrap();
    }
}

/// Rows of which two are not UTF-8.
pub(crate) const INVALID: [Option<&[u8]>; 3] = [Some(b"good"), Some(b"b\xffd"), Some(b"\xc3")];

/// Checks a file of [`INVALID`].
#[track_caller]
pub(crate) fn check_invalid(path: &Path) {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    let error = try_tokenize(&[path], encoding("gpt2"), &config(1 << 30), &out).unwrap_err();
    assert_eq!(error.row(), Some(1), "{error}");
    let place = format!("{}: row 1: byte 1 of the text: ", path.display());
    assert_eq!(error.problem(), format!("{place}invalid UTF-8"));
    let hint = "use `invalid_utf8` replace or ignore to accept it";
    assert_eq!(error.hint(), Some(hint));
    let expected = dataset(&["good", "b\u{fffd}d", "\u{fffd}"].map(Some));
    let mut config = config(1 << 30);
    config.settings.invalid_utf8 = InvalidUtf8::Replace;
    let made = Dataset::make(&[path], encoding("gpt2"), &config);
    assert_eq!(made.ids(), expected.ids());
    assert_eq!(made.store.manifest().totals.invalid_sequences, 2);
}

/// The ids of the file `path`, whatever its texts are.
pub(crate) fn run(path: &Path, out: &Path) -> Result<Vec<u8>, Error> {
    let mut config = config(1 << 30);
    config.settings.invalid_utf8 = InvalidUtf8::Replace;
    ids_of(path, &config, out)
}

/// Changes one byte in `step` of each file; returns how many of the changed files are refused, and how
/// many there are.
#[track_caller]
pub(crate) fn flip(
    extension: &str,
    files: impl Iterator<Item = (Vec<u8>, usize)>,
) -> (usize, usize) {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    let path = directory.path().join(format!("a.{extension}"));
    // Panics of the library that reads a format become errors; as in the program, nothing is printed of
    // them.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !guard::is_guarded() {
            hook(panic);
        }
    }));
    let (mut refused, mut count) = (0, 0);
    for (file, step) in files {
        for at in (0..file.len()).step_by(step) {
            let mut file = file.clone();
            file[at] = match at / step % 3 {
                0 => file[at] ^ 0x80,
                1 => 0xff,
                _ => file[at].wrapping_add(1),
            };
            fs::write(&path, file).unwrap();
            count += 1;
            if let Err(error) = run(&path, &out) {
                refused += 1;
                assert!(error.is_data(), "{at}: {error}");
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }
    (refused, count)
}
