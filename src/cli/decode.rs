//! `shardmill decode`.

use std::io::{self, BufWriter, Write};
use std::ops::Range;

use clap::Args;
use serde_json::json;
use shardmill::dataset::{Document, Eot};
use shardmill::{Error, TokenId, TokenStore, Tokenizer};

use crate::cli::args::{DatasetArgs, StdoutArgs, TokenizerFileArgs};
use crate::cli::failure::{Failure, Result};
use crate::cli::human::counted;
use crate::cli::made_with;
use crate::cli::output::print_json;

/// How many ids are decoded at a time.
const STEP: u64 = 1 << 16;

pub(crate) const HELP: &str = "\
Examples:
  shardmill decode out | head
  shardmill decode out --document 3
  shardmill decode out --tokens 1000..1256 --json";

#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    #[command(flatten)]
    dataset: DatasetArgs,
    /// Decode only this document, counted from 0
    #[arg(long, value_name = "I", conflicts_with_all = ["documents", "tokens"])]
    document: Option<u64>,
    /// Decode only these documents, counted from 0; END is exclusive
    #[arg(long, value_name = "FIRST..END", value_parser = range, conflicts_with = "tokens")]
    documents: Option<Range<u64>>,
    /// Decode only these tokens, counted from 0 across all shards; END is exclusive
    #[arg(long, value_name = "FIRST..END", value_parser = range)]
    tokens: Option<Range<u64>>,
    /// Also print the tokens that begin and end documents, by name
    #[arg(long)]
    keep_special: bool,
    /// The file, directory or Hub id of the tokenizer, if it is not built in
    #[arg(long, value_name = "NAME|PATH")]
    tokenizer: Option<String>,
    #[command(flatten)]
    file: TokenizerFileArgs,
    #[command(flatten)]
    pub(crate) stdout: StdoutArgs,
}

pub(crate) fn run(args: &DecodeArgs) -> Result<()> {
    let store = TokenStore::open(&args.dataset.dir)?;
    let tokenizer = made_with::tokenizer(args.tokenizer.as_deref(), &args.file, &store)?;
    let tokens = tokens(args, &store)?;
    if args.stdout.json {
        let mut text = Vec::new();
        decode(
            &store,
            &tokenizer,
            tokens.clone(),
            args.keep_special,
            &mut text,
        )?;
        return print_json(&json!({
            "tokens": {"start": tokens.start, "end": tokens.end},
            "bytes": text.len(),
            "text": String::from_utf8_lossy(&text),
        }));
    }
    let mut stdout = BufWriter::new(io::stdout().lock());
    decode(&store, &tokenizer, tokens, args.keep_special, &mut stdout)?;
    stdout.flush().map_err(Failure::Stdout)
}

/// The requested tokens.
fn tokens(args: &DecodeArgs, store: &TokenStore) -> Result<Range<u64>> {
    let all = 0..store.n_tokens();
    let (first, last) = match (&args.document, &args.documents, &args.tokens) {
        (Some(document), _, _) => (*document, document.saturating_add(1)),
        (None, Some(documents), _) => (documents.start, documents.end),
        (None, None, Some(tokens)) => {
            return if tokens.end <= all.end {
                Ok(tokens.clone())
            } else {
                Err(beyond("--tokens", tokens.end, all.end, "tokens"))
            };
        }
        (None, None, None) => return Ok(all),
    };
    let documents = store.manifest().totals.documents;
    if last > documents {
        return Err(match args.document {
            Some(_) => Failure::Usage {
                option: "--document",
                what: format!(
                    "the dataset has {}, counted from 0",
                    counted(documents, "document")
                ),
            },
            None => beyond("--documents", last, documents, "documents"),
        });
    }
    let skip = usize::try_from(first).unwrap_or(usize::MAX);
    let take = usize::try_from(last.saturating_sub(first)).unwrap_or(usize::MAX);
    let mut range = store
        .documents()
        .skip(skip)
        .take(take)
        .map(|document| document.map(|document| document.tokens));
    let Some(mut found) = range.next().transpose()? else {
        return Ok(0..0);
    };
    for tokens in range {
        found.end = tokens?.end;
    }
    Ok(found)
}

fn beyond(option: &'static str, end: u64, there: u64, what: &str) -> Failure {
    Failure::Usage {
        option,
        what: format!("{end} is beyond the {there} {what} that there are"),
    }
}

/// Writes the text of `tokens`, by default without the tokens that begin and end documents.
fn decode(
    store: &TokenStore,
    tokenizer: &Tokenizer,
    tokens: Range<u64>,
    keep_special: bool,
    out: &mut impl Write,
) -> Result<()> {
    let settings = &store.manifest().settings;
    let (eot, bos) = (settings.eot, settings.bos);
    let leading = tokenizer.leading_spaces();
    if keep_special || eot == Eot::None && bos.is_none() && leading == 0 {
        return decode_all(store, tokenizer, tokens, 0, out);
    }
    let before = u64::from(eot == Eot::Before) + u64::from(bos.is_some());
    let after = u64::from(eot == Eot::After);
    let documents = store
        .documents()
        .skip_while(|document| {
            let tokens_before = |document: &Document| document.tokens.end <= tokens.start;
            document.as_ref().is_ok_and(tokens_before)
        })
        .take_while(|document| {
            let begins = |document: &Document| document.tokens.start < tokens.end;
            document.as_ref().map_or(true, begins)
        });
    for document in documents {
        let document = document?;
        let text = document.tokens.start + before..document.tokens.end.saturating_sub(after);
        // What the tokenizer put before the text was not in it.
        let leading = if tokens.start <= text.start {
            leading
        } else {
            0
        };
        let text = text.start.max(tokens.start)..text.end.min(tokens.end);
        decode_all(store, tokenizer, text, leading, out)?;
    }
    Ok(())
}

/// Writes the bytes of every token, without up to `leading` spaces at the beginning.
fn decode_all(
    store: &TokenStore,
    tokenizer: &Tokenizer,
    tokens: Range<u64>,
    leading: u32,
    out: &mut impl Write,
) -> Result<()> {
    let mut ids = Vec::new();
    let mut start = tokens.start;
    while start < tokens.end {
        let take = STEP.min(tokens.end - start);
        ids.resize(usize::try_from(take).unwrap_or(usize::MAX), 0);
        store.read(start, &mut ids)?;
        let text = tokenizer
            .decode_bytes(&ids)
            .map_err(|_| damaged(store, tokenizer, start, &ids))?;
        let is_first = start == tokens.start;
        let spaces = text.iter().take_while(|&&byte| byte == b' ' && is_first);
        let spaces = spaces.take(leading as usize).count();
        out.write_all(&text[spaces..]).map_err(Failure::Stdout)?;
        start += take;
    }
    Ok(())
}

/// The error that names the first of `ids`, which begin at token `start`, that is not in the
/// tokenizer.
fn damaged(store: &TokenStore, tokenizer: &Tokenizer, start: u64, ids: &[TokenId]) -> Error {
    let is_wrong = |&(_, &id): &(u64, &TokenId)| tokenizer.decode_bytes(&[id]).is_err();
    let (token, id) = (start..).zip(ids).find(is_wrong).unwrap_or((start, &0));
    Error::Shard {
        path: store.path().to_owned(),
        what: format!(
            "token {token} is {id}, which is no id of {}",
            tokenizer.name()
        ),
        hint: Some("shardmill verify says what is damaged".to_owned()),
    }
}

fn range(typed: &str) -> std::result::Result<Range<u64>, String> {
    let ends = typed.split_once("..");
    let range = ends.and_then(|(start, end)| Some(start.parse().ok()?..end.parse().ok()?));
    let range = range.filter(|range| range.start <= range.end);
    range.ok_or_else(|| "a range is FIRST..END, such as 0..10".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_first_and_end() {
        assert_eq!(range("3..7"), Ok(3..7));
        for bad in ["", "3", "7..3", "..3", "a..b", "-1..2"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }
}
