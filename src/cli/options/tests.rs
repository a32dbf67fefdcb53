//! Checks the table against the sources of the library and the commands of this program.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use clap::CommandFactory;

use super::*;
use crate::cli::Cli;

/// Names that only Rust and Python callers can set.
const NOT_TYPED: [&str; 6] = ["depth", "index", "rank", "state", "text", "world_size"];

/// Texts that are part of the dataset format, whose wording is fixed.
const OF_THE_FORMAT: [&str; 2] = [
    "choose one with --text-field",
    "use --invalid-utf8 replace or ignore to accept it",
];

/// Whether `path` in `src` belongs to the program.
fn is_of_program(path: &Path) -> bool {
    ["cli", "main.rs", "fault.rs"]
        .iter()
        .any(|own| path.starts_with(own))
}

/// The files of the library, with their contents.
fn library() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = ["src", "crates/core/src", "crates/tokenizer/src"];
    sources
        .iter()
        .flat_map(|src| files(&root.join(src)))
        .collect()
}

fn files(src: &Path) -> Vec<(PathBuf, String)> {
    let mut directories = vec![src.to_owned()];
    let mut files = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(src).unwrap().to_owned();
            if is_of_program(&name) {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(files.len() > 10, "{}", files.len());
    files
}

/// The string literals of Rust source, each with the text before and after it.
fn literals(source: &str) -> Vec<(&str, &str, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = source[at..].find(['"', '/', '\'']) {
        at += next;
        let rest = &source[at..];
        at += if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("'\\") {
            rest[3..].find('\'').unwrap() + 4
        } else if let Some(inside) = rest.strip_prefix('\'') {
            // A character, or a lifetime.
            let len = inside.chars().next().map_or(0, char::len_utf8);
            1 + inside[len..].strip_prefix('\'').map_or(0, |_| len + 1)
        } else if let Some(inside) = rest.strip_prefix('"') {
            let before = &source[..at];
            let hashes = before.len() - before.trim_end_matches('#').len();
            let is_raw = before.trim_end_matches('#').ends_with('r');
            let end = end_of_literal(inside, is_raw.then_some(hashes));
            found.push((before, &inside[..end], &inside[end + 1..]));
            end + 2
        } else {
            1
        };
    }
    found
}

/// The end of a literal that is raw with `raw` hashes, or not raw.
fn end_of_literal(inside: &str, raw: Option<usize>) -> usize {
    if let Some(hashes) = raw {
        return inside.find(&format!("\"{}", "#".repeat(hashes))).unwrap();
    }
    let mut at = 0;
    loop {
        at += inside[at..].find(['"', '\\']).unwrap();
        if inside[at..].starts_with('"') {
            return at;
        }
        at += 2;
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'))
}

/// The settings that the library's errors are about.
fn fields(files: &[(PathBuf, String)]) -> BTreeSet<&str> {
    const CALLS: [&str; 5] = [
        "config(",
        "refuse(",
        "at_least_1(",
        "check_base(",
        "to_usize(",
    ];
    let mut fields = BTreeSet::new();
    for (before, text, after) in files.iter().flat_map(|(_, source)| literals(source)) {
        let before = before.trim_end();
        let is_field = CALLS.iter().any(|call| before.ends_with(call)) && after.starts_with(',');
        // A row of a list of settings with their values.
        let is_in_list = before.ends_with('(') && after.starts_with(", self.");
        if (is_field || is_in_list) && is_name(text) {
            fields.insert(text);
        }
    }
    fields
}

/// The names in backquotes in texts of the library.
fn quoted(files: &[(PathBuf, String)]) -> BTreeSet<&str> {
    let texts = files
        .iter()
        .filter(|(path, _)| {
            let is_tests = |part: Component<'_>| part.as_os_str() == "tests";
            !path.ends_with("tests.rs")
                && !path.ends_with("samples.rs")
                && !path.components().any(is_tests)
        })
        .flat_map(|(_, source)| literals(source));
    texts
        .filter(|(before, _, _)| !before.ends_with("reason = "))
        .flat_map(|(_, text, _)| text.split('`').skip(1).step_by(2))
        // Patterns have backquotes, too.
        .filter(|name| !name.contains(|c: char| "{}[]|~^".contains(c)))
        .collect()
}

#[test]
fn the_library_names_no_option() {
    for (path, mut source) in library() {
        // The options are those of another program.
        if path.ends_with("remote/url.rs") {
            continue;
        }
        if path.ends_with("document/record.rs") {
            for text in OF_THE_FORMAT {
                assert!(source.contains(text), "{text}");
                source = source.replace(text, "");
            }
        }
        for (number, line) in (1..).zip(source.lines()) {
            let option = line
                .split("--")
                .skip(1)
                .find(|after| after.starts_with(is_letter));
            assert_eq!(option, None, "{}:{number}", path.display());
        }
    }
}

fn is_letter(c: char) -> bool {
    c.is_ascii_lowercase()
}

#[test]
fn what_the_library_names_is_in_the_table_or_a_function() {
    let files = library();
    let fields = fields(&files);
    for field in [
        "seq_len",
        "rope_style",
        "size_bytes",
        "depth",
        "base",
        "share",
    ] {
        assert!(fields.contains(field), "{field}: {fields:?}");
    }
    let quoted = quoted(&files);
    for name in ["out", "tokenize_units", "unit_size_bytes", "invalid_utf8"] {
        assert!(quoted.contains(name), "{name}: {quoted:?}");
    }
    let is_function = |name: &str| {
        let head = format!("\npub fn {name}");
        files.iter().any(|(_, source)| source.contains(&head))
    };
    for name in fields.union(&quoted) {
        assert!(
            spelled(name).is_some() || NOT_TYPED.contains(name) || is_function(name),
            "{name} is neither a row of the table nor a function"
        );
    }
    for (name, _) in NAMES {
        assert!(
            fields.contains(name) || quoted.contains(name),
            "{name} is never named"
        );
    }
}

#[test]
fn every_row_is_spelled_as_the_parser_has_it() {
    let program = Cli::command();
    let mut commands: Vec<_> = program.get_subcommands().collect();
    let inner = commands
        .iter()
        .flat_map(|command| command.get_subcommands());
    commands.extend(inner.collect::<Vec<_>>());
    for (name, spelled) in NAMES {
        for word in spelled.trim_matches('`').split(' ') {
            let is_known = match word.strip_prefix("--") {
                Some(option) => commands
                    .iter()
                    .flat_map(|command| command.get_arguments())
                    .any(|argument| argument.get_long() == Some(option)),
                None if word == "INPUT" => true,
                None => {
                    word == program.get_name()
                        || commands.iter().any(|command| command.get_name() == word)
                }
            };
            assert!(is_known, "{name}: {word}");
        }
    }
    assert!(NAMES.is_sorted());
}

#[test]
fn names_in_backquotes_are_translated_and_the_rest_stays() {
    for (text, expected) in [
        ("choose another `out`", "choose another --out"),
        ("`seq_len` was 2", "--seq-len was 2"),
        (
            "run `tokenize_units` for them, or `tokenize` alone",
            "run `tokenize --units` for them, or `tokenize` alone",
        ),
        (
            "no field \"`out`\", '`out`', `",
            "no field \"`out`\", '`out`', `",
        ),
        ("out, ` and `nothing`", "out, ` and `nothing`"),
    ] {
        assert_eq!(translate(text), expected);
    }
}

#[test]
fn a_path_keeps_its_name_and_a_field_gets_its_own() {
    let missing = shardmill::TokenStore::open("`out`".as_ref()).unwrap_err();
    assert!(line(&missing).starts_with("`out`: "), "{missing}");
    let config = |change: fn(&mut shardmill::EmbedConfig)| {
        let mut config = shardmill::EmbedConfig::default();
        change(&mut config);
        line(&config.validate().unwrap_err())
    };
    let no_length = config(|config| config.windows.seq_len = 0);
    assert_eq!(no_length, "--seq-len: must be at least 1");
    let no_dim = config(|config| config.init_seed = Some(1));
    assert_eq!(
        no_dim,
        "--dim: is needed with --init-seed: how many columns the tables have"
    );
}
