//! `shardmill plan`.

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use shardmill::dataset::{Plan, PlannedSource};
use shardmill::pipeline::Estimate;
use shardmill::{Corpus, estimate, plan, show};

use crate::cli::args::StdoutArgs;
use crate::cli::failure::Result;
use crate::cli::human;
use crate::cli::inputs::{CorpusArgs, open_corpus, say_of_corpus};
use crate::cli::options;
use crate::cli::output::{print_json, print_lines, summary};
use crate::cli::tokenize_options::{TokenizeOptions, choose_text_field, open_tokenizer};

pub(crate) const HELP: &str = "\
Tokens, documents, size and time are estimated from about 1 MiB of text at each of 48 places of the \
corpus, with the 95 % confidence interval of the tokens. A corpus of at most 16 MiB is counted. Of \
a compressed file, a row group of Parquet and a record batch of Arrow, only the start is sampled.

Example:
  shardmill plan books/ --unit-size 64MiB";

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    corpus: CorpusArgs,
    #[command(flatten)]
    pub(crate) stdout: StdoutArgs,
    #[command(flatten)]
    tokenize: TokenizeOptions,
}

pub(crate) fn run(args: &PlanArgs) -> Result<()> {
    let (tokenizer, mut config) = open_tokenizer(&args.tokenize)?;
    let corpus = open_corpus(&args.corpus, config.threads)?;
    config.settings.separator = args.corpus.selection.separator();
    choose_text_field(&mut config, &args.tokenize, &corpus);
    let plan = plan(&corpus, &tokenizer, &config)?;
    // The run would fail in the same way, but a plan does not need the contents.
    let found = estimate(&corpus, &tokenizer, &config);
    let no_estimate = found.as_ref().err().map(options::line);
    if let Some(why) = &no_estimate {
        summary(&format!("no estimate: {why}"));
    }
    let estimate = found.ok();
    if args.stdout.json {
        let units = plan.units.iter().map(
            |unit| json!({"start": unit.start, "end": unit.end, "bytes": plan.unit_bytes(unit)}),
        );
        print_json(&json!({
            "plan_id": plan.plan_id,
            "sources": plan.sources.len(),
            "bytes": plan.total_bytes(),
            "units": units.collect::<Vec<_>>(),
            "estimate": estimate,
            "no_estimate": no_estimate,
            "inputs": corpus.report(),
        }))?;
        say_of_corpus(&corpus);
        return Ok(());
    }
    let mut lines = vec![format!(
        "{} from {} in {}",
        human::counted(plan.units.len() as u64, "unit"),
        human::bytes(plan.total_bytes()),
        human::counted(plan.sources.len() as u64, "source")
    )];
    lines.extend(estimate.map(|estimate| estimate_line(&estimate, config.threads)));
    lines.extend(uncut_line(&corpus, &plan));
    // Names within one argument are distinct.
    let mut names = HashMap::<_, u64>::new();
    if args.corpus.inputs.len() > 1 {
        for source in &plan.sources {
            *names.entry(source.name.as_str()).or_default() += 1;
        }
    }
    for (index, unit) in plan.units.iter().enumerate() {
        let first = unit.start.source as usize;
        let name = match plan.sources.get(first) {
            None => String::new(),
            // Another argument has a source with this name.
            Some(source) if names.get(source.name.as_str()).is_some_and(|&n| n > 1) => {
                show::name(&corpus.path_of(first)).to_string()
            }
            Some(source) => source.name.clone(),
        };
        lines.push(format!(
            "{index:>5}  {:>9}  from byte {} of {name}",
            human::bytes(plan.unit_bytes(unit)),
            human::count(unit.start.byte),
        ));
    }
    print_lines(lines)?;
    say_of_corpus(&corpus);
    Ok(())
}

/// What a run will make: `about 1,234,000 tokens (2 % more or less) in 10 documents: 4.9 MB on the disk, 12 s
/// on 2 threads`.
fn estimate_line(estimate: &Estimate, threads: usize) -> String {
    let about = match estimate.tokens_error {
        Some(0) => human::counted(estimate.tokens, "token"),
        Some(error) => {
            let percent = 100 * u128::from(error) / u128::from(estimate.tokens.max(1)) + 1;
            let tokens = human::counted(rounded(estimate.tokens), "token");
            format!("about {tokens} ({percent} % more or less)")
        }
        None => {
            let tokens = human::counted(rounded(estimate.tokens), "token");
            format!("about {tokens} (from too few places to say how far off)")
        }
    };
    let documents = match estimate.tokens_error {
        Some(0) => estimate.documents,
        _ => rounded(estimate.documents),
    };
    format!(
        "{about} in {}: {} on the disk, about {} on {}",
        human::counted(documents, "document"),
        human::bytes(estimate.bytes),
        human::seconds(Duration::from_secs_f64(estimate.seconds)),
        human::counted(threads as u64, "thread"),
    )
}

/// `number` with its first three digits alone.
fn rounded(number: u64) -> u64 {
    let digits = number.checked_ilog10().unwrap_or(0);
    let unit = 10_u64.pow(digits.saturating_sub(2));
    (number / unit * unit).max(number.min(1))
}

/// Says which compressed sources are whole in a unit each that they make larger than the others.
fn uncut_line(corpus: &Corpus, plan: &Plan) -> Option<String> {
    let size = plan.settings.unit_size_bytes;
    let large =
        |(_, source): &(usize, &PlannedSource)| source.compression.is_some() && source.bytes > size;
    let sources = plan.sources.iter().enumerate();
    let count = sources.clone().filter(large).count() as u64;
    let (index, largest) = sources
        .filter(large)
        .max_by_key(|(_, source)| source.bytes)?;
    Some(format!(
        "{} larger than a unit cannot be cut, the largest is {} with {}",
        human::counted(count, "compressed source"),
        show::name(&corpus.path_of(index)),
        human::bytes(largest.bytes),
    ))
}
