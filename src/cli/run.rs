//! `shardmill run`: the main job.

use std::sync::Arc;

use clap::Args;
use serde_json::json;
use shardmill::dataset::EMBEDDINGS;
use shardmill::{Stats, run as run_job};

use crate::cli::args::{OutputArgs, StdoutArgs};
use crate::cli::embed_options::{EmbedOptions, embed_config};
use crate::cli::failure::{Failure, Result};
use crate::cli::inputs::{CorpusArgs, say_of_corpus};
use crate::cli::made::{dataset_line, describe_dataset, describe_embeddings, embeddings_line};
use crate::cli::output::{print_json, run_info, summary};
use crate::cli::progress::Progress;
use crate::cli::tokenize_options::{Tokenization, TokenizeOptions};
use crate::cli::{bad, interrupt};

pub(crate) const HELP: &str = "\
Writes the dataset to DIR and the embeddings to DIR/embeddings.

Examples:
  # weights as drawn by torch.manual_seed(123) and two torch.nn.Embedding
  shardmill run story.txt --out out --seq-len 256 --init-seed 123 --dim 256
  # a checkpoint's tables, in half precision
  shardmill run books/ --out out --token-table gpt2.safetensors#wte.weight \\
      --position-table gpt2.safetensors#wpe.weight --seq-len 1024 --dtype f16";

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    corpus: CorpusArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    pub(crate) stdout: StdoutArgs,
    #[command(flatten)]
    tokenize: TokenizeOptions,
    #[command(flatten)]
    embed: EmbedOptions,
}

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
        &job.tokenizer,
        &job.config,
        &config,
        out,
        &run_info(out),
        &stats,
    );
    drop(progress);
    let (tokens, embeddings) = done.map_err(|error| Failure::Unfinished {
        error,
        out: out.clone(),
    })?;
    let inside = out.join(EMBEDDINGS);
    if args.stdout.json {
        print_json(&json!({
            "inputs": job.corpus.report(),
            "dataset": describe_dataset(out, &tokens),
            "embeddings": describe_embeddings(&inside, &embeddings),
        }))?;
    }
    say_of_corpus(&job.corpus);
    bad::name_first(&tokens, out, Some(&job.corpus));
    summary(&dataset_line(out, &tokens));
    summary(&embeddings_line(&inside, &embeddings));
    Ok(())
}
