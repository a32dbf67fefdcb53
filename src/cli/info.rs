//! `shardmill info`.

use clap::Args;
use serde_json::json;
use shardmill::dataset::{Side, SourceInfo, Split};
use shardmill::window::{DocumentWindows, LeftOut, WindowKind};
use shardmill::{Manifest, TokenStore, Windows};

use crate::cli::args::{DatasetArgs, ElementArgs, StdoutArgs, WindowArgs};
use crate::cli::coverage::Coverage;
use crate::cli::failure::Result;
use crate::cli::output::{print_json, print_lines};
use crate::cli::threads::start_threads;
use crate::cli::{bad, human};

/// How many sources and shards are listed; the rest are only counted.
const LISTED: usize = 10;

pub(crate) const HELP: &str = "\
Example:
  shardmill info out --seq-len 1024 --dim 768 --dtype bf16";

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    dataset: DatasetArgs,
    #[command(flatten)]
    windows: WindowArgs,
    /// Embedding dimension
    #[arg(long, value_name = "N", default_value_t = 768)]
    dim: u64,
    #[command(flatten)]
    elements: ElementArgs,
    #[command(flatten)]
    pub(crate) stdout: StdoutArgs,
}

pub(crate) fn run(args: &InfoArgs) -> Result<()> {
    let store = TokenStore::open(&args.dataset.dir)?;
    let WindowArgs {
        seq_len,
        stride,
        window,
        ..
    } = args.windows;
    let stride = stride.unwrap_or(seq_len);
    let Count {
        windows,
        left_out,
        coverage,
    } = count(&store, &args.windows, stride)?;
    let embeddings_bytes = windows
        .checked_mul(seq_len)
        .and_then(|ids| ids.checked_mul(args.dim))
        .and_then(|elements| elements.checked_mul(args.elements.dtype.size_bytes() as u64));
    if args.stdout.json {
        return print_json(&json!({
            "dataset": args.dataset.dir.to_string_lossy(),
            "manifest": store.manifest(),
            "embeddings": {
                "windows": windows,
                "shape": [windows, seq_len, args.dim],
                "stride": stride,
                "window": window,
                "tail": left_out.map(|_| args.windows.tail),
                "left_out": left_out,
                "tokens_in_no_window": coverage.left_out_tokens,
                "tokens_in_several_windows": coverage.repeated_tokens,
                "dtype": args.elements.dtype,
                "bytes": embeddings_bytes,
            },
        }));
    }
    let mut lines = lines(store.manifest());
    lines.push((
        "embeddings",
        format!(
            "{} of {}{coverage}, every {}, dim {}, {}: {}",
            human::counted(windows, "window"),
            human::counted(seq_len, "token"),
            human::count(stride),
            args.dim,
            args.elements.dtype.name(),
            embeddings_bytes.map_or("more than 18 EB".to_owned(), human::bytes)
        ),
    ));
    print_lines(
        lines
            .iter()
            .map(|(name, value)| format!("{name:<12}{value}")),
    )
}

/// The number of windows, and what they cover.
struct Count {
    windows: u64,
    /// What is in no window, if windows stay within documents.
    left_out: Option<LeftOut>,
    coverage: Coverage,
}

fn count(store: &TokenStore, args: &WindowArgs, stride: u64) -> Result<Count> {
    let &WindowArgs {
        seq_len,
        window,
        tail,
        ..
    } = args;
    window.check_tail(tail)?;
    match window {
        WindowKind::Stream => {
            let windows = Windows::new(store.n_tokens(), seq_len, stride)?;
            Ok(Count {
                windows: windows.len(),
                left_out: None,
                coverage: Coverage {
                    left_out_tokens: windows.n_left_out(),
                    repeated_tokens: windows.n_repeated(),
                    ..Coverage::default()
                },
            })
        }
        WindowKind::Documents => {
            start_threads()?;
            let windows = DocumentWindows::new(store, seq_len, stride, tail)?;
            let left_out = windows.left_out();
            Ok(Count {
                windows: windows.len(),
                left_out: Some(left_out),
                coverage: Coverage {
                    left_out_documents: Some(left_out.documents),
                    left_out_tokens: left_out.tokens,
                    repeated_tokens: windows.n_repeated(),
                    dropped_windows: 0,
                },
            })
        }
    }
}

/// The contents of a manifest, by name.
fn lines(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let encoding = &manifest.encoding;
    let settings = &manifest.settings;
    let totals = &manifest.totals;
    let sources = manifest.sources.iter().enumerate().map(|(index, source)| {
        let bytes = human::bytes(source.bytes);
        let same = |other: &&SourceInfo| other.name == source.name;
        if manifest.sources.iter().filter(same).nth(1).is_some() {
            // Only its index identifies it.
            return format!("{} (source {index}, {bytes})", source.name);
        }
        format!("{} ({bytes})", source.name)
    });
    let shards = manifest
        .shards
        .iter()
        .map(|shard| format!("{} ({})", shard.file, human::counted(shard.tokens, "token")));
    let encoding = format!(
        "{}, {}, {}",
        encoding.name,
        human::counted(encoding.n_vocab.into(), "id"),
        match encoding.end_of_text {
            Some(id) => format!("end of text is {id}"),
            None => "no end of text".to_owned(),
        }
    );
    let settings = format!(
        "end of text {}, special tokens as {}, invalid UTF-8 {}, bad records {}, {} ids, units of {}",
        settings.eot.name(),
        settings.special.name(),
        settings.invalid_utf8.name(),
        settings.bad_records.name(),
        settings.token_dtype.name(),
        human::counted(settings.unit_size_bytes, "byte")
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
        let count = human::counted(totals.invalid_sequences, "sequence");
        lines.push(("invalid", format!("{count} of invalid UTF-8")));
    }
    if !manifest.settings.separator.is_empty() {
        lines.push(("separator", format!("{:?}", manifest.settings.separator)));
    }
    if let Some(shuffled) = manifest.shuffled {
        let order = format!("seed {}, from {}", shuffled.seed, shuffled.dataset_id);
        lines.push(("shuffled", order));
    }
    if let Some(split) = manifest.settings.split {
        lines.push(("split", split_of(split, totals.other_side)));
    }
    let kept = kept_in(manifest);
    if !kept.is_empty() {
        lines.push(("kept", kept));
    }
    if totals.bad_records.total() > 0 {
        lines.push(("left out", bad::counts(&totals.bad_records)));
    }
    let outside = limits_of(manifest);
    if !outside.is_empty() {
        lines.push(("left out", outside));
    }
    lines.push(("sources", list(manifest.sources.len(), sources)));
    lines.push(("shards", list(manifest.shards.len(), shards)));
    lines
}

/// `id from doc_id of 1,000 documents, url of 998 documents`.
fn kept_in(manifest: &Manifest) -> String {
    let parts = manifest.settings.kept_fields().map(|(key, name)| {
        let documents = human::counted(manifest.fields_found(key), "document");
        let from = if name == key {
            String::new()
        } else {
            format!(" from {name}")
        };
        format!("{key}{from} of {documents}")
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// `12 documents of fewer tokens than 16, 1 document of more bytes than 1,000,000`.
fn limits_of(manifest: &Manifest) -> String {
    let outside = manifest.totals.outside_limits;
    let limits = outside.by_limit(manifest.settings.limits());
    let parts = limits.map(|(what, limit, count)| {
        let documents = human::counted(count, "document");
        format!("{documents} of {what} than {}", human::count(limit))
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// `train, without 2,345 documents for validation (0.5 %)`.
fn split_of(split: Split, other_side: u64) -> String {
    let others = human::counted(other_side, "document");
    let share = f64::from(split.validation_millionths) / 10_000.0;
    match split.side {
        Side::Train => format!("train, without {others} for validation ({share} %)"),
        Side::Validation => format!("validation ({share} %), without {others} to train with"),
    }
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
