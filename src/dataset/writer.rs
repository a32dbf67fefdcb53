//! Writes the files of one shard.

use std::path::{Path, PathBuf};

use shardmill_core::hash::Hash128;

use crate::dataset::{
    BadCounts, BadFile, BadRecord, DocRecord, FieldsFile, Settings, TokenDtype, bad_file_name,
    fields_file_name, file_names,
};
use crate::document::Fields;
use crate::error::Result;
use crate::publish::durability::Durability;
use crate::publish::hashed_file::HashedFile;
use crate::publish::temp_file::TempFile;

/// The ids of a shard that is being written.
#[derive(Debug)]
pub(crate) struct TokenWriter {
    file: TempFile,
    bytes: u64,
}

impl TokenWriter {
    /// Begins the ids of shard `index` in `directory`.
    pub(crate) fn create(
        directory: &Path,
        index: usize,
        dtype: TokenDtype,
        durability: Durability,
    ) -> Result<Self> {
        let (name, _) = file_names(index, dtype);
        let file = TempFile::create(directory, &name, durability)?;
        Ok(Self { file, bytes: 0 })
    }

    /// Appends ids, as bytes in the integer type of the dataset.
    pub(crate) fn push(&mut self, ids: &[u8]) -> Result<()> {
        self.bytes += ids.len() as u64;
        self.file.write(ids)
    }

    /// Completes the file and gives it its final name; returns its size.
    pub(crate) fn finish(self) -> Result<u64> {
        self.file.finish(self.bytes)?;
        Ok(self.bytes)
    }
}

/// The records of a shard that is being written: of its documents, and of what is left out.
#[derive(Debug)]
pub(crate) struct RecordWriter {
    docs_file: HashedFile,
    /// The kept fields, if any are.
    fields: Option<FieldsWriter>,
    /// The list of records that are left out; `None` until the first one.
    bad_file: Option<HashedFile>,
    bad_counts: BadCounts,
    /// The line of that list that is being written.
    bad_line: Vec<u8>,
    directory: PathBuf,
    index: usize,
    durability: Durability,
}

/// The kept fields of a shard that is being written.
#[derive(Debug)]
struct FieldsWriter {
    file: HashedFile,
    fields: Fields,
    /// How many documents have a value other than null for each.
    found: Vec<u64>,
    /// The line that is being written.
    line: Vec<u8>,
}

impl FieldsWriter {
    fn finish(self, index: usize, settings: &Settings) -> Result<FieldsFile> {
        let (bytes, blocks) = self.file.finish()?;
        let counts = self.found.into_iter().chain(std::iter::repeat(0));
        let keys = settings.field_keys().map(ToOwned::to_owned);
        Ok(FieldsFile {
            file: fields_file_name(index),
            found: keys.zip(counts).collect(),
            bytes,
            blocks,
        })
    }
}

/// The sizes and hashes of finished records.
#[derive(Debug)]
pub(crate) struct FinishedRecords {
    pub(crate) docs_bytes: u64,
    pub(crate) docs_blocks: Vec<Hash128>,
    pub(crate) fields: Option<FieldsFile>,
    pub(crate) bad_records: Option<BadFile>,
}

impl RecordWriter {
    /// Begins the records of shard `index` in `directory`, with a file for fields if `settings` name any
    /// to keep.
    pub(crate) fn create(
        directory: &Path,
        index: usize,
        settings: &Settings,
        durability: Durability,
    ) -> Result<Self> {
        let (_, name) = file_names(index, settings.token_dtype);
        let fields = settings.keeps_fields().then(|| -> Result<_> {
            Ok(FieldsWriter {
                file: HashedFile::create(directory, &fields_file_name(index), durability)?,
                fields: settings.fields(),
                found: Vec::new(),
                line: Vec::new(),
            })
        });
        Ok(Self {
            docs_file: HashedFile::create(directory, &name, durability)?,
            fields: fields.transpose()?,
            bad_file: None,
            bad_counts: BadCounts::default(),
            bad_line: Vec::new(),
            directory: directory.to_owned(),
            index,
            durability,
        })
    }

    /// Appends the record of a document.
    pub(crate) fn push(&mut self, record: DocRecord) -> Result<()> {
        self.docs_file.write(bytemuck::bytes_of(&record))
    }

    /// Appends the kept fields of the document whose record is next, if any are kept; `values` are as in
    /// `document/kept.rs`.
    pub(crate) fn push_kept(&mut self, values: &[u8]) -> Result<()> {
        let Some(FieldsWriter {
            file,
            fields,
            found,
            line,
        }) = &mut self.fields
        else {
            return Ok(());
        };
        line.clear();
        fields.push_line(values, found, line);
        file.write(line)
    }

    /// Appends a line of kept fields as it is, without counting what it has.
    pub(crate) fn push_line(&mut self, line: &[u8]) -> Result<()> {
        match &mut self.fields {
            Some(fields) => fields.file.write(line),
            None => Ok(()),
        }
    }

    /// Sets in how many documents each kept field is.
    pub(crate) fn set_found(&mut self, found: Vec<u64>) {
        if let Some(fields) = &mut self.fields {
            fields.found = found;
        }
    }

    /// Lists a record that is left out.
    pub(crate) fn push_bad(&mut self, record: &BadRecord) -> Result<()> {
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
        self.bad_counts.add(record.kind, record.lines);
        Ok(())
    }

    /// Completes the files and gives them their final names. `settings` are those they began with.
    pub(crate) fn finish(self, settings: &Settings) -> Result<FinishedRecords> {
        let (docs_bytes, docs_blocks) = self.docs_file.finish()?;
        let fields = self
            .fields
            .map(|fields| fields.finish(self.index, settings));
        let bad_records = self
            .bad_file
            .map(|file| -> Result<BadFile> {
                let (bytes, blocks) = file.finish()?;
                Ok(BadFile {
                    file: bad_file_name(self.index),
                    counts: self.bad_counts,
                    bytes,
                    blocks,
                })
            })
            .transpose()?;
        Ok(FinishedRecords {
            docs_bytes,
            docs_blocks,
            fields: fields.transpose()?,
            bad_records,
        })
    }
}
