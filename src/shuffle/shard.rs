//! Writes one shard of a shuffled dataset.

use std::path::Path;

use crate::dataset::{RecordWriter, ShardInfo, TokenWriter, file_names};
use crate::document::FieldCheck;
use crate::error::{Error, Result};
use crate::hash::BlockHasher;
use crate::progress::Stats;
use crate::shuffle::ShuffleConfig;
use crate::shuffle::documents::Documents;

/// How many bytes of ids are written at once.
const STEP_BYTES: usize = 1 << 20;

/// Writes shard `index`, which has the documents `numbers`, into `directory`.
pub(super) fn write(
    index: usize,
    numbers: impl Iterator<Item = u64>,
    documents: &Documents<'_>,
    directory: &Path,
    config: &ShuffleConfig,
    stats: &Stats,
) -> Result<ShardInfo> {
    let given = documents.store().manifest();
    let dtype = given.settings.token_dtype;
    let mut ids = IdFile {
        writer: TokenWriter::create(directory, index, dtype, config.durability)?,
        hasher: BlockHasher::new(),
        step: Vec::with_capacity(STEP_BYTES),
        stats,
    };
    let mut records = RecordWriter::create(directory, index, &given.settings, config.durability)?;
    // The lines were verified. How many documents have each field is counted again.
    let mut fields = FieldCheck::new(given.settings.fields());
    let mut n_documents = 0;
    let mut n_tokens = 0;
    for number in numbers {
        let mut record = documents.read(number, |bytes| ids.push(bytes))?;
        n_documents += 1;
        n_tokens += record.end_tokens;
        record.end_tokens = n_tokens;
        records.push(record)?;
        documents.read_fields(number, |line| {
            fields.take(line);
            records.push_line(line)
        })?;
    }
    records.set_found(fields.found);
    ids.write()?;
    let bytes = ids.writer.finish()?;
    let records = records.finish(&given.settings)?;
    let (file, docs_file) = file_names(index, dtype);
    Ok(ShardInfo {
        file,
        docs_file,
        tokens: n_tokens,
        documents: n_documents,
        bytes,
        blocks: ids.hasher.finish(),
        docs_bytes: records.docs_bytes,
        docs_blocks: records.docs_blocks,
        fields: records.fields,
        ..given.shards[index].clone()
    })
}

/// The ids of the shard.
#[derive(Debug)]
struct IdFile<'a> {
    writer: TokenWriter,
    hasher: BlockHasher,
    /// What is not written yet.
    step: Vec<u8>,
    stats: &'a Stats,
}

impl IdFile<'_> {
    fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let take = bytes.len().min(STEP_BYTES - self.step.len());
            let (now, later) = bytes.split_at(take);
            self.step.extend_from_slice(now);
            bytes = later;
            if self.step.len() == STEP_BYTES {
                self.write()?;
            }
        }
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        if self.stats.is_stopped() {
            return Err(Error::Stopped);
        }
        self.hasher.update(&self.step);
        self.writer.push(&self.step)?;
        self.stats.advance(self.step.len() as u64);
        self.step.clear();
        Ok(())
    }
}
