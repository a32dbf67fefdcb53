//! `shardmill embed`.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, stdout};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};
use shardmill::show;
use shardmill::{
    ArrayFormat, Batch, Dtype, Element, EmbedConfig, EmbedOutcome, Error, Sink, Stats, StreamSink,
    TokenStore, embed, embed_to,
};

use crate::cli::args::EmbedArgs;
use crate::cli::config::embed_config;
use crate::cli::coverage::Coverage;
use crate::cli::output::{STDOUT, StandardOutput, pace, print_json, run_info, summary};
use crate::cli::progress::Progress;
use crate::cli::{human, interrupt};

pub(crate) fn run(args: &EmbedArgs) -> Result<()> {
    let config = embed_config(&args.embed, &args.output);
    config.validate()?;
    let out = &args.output.out;
    let is_stream = is_stream(out);
    if is_stream && args.output.json && out == Path::new(DASH) {
        return Err(Error::Config {
            field: "--json",
            what: "and --out - both write to standard output; leave one out".to_owned(),
        }
        .into());
    }
    let store = TokenStore::open(&args.dataset)?;
    let stats = Arc::new(Stats::default());
    interrupt::stops(&stats, out)?;
    if is_stream {
        let format = args.embed.format.unwrap_or(ArrayFormat::Raw);
        return stream(&store, &config, args, format, &stats);
    }
    let progress = Progress::show("embed", &stats);
    let done = embed(&store, &config, out, &run_info(out), &stats);
    drop(progress);
    let done = done?;
    if args.output.json {
        print_json(&describe(out, &done))?;
    }
    summary(&line(out, &done));
    Ok(())
}

/// `--out` that stands for standard output.
pub(crate) const DASH: &str = "-";

/// Whether `out` takes bytes as they come: a pipe or a device, not a directory to be made.
fn is_stream(out: &Path) -> bool {
    out == Path::new(DASH)
        || fs::metadata(out).is_ok_and(|there| {
            let kind = there.file_type();
            kind.is_fifo() || kind.is_char_device()
        })
}

/// The stream that `out` names, and what it is called in messages. A FIFO waits for its reader.
fn open_stream(out: &Path) -> Result<(File, &Path)> {
    if out == Path::new(DASH) {
        // Not the standard library's own handle, which looks for line ends in what it is given.
        let stdout = stdout().as_fd().try_clone_to_owned();
        let stdout = stdout.map_err(StandardOutput)?;
        return Ok((stdout.into(), Path::new(STDOUT)));
    }
    let opened = OpenOptions::new().write(true).open(out);
    let file = opened.map_err(|source| Error::Io {
        path: out.to_owned(),
        what: "cannot open",
        source,
    })?;
    Ok((file, out))
}

/// Rows on their way to a stream.
struct Rows {
    sink: StreamSink<File>,
    /// Whether the reader of a pipe is gone.
    is_unread: bool,
}

impl Rows {
    fn note(&mut self, taken: shardmill::Result<()>) -> shardmill::Result<()> {
        if let Err(Error::Io { source, .. }) = &taken {
            self.is_unread = source.kind() == ErrorKind::BrokenPipe;
        }
        taken
    }
}

impl Sink for Rows {
    fn begin(&mut self, shape: [u64; 3], dtype: Dtype) -> shardmill::Result<()> {
        let taken = self.sink.begin(shape, dtype);
        self.note(taken)
    }

    fn write<E: Element>(&mut self, batch: &Batch<'_, E>) -> shardmill::Result<()> {
        let taken = self.sink.write(batch);
        self.note(taken)
    }
}

/// Writes the embeddings alone, as they come.
fn stream(
    store: &TokenStore,
    config: &EmbedConfig,
    args: &EmbedArgs,
    format: ArrayFormat,
    stats: &Arc<Stats>,
) -> Result<()> {
    let started = Instant::now();
    let (file, name) = open_stream(&args.output.out)?;
    let mut config = config.clone();
    let is_pipe = (file.metadata()).is_ok_and(|there| there.file_type().is_fifo());
    if is_pipe && args.output.threads.is_none() {
        // A pipe is slower than one thread that gathers, and whoever reads it needs a core: on two,
        // `cat` got 2.3 to 3.1 GB/s from one thread and 1.7 to 2.0 from two.
        config.threads = config.threads.saturating_sub(1).max(1);
    }
    let progress = Progress::show("embed", stats);
    let mut rows = Rows {
        sink: StreamSink::to_file(file, name).with_format(format),
        is_unread: false,
    };
    let done = embed_to(store, &config, &mut rows, stats);
    drop(progress);
    if rows.is_unread && args.output.out == Path::new(DASH) {
        return Err(StandardOutput(ErrorKind::BrokenPipe.into()).into());
    }
    let done = done?;
    let time = started.elapsed();
    let EmbedOutcome {
        record,
        repeated_tokens,
        ..
    } = &done;
    if args.output.json {
        print_json(&json!({
            "out": name.to_string_lossy(),
            "format": format.name(),
            "shape": record.shape(),
            "dtype": record.dtype().name(),
            "bytes": stats.done(),
            "tokens_in_no_window": record.n_left_out_tokens(),
            "tokens_in_several_windows": repeated_tokens,
            "seconds": time.as_secs_f64(),
        }))?;
    }
    let [windows, seq_len, dim] = record.shape();
    summary(&format!(
        "{}: {}{} of {seq_len} x {dim} {} in {}",
        show::name(name),
        human::counted(windows, "window"),
        Coverage::of(&done),
        config.dtype.name(),
        pace(time, stats.done(), time)
    ));
    Ok(())
}

/// What was made, for `--json`.
pub(crate) fn describe(out: &Path, done: &EmbedOutcome) -> Value {
    json!({
        "out": out.to_string_lossy(),
        "was_there": done.was_there,
        "record": done.record,
        "bytes": done.record.bytes(),
        "tokens_in_no_window": done.record.n_left_out_tokens(),
        "tokens_in_several_windows": done.repeated_tokens,
        "seconds": done.time.as_secs_f64(),
    })
}

/// What was made, for people.
pub(crate) fn line(out: &Path, done: &EmbedOutcome) -> String {
    let [windows, seq_len, dim] = done.record.shape();
    let what = format!(
        "{}: embeddings of {}{}, {seq_len} x {dim} {}, {}",
        show::name(out),
        human::counted(windows, "window"),
        Coverage::of(done),
        done.record.dtype().name(),
        human::bytes(done.record.bytes()),
    );
    if done.was_there {
        format!("{what}; was there already, left as it is")
    } else {
        format!(
            "{what} in {}",
            pace(done.time, done.record.bytes(), done.time)
        )
    }
}
