//! `shardmill plan`.

use anyhow::Result;
use serde_json::json;
use shardmill::{Corpus, Encoding, Plan, Unit, plan};

use crate::cli::args::PlanArgs;
use crate::cli::config::tokenize_config;
use crate::cli::human;
use crate::cli::output::{print_json, print_lines};

pub(crate) fn run(args: &PlanArgs) -> Result<()> {
    let encoding = Encoding::by_name(&args.tokenize.encoding)?;
    let config = tokenize_config(&args.tokenize);
    config.validate(&encoding)?;
    let corpus = Corpus::open(&args.corpus.inputs, args.corpus.input_format.0)?;
    let plan = plan(&corpus, &encoding, &config)?;
    if args.json {
        let units = plan.units.iter().map(
            |unit| json!({"start": unit.start, "end": unit.end, "bytes": plan.unit_bytes(unit)}),
        );
        return print_json(&json!({
            "plan_id": plan.plan_id,
            "sources": plan.sources.len(),
            "bytes": plan.total_bytes(),
            "units": units.collect::<Vec<_>>(),
        }));
    }
    let mut lines = vec![format!(
        "{} from {} in {}",
        human::counted(plan.units.len() as u64, "unit"),
        human::bytes(plan.total_bytes()),
        human::counted(plan.sources.len() as u64, "source")
    )];
    let units = plan.units.iter().enumerate();
    lines.extend(units.map(|(index, unit)| format!("{index:>5}  {}", describe(&plan, unit))));
    print_lines(lines)
}

/// Bytes of a unit, and where it begins.
fn describe(plan: &Plan, unit: &Unit) -> String {
    let name = plan.sources.get(unit.start.source as usize);
    format!(
        "{:>9}  from byte {} of {}",
        human::bytes(plan.unit_bytes(unit)),
        human::count(unit.start.byte),
        name.map_or("", |source| &source.name)
    )
}
