//! The tokenizer that a dataset was made with.

use shardmill::{TokenStore, Tokenizer};

use crate::cli::args::TokenizerFileArgs;
use crate::cli::failure::{Failure, Result};

/// The tokenizer of the dataset: the built-in one, else that of `name`, else that of the name in
/// the manifest. Any other tokenizer is refused.
pub(crate) fn tokenizer(
    name: Option<&str>,
    file: &TokenizerFileArgs,
    store: &TokenStore,
) -> Result<Tokenizer> {
    let made_with = &store.manifest().encoding;
    let tokenizer = match (name, &made_with.tokenizer) {
        (Some(name), _) => file.open(name)?,
        (None, None) => Tokenizer::by_name(&made_with.name)?,
        // A Hub id is found in the local cache.
        (None, Some(_)) => file.open(&made_with.name).map_err(|_| Failure::Usage {
            option: "--tokenizer",
            what: format!(
                "is needed: the dataset was made with {}, which is not built in",
                made_with.name
            ),
        })?,
    };
    if tokenizer.vocabulary_hash() == made_with.vocabulary_hash {
        return Ok(tokenizer);
    }
    Err(Failure::Usage {
        option: "--tokenizer",
        what: format!(
            "{} has other tokens than {}, which the dataset was made with",
            tokenizer.name(),
            made_with.name
        ),
    })
}
