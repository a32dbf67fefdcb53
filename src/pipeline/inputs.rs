//! Checks whether a dataset was made from these inputs, which are read once and compared.

use std::path::Path;

use rayon::prelude::*;
use shardmill_core::show::{count, counted};
use shardmill_tokenizer::Tokenizer;

use crate::corpus::Corpus;
use crate::dataset::{MANIFEST, Manifest, Plan, PlannedSource, Unit, read_manifest};
use crate::error::{Error, Problem, Result};
use crate::pipeline::found::source_hashes;
use crate::pipeline::plan::check_cuts;
use crate::pipeline::resume::{Ranges, range_hashes};
use crate::progress::Stats;

/// The name of standard input among sources.
const STDIN: &str = "-";

/// Reads the sources of `corpus` and compares them with those that the dataset in the directory
/// `path` was made from: their number, names, sizes, hashes and cuts. `stats` counts their bytes.
/// The dataset's own files are not checked; [`verify`](crate::verify) does that.
///
/// # Errors
/// [`Error::Input`] names the first source that differs, [`Error::Config`] a stream, which cannot
/// be read twice.
///
/// ```no_run
/// use shardmill::{Corpus, CorpusOptions, Stats, verify_inputs};
///
/// let corpus = Corpus::open(&["books/".into()], &CorpusOptions::default())?;
/// verify_inputs("out".as_ref(), &corpus, &Stats::default())?;
/// # Ok::<(), shardmill::Error>(())
/// ```
pub fn verify_inputs(path: &Path, corpus: &Corpus, stats: &Stats) -> Result<()> {
    if corpus.has_stream() {
        return Err(Error::config(
            "corpus",
            (
                "a stream cannot be read again",
                "name the files that it came from",
            ),
        ));
    }
    let manifest = read_manifest(path)?;
    let has_stdin = manifest.sources.iter().any(|info| info.name == STDIN);
    if has_stdin && !corpus.sources().iter().any(|source| source.name() == STDIN) {
        return Err(Error::config(
            "corpus",
            "the dataset was made from standard input, which cannot be read again",
        ));
    }
    compare_lists(path, &manifest, corpus)?;
    stats.begin(corpus.total_bytes());
    let hashes = manifest.sources.iter().map(|info| info.hash);
    let hashes: Vec<_> = hashes.collect();
    let plan = plan_of(manifest);
    // A manifest's units are untrusted.
    plan.check()
        .map_err(|what| Error::shard(path.join(MANIFEST), what))?;
    // Each unit is a range of the corpus, and large if there are many.
    let ranges = plan
        .units
        .par_iter()
        .map(|unit| range_hashes(corpus, &plan, unit, stats))
        .collect::<Result<Vec<Ranges>>>()?;
    let found = source_hashes(&ranges);
    match hashes.iter().zip(&found).position(|(a, b)| a != b) {
        None => check_cuts_of_manifest(corpus, &plan).map_err(|_| {
            Error::shard(
                path.join(MANIFEST),
                (
                    "its shards do not begin where these inputs are cut: a file was replaced while \
                     it was read",
                    "make the dataset again",
                ),
            )
        }),
        Some(source) => Err(Error::input(
            corpus.path_of(source),
            (
                "has changed since the dataset was made from it: its hash is another",
                "make the dataset again, or restore the file",
            ),
        )),
    }
}

/// Compares everything that can be compared without reading the sources.
fn compare_lists(path: &Path, manifest: &Manifest, corpus: &Corpus) -> Result<()> {
    for (index, (info, source)) in manifest.sources.iter().zip(corpus.sources()).enumerate() {
        let bytes = source.bytes().unwrap_or(0);
        let what: Problem = if info.name != source.name() {
            format!(
                "is source {index} of the inputs, where the dataset has '{}'",
                info.name
            )
            .into()
        } else if info.format != source.format() {
            let (now, then) = (source.format().row().name, info.format.row().name);
            let what = format!("is read as {now}, and was read as {then} for the dataset");
            (what, "choose `documents` and `format` as then").into()
        } else if info.compression != source.compression() {
            "is compressed in another way than for the dataset".into()
        } else if info.bytes != bytes {
            format!(
                "has {}, and had {} when the dataset was made from it",
                counted(bytes, "byte"),
                count(info.bytes)
            )
            .into()
        } else {
            continue;
        };
        return Err(Error::input(corpus.path_of(index), what));
    }
    if manifest.sources.len() == corpus.len() {
        return Ok(());
    }
    Err(Error::input(
        path,
        format!(
            "was made from {}, and the inputs are {}",
            counted(manifest.sources.len() as u64, "source"),
            corpus.len()
        ),
    ))
}

/// The plan that a dataset was made by.
fn plan_of(manifest: Manifest) -> Plan {
    let sources = manifest.sources.into_iter().map(|info| PlannedSource {
        name: info.name,
        format: info.format,
        compression: info.compression,
        bytes: info.bytes,
    });
    let units = manifest.shards.iter().map(|shard| Unit {
        start: shard.start,
        end: shard.end,
    });
    let units = units.collect();
    Plan::new(
        manifest.encoding,
        manifest.settings,
        sources.collect(),
        units,
    )
}

/// [`check_cuts`] for a dataset. Without its tokenizer's file, it is not known where that allows a
/// text to be cut.
fn check_cuts_of_manifest(corpus: &Corpus, plan: &Plan) -> Result<()> {
    if plan.encoding.tokenizer.is_some() {
        return Ok(());
    }
    check_cuts(corpus, &Tokenizer::by_name(&plan.encoding.name)?, plan)
}
