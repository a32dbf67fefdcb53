//! `shardmill info`.

use anyhow::Result;
use serde_json::json;
use shardmill::{TokenStore, Windows};

use crate::cli::args::InfoArgs;
use crate::cli::human;
use crate::cli::output::{print, print_json};

/// Sources and shards listed before the rest is only counted.
const LISTED: usize = 10;

pub(crate) fn run(args: &InfoArgs) -> Result<()> {
    let store = TokenStore::open(&args.dataset)?;
    let manifest = store.manifest();
    let windows = Windows::new(store.n_tokens(), args.windows.seq_len, args.windows.stride)?;
    let elements = u128::from(windows.len()) * u128::from(windows.seq_len()) * u128::from(args.dim);
    let embeddings_bytes = elements * args.dtype.size_bytes() as u128;
    if args.json {
        return print_json(&json!({
            "dataset": args.dataset.to_string_lossy(),
            "manifest": manifest,
            "embeddings": {
                "windows": windows.len(),
                "shape": [windows.len(), windows.seq_len(), args.dim],
                "stride": windows.stride(),
                "dtype": args.dtype,
                "bytes": u64::try_from(embeddings_bytes).ok(),
            },
        }));
    }
    let totals = &manifest.totals;
    let settings = &manifest.settings;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        text.push_str(&format!("{name:<12}{value}\n"));
    };
    line("dataset", manifest.dataset_id.to_string());
    line(
        "encoding",
        format!(
            "{}, {} ids, end of text is {}",
            manifest.encoding.name,
            human::count(manifest.encoding.n_vocab.into()),
            manifest.encoding.end_of_text
        ),
    );
    line(
        "settings",
        format!(
            "end of text {}, special tokens as {}, invalid UTF-8 {}, {} ids, units of {} bytes",
            settings.eot.name(),
            settings.special.name(),
            settings.invalid_utf8.name(),
            settings.token_dtype.name(),
            human::count(settings.unit_size_bytes)
        ),
    );
    line(
        "tokens",
        format!(
            "{} from {} of text, {:.3} bytes a token",
            human::count(totals.tokens),
            human::bytes(totals.text_bytes),
            ratio(totals.text_bytes, totals.tokens)
        ),
    );
    line(
        "documents",
        format!(
            "{}, {} empty",
            human::count(totals.documents),
            human::count(totals.empty_documents)
        ),
    );
    if totals.invalid_sequences > 0 {
        line(
            "invalid",
            format!(
                "{} sequences of invalid UTF-8",
                human::count(totals.invalid_sequences)
            ),
        );
    }
    let sources = manifest
        .sources
        .iter()
        .map(|source| format!("{} ({})", source.name, human::bytes(source.bytes)));
    line("sources", list(manifest.sources.len(), sources));
    let shards = manifest
        .shards
        .iter()
        .map(|shard| format!("{} ({} tokens)", shard.file, human::count(shard.tokens)));
    line("shards", list(manifest.shards.len(), shards));
    line(
        "embeddings",
        format!(
            "{} of {} tokens, every {}, dim {}, {}: {}",
            human::counted(windows.len(), "window"),
            windows.seq_len(),
            windows.stride(),
            args.dim,
            args.dtype.name(),
            u64::try_from(embeddings_bytes).map_or("more than 18 EB".to_owned(), human::bytes)
        ),
    );
    print(&text)
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
