//! `shardmill info`.

use anyhow::Result;
use serde_json::json;
use shardmill::{DocumentWindows, LeftOut, Manifest, TokenStore, WindowKind, Windows};

use crate::cli::args::{InfoArgs, WindowArgs};
use crate::cli::embed::within_documents;
use crate::cli::output::{print, print_json};
use crate::cli::{bad, human, start_threads};

/// Sources and shards listed before the rest is only counted.
const LISTED: usize = 10;

pub(crate) fn run(args: &InfoArgs) -> Result<()> {
    let store = TokenStore::open(&args.dataset)?;
    let WindowArgs {
        seq_len,
        stride,
        window,
        ..
    } = args.windows;
    let (windows, left_out) = count(&store, &args.windows)?;
    let embeddings_bytes = windows
        .checked_mul(seq_len)
        .and_then(|ids| ids.checked_mul(args.dim))
        .and_then(|elements| elements.checked_mul(args.dtype.size_bytes() as u64));
    if args.json {
        return print_json(&json!({
            "dataset": args.dataset.to_string_lossy(),
            "manifest": store.manifest(),
            "embeddings": {
                "windows": windows,
                "shape": [windows, seq_len, args.dim],
                "stride": stride,
                "window": window,
                "tail": left_out.map(|_| args.windows.tail),
                "left_out": left_out,
                "dtype": args.dtype,
                "bytes": embeddings_bytes,
            },
        }));
    }
    let mut lines = lines(store.manifest());
    lines.push((
        "embeddings",
        format!(
            "{} of {} tokens{}, every {}, dim {}, {}: {}",
            human::counted(windows, "window"),
            seq_len,
            left_out.map_or(String::new(), within_documents),
            stride,
            args.dim,
            args.dtype.name(),
            embeddings_bytes.map_or("more than 18 EB".to_owned(), human::bytes)
        ),
    ));
    let lines: Vec<_> = lines
        .iter()
        .map(|(name, value)| format!("{name:<12}{value}\n"))
        .collect();
    print(&lines.concat())
}

/// How many windows there are, and what is in none, where they know documents.
fn count(store: &TokenStore, args: &WindowArgs) -> Result<(u64, Option<LeftOut>)> {
    let &WindowArgs {
        seq_len,
        stride,
        window,
        tail,
    } = args;
    window.check_tail(tail)?;
    match window {
        WindowKind::Stream => {
            let windows = Windows::new(store.n_tokens(), seq_len, stride)?;
            Ok((windows.len(), None))
        }
        WindowKind::Documents => {
            start_threads()?;
            let windows = DocumentWindows::new(store, seq_len, stride, tail)?;
            Ok((windows.len(), Some(windows.left_out())))
        }
    }
}

/// What a manifest says, by name.
fn lines(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let encoding = &manifest.encoding;
    let settings = &manifest.settings;
    let totals = &manifest.totals;
    let sources = manifest
        .sources
        .iter()
        .map(|source| format!("{} ({})", source.name, human::bytes(source.bytes)));
    let shards = manifest
        .shards
        .iter()
        .map(|shard| format!("{} ({} tokens)", shard.file, human::count(shard.tokens)));
    let encoding = format!(
        "{}, {} ids, end of text is {}",
        encoding.name,
        human::count(encoding.n_vocab.into()),
        encoding.end_of_text
    );
    let settings = format!(
        "end of text {}, special tokens as {}, invalid UTF-8 {}, bad records {}, {} ids, units of {} bytes",
        settings.eot.name(),
        settings.special.name(),
        settings.invalid_utf8.name(),
        settings.bad_records.name(),
        settings.token_dtype.name(),
        human::count(settings.unit_size_bytes)
    );
    let tokens = format!(
        "{} from {} of text, {:.3} bytes a token",
        human::count(totals.tokens),
        human::bytes(totals.text_bytes),
        ratio(totals.text_bytes, totals.tokens)
    );
    let documents = format!(
        "{}, {} empty",
        human::count(totals.documents),
        human::count(totals.empty_documents)
    );
    let mut lines = vec![
        ("dataset", manifest.dataset_id.to_string()),
        ("encoding", encoding),
        ("settings", settings),
        ("tokens", tokens),
        ("documents", documents),
    ];
    if totals.invalid_sequences > 0 {
        let count = human::count(totals.invalid_sequences);
        lines.push(("invalid", format!("{count} sequences of invalid UTF-8")));
    }
    if totals.bad_records.total() > 0 {
        lines.push(("left out", bad::counts(&totals.bad_records)));
    }
    lines.push(("sources", list(manifest.sources.len(), sources)));
    lines.push(("shards", list(manifest.shards.len(), shards)));
    lines
}

fn list(count: usize, items: impl Iterator<Item = String>) -> String {
    let mut shown: Vec<_> = items.take(LISTED).collect();
    if count > LISTED {
        shown.push(format!(
            "and {} more",
            human::count((count - LISTED) as u64)
        ));
    }
    format!("{}: {}", human::count(count as u64), shown.join(", "))
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b.max(1) as f64
}
