//! A published dataset with damaged shards -> the same dataset, whole.
//!
//! Sound shards are linked into DIR.partial with receipts, as if a run had been interrupted after
//! them. The run then resumes, and its output replaces the damaged dataset. The result is the same
//! dataset because its inputs are the same: they were hashed before.

use std::path::Path;
use std::time::Instant;

use shardmill_tokenizer::Tokenizer;

use crate::corpus::Corpus;
use crate::dataset::{
    DoneUnit, Manifest, Plan, Receipt, ShardInfo, Unit, empty_documents, read_manifest,
};
use crate::document::InvalidUtf8;
use crate::error::{Error, Result};
use crate::outputs::OUTPUTS;
use crate::pipeline::TokenizeConfig;
use crate::pipeline::chunk::UnitCursor;
use crate::pipeline::cut_rules::CutRules;
use crate::pipeline::dataset::{build, tokenize};
use crate::pipeline::found::{Damaged, Found, look};
use crate::pipeline::outcome::Outcome;
use crate::pipeline::resume::{Ranges, any_holds, seen_sources};
use crate::progress::Stats;
use crate::publish::staging::Staging;
use crate::publish::target::identity;
use crate::publish::temp_file::link_or_copy;
use crate::publish::terms::Terms;
use crate::threads::thread_pool;

/// Remakes the damaged shards of the dataset in `out`; the other shards and the embeddings stay as
/// they are. If there is no dataset, or nothing is damaged, this is the same as [`tokenize`].
///
/// # Errors
/// Those of [`tokenize`]. The damaged dataset stays until the repaired one replaces it.
///
/// ```no_run
/// use shardmill::{Corpus, CorpusOptions, Tokenizer, Stats, TokenizeConfig, repair};
///
/// let corpus = Corpus::open(&["books/".into()], &CorpusOptions::default())?;
/// let tokenizer = Tokenizer::by_name("gpt2")?;
/// let config = TokenizeConfig::default();
/// let run = serde_json::json!({});
/// let done = repair(&corpus, &tokenizer, &config, "out".as_ref(), &run, &Stats::default())?;
/// println!("{} shards were whole", done.taken_over.units);
/// # Ok::<(), shardmill::Error>(())
/// ```
pub fn repair(
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    config: &TokenizeConfig,
    out: &Path,
    run: &serde_json::Value,
    stats: &Stats,
) -> Result<Outcome> {
    config.validate(tokenizer)?;
    corpus.check_output(out)?;
    if read_manifest(out).is_ok_and(|found| found.shuffled.is_some()) {
        return Err(Error::output(
            out,
            (
                "is shuffled, and `repair` makes a dataset in the order of its inputs",
                "shuffle the dataset that it was made from again",
            ),
        ));
    }
    let started = Instant::now();
    let seen = identity(out);
    let Found::Damaged(damaged) = look(corpus, tokenizer, config, out, stats)? else {
        return tokenize(corpus, tokenizer, config, out, run, stats);
    };
    let terms = Terms {
        replaces: true,
        ..Terms::alone(&OUTPUTS, config.overwrite, config.durability)
    };
    let staging = Staging::open(out, terms);
    if identity(out) != seen {
        // Another run repaired or replaced it in the meantime.
        return repair(corpus, tokenizer, config, out, run, stats);
    }
    let mut staging = staging?;
    let Damaged {
        manifest,
        plan,
        ranges,
        ..
    } = *damaged;
    staging.adopt(&plan, &|staging| any_holds(corpus, &plan, staging))?;
    let reuse = || reuse(corpus, &plan, &manifest, ranges, out, &staging);
    thread_pool(config.threads)?.install(reuse)?;
    drop(plan);
    let built = build(corpus, tokenizer, config, &mut staging, stats)?;
    if built.manifest != manifest {
        return Err(Error::shard(
            out,
            (
                "cannot be repaired: its manifest is not that of its inputs",
                "use `overwrite` to make all of it again",
            ),
        ));
    }
    staging.keep_embeddings(out)?;
    staging.keep_dataset(&built.manifest)?;
    staging.complete(run)?;
    staging.publish()?;
    let time = started.elapsed();
    Ok(Outcome {
        manifest,
        was_there: false,
        taken_over: built.taken_over,
        time,
        making_time: time.saturating_sub(built.taking_time),
    })
}

/// Links or copies the whole shards of the dataset in `out` into `staging`, which has adopted
/// `plan`. The dataset's manifest is `found`, and its inputs have the hashes `ranges`, by unit.
fn reuse(
    corpus: &Corpus,
    plan: &Plan,
    found: &Manifest,
    ranges: Vec<Ranges>,
    out: &Path,
    staging: &Staging,
) -> Result<()> {
    let job_id = plan.job_id();
    for (index, (shard, ranges)) in found.shards.iter().zip(ranges).enumerate() {
        let is_there = matches!(
            Receipt::read(staging.partial(), plan, job_id, index),
            Ok(Some(_))
        );
        if is_there {
            continue;
        }
        let unit = plan.units.get(index);
        let Some((unit, empty_documents)) = unit.zip(empty_documents(out, shard)) else {
            continue;
        };
        let done = DoneUnit {
            shard: shard.clone(),
            empty_documents,
            invalid_sequences: invalid_sequences(corpus, found, *unit)?,
            ranges,
        };
        if done.is_sound(plan, index, out) {
            take(out, shard, staging)?;
            let seen = seen_sources(corpus, &done)?;
            Receipt::new(job_id, index, done, seen)
                .write(staging.partial(), staging.durability())?;
        }
    }
    Ok(())
}

fn take(out: &Path, shard: &ShardInfo, staging: &Staging) -> Result<()> {
    shard.files().try_for_each(|file| {
        link_or_copy(out, staging.new_output(), file.name, staging.durability())
    })
}

/// The number of invalid sequences in the documents of a unit. A manifest has only their sum over
/// the dataset, which is usually 0.
fn invalid_sequences(corpus: &Corpus, found: &Manifest, unit: Unit) -> Result<u64> {
    let settings = &found.settings;
    let is_strict = settings.invalid_utf8 == InvalidUtf8::Strict;
    if found.totals.invalid_sequences == 0 || is_strict {
        return Ok(0);
    }
    let fields = settings.fields();
    let rules = CutRules::new(None, settings);
    let mut cursor = UnitCursor::new(unit, rules, fields.clone());
    let mut count = 0;
    let mut memory = Vec::new();
    while let Some(mut chunk) = cursor.next(corpus)? {
        for piece in &mut chunk.pieces {
            piece.read_each(corpus, &mut memory, |piece| {
                let mut documents = piece.documents(settings, &fields);
                while let Some(document) = documents.next_document() {
                    if let Ok(text) = document.text
                        && piece.is_on_side(&text.text, settings.split)
                    {
                        count += text.invalid;
                    }
                }
                Ok(())
            })?;
        }
    }
    Ok(count)
}
