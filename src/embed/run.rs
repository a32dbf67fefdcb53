//! The main job: a corpus to a dataset with its embeddings.

use std::path::Path;
use std::time::Instant;

use shardmill_tokenizer::Tokenizer;

use crate::corpus::Corpus;
use crate::dataset::{EMBEDDINGS, TokenStore};
use crate::embed::EmbedConfig;
use crate::embed::job::{EmbedOutcome, Job, build as build_embeddings, check_room_for, embed_with};
use crate::embed::size::windows;
use crate::embed::tables::TablePlan;
use crate::error::{Error, Result};
use crate::outputs::OUTPUTS;
use crate::pipeline::{Outcome, TokenizeConfig, build as build_dataset, find_same};
use crate::progress::Stats;
use crate::publish::claim::{Claim, claim};
use crate::publish::durability::sync_directory;
use crate::publish::inventory::RUN;
use crate::publish::json_file::write_json;
use crate::publish::target::create_output;
use crate::publish::terms::Terms;

/// Tokenizes `corpus` into the directory `out` and embeds its windows into `out/embeddings`.
///
/// Both appear together, once they are complete. An existing dataset or embeddings that are exactly
/// as requested are left as they are.
///
/// # Errors
/// Those of [`tokenize`](crate::tokenize) and [`embed`](crate::embed()). Wrong settings and tables
/// are reported before any work.
///
/// ```no_run
/// use shardmill::{Corpus, CorpusOptions, EmbedConfig, Tokenizer, Stats, TokenizeConfig, run};
///
/// let corpus = Corpus::open(&["books/".into()], &CorpusOptions::default())?;
/// let tokenizer = Tokenizer::by_name("gpt2")?;
/// let mut embed = EmbedConfig::default();
/// embed.windows.seq_len = 256;
/// embed.init_seed = Some(123);
/// embed.dim = Some(768);
/// let (config, info) = (TokenizeConfig::default(), serde_json::json!({}));
/// run(&corpus, &tokenizer, &config, &embed, "out".as_ref(), &info, &Stats::default())?;
/// # Ok::<(), shardmill::Error>(())
/// ```
pub fn run(
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    tokenize_config: &TokenizeConfig,
    embed_config: &EmbedConfig,
    out: &Path,
    run: &serde_json::Value,
    stats: &Stats,
) -> Result<(Outcome, EmbedOutcome)> {
    tokenize_config.validate(tokenizer)?;
    corpus.check_output(out)?;
    let tables = TablePlan::open(embed_config, tokenizer.n_vocab())?;
    let embed_there = || {
        let store = TokenStore::open(out)?;
        let inside = out.join(EMBEDDINGS);
        let windows = windows(&store, embed_config)?;
        if !inside.exists() {
            check_room_for(&inside, &windows, embed_config, &tables)?;
        }
        let job = Job::new(windows, embed_config, &tables)?;
        embed_with(&job, &inside, run, stats)
    };
    let durability = tokenize_config.durability;
    let terms = Terms::alone(&OUTPUTS, tokenize_config.overwrite, durability);
    let look = || find_same(corpus, tokenizer, tokenize_config, out, stats);
    let mut staging = match claim(out, terms, look)? {
        Claim::There(tokens) => return Ok((tokens, embed_there()?)),
        Claim::Mine(staging) => staging,
    };
    let started = Instant::now();
    let built = build_dataset(corpus, tokenizer, tokenize_config, &mut staging, stats)?;
    let tokens = built.outcome(started.elapsed());
    if staging.is_complete() {
        // A run was killed before it published. It may have made other embeddings.
        staging.publish()?;
        return Ok((tokens, embed_there()?));
    }

    let store = TokenStore::open(staging.new_output())?;
    let named = |error| of_output(error, store.path(), out);
    let windows = windows(&store, embed_config).map_err(named)?;
    check_room_for(out, &windows, embed_config, &tables).map_err(named)?;
    let job = Job::new(windows, embed_config, &tables)?;
    let gatherer = job.gatherer()?;
    let started = Instant::now();
    let inside = staging.new_output().join(EMBEDDINGS);
    create_output(&inside)?;
    let record = build_embeddings(&job, &gatherer, &inside, durability, stats)?;
    write_json(&inside, RUN, durability, run)?;
    sync_directory(&inside, durability)?;
    staging.keep_dataset(&tokens.manifest)?;
    staging.complete(run)?;
    staging.publish()?;
    let embeddings = EmbedOutcome {
        record,
        was_there: false,
        repeated_tokens: job.repeated_tokens(),
        time: started.elapsed(),
    };
    Ok((tokens, embeddings))
}

/// The same error of the output `out` instead of `new`, the directory that becomes it.
fn of_output(error: Error, new: &Path, out: &Path) -> Error {
    match error {
        Error::Input { path, what, hint } if path == new => Error::Input {
            path: out.to_owned(),
            what,
            hint,
        },
        other => other,
    }
}
