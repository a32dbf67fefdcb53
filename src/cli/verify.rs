//! `shardmill verify`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use shardmill::show;
use shardmill::{
    EMBEDDINGS, Error, Stats, Verified, VerifiedEmbeddings, verify, verify_embeddings,
    verify_inputs,
};

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

pub(crate) fn run(args: &VerifyArgs) -> Result<()> {
    let started = Instant::now();
    start_threads()?;
    let dir = &args.dataset;
    let failed = |error| Failure::Check {
        error,
        dir: dir.clone(),
    };
    let is_embeddings = dir.join("embed.json").is_file();
    let stats = Arc::new(Stats::default());
    let progress = Progress::show("verify", &stats);
    let dataset = if is_embeddings {
        None
    } else {
        Some(verify(dir, &stats).map_err(failed)?)
    };
    let embeddings = if is_embeddings {
        Some(dir.clone())
    } else {
        // A link that leads nowhere is damage too.
        Some(dir.join(EMBEDDINGS)).filter(|inside| inside.symlink_metadata().is_ok())
    };
    let embeddings = embeddings
        .map(|inside| {
            check_no_link(&inside, dir)?;
            verify_embeddings(&inside, &stats)
        })
        .transpose()
        .map_err(failed)?;
    if let (Some(dataset), Some(embeddings)) = (&dataset, &embeddings) {
        check_same(dir, dataset, embeddings).map_err(failed)?;
    }
    let inputs = match &*args.inputs {
        [] => None,
        inputs => Some(open_inputs(inputs, &args.selection)?),
    };
    if let Some(corpus) = &inputs {
        match verify_inputs(dir, corpus, &stats) {
            Err(error) if error.is_usage() => return Err(error.into()),
            compared => compared.map_err(failed)?,
        }
    }
    drop(progress);
    let time = started.elapsed();
    if args.stdout.json {
        let mut found = json!({
            "is_whole": true,
            "dataset": dataset,
            "embeddings": embeddings,
            "seconds": time.as_secs_f64(),
        });
        if let Some(corpus) = &inputs {
            found["inputs"] = json!(corpus.len());
        }
        print_json(&found)?;
    }
    let mut bytes = 0;
    let mut parts = Vec::new();
    if let Some(dataset) = dataset {
        bytes += dataset.bytes;
        parts.push(format!(
            "{}, {}, {}",
            human::counted(dataset.tokens, "token"),
            human::counted(dataset.shards, "shard"),
            human::counted(dataset.documents, "document"),
        ));
    }
    if let Some(embeddings) = embeddings {
        bytes += embeddings.bytes;
        parts.push(format!(
            "embeddings of {}",
            human::counted(embeddings.windows, "window")
        ));
    }
    if let Some(corpus) = inputs {
        bytes += corpus.total_bytes();
        let inputs = human::counted(corpus.len() as u64, "input");
        parts.push(format!("{inputs} unchanged"));
    }
    summary(&format!(
        "{}: whole: {} checked in {}",
        show::name(dir),
        parts.join(" and "),
        pace(time, bytes, time)
    ));
    Ok(())
}

/// Embeddings that lie in a dataset go with it wherever it is copied.
fn check_no_link(inside: &Path, dir: &Path) -> shardmill::Result<()> {
    if inside == dir || !inside.is_symlink() {
        return Ok(());
    }
    Err(Error::Shard {
        path: inside.to_owned(),
        what: "is a link".to_owned(),
        hint: Some("move what it leads to here".to_owned()),
    })
}

/// Embeddings that lie in a dataset are its own.
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
