//! Where a unit or a chunk may end, by the format, the tokenizer and the settings.

use std::sync::Arc;

use shardmill_tokenizer::Tokenizer;

use crate::dataset::Settings;
use crate::document::Format;

/// Where sources may be cut. Every cut of a unit is also one of a chunk.
#[derive(Clone, Debug)]
pub(crate) struct CutRules {
    /// Without one, chunks can only be read, not encoded.
    tokenizer: Option<Tokenizer>,
    separator: Arc<str>,
    /// Whether a document is never cut.
    keeps_documents: bool,
}

impl CutRules {
    pub(crate) fn new(tokenizer: Option<&Tokenizer>, settings: &Settings) -> Self {
        Self {
            tokenizer: tokenizer.cloned(),
            separator: settings.separator.as_str().into(),
            keeps_documents: settings.limits().are_set(),
        }
    }

    /// Where a chunk may end: the first allowed cut at or after `from` in `bytes`, which begin
    /// where the source or an earlier piece of it begins.
    pub(crate) fn chunk_cut(&self, format: Format, bytes: &[u8], from: usize) -> Option<usize> {
        match &self.tokenizer {
            _ if self.keeps(format) => None,
            Some(tokenizer) if format.row().is_one_document => tokenizer.next_cut(bytes, from),
            _ => format.next_cut(bytes, from, &self.separator),
        }
    }

    /// Where a unit may end: the first allowed cut at or after `from` in `bytes`. Inside a document
    /// that is before a space after a printable character, if the tokenizer allows that, else
    /// wherever a chunk may end.
    pub(crate) fn unit_cut(&self, format: Format, bytes: &[u8], from: usize) -> Option<usize> {
        match &self.tokenizer {
            Some(tokenizer) if tokenizer.cuts_before_spaces() && !self.keeps(format) => {
                format.next_cut(bytes, from, &self.separator)
            }
            _ => self.chunk_cut(format, bytes, from),
        }
    }

    /// Whether a source of this format is a document that is not cut.
    pub(super) fn keeps(&self, format: Format) -> bool {
        self.keeps_documents && format.row().is_one_document
    }
}
