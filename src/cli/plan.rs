//! `shardmill plan`.

use std::collections::HashMap;

use clap::Args;
use serde_json::json;
use shardmill::{plan, show};

use crate::cli::args::StdoutArgs;
use crate::cli::failure::Result;
use crate::cli::human;
use crate::cli::inputs::{CorpusArgs, open_corpus, say_of_corpus};
use crate::cli::output::{print_json, print_lines};
use crate::cli::tokenize_options::{TokenizeOptions, choose_text_field, open_tokenizer};

pub(crate) const HELP: &str = "\
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
    choose_text_field(&mut config, &args.tokenize, &corpus);
    let plan = plan(&corpus, &tokenizer, &config)?;
    if args.stdout.json {
        let units = plan.units.iter().map(
            |unit| json!({"start": unit.start, "end": unit.end, "bytes": plan.unit_bytes(unit)}),
        );
        print_json(&json!({
            "plan_id": plan.plan_id,
            "sources": plan.sources.len(),
            "bytes": plan.total_bytes(),
            "units": units.collect::<Vec<_>>(),
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
