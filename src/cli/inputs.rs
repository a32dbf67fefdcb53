//! The arguments that name the corpus, and how they are read.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use shardmill::document::{FORMATS, Format, TextDocuments};
use shardmill::{Corpus, CorpusOptions, Error};

use crate::cli::args::choice;
use crate::cli::failure::{Failure, Result};
use crate::cli::human::{self, parse_separator};
use crate::cli::output::summary;

/// Which corpus.
#[derive(Debug, Args)]
pub(crate) struct CorpusArgs {
    /// Files, directories, globs, FIFOs or URLs to read, or - for standard input
    #[arg(required_unless_present = "files_from", value_name = "INPUT")]
    pub(crate) inputs: Vec<OsString>,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
}

/// Which files the inputs name, and how they are read.
#[derive(Debug, Args)]
pub(crate) struct SelectionArgs {
    /// Read more inputs from the file LIST, one on each line, or - for standard input
    #[arg(long, value_name = "LIST")]
    pub(crate) files_from: Option<PathBuf>,
    /// Input format; auto goes by the name and content of each input
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = format_choice())]
    pub(crate) input_format: InputFormat,
    /// What is a document in a text: the whole file, each line, or each paragraph; blank lines are
    /// never one
    #[arg(long, value_name = "WHAT", default_value = "file", value_parser = choice(UNMARKED, TextDocuments::name))]
    pub(crate) documents: TextDocuments,
    /// In a text, a document ends at each STRING, which is not part of it; \n, \r, \t, \0 and \\ stand
    /// for the characters that they do in Python. Blank documents are left out
    #[arg(long, value_name = "STRING", conflicts_with = "documents", allow_hyphen_values = true, value_parser = parse_separator)]
    pub(crate) separator: Option<String>,
    /// From directories and globs, read only files that match; may be repeated. A pattern without
    /// a slash matches names at any depth, one with a slash matches paths relative to INPUT
    #[arg(long, value_name = "PATTERN", value_parser = pattern_parser())]
    pub(crate) include: Vec<OsString>,
    /// Leave out files and directories that match; may be repeated. Patterns are as in --include
    #[arg(long, value_name = "PATTERN", value_parser = pattern_parser())]
    pub(crate) exclude: Vec<OsString>,
}

impl SelectionArgs {
    /// An option that was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--input-format", self.input_format.0.is_some()),
            ("--documents", self.documents != TextDocuments::default()),
            ("--separator", self.separator.is_some()),
            ("--include", !self.include.is_empty()),
            ("--exclude", !self.exclude.is_empty()),
        ];
        given.into_iter().find(|row| row.1).map(|row| row.0)
    }

    /// What ends a document of a text; empty if the text alone says it.
    pub(crate) fn separator(&self) -> String {
        self.separator.clone().unwrap_or_default()
    }
}

/// What is a document in a text, if the text alone says where it ends.
const UNMARKED: [TextDocuments; 3] = [
    TextDocuments::File,
    TextDocuments::Lines,
    TextDocuments::Paragraphs,
];

/// A format; `None` chooses by name and content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputFormat(pub(crate) Option<Format>);

fn format_choice() -> impl TypedValueParser<Value = InputFormat> {
    // The others are kinds of text.
    let files = FORMATS.iter().filter(|row| !row.extensions.is_empty());
    let names = std::iter::once("auto").chain(files.map(|row| row.name));
    PossibleValuesParser::new(names.collect::<Vec<_>>()).map(|typed| {
        let found = FORMATS.iter().find(|row| row.name == typed);
        InputFormat(found.map(|row| row.format))
    })
}

fn pattern_parser() -> impl TypedValueParser<Value = OsString> {
    OsStringValueParser::new().try_map(|pattern| {
        let is_there = !pattern.is_empty();
        is_there.then_some(pattern).ok_or("it is empty")
    })
}

/// The corpus that the arguments name, listed by at most `threads` threads.
pub(crate) fn open_corpus(args: &CorpusArgs, threads: usize) -> Result<Corpus> {
    open_inputs(&args.inputs, &args.selection, threads)
}

/// The corpus of `inputs`, listed by at most `threads` threads.
pub(crate) fn open_inputs(
    inputs: &[OsString],
    selection: &SelectionArgs,
    threads: usize,
) -> Result<Corpus> {
    let mut inputs = inputs.to_vec();
    if let Some(list) = &selection.files_from {
        inputs.extend(listed(list)?);
    }
    let mut options = CorpusOptions::default();
    options.format = selection.input_format.0;
    options.documents = match selection.separator {
        Some(_) => TextDocuments::Separated,
        None => selection.documents,
    };
    options.include.clone_from(&selection.include);
    options.exclude.clone_from(&selection.exclude);
    options.threads = threads;
    Ok(Corpus::open(&inputs, &options)?)
}

/// The inputs that the lines of the file `list` name.
fn listed(list: &Path) -> Result<Vec<OsString>> {
    let is_stdin = list == Path::new("-");
    let mut bytes = Vec::new();
    let read = if is_stdin {
        io::stdin().read_to_end(&mut bytes)
    } else {
        File::open(list).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|source| Error::Io {
        path: list.to_owned(),
        what: "cannot read the list of inputs",
        source,
    })?;
    let names = names_in(&bytes);
    let refuse = |what: &str| Failure::Usage {
        option: "--files-from",
        what: what.to_owned(),
    };
    if names.is_empty() {
        return Err(refuse("the list names no inputs"));
    }
    if bytes.contains(&0) {
        return Err(refuse(
            "the list has NUL bytes; let it have a name on each line, as `find -print` writes it",
        ));
    }
    if is_stdin && names.iter().any(|name| name == "-") {
        return Err(refuse(
            "standard input is the list, and cannot be an input, too",
        ));
    }
    Ok(names)
}

/// The names in a list, one on each line. As an editor on Windows may write it, it may begin with a
/// byte order mark, and each line may end with `\r\n`.
fn names_in(list: &[u8]) -> Vec<OsString> {
    let list = list.strip_prefix(b"\xef\xbb\xbf").unwrap_or(list);
    let (lines, last) = match list.iter().rposition(|&byte| byte == b'\n') {
        Some(end) => (&list[..end], &list[end + 1..]),
        None => (&b""[..], list),
    };
    let mut lines: Vec<_> = lines.split(|&byte| byte == b'\n').collect();
    // A name may end with `\r`, but hardly all of them do.
    if lines.iter().all(|line| line.ends_with(b"\r")) {
        for line in &mut lines {
            *line = &line[..line.len() - 1];
        }
    }
    lines.push(last);
    let names = lines.into_iter().filter(|line| !line.is_empty());
    names
        .map(|line| OsStr::from_bytes(line).to_owned())
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_name_on_each_line() {
        for (list, expected) in [
            ("", &[][..]),
            ("\n\n", &[]),
            ("a", &["a"]),
            ("a b\n\nc\n", &["a b", "c"]),
            ("\u{feff}a\r\nb\r\n", &["a", "b"]),
            ("a\r\n\r\nb", &["a", "b"]),
            ("a\r\nb\n", &["a\r", "b"]),
            ("a\r", &["a\r"]),
            ("b\n\u{feff}a\n", &["b", "\u{feff}a"]),
        ] {
            assert_eq!(names_in(list.as_bytes()), expected, "{list:?}");
        }
    }
}
