//! The main job: a corpus to a dataset with its embeddings.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::embed::job::{EmbedOutcome, Job, build as build_embeddings, embed_with};
use crate::embed::size::windows;
use crate::embed::{EmbedConfig, EmbedTables};
use crate::pipeline::{Outcome, build as build_dataset, find_same};
use crate::shard::EMBEDDINGS;
use crate::shard::lock::Sharing;
use crate::shard::place::remove_replaced;
use crate::shard::staging::Staging;
use crate::{Corpus, Encoding, Error, Result, Stats, TokenStore, TokenizeConfig};

/// Tokenizes `corpus` into the directory `out` and embeds its windows into `out/embeddings`.
///
/// Both appear together, when they are complete. What is there already and is exactly what is
/// asked for is left as it is.
///
/// # Errors
/// Those of [`tokenize`](crate::tokenize) and [`embed`](crate::embed()); wrong settings and tables
/// are found before any work.
pub fn run(
    corpus: &Corpus,
    encoding: &Encoding,
    tokenize_config: &TokenizeConfig,
    embed_config: &EmbedConfig,
    out: &Path,
    run: &serde_json::Value,
    stats: &Stats,
) -> Result<(Outcome, EmbedOutcome)> {
    tokenize_config.validate(encoding)?;
    corpus.check_output(out)?;
    let tables = EmbedTables::open(embed_config, encoding.n_vocab())?;
    if let Some(tokens) = find_same(corpus, encoding, tokenize_config, out, stats)? {
        remove_replaced(out, tokenize_config.overwrite);
        let store = TokenStore::open(out)?;
        let inside = out.join(EMBEDDINGS);
        let started = Instant::now();
        let job = Job::new(windows(&store, embed_config)?, embed_config, &tables)?;
        let embeddings = embed_with(&job, &inside, run, stats, started)?;
        return Ok((tokens, embeddings));
    }

    let started = Instant::now();
    let mut staging = Staging::open(
        out,
        tokenize_config.overwrite,
        tokenize_config.durability,
        Sharing::Alone,
    )?;
    let built = build_dataset(corpus, encoding, tokenize_config, &mut staging, run, stats)?;
    let tokens = Outcome {
        manifest: built.manifest,
        was_there: false,
        taken_over: built.taken_over,
        time: started.elapsed(),
    };

    let started = Instant::now();
    let store = TokenStore::open(staging.path())?;
    let job = Job::new(windows(&store, embed_config)?, embed_config, &tables)?;
    job.check_room(out)?;
    let inside = staging.path().join(EMBEDDINGS);
    fs::create_dir(&inside).map_err(Error::io(&inside, "cannot create"))?;
    let record = build_embeddings(&job, &inside, embed_config.durability, run, stats)?;
    staging.strip(&tokens.manifest)?;
    staging.publish()?;
    let embeddings = EmbedOutcome {
        record,
        was_there: false,
        time: started.elapsed(),
    };
    Ok((tokens, embeddings))
}
