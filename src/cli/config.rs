//! What will be done: the library's types, from what was typed.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::Result;
use shardmill::{Corpus, CorpusOptions, EmbedConfig, Encoding, Error, TokenizeConfig};

use crate::cli::args::{EmbedOptions, OutputArgs, TokenizeOptions};
use crate::cli::human;
use crate::cli::inputs::{CorpusArgs, SelectionArgs};
use crate::cli::output::summary;

/// A corpus, and how it becomes tokens.
#[derive(Debug)]
pub(crate) struct Tokenization {
    pub(crate) corpus: Corpus,
    pub(crate) encoding: Encoding,
    pub(crate) config: TokenizeConfig,
}

impl Tokenization {
    pub(crate) fn new(
        corpus: &CorpusArgs,
        options: &TokenizeOptions,
        output: &OutputArgs,
    ) -> Result<Self> {
        // Wrong names are said before a corpus of millions of files is listed.
        let encoding = Encoding::by_name(&options.encoding)?;
        let mut config = tokenize_config(options);
        config.threads = output.threads.unwrap_or(config.threads);
        config.durability = output.durability;
        config.overwrite = output.overwrite;
        config.validate(&encoding)?;
        if output.out == Path::new("-") {
            return Err(Error::Config {
                field: "--out",
                what: "a dataset is a directory and cannot go to standard output; name one, or \
                       ./- for one of this name"
                    .to_owned(),
            }
            .into());
        }
        let corpus = open_corpus(corpus)?;
        if corpus.has_stdin() && io::stdin().is_terminal() {
            summary("reads text from the terminal until Ctrl-D at the start of a line");
        }
        Ok(Self {
            corpus,
            encoding,
            config,
        })
    }
}

/// The corpus that the arguments name.
pub(crate) fn open_corpus(args: &CorpusArgs) -> shardmill::Result<Corpus> {
    open_inputs(&args.inputs, &args.selection)
}

/// The corpus of `inputs`.
pub(crate) fn open_inputs(
    inputs: &[OsString],
    selection: &SelectionArgs,
) -> shardmill::Result<Corpus> {
    let mut options = CorpusOptions::default();
    options.format = selection.input_format.0;
    options.include.clone_from(&selection.include);
    options.exclude.clone_from(&selection.exclude);
    Corpus::open(inputs, &options)
}

/// Says what a person should know of how `corpus` was listed.
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

/// How a corpus becomes tokens: what shapes the bytes.
pub(crate) fn tokenize_config(options: &TokenizeOptions) -> TokenizeConfig {
    let mut config = TokenizeConfig::default();
    config.text_field.clone_from(&options.text_field);
    config.eot = options.eot;
    config.special = options.special;
    config.invalid_utf8 = options.invalid_utf8;
    config.bad_records = options.bad_records;
    config.token_dtype = options.token_dtype;
    config.unit_size_bytes = options.unit_size;
    config
}

/// How windows become embeddings.
pub(crate) fn embed_config(options: &EmbedOptions, output: &OutputArgs) -> EmbedConfig {
    let mut config = EmbedConfig::default();
    config.seq_len = options.windows.seq_len;
    config.stride = options.windows.stride;
    config.window = options.windows.window;
    config.tail = options.windows.tail;
    config.batch_size = options.batch_size;
    config.drop_last = options.drop_last;
    config.shuffle = options.shuffle.map(|seed| (seed, options.epoch));
    config.shuffle_order = options.shuffle_order;
    config.token_table.clone_from(&options.token_table);
    config.position_table.clone_from(&options.position_table);
    config.rope_style = options.rope_style;
    config.rope_base = options.rope_base;
    config.table_dtype = options.table_dtype;
    config.init_seed = options.init_seed;
    config.dim = options.dim;
    config.context_length = options.context_length;
    config.init_position_draw = options.init_position_draw;
    config.dtype = options.dtype;
    config.array_format = options.format.unwrap_or_default();
    config.threads = output.threads.unwrap_or(config.threads);
    config.level = options.simd.unwrap_or(config.level);
    config.durability = output.durability;
    config.overwrite = output.overwrite;
    config
}
