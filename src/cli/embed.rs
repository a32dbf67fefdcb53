//! `shardmill embed`.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, stdout};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use shardmill::embed::{EmbedOutcome, embed_to};
use shardmill::show;
use shardmill::sink::{ArrayFormat, Batch, Sink, StreamSink};
use shardmill::{Dtype, Element, EmbedConfig, Error, Stats, TokenStore, embed};

use crate::cli::args::{DatasetArgs, OutputArgs, StdoutArgs};
use crate::cli::coverage::Coverage;
use crate::cli::embed_options::{EmbedOptions, embed_config};
use crate::cli::failure::{Failure, Result};
use crate::cli::made::{describe_embeddings, embeddings_line};
use crate::cli::output::{STDOUT, pace, print_json, run_info, summary};
use crate::cli::progress::Progress;
use crate::cli::{human, interrupt};

pub(crate) const HELP: &str = "\
Writes embeddings.npy [n, seq_len, dim], inputs.npy and targets.npy [n, seq_len], and embed.json. \
With --out - or a FIFO, only the embeddings are written, without a header unless --format is \
given. When writing to a pipe, one core is left for its reader unless --threads is given.

Examples:
  shardmill embed out --out emb --init-seed 123 --dim 256
  shardmill embed out --out emb --token-table wte.npy \\
      --position-table sinusoidal
  shardmill embed out --out emb --token-table wte.npy \\
      --position-table rope --rope-style half
  shardmill embed out --out emb --init-seed 123 --dim 256 \\
      --dtype bf16 --format safetensors
  shardmill embed out --out - --token-table wte.npy \\
      --position-table wpe.npy | ./trainer";

#[derive(Debug, Args)]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    dataset: DatasetArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    pub(crate) stdout: StdoutArgs,
    #[command(flatten)]
    embed: EmbedOptions,
}

impl EmbedArgs {
    /// Whether the embeddings go to standard output.
    pub(crate) fn is_to_stdout(&self) -> bool {
        self.output.out == Path::new(DASH)
    }
}

pub(crate) fn run(args: &EmbedArgs) -> Result<()> {
    let config = embed_config(&args.embed, &args.output);
    config.validate()?;
    let out = &args.output.out;
    let is_stream = is_stream(out);
    if args.stdout.json && args.is_to_stdout() {
        return Err(Failure::Usage {
            option: "--json",
            what: "and --out - both write to standard output; leave one out".to_owned(),
        });
    }
    let store = TokenStore::open(&args.dataset.dir)?;
    let stats = Arc::new(Stats::default());
    interrupt::stops(&stats, out)?;
    if is_stream {
        let format = args.embed.arrays.format.unwrap_or(ArrayFormat::Raw);
        return stream(&store, &config, args, format, &stats);
    }
    let progress = Progress::show("embed", &stats);
    let done = embed(&store, &config, out, &run_info(out), &stats);
    drop(progress);
    let done = done?;
    if args.stdout.json {
        print_json(&describe_embeddings(out, &done))?;
    }
    summary(&embeddings_line(out, &done));
    Ok(())
}

/// The `--out` that means standard output.
const DASH: &str = "-";

/// Whether `out` is a stream: a pipe or a device, not a directory to create.
fn is_stream(out: &Path) -> bool {
    out == Path::new(DASH)
        || fs::metadata(out).is_ok_and(|there| {
            let kind = there.file_type();
            kind.is_fifo() || kind.is_char_device()
        })
}

/// The stream that `out` names, and its name in messages. Opening a FIFO waits for its reader.
fn open_stream(out: &Path) -> Result<(File, &Path)> {
    if out == Path::new(DASH) {
        // Not the standard library's handle, which scans its input for line ends.
        let stdout = stdout().as_fd().try_clone_to_owned();
        let stdout = stdout.map_err(Failure::Stdout)?;
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

/// A sink that writes rows to a stream.
struct Rows {
    sink: StreamSink<File>,
    /// Whether the reader of a pipe has gone.
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

/// Writes only the embeddings, as they are made.
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
    if is_pipe && args.output.threads.count.is_none() {
        // A pipe is slower than one gathering thread, and its reader needs a core: on two cores,
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
    if rows.is_unread && args.is_to_stdout() {
        return Err(Failure::Stdout(ErrorKind::BrokenPipe.into()));
    }
    let done = done?;
    let time = started.elapsed();
    let EmbedOutcome {
        record,
        repeated_tokens,
        ..
    } = &done;
    if args.stdout.json {
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
