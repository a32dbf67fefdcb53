//! `shardmill positions`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};
use shardmill::Stats;
use shardmill::show;
use shardmill::sink::{PositionsOutcome, write_positions};
use shardmill::table::{PositionScheme, ROTARY_BASE, alibi_slopes};

use crate::cli::args::{PublishArgs, StdoutArgs, choice};
use crate::cli::failure::{Failure, Result};
use crate::cli::output::{pace, print_json, summary};
use crate::cli::progress::Progress;
use crate::cli::{human, interrupt};

pub(crate) const HELP: &str = "\
What each kind writes to FILE.npy:
  t5          bucket of each query and key: i32 [query, key]
  alibi       bias of each head, query and key: f32 [head, query, key]
  shaw        index of the clipped distance from query to key: i32 [query, key]
  rope        cosine and sine of each angle: f32 [position, dim / 2, 2]
  sinusoidal  sines and cosines, interleaved: f32 [position, dim]

Angles, sines and cosines are computed in double precision and rounded once. PyTorch code that \
computes them in f32 is less exact: for rope with dim 128 and 2048 positions, its values differ by \
up to 1.2e-4.

Examples:
  shardmill positions --kind t5 --seq-len 512 --bidirectional --out t5.npy
  shardmill positions --kind alibi --heads 8 --seq-len 512 --out alibi.npy
  shardmill positions --kind shaw --seq-len 512 --clip-distance 16 \\
      --out shaw.npy
  # only the 512th token, when decoding with a cache
  shardmill positions --kind alibi --heads 8 --query-len 1 --key-len 512 \\
      --out step.npy
  shardmill positions --kind rope --seq-len 2048 --dim 128 --base 500000 \\
      --out rope.npy";

/// Which positions. What a kind does not take is refused, so everything but the kind is optional
/// here.
#[derive(Debug, Args)]
pub(crate) struct PositionsArgs {
    /// Position scheme
    #[arg(long, value_parser = choice(PositionScheme::NAMES, |name| name))]
    kind: &'static str,
    /// File to create; its name must end in .npy
    #[arg(long, value_name = "FILE.npy")]
    out: PathBuf,
    /// Number of positions; for t5, alibi and shaw, of both queries and keys
    #[arg(long, value_name = "N")]
    seq_len: Option<u64>,
    /// Number of queries, if different from --seq-len [t5, alibi, shaw]
    #[arg(long, value_name = "N")]
    query_len: Option<u64>,
    /// Number of keys, if different from --seq-len [t5, alibi, shaw]
    #[arg(long, value_name = "N")]
    key_len: Option<u64>,
    /// Position of the first query, counted from the first key; by default, the last query is at
    /// the last key, as when decoding with a cache [t5, alibi, shaw]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    query_start: Option<i32>,
    /// Number of attention heads [alibi]
    #[arg(long, value_name = "N")]
    heads: Option<u32>,
    /// Number of buckets, for both directions together [t5; default: 32]
    #[arg(long, value_name = "N")]
    num_buckets: Option<u32>,
    /// Distances of N or more share the last bucket [t5; default: 128]
    #[arg(long, value_name = "N")]
    max_distance: Option<u32>,
    /// Distinguish keys after the query, too [t5, alibi]
    #[arg(long)]
    bidirectional: bool,
    /// Clip distances to N in both directions [shaw]
    #[arg(long, value_name = "N")]
    clip_distance: Option<u32>,
    /// Number of columns; for rope, dimension of the vectors to rotate [rope, sinusoidal]
    #[arg(long, value_name = "N")]
    dim: Option<u64>,
    /// Base (theta) of the angles [rope, sinusoidal; default: 10000]
    #[arg(long, value_name = "X")]
    base: Option<f64>,
    #[command(flatten)]
    publish: PublishArgs,
    #[command(flatten)]
    pub(crate) stdout: StdoutArgs,
}

pub(crate) fn run(args: &PositionsArgs) -> Result<()> {
    let scheme = scheme(args)?;
    let stats = Arc::new(Stats::default());
    interrupt::stops(&stats, &args.out)?;
    let progress = Progress::show("positions", &stats);
    let done = write_positions(
        &scheme,
        &args.out,
        args.publish.overwrite,
        args.publish.durability,
        &stats,
    );
    drop(progress);
    let done = done?;
    if args.stdout.json {
        print_json(&describe(args, &scheme, &done))?;
    }
    summary(&line(args, &scheme, &done));
    Ok(())
}

/// The requested scheme.
fn scheme(args: &PositionsArgs) -> Result<PositionScheme> {
    refuse_what_is_not_taken(args)?;
    let length = |option, own: Option<u64>| needed(args, option, own.or(args.seq_len));
    let query_len = || length("--query-len", args.query_len);
    let key_len = || length("--key-len", args.key_len);
    let seq_len = || needed(args, "--seq-len", args.seq_len);
    let dim = || needed(args, "--dim", args.dim);
    let base = args.base.unwrap_or(ROTARY_BASE);
    Ok(match args.kind {
        "t5" => PositionScheme::T5 {
            query_len: query_len()?,
            query_start: args.query_start,
            key_len: key_len()?,
            num_buckets: args.num_buckets.unwrap_or(32),
            max_distance: args.max_distance.unwrap_or(128),
            bidirectional: args.bidirectional,
        },
        "alibi" => PositionScheme::Alibi {
            query_len: query_len()?,
            query_start: args.query_start,
            key_len: key_len()?,
            heads: needed(args, "--heads", args.heads)?,
            bidirectional: args.bidirectional,
        },
        "shaw" => PositionScheme::Shaw {
            query_len: query_len()?,
            query_start: args.query_start,
            key_len: key_len()?,
            clip_distance: needed(args, "--clip-distance", args.clip_distance)?,
        },
        "rope" => PositionScheme::Rope {
            seq_len: seq_len()?,
            dim: dim()?,
            base,
        },
        // The parser accepts no other name.
        _ => PositionScheme::Sinusoidal {
            seq_len: seq_len()?,
            dim: dim()?,
            base,
        },
    })
}

fn needed<T>(args: &PositionsArgs, option: &'static str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Failure::Usage {
        option,
        what: match option {
            "--query-len" | "--key-len" => {
                format!("is needed with --kind {}; or --seq-len for both", args.kind)
            }
            _ => format!("is needed with --kind {}", args.kind),
        },
    })
}

/// Refuses options that would change nothing, because they are mistakes.
fn refuse_what_is_not_taken(args: &PositionsArgs) -> Result<()> {
    const RELATIVE: &[&str] = &["t5", "alibi", "shaw"];
    const ABSOLUTE: &[&str] = &["rope", "sinusoidal"];
    let options = [
        ("--query-len", args.query_len.is_some(), RELATIVE),
        ("--key-len", args.key_len.is_some(), RELATIVE),
        ("--query-start", args.query_start.is_some(), RELATIVE),
        ("--heads", args.heads.is_some(), &["alibi"]),
        ("--num-buckets", args.num_buckets.is_some(), &["t5"]),
        ("--max-distance", args.max_distance.is_some(), &["t5"]),
        ("--bidirectional", args.bidirectional, &["t5", "alibi"]),
        ("--clip-distance", args.clip_distance.is_some(), &["shaw"]),
        ("--dim", args.dim.is_some(), ABSOLUTE),
        ("--base", args.base.is_some(), ABSOLUTE),
    ];
    for (option, is_given, kinds) in options {
        if is_given && !kinds.contains(&args.kind) {
            let what = format!("goes with --kind {}, not {}", kinds.join(" or "), args.kind);
            return Err(Failure::Usage { option, what });
        }
    }
    if let (Some(_), Some(_), Some(_)) = (args.seq_len, args.query_len, args.key_len) {
        return Err(Failure::Usage {
            option: "--seq-len",
            what: "has no effect with both --query-len and --key-len; leave it out".to_owned(),
        });
    }
    Ok(())
}

/// Describes what was made, for `--json`.
fn describe(args: &PositionsArgs, scheme: &PositionScheme, done: &PositionsOutcome) -> Value {
    let mut value = json!({
        "out": args.out.to_string_lossy(),
        "was_there": done.was_there,
        "kind": scheme.name(),
        "shape": scheme.shape(),
        "dtype": scheme.element_type(),
        "bytes": done.bytes,
        "seconds": done.time.as_secs_f64(),
    });
    if let PositionScheme::Alibi { heads, .. } = scheme {
        value["slopes"] = json!(alibi_slopes(*heads));
    }
    value
}

/// Describes what was made, for people.
fn line(args: &PositionsArgs, scheme: &PositionScheme, done: &PositionsOutcome) -> String {
    let sizes: Vec<_> = scheme.shape().iter().map(u64::to_string).collect();
    let what = format!(
        "{}: {} positions, {} {}, {}",
        show::name(&args.out),
        scheme.name(),
        sizes.join(" x "),
        scheme.element_type(),
        human::bytes(done.bytes),
    );
    if done.was_there {
        format!("{what}; was there already, left as it is")
    } else {
        format!("{what} in {}", pace(done.time, done.bytes, done.time))
    }
}
