//! Which field or column holds the documents, if the user does not say.

use crate::compression::Decompressor;
use crate::corpus::json::read_more;
use crate::corpus::{Corpus, Source};
use crate::document::{Format, HEAD_BYTES, first_field};
use crate::error::{Error, Result};

/// The names that public corpora use, the usual one first.
const NAMES: [&str; 3] = ["text", "content", "raw_content"];

/// At most this much of a source is looked at for a record that has one of them.
const LOOKED_AT_BYTES: usize = 16 << 20;

/// At most this many sources are looked at.
const LOOKED_AT_SOURCES: usize = 100;

impl Corpus {
    /// The field or column that seems to hold the documents. The first record that has one of
    /// `text`, `content` and `raw_content` decides; the first of these that it has is returned.
    /// Streams are not looked at. `None` if no record of the first sources has any.
    ///
    /// ```
    /// use shardmill::{Corpus, CorpusOptions, TokenizeConfig};
    ///
    /// let corpus = Corpus::open(&["fixtures/jsonl".into()], &CorpusOptions::default())?;
    /// let mut config = TokenizeConfig::default();
    /// if let Some(field) = corpus.text_field() {
    ///     config.settings.text_field = field.to_owned();
    /// }
    /// # Ok::<(), shardmill::Error>(())
    /// ```
    pub fn text_field(&self) -> Option<&'static str> {
        let has_records = |(_, source): &(u32, &Source)| {
            !source.format().is_text() && source.bytes().is_some_and(|bytes| bytes > 0)
        };
        let sources = (0..).zip(&self.sources).filter(has_records);
        // What cannot be read is an error when the documents are.
        sources
            .take(LOOKED_AT_SOURCES)
            .find_map(|(index, source)| self.field_of(index, source).ok()?)
    }

    fn field_of(&self, index: u32, source: &Source) -> Result<Option<&'static str>> {
        let path = self.path(source);
        match source.compression() {
            None if source.format().row().has_rows => {
                let columnar = self.columns(index)?.columnar;
                Ok(NAMES.into_iter().find(|name| columnar.has_column(name)))
            }
            None if source.object().is_some() => {
                let mut reader = source.reader(&path)?;
                field_in_growing(source.format(), |bytes, wanted| {
                    let is_whole = read_more(&mut reader, bytes, wanted);
                    is_whole.map_err(|error| Error::read(&path, 0, error))
                })
            }
            None => {
                let bytes = source.open(&path)?;
                let end = bytes.len().min(LOOKED_AT_BYTES);
                Ok(field_in(source.format(), &bytes[..end], true))
            }
            Some(compression) => {
                let reader = source.reader(&path)?;
                let mut data = Decompressor::new(compression, &path, reader)?;
                field_in_growing(source.format(), |bytes, wanted| data.read(bytes, wanted))
            }
        }
    }
}

/// The field of a source of which `read` appends more until there is as much as asked for, and returns
/// whether that is all.
fn field_in_growing(
    format: Format,
    mut read: impl FnMut(&mut Vec<u8>, usize) -> Result<bool>,
) -> Result<Option<&'static str>> {
    let mut bytes = Vec::new();
    loop {
        let wanted = (2 * bytes.len()).max(HEAD_BYTES);
        let is_whole = read(&mut bytes, wanted)?;
        let found = field_in(format, &bytes, is_whole);
        if found.is_some() || is_whole || bytes.len() >= LOOKED_AT_BYTES {
            return Ok(found);
        }
    }
}

/// The field of a source that begins with `start` or, if `is_whole`, is that, as far as one looks.
fn field_in(format: Format, start: &[u8], is_whole: bool) -> Option<&'static str> {
    if format.row().header.is_none() {
        return first_field(start, &NAMES);
    }
    let header = format.head(start, is_whole).ok()??;
    NAMES
        .into_iter()
        .find(|name| format.has_field(header, name))
}
