//! Which field or column holds the documents, if the user does not say.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::columnar::Columnar;
use crate::compression::Decompressor;
use crate::corpus::{Corpus, Source};
use crate::document::{Format, has_field};
use crate::error::{Error, Result};

/// The names that public corpora use, the usual one first.
const NAMES: [&str; 3] = ["text", "content", "raw_content"];

/// How much of a source is looked at for its first record.
const RECORD_BYTES: usize = 1 << 20;

impl Corpus {
    /// The field or column that seems to hold the documents: the first of `text`, `content` and
    /// `raw_content` that the first record of the first source with records has. `None` if there is
    /// no such source, it is a stream, or it has none of them.
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
        let has_records = |source: &&Source| !source.format().is_text();
        let source = self.sources.iter().find(has_records)?;
        let path = self.path(source);
        // What cannot be read is an error when the documents are.
        if source.format().row().has_rows {
            let file = source.open(&path).ok()?;
            let columnar = Columnar::open(&path, file).ok()?;
            NAMES.into_iter().find(|name| columnar.has_column(name))
        } else {
            let start = start(source, &path).ok()?;
            NAMES.into_iter().find(|name| has_field(&start, name))
        }
    }
}

/// The first bytes of `source`, decoded if it is compressed; nothing of a stream.
fn start(source: &Source, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if source.bytes().is_none() || source.format() != Format::Jsonl {
        return Ok(bytes);
    }
    let file = File::open(path).map_err(Error::io(path, "cannot open"))?;
    match source.compression() {
        None => {
            let mut file = file.take(RECORD_BYTES as u64);
            file.read_to_end(&mut bytes)
                .map_err(Error::io(path, "cannot read"))?;
        }
        Some(compression) => {
            let mut data = Decompressor::new(compression, path, Box::new(file))?;
            data.read(&mut bytes, RECORD_BYTES)?;
        }
    }
    Ok(bytes)
}
