//! The options that say how a corpus becomes tokens, and their translation for the library.

use std::io::{self, IsTerminal};

use clap::Args;
use shardmill::dataset::{Eot, Side, Split, TokenDtype};
use shardmill::document::{BadRecords, InvalidUtf8};
use shardmill::{Corpus, Special, TokenizeConfig, Tokenizer};

use crate::cli::args::{OutputArgs, TokenizerArgs, TokenizerFileArgs, choice};
use crate::cli::failure::{Failure, Result};
use crate::cli::human::{parse_count, parse_share, parse_size};
use crate::cli::inputs::{CorpusArgs, open_corpus};
use crate::cli::output::summary;

const TEXT_FIELD_HELP: &str = "\
Field of each JSON Lines record, or column of a CSV, Parquet or Arrow file, that holds the document; \
meta.text is text in the object or group meta [default: the first of text, content and raw_content \
that there is]";

/// How a corpus becomes tokens.
#[derive(Debug, Args)]
#[command(next_help_heading = "Tokens")]
pub(crate) struct TokenizeOptions {
    #[command(flatten)]
    pub(crate) tokenizer: TokenizerArgs,
    #[command(flatten)]
    pub(crate) file: TokenizerFileArgs,
    #[arg(long, value_name = "FIELD", help = TEXT_FIELD_HELP)]
    pub(crate) text_field: Option<String>,
    /// Field or column with the id of each document, to keep as "id" in DIR/shard-*.fields.jsonl
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
    pub(crate) id_field: Option<String>,
    /// Other fields or columns to keep there, separated by commas, for example url,meta.lang
    #[arg(
        long,
        value_name = "FIELDS",
        value_delimiter = ',',
        num_args = 1,
        allow_hyphen_values = true
    )]
    pub(crate) keep_fields: Vec<String>,
    /// Where to put each document's end-of-text token
    #[arg(long, default_value = "after", value_parser = choice(Eot::ALL, Eot::name))]
    pub(crate) eot: Eot,
    /// The token that ends a document, by its text or id, if the tokenizer does not say it
    #[arg(long, value_name = "TOKEN|ID")]
    pub(crate) eot_token: Option<String>,
    /// A token to put before each document, by its text or id
    #[arg(long, value_name = "TOKEN|ID")]
    pub(crate) bos_token: Option<String>,
    /// How to treat special tokens in the input: as plain text, as their own ids, or as an error
    #[arg(long, value_name = "HOW", default_value = "text", value_parser = choice(Special::ALL, Special::name))]
    pub(crate) special: Special,
    /// How to handle invalid UTF-8, as in Python's bytes.decode, and lone surrogates in JSON
    #[arg(long, value_name = "HOW", default_value = "strict", value_parser = choice(InvalidUtf8::ALL, InvalidUtf8::name))]
    pub(crate) invalid_utf8: InvalidUtf8,
    /// How to handle a record or row without a document: stop with an error, or skip it, count it and list
    /// it in DIR/shard-*.bad.jsonl
    #[arg(long, value_name = "HOW", default_value = "error", value_parser = choice(BadRecords::ALL, BadRecords::name))]
    pub(crate) bad_records: BadRecords,
    /// Hold out a share of the documents, for example 0.5%: those that a hash of their text chooses
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    pub(crate) validation: Option<u32>,
    /// The documents to tokenize: those to train with, or those that are held out
    #[arg(long, requires = "validation", default_value = "train", value_parser = choice(Side::ALL, Side::name))]
    pub(crate) side: Side,
    /// Leave out, and count, documents of more bytes of text, for example 1MB
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true, value_parser = parse_size)]
    pub(crate) max_document_bytes: Option<u64>,
    /// Leave out, and count, documents of fewer tokens; end-of-text tokens do not count
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_count)]
    pub(crate) min_tokens: Option<u64>,
    /// Leave out, and count, documents of more tokens
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_count)]
    pub(crate) max_tokens: Option<u64>,
    /// Integer type of the token ids; u16 fits vocabularies of up to 65536 ids
    #[arg(long, value_name = "DTYPE", default_value = "u32", value_parser = choice(TokenDtype::ALL, TokenDtype::name))]
    pub(crate) token_dtype: TokenDtype,
    /// Bytes of input per shard, for example 1.5GB
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    pub(crate) unit_size: u64,
}

/// The settings that shape the bytes of the tokens.
pub(crate) fn tokenize_config(options: &TokenizeOptions) -> TokenizeConfig {
    let mut config = TokenizeConfig::default();
    if let Some(field) = &options.text_field {
        config.settings.text_field.clone_from(field);
    }
    config.settings.id_field.clone_from(&options.id_field);
    config.settings.keep_fields.clone_from(&options.keep_fields);
    config.settings.eot = options.eot;
    config.settings.special = options.special;
    config.settings.invalid_utf8 = options.invalid_utf8;
    config.settings.bad_records = options.bad_records;
    config.settings.split = options.validation.map(|validation_millionths| Split {
        validation_millionths,
        side: options.side,
    });
    config.settings.max_document_bytes = options.max_document_bytes;
    config.settings.min_tokens = options.min_tokens;
    config.settings.max_tokens = options.max_tokens;
    config.settings.token_dtype = options.token_dtype;
    config.settings.unit_size_bytes = options.unit_size;
    config
}

/// The tokenizer and the settings.
pub(crate) fn open_tokenizer(options: &TokenizeOptions) -> Result<(Tokenizer, TokenizeConfig)> {
    let mut tokenizer = options.file.open(&options.tokenizer.name)?;
    let mut config = tokenize_config(options);
    let id = |option, token: &String| {
        tokenizer.token_id(token).ok_or_else(|| Failure::Usage {
            option,
            what: format!(
                "{token:?} is no special token and no id of {}",
                tokenizer.name()
            ),
        })
    };
    let end = options
        .eot_token
        .as_ref()
        .map(|token| id("--eot-token", token));
    let bos = options
        .bos_token
        .as_ref()
        .map(|token| id("--bos-token", token));
    config.settings.bos = bos.transpose()?;
    if let Some(end) = end.transpose()? {
        tokenizer = tokenizer.with_end_of_text(Some(end));
    }
    config.validate(&tokenizer)?;
    Ok((tokenizer, config))
}

/// If the user names no field that holds the documents, takes the one that the corpus seems to have,
/// and says so unless it is the usual one.
pub(crate) fn choose_text_field(
    config: &mut TokenizeConfig,
    options: &TokenizeOptions,
    corpus: &Corpus,
) {
    let field = &mut config.settings.text_field;
    if options.text_field.is_none()
        && let Some(found) = corpus.text_field()
        && found != field
    {
        summary(&format!(
            "takes the documents from the field '{found}', which the first records have instead of '{field}'; \
             --text-field chooses another"
        ));
        found.clone_into(field);
    }
}

/// A corpus, and how it becomes tokens.
#[derive(Debug)]
pub(crate) struct Tokenization {
    pub(crate) corpus: Corpus,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) config: TokenizeConfig,
}

impl Tokenization {
    pub(crate) fn new(
        corpus: &CorpusArgs,
        options: &TokenizeOptions,
        output: &OutputArgs,
    ) -> Result<Self> {
        // Report wrong names before listing a corpus of millions of files.
        let (tokenizer, mut config) = open_tokenizer(options)?;
        config.settings.separator = corpus.selection.separator();
        config.threads = output.threads.or(config.threads);
        config.durability = output.publish.durability;
        config.overwrite = output.publish.overwrite;
        config.validate(&tokenizer)?;
        output.check_dataset()?;
        let corpus = open_corpus(corpus, config.threads)?;
        choose_text_field(&mut config, options, &corpus);
        if corpus.has_stdin() && io::stdin().is_terminal() {
            summary("reads text from the terminal until Ctrl-D at the start of a line");
        }
        Ok(Self {
            corpus,
            tokenizer,
            config,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use shardmill::dataset::Settings;

    use super::*;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        options: TokenizeOptions,
    }

    #[test]
    fn the_defaults_are_those_of_the_library() {
        let Alone { options } = Alone::parse_from(["shardmill"]);
        assert_eq!(tokenize_config(&options).settings, Settings::default());
    }
}
