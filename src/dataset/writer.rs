//! Writes the files of one shard.

use std::path::{Path, PathBuf};

use crate::dataset::{
    BadCounts, BadFile, BadRecord, DocRecord, TokenDtype, bad_file_name, file_names,
};
use crate::error::Result;
use crate::hash::Hash128;
use crate::publish::durability::Durability;
use crate::publish::hashed_file::HashedFile;
use crate::token::TokenId;

/// A shard that is being written: tokens and document records side by side.
#[derive(Debug)]
pub(crate) struct ShardWriter {
    tokens_file: HashedFile,
    docs_file: HashedFile,
    /// The list of records that are left out; `None` until the first one.
    bad_file: Option<HashedFile>,
    bad_counts: BadCounts,
    /// The line of that list that is being written.
    bad_line: Vec<u8>,
    directory: PathBuf,
    index: usize,
    durability: Durability,
    dtype: TokenDtype,
    tokens: u64,
    names: (String, String),
}

/// The names, sizes and hashes of a finished shard.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) file: String,
    pub(crate) docs_file: String,
    pub(crate) bytes: u64,
    pub(crate) blocks: Vec<Hash128>,
    pub(crate) docs_bytes: u64,
    pub(crate) docs_blocks: Vec<Hash128>,
    pub(crate) bad_records: Option<BadFile>,
}

impl ShardWriter {
    /// Begins shard `index` in `directory`.
    pub(crate) fn create(
        directory: &Path,
        index: usize,
        dtype: TokenDtype,
        durability: Durability,
    ) -> Result<Self> {
        let names = file_names(index, dtype);
        Ok(Self {
            tokens_file: HashedFile::create(directory, &names.0, durability)?,
            docs_file: HashedFile::create(directory, &names.1, durability)?,
            bad_file: None,
            bad_counts: BadCounts::default(),
            bad_line: Vec::new(),
            directory: directory.to_owned(),
            index,
            durability,
            dtype,
            tokens: 0,
            names,
        })
    }

    /// The number of ids written so far.
    pub(crate) fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Appends ids, each below [`TokenDtype::max_vocab`].
    pub(crate) fn push_tokens(&mut self, ids: &[TokenId]) -> Result<()> {
        self.tokens += ids.len() as u64;
        match self.dtype {
            TokenDtype::U32 => self.tokens_file.write(bytemuck::cast_slice(ids)),
            TokenDtype::U16 => {
                let mut narrow = [0_u16; 4096];
                for part in ids.chunks(narrow.len()) {
                    for (to, &id) in narrow.iter_mut().zip(part) {
                        debug_assert!(u64::from(id) < self.dtype.max_vocab());
                        *to = (id & 0xffff) as u16;
                    }
                    self.tokens_file
                        .write(bytemuck::cast_slice(&narrow[..part.len()]))?;
                }
                Ok(())
            }
        }
    }

    /// Appends the record of a document whose tokens have been pushed.
    pub(crate) fn push_record(&mut self, record: DocRecord) -> Result<()> {
        self.docs_file.write(bytemuck::bytes_of(&record))
    }

    /// Lists a record that is left out.
    pub(crate) fn push_bad_record(&mut self, record: &BadRecord) -> Result<()> {
        let file = match &mut self.bad_file {
            Some(file) => file,
            none => none.insert(HashedFile::create(
                &self.directory,
                &bad_file_name(self.index),
                self.durability,
            )?),
        };
        self.bad_line.clear();
        // Plain data always serializes, and writing to memory cannot fail.
        let _ = serde_json::to_writer(&mut self.bad_line, record);
        self.bad_line.push(b'\n');
        file.write(&self.bad_line)?;
        self.bad_counts.add(record.kind, 1);
        Ok(())
    }

    /// Completes all files and gives them their final names.
    pub(crate) fn finish(self) -> Result<Finished> {
        let (bytes, blocks) = self.tokens_file.finish()?;
        let (docs_bytes, docs_blocks) = self.docs_file.finish()?;
        let bad_records = self
            .bad_file
            .map(|file| {
                let (bytes, blocks) = file.finish()?;
                Ok(BadFile {
                    file: bad_file_name(self.index),
                    counts: self.bad_counts,
                    bytes,
                    blocks,
                })
            })
            .transpose()?;
        Ok(Finished {
            file: self.names.0,
            docs_file: self.names.1,
            bytes,
            blocks,
            docs_bytes,
            docs_blocks,
            bad_records,
        })
    }
}
