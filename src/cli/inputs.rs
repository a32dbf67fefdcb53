//! The arguments that name the corpus, and how they are read.

use std::ffi::OsString;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use shardmill::document::{FORMATS, Format};
use shardmill::{Corpus, CorpusOptions};

use crate::cli::human;
use crate::cli::output::summary;

/// Which corpus.
#[derive(Debug, Args)]
pub(crate) struct CorpusArgs {
    /// Files, directories, globs or FIFOs to read, or - for standard input
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<OsString>,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
}

/// Which files the inputs name, and how they are read.
#[derive(Debug, Args)]
pub(crate) struct SelectionArgs {
    /// Input format; auto goes by the name and content of each input
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = format_choice())]
    pub(crate) input_format: InputFormat,
    /// From directories and globs, read only files that match; may be repeated. A pattern without
    /// a slash matches names at any depth, one with a slash matches paths relative to INPUT
    #[arg(long, value_name = "PATTERN")]
    pub(crate) include: Vec<OsString>,
    /// Leave out files and directories that match; may be repeated. Patterns are as in --include
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<OsString>,
}

/// A format; `None` chooses by name and content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputFormat(pub(crate) Option<Format>);

fn format_choice() -> impl TypedValueParser<Value = InputFormat> {
    let names = std::iter::once("auto").chain(FORMATS.iter().map(|row| row.name));
    PossibleValuesParser::new(names.collect::<Vec<_>>()).map(|typed| {
        let found = FORMATS.iter().find(|row| row.name == typed);
        InputFormat(found.map(|row| row.format))
    })
}

/// The corpus that the arguments name, listed by at most `threads` threads.
pub(crate) fn open_corpus(args: &CorpusArgs, threads: usize) -> shardmill::Result<Corpus> {
    open_inputs(&args.inputs, &args.selection, threads)
}

/// The corpus of `inputs`, listed by at most `threads` threads.
pub(crate) fn open_inputs(
    inputs: &[OsString],
    selection: &SelectionArgs,
    threads: usize,
) -> shardmill::Result<Corpus> {
    let mut options = CorpusOptions::default();
    options.format = selection.input_format.0;
    options.include.clone_from(&selection.include);
    options.exclude.clone_from(&selection.exclude);
    options.threads = threads;
    Corpus::open(inputs, &options)
}

/// Reports what a user should know about how `corpus` was listed.
pub(crate) fn say_of_corpus(corpus: &Corpus) {
    let report = corpus.report();
    if let Some(what) = report.left_out.describe(human::count) {
        summary(&format!("left out: {what}"));
    }
    let json = &report.json_as_text;
    if let Some(path) = json.paths.first() {
        let what = human::counted(json.count, ".json file");
        summary(&format!(
            "read as text: {what} not of JSON Lines, such as {path}"
        ));
    }
    if let Some([path, earlier]) = report.repeated.paths.first() {
        let what = human::counted(report.repeated.count, "file");
        summary(&format!(
            "read again: {what} that the inputs name more than once, such as {path}, which is \
             {earlier}"
        ));
    }
}
