//! `shardmill status`.

use clap::Args;
use serde_json::json;
use shardmill::pipeline::Partial;
use shardmill::show::name;
use shardmill::status;

use crate::cli::args::{DirArgs, StdoutArgs};
use crate::cli::failure::Result;
use crate::cli::human;
use crate::cli::output::{print_json, print_lines};

pub(crate) const HELP: &str = "\
Example:
  shardmill status out --json";

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    dataset: DirArgs,
    #[command(flatten)]
    pub(crate) stdout: StdoutArgs,
}

pub(crate) fn run(args: &StatusArgs) -> Result<()> {
    let found = status(&args.dataset.dir)?;
    if args.stdout.json {
        return print_json(&json!(found));
    }
    let out = name(&args.dataset.dir);
    let mut lines = Vec::new();
    if let Some(id) = found.dataset_id {
        lines.push(format!("{out}: published, dataset {id}"));
    }
    if let Some(partial) = &found.partial {
        lines.push(format!("{out}: {}", describe(partial)));
        for (what, units) in [("running", &partial.running), ("missing", &partial.missing)] {
            if !units.is_empty() {
                lines.push(format!("{what}  {}", ranges(units)));
            }
        }
    }
    if let Some(made) = found.without_units {
        lines.push(format!(
            "{out}: being made as a whole; {}",
            at_work(made.is_locked)
        ));
    }
    print_lines(lines)
}

fn describe(partial: &Partial) -> String {
    format!(
        "being made, {} of {} done, {} of {}; {}",
        human::count(partial.done.len() as u64),
        human::counted(partial.units, "unit"),
        human::bytes(partial.done_bytes),
        human::bytes(partial.total_bytes),
        at_work(partial.is_locked),
    )
}

fn at_work(is_locked: bool) -> &'static str {
    if is_locked {
        "a run is at work"
    } else {
        "no run is at work"
    }
}

/// `0, 3-7, 9`.
fn ranges(units: &[u64]) -> String {
    let runs = units.chunk_by(|a, b| a + 1 == *b);
    let shown: Vec<_> = runs
        .map(|run| match run {
            [first, .., last] => format!("{first}-{last}"),
            _ => run.iter().map(ToString::to_string).collect(),
        })
        .collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbors_are_shown_as_ranges() {
        assert_eq!(ranges(&[0, 3, 4, 5, 7, 8]), "0, 3-5, 7-8");
        assert_eq!(ranges(&[]), "");
    }
}
