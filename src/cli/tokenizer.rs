//! `shardmill tokenizer`.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};
use shardmill::{Error, Special, TokenId, Tokenizer, tokenizer};

use crate::cli::args::{StdoutArgs, TokenizerFileArgs, choice};
use crate::cli::failure::{Failure, Result};
use crate::cli::human;
use crate::cli::output::{print_json, print_lines, summary};

/// At most this many added tokens are listed for people.
const SHOWN: usize = 8;

pub(crate) const HELP: &str = "\
Examples:
  shardmill tokenizer gpt2
  shardmill tokenizer models/llama/tokenizer.json --check 'Hello world'
  shardmill tokenizer qwen.tiktoken --pattern qwen2 --check fixtures/text/the-verdict.txt --json";

#[derive(Debug, Args)]
pub(crate) struct TokenizerCommandArgs {
    /// Name of a built-in tokenizer, a file, a model's directory, or a Hub id in the local cache
    #[arg(value_name = "NAME|PATH")]
    name: String,
    #[command(flatten)]
    file: TokenizerFileArgs,
    /// Print the ids of a text, or of the text in a file, to compare them with those of another
    /// library
    #[arg(long, value_name = "TEXT|FILE")]
    check: Option<String>,
    /// How to treat special tokens in the text of --check
    #[arg(long, value_name = "HOW", default_value = "text", value_parser = choice(Special::ALL, Special::name))]
    special: Special,
    #[command(flatten)]
    pub(crate) stdout: StdoutArgs,
}

pub(crate) fn run(args: &TokenizerCommandArgs) -> Result<()> {
    let tokenizer = args.file.open(&args.name)?;
    if let Some(check) = &args.check {
        return print_ids(args, &tokenizer, check);
    }
    if args.stdout.json {
        return print_json(&described(&tokenizer));
    }
    let lines = rows(&tokenizer).into_iter();
    let lines = lines.map(|(name, value)| format!("{name:<14} {value}"));
    print_lines(lines.collect::<Vec<_>>())
}

/// The tokenizer as a JSON object.
fn described(tokenizer: &Tokenizer) -> Value {
    let token = |(text, id): (&str, TokenId)| json!({"text": text, "id": id});
    let candidates = tokenizer.end_of_text_candidates().iter();
    let candidates = candidates.map(|(text, id)| token((text, *id)));
    json!({
        "name": tokenizer.name(),
        "file": tokenizer.info(),
        "n_vocab": tokenizer.n_vocab(),
        "padded_n_vocab": padded(tokenizer.n_vocab()),
        "vocabulary_hash": tokenizer.vocabulary_hash(),
        "splitter": tokenizer.pattern(),
        "end_of_text": tokenizer.end_of_text(),
        "end_of_text_candidates": candidates.collect::<Vec<_>>(),
        "added_tokens": tokenizer.special_tokens().map(token).collect::<Vec<_>>(),
        "notes": tokenizer.notes(),
    })
}

/// The tokenizer for people, each row with its name.
fn rows(tokenizer: &Tokenizer) -> Vec<(&'static str, String)> {
    let kind = tokenizer
        .info()
        .map_or("built in", |info| info.kind.as_str());
    let ids = format!(
        "{}; an embedding table of {} rows is a multiple of 64",
        human::count(tokenizer.n_vocab().into()),
        human::count(padded(tokenizer.n_vocab()).into())
    );
    let mut rows = vec![
        ("name", tokenizer.name().to_owned()),
        ("kind", kind.to_owned()),
        ("ids", ids),
        ("split by", tokenizer.pattern().to_owned()),
    ];
    if let Some(info) = tokenizer.info() {
        rows.push(("normalization", info.normalization.clone()));
        rows.push(("rules", format!("{}, hash {}", info.rules, info.rules_hash)));
        rows.push(("file hash", info.file_hash.to_string()));
    }
    rows.push(("end of text", end_of_text(tokenizer)));
    let added: Vec<_> = tokenizer.special_tokens().collect();
    rows.push(("added tokens", listed(&added)));
    rows.extend(tokenizer.notes().iter().map(|note| ("note", note.clone())));
    rows
}

/// What ends a document, or what might.
fn end_of_text(tokenizer: &Tokenizer) -> String {
    let end = tokenizer.end_of_text();
    if let Some((id, bytes)) = end.and_then(|id| Some((id, tokenizer.token_bytes(id)?))) {
        return format!("{:?} ({id})", String::from_utf8_lossy(bytes));
    }
    let candidates = tokenizer.end_of_text_candidates().iter();
    let candidates: Vec<_> = candidates.map(|(text, id)| (text.as_str(), *id)).collect();
    match candidates.len() {
        0 => "none known; choose one with --eot-token".to_owned(),
        _ => format!("choose one with --eot-token: {}", listed(&candidates)),
    }
}

/// The first of `tokens`, and how many more there are.
fn listed(tokens: &[(&str, TokenId)]) -> String {
    if tokens.is_empty() {
        return "none".to_owned();
    }
    let shown = tokens.iter().take(SHOWN);
    let mut shown: Vec<_> = shown.map(|(text, id)| format!("{text:?} ({id})")).collect();
    if tokens.len() > SHOWN {
        shown.push(format!(
            "and {} more",
            human::count((tokens.len() - SHOWN) as u64)
        ));
    }
    shown.join(", ")
}

/// The size of an embedding table that hardware likes.
fn padded(n_vocab: u32) -> u32 {
    n_vocab.next_multiple_of(64)
}

/// Whether a text could also be meant as the name of a file.
fn looks_like_path(text: &str) -> bool {
    let has_extension = Path::new(text)
        .extension()
        .is_some_and(|extension| !extension.is_empty());
    !text.contains(char::is_whitespace) && (has_extension || text.contains('/'))
}

fn print_ids(args: &TokenizerCommandArgs, tokenizer: &Tokenizer, check: &str) -> Result<()> {
    let path = Path::new(check);
    let is_file = path.is_file();
    let text = if is_file {
        std::fs::read_to_string(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            what: "cannot read",
            source,
        })?
    } else {
        if looks_like_path(check) {
            let name = shardmill::show::name(path);
            summary(&format!(
                "there is no file {name}, so these are the ids of that text"
            ));
        }
        check.to_owned()
    };
    let ids = tokenizer
        .encode(&text, args.special)
        .map_err(|error| of_text(error, is_file.then_some(path)))?;
    if args.stdout.json {
        return print_json(&json!({"tokenizer": tokenizer.name(), "ids": ids}));
    }
    let ids = ids.iter().map(ToString::to_string);
    print_lines(vec![ids.collect::<Vec<_>>().join(" ")])
}

/// The failure if the text of --check, in the file `path` if there is one, is refused.
fn of_text(error: tokenizer::Error, path: Option<&Path>) -> Failure {
    let tokenizer::Error::Special(found) = error else {
        return error.into();
    };
    let hint = Some(found.hint().to_owned());
    match path {
        Some(path) => Failure::Library(Error::Byte {
            path: path.to_owned(),
            offset: found.offset as u64,
            what: found.to_string(),
            hint,
        }),
        None => Failure::Data {
            option: "--check",
            what: format!("byte {}: {found}", found.offset),
            hint,
        },
    }
}
