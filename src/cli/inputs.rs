//! Which corpus: the arguments that name it, and how they are read.

use std::ffi::OsString;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use shardmill::{FORMATS, Format};

/// Which corpus.
#[derive(Debug, Args)]
pub(crate) struct CorpusArgs {
    /// Files, directories, globs, FIFOs, or - for standard input
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<OsString>,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
}

/// Which files the inputs name, and how they are read.
#[derive(Debug, Args)]
pub(crate) struct SelectionArgs {
    /// Format of the inputs; auto goes by name and content
    #[arg(long, default_value = "auto", value_parser = format_choice())]
    pub(crate) input_format: InputFormat,
    /// Read only files in directories and globs that match; may be repeated. A pattern without a
    /// slash is for names at any depth, one with a slash for paths below INPUT
    #[arg(long, value_name = "PATTERN")]
    pub(crate) include: Vec<OsString>,
    /// Leave out files and directories that match; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<OsString>,
}

/// A format, or the choice by name and content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputFormat(pub(crate) Option<Format>);

fn format_choice() -> impl TypedValueParser<Value = InputFormat> {
    let names = std::iter::once("auto").chain(FORMATS.iter().map(|row| row.name));
    PossibleValuesParser::new(names.collect::<Vec<_>>()).map(|typed| {
        let found = FORMATS.iter().find(|row| row.name == typed);
        InputFormat(found.map(|row| row.format))
    })
}
