//! Errors of the crates below, as errors of this one.

use shardmill_core::map::{MapError, OutOfMemory};
use shardmill_core::simd::UnknownLevel;
use shardmill_tokenizer::Error as TokenizerError;
use shardmill_tokenizer::SpecialFound;

use crate::error::{Error, Problem};

impl From<OutOfMemory> for Error {
    fn from(OutOfMemory { needed_bytes }: OutOfMemory) -> Self {
        Self::Memory { needed_bytes }
    }
}

impl From<MapError> for Error {
    fn from(error: MapError) -> Self {
        match error {
            MapError::Io { path, what, source } => Self::Io { path, what, source },
            MapError::NotAFile { path, what } => Self::input(path, what),
        }
    }
}

impl From<UnknownLevel> for Error {
    fn from(unknown: UnknownLevel) -> Self {
        Self::config("level", unknown.to_string())
    }
}

impl From<TokenizerError> for Error {
    fn from(error: TokenizerError) -> Self {
        match error {
            TokenizerError::Unknown { name, known } => Self::UnknownTokenizer { name, known },
            TokenizerError::File { path, what, hint } => Self::Tokenizer { path, what, hint },
            TokenizerError::Io { path, what, source } => Self::Io { path, what, source },
            TokenizerError::Special(found) => {
                let place = format_args!("byte {}: ", found.offset);
                Self::config("text", Problem::from(&found).at(place))
            }
            TokenizerError::Argument { what } => Self::shape(what),
            TokenizerError::Memory(memory) => memory.into(),
            // The crates change together, so there is no other.
            other => Self::shape(other.to_string()),
        }
    }
}

impl From<&SpecialFound> for Problem {
    fn from(found: &SpecialFound) -> Self {
        (found.to_string(), found.hint()).into()
    }
}
