//! `shardmill verify`.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use serde_json::json;
use shardmill::{EMBEDDINGS, Error, Stats, verify, verify_embeddings};

use crate::cli::args::VerifyArgs;
use crate::cli::exit::CheckFailed;
use crate::cli::human;
use crate::cli::output::{pace, print_json, summary};
use crate::cli::progress::Progress;
use crate::cli::start_threads;

pub(crate) fn run(args: &VerifyArgs) -> Result<()> {
    let started = Instant::now();
    start_threads()?;
    let dir = &args.dataset;
    let is_embeddings = dir.join("embed.json").is_file();
    let stats = Arc::new(Stats::default());
    let progress = Progress::show("verify", &stats);
    let dataset = if is_embeddings {
        None
    } else {
        Some(verify(dir, &stats).map_err(CheckFailed)?)
    };
    let embeddings = if is_embeddings {
        Some(dir.clone())
    } else {
        Some(dir.join(EMBEDDINGS)).filter(|inside| inside.exists())
    };
    let embeddings = embeddings
        .map(|dir| verify_embeddings(&dir, &stats).map_err(CheckFailed))
        .transpose()?;
    if let (Some(dataset), Some(embeddings)) = (&dataset, &embeddings)
        && dataset.dataset_id != embeddings.dataset_id
    {
        return Err(CheckFailed(Error::Shard {
            path: dir.join(EMBEDDINGS).join("embed.json"),
            what: format!(
                "is of dataset {}, and this is {}; make the embeddings again",
                embeddings.dataset_id, dataset.dataset_id
            ),
        })
        .into());
    }
    drop(progress);
    let time = started.elapsed();
    if args.json {
        print_json(&json!({
            "is_whole": true,
            "dataset": dataset,
            "embeddings": embeddings,
            "seconds": time.as_secs_f64(),
        }))?;
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
    summary(&format!(
        "{}: whole: {} checked in {}",
        dir.display(),
        parts.join(" and "),
        pace(bytes, time)
    ));
    Ok(())
}
