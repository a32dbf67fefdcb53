//! `shardmill verify`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use shardmill::dataset::{EMBEDDINGS, Verified};
use shardmill::embed::VerifiedEmbeddings;
use shardmill::show;
use shardmill::{Corpus, Error, Stats, TokenStore, verify, verify_embeddings, verify_inputs};

use crate::cli::args::StdoutArgs;
use crate::cli::failure::{Failure, Result};
use crate::cli::human;
use crate::cli::inputs::{SelectionArgs, open_inputs};
use crate::cli::output::{pace, print_json, summary};
use crate::cli::progress::Progress;
use crate::cli::threads::start_threads;

pub(crate) const HELP: &str = "\
Example:
  shardmill verify out && rsync -a out/ trainer:/data/out/";

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Dataset directory, or embeddings directory
    #[arg(value_name = "DATASET")]
    dataset: PathBuf,
    /// Also read these inputs and compare them with those the dataset was made from
    #[arg(long, value_name = "INPUT", num_args = 1..)]
    inputs: Vec<OsString>,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    pub(crate) stdout: StdoutArgs,
}

/// What was verified.
struct Whole {
    dataset: Option<Verified>,
    embeddings: Option<VerifiedEmbeddings>,
    inputs: Option<Corpus>,
}

pub(crate) fn run(args: &VerifyArgs) -> Result<()> {
    let started = Instant::now();
    start_threads()?;
    let stats = Arc::new(Stats::default());
    let progress = Progress::show("verify", &stats);
    let (dataset, embeddings) =
        check_output(&args.dataset, &stats).map_err(|error| failed(error, args))?;
    let whole = Whole {
        dataset,
        embeddings,
        inputs: check_inputs(args, &stats)?,
    };
    drop(progress);
    let time = started.elapsed();
    if args.stdout.json {
        print_json(&whole.describe(time))?;
    }
    summary(&whole.line(&args.dataset, time));
    Ok(())
}

fn failed(error: Error, args: &VerifyArgs) -> Failure {
    Failure::Check {
        error,
        dir: args.dataset.clone(),
    }
}

/// Checks the dataset in `dir` and the embeddings in it, or `dir` itself if it is embeddings.
fn check_output(
    dir: &Path,
    stats: &Stats,
) -> shardmill::Result<(Option<Verified>, Option<VerifiedEmbeddings>)> {
    if dir.join("embed.json").is_file() {
        return Ok((None, Some(verify_embeddings(dir, stats)?)));
    }
    let dataset = verify(dir, stats)?;
    let inside = dir.join(EMBEDDINGS);
    // A dangling link is damage, too.
    if inside.symlink_metadata().is_err() {
        return Ok((Some(dataset), None));
    }
    check_no_link(&inside)?;
    let embeddings = verify_embeddings(&inside, stats)?;
    check_same(dir, &dataset, &embeddings)?;
    Ok((Some(dataset), Some(embeddings)))
}

/// Compares the given inputs with those of the dataset.
fn check_inputs(args: &VerifyArgs, stats: &Stats) -> Result<Option<Corpus>> {
    if args.inputs.is_empty() && args.selection.files_from.is_none() {
        return match args.selection.given() {
            None => Ok(None),
            Some(option) => Err(Failure::Usage {
                option,
                what: "says how inputs are read; name them with --inputs".to_owned(),
            }),
        };
    }
    if let Some(separator) = &args.selection.separator {
        let store = TokenStore::open(&args.dataset)?;
        let made_with = &store.manifest().settings.separator;
        if separator != made_with {
            return Err(Failure::Usage {
                option: "--separator",
                what: format!("is {separator:?}, and the dataset was made with {made_with:?}"),
            });
        }
    }
    let corpus = open_inputs(&args.inputs, &args.selection, rayon::current_num_threads())?;
    match verify_inputs(&args.dataset, &corpus, stats) {
        Err(error) if error.is_usage() => Err(error.into()),
        Err(error) => Err(failed(error, args)),
        Ok(()) => Ok(Some(corpus)),
    }
}

impl Whole {
    fn describe(&self, time: Duration) -> Value {
        let mut found = json!({
            "is_whole": true,
            "dataset": self.dataset,
            "embeddings": self.embeddings,
            "seconds": time.as_secs_f64(),
        });
        if let Some(corpus) = &self.inputs {
            found["inputs"] = json!(corpus.len());
        }
        found
    }

    fn line(&self, dir: &Path, time: Duration) -> String {
        let mut bytes = 0;
        let mut parts = Vec::new();
        if let Some(dataset) = &self.dataset {
            bytes += dataset.bytes;
            parts.push(format!(
                "{}, {}, {}",
                human::counted(dataset.tokens, "token"),
                human::counted(dataset.shards, "shard"),
                human::counted(dataset.documents, "document"),
            ));
        }
        if let Some(embeddings) = &self.embeddings {
            bytes += embeddings.bytes;
            let windows = human::counted(embeddings.windows, "window");
            parts.push(format!("embeddings of {windows}"));
        }
        if let Some(corpus) = &self.inputs {
            bytes += corpus.total_bytes();
            let inputs = human::counted(corpus.len() as u64, "input");
            parts.push(format!("{inputs} unchanged"));
        }
        format!(
            "{}: whole: {} checked in {}",
            show::name(dir),
            parts.join(" and "),
            pace(time, bytes, time)
        )
    }
}

/// Checks that embeddings inside a dataset are not a link, so that they are copied along with it.
fn check_no_link(inside: &Path) -> shardmill::Result<()> {
    if !inside.is_symlink() {
        return Ok(());
    }
    Err(Error::Shard {
        path: inside.to_owned(),
        what: "is a link".to_owned(),
        hint: Some("move what it leads to here".to_owned()),
    })
}

/// Checks that embeddings inside a dataset were made from it.
fn check_same(
    dir: &Path,
    dataset: &Verified,
    embeddings: &VerifiedEmbeddings,
) -> shardmill::Result<()> {
    if embeddings.dataset_id == dataset.dataset_id {
        return Ok(());
    }
    Err(Error::Shard {
        path: dir.join(EMBEDDINGS).join("embed.json"),
        what: format!(
            "is of dataset {}, and this is {}",
            embeddings.dataset_id, dataset.dataset_id
        ),
        hint: Some("make the embeddings again".to_owned()),
    })
}
