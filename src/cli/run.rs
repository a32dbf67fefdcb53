//! `shardmill run`: the main job.

use std::sync::Arc;

use anyhow::Result;
use serde_json::json;
use shardmill::{EMBEDDINGS, Stats, run as run_job};

use crate::cli::args::RunArgs;
use crate::cli::config::{Tokenization, embed_config, say_of_corpus};
use crate::cli::exit::Unfinished;
use crate::cli::output::{print_json, run_info, summary};
use crate::cli::progress::Progress;
use crate::cli::{bad, embed, interrupt, tokenize};

pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let config = embed_config(&args.embed, &args.output);
    config.validate()?;
    let job = Tokenization::new(&args.corpus, &args.tokenize, &args.output)?;
    let out = &args.output.out;
    let stats = Arc::new(Stats::default());
    interrupt::stops(&stats, out)?;
    let progress = Progress::show("run", &stats);
    let done = run_job(
        &job.corpus,
        &job.encoding,
        &job.config,
        &config,
        out,
        &run_info(out),
        &stats,
    );
    drop(progress);
    let (tokens, embeddings) = done.map_err(|error| Unfinished {
        error,
        out: out.clone(),
    })?;
    let inside = out.join(EMBEDDINGS);
    if args.output.json {
        print_json(&json!({
            "inputs": job.corpus.report(),
            "dataset": tokenize::describe(out, &tokens),
            "embeddings": embed::describe(&inside, &embeddings),
        }))?;
    }
    say_of_corpus(&job.corpus);
    bad::name_first(&tokens, out, Some(&job.corpus));
    summary(&tokenize::line(out, &tokens));
    summary(&embed::line(&inside, &embeddings));
    Ok(())
}
