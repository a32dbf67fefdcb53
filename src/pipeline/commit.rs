//! Puts the chunks of a unit in order, writes them and hashes the input that they were made from.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::corpus::Corpus;
use crate::dataset::{
    BadRecord, DocRecord, DoneUnit, RangeInfo, Receipt, ShardInfo, ShardWriter, TokenDtype, Totals,
    Unit,
};
use crate::error::Result;
use crate::hash::{BlockHasher, Hash128};
use crate::pipeline::TokenizeConfig;
use crate::pipeline::chunk::Piece;
use crate::pipeline::line_marks::{COUNTED_BYTES, LineMarks};
use crate::pipeline::resume::seen_sources;
use crate::pipeline::worker::{BadLine, DocumentPiece, Encoded, Spare};
use crate::publish::durability::Durability;

/// Where shards go, and which job their receipts name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardSite<'a> {
    pub(crate) directory: &'a Path,
    /// Where receipts go.
    pub(crate) partial: &'a Path,
    pub(crate) dtype: TokenDtype,
    pub(crate) durability: Durability,
    pub(crate) config: &'a TokenizeConfig,
    pub(crate) line_marks: &'a LineMarks,
    /// Where chunks go after they are written.
    pub(crate) spare: &'a Spare,
    /// `None` if units get no receipts, because a stream cannot be read again.
    pub(crate) job_id: Option<Hash128>,
}

impl ShardSite<'_> {
    /// Writes the receipt of unit `index`, whose files have their final names.
    pub(crate) fn certify(
        &self,
        index: usize,
        done: DoneUnit,
        corpus: &Corpus,
    ) -> Result<DoneUnit> {
        let Some(job_id) = self.job_id else {
            return Ok(done);
        };
        let seen = seen_sources(corpus, &done)?;
        Receipt::new(job_id, index, done, seen).write(self.partial, self.durability)
    }
}

/// One unit that is becoming a shard; shared by the threads that work on its chunks.
#[derive(Debug)]
pub(crate) struct UnitCommit {
    pub(crate) index: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Chunks that finished before their turn.
    ready: BTreeMap<u64, Encoded>,
    /// The shard; `None` while a thread is writing to it.
    shard: Option<Box<OpenShard>>,
    /// The next chunk to write.
    next: u64,
    /// The number of chunks and the unit's range, once known.
    end: Option<(u64, Unit)>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // If a thread panicked, it has already ended the run.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl UnitCommit {
    pub(crate) fn create(site: &ShardSite<'_>, index: usize) -> Result<Self> {
        let shard = OpenShard {
            writer: ShardWriter::create(site.directory, index, site.dtype, site.durability)?,
            open: None,
            totals: Totals::default(),
            ranges: Vec::new(),
            range: None,
        };
        Ok(Self {
            index,
            state: Mutex::new(State {
                ready: BTreeMap::new(),
                shard: Some(Box::new(shard)),
                next: 0,
                end: None,
            }),
        })
    }

    /// The number of the next chunk to be written.
    pub(crate) fn next(&self) -> u64 {
        lock(&self.state).next
    }

    /// Takes a finished chunk, then writes every chunk whose turn has come, unless another thread
    /// is doing that. Returns the unit if that completed it.
    ///
    /// # Errors
    /// Returned with the number of the chunk that failed.
    pub(crate) fn put(
        &self,
        chunk: u64,
        encoded: Encoded,
        corpus: &Corpus,
        site: &ShardSite<'_>,
    ) -> std::result::Result<Option<DoneUnit>, (u64, crate::error::Error)> {
        lock(&self.state).ready.insert(chunk, encoded);
        self.drain(corpus, site)
    }

    /// Sets the number of the unit's chunks and its range.
    pub(crate) fn end(
        &self,
        chunks: u64,
        unit: Unit,
        corpus: &Corpus,
        site: &ShardSite<'_>,
    ) -> std::result::Result<Option<DoneUnit>, (u64, crate::error::Error)> {
        lock(&self.state).end = Some((chunks, unit));
        self.drain(corpus, site)
    }

    fn drain(
        &self,
        corpus: &Corpus,
        site: &ShardSite<'_>,
    ) -> std::result::Result<Option<DoneUnit>, (u64, crate::error::Error)> {
        let mut state = lock(&self.state);
        let Some(mut shard) = state.shard.take() else {
            return Ok(None);
        };
        loop {
            let at = state.next;
            if let Some(encoded) = state.ready.remove(&at) {
                drop(state);
                shard
                    .push(&encoded, corpus, site)
                    .map_err(|error| (at, error))?;
                site.spare.put(encoded);
                state = lock(&self.state);
                state.next = at + 1;
            } else if let Some((chunks, unit)) = state.end
                && chunks == at
            {
                drop(state);
                let done = shard.finish(unit, corpus).map_err(|error| (at, error))?;
                // Only now that the files have their final names may there be a receipt.
                let done = site
                    .certify(self.index, done, corpus)
                    .map_err(|error| (at, error))?;
                return Ok(Some(done));
            } else {
                state.shard = Some(shard);
                return Ok(None);
            }
        }
    }
}

/// A shard that is being written, in order.
#[derive(Debug)]
struct OpenShard {
    writer: ShardWriter,
    /// The last document, while the next piece may still belong to it.
    open: Option<OpenDocument>,
    totals: Totals,
    ranges: Vec<RangeInfo>,
    /// The source whose bytes are being hashed.
    range: Option<OpenRange>,
}

#[derive(Debug)]
struct OpenDocument {
    record: DocRecord,
    text_bytes: u64,
}

#[derive(Debug)]
struct OpenRange {
    source: u32,
    /// Where it begins in the source.
    start: u64,
    bytes: u64,
    hasher: BlockHasher,
    /// The number of lines of the range so far, and of the source before the range, once asked for.
    lines: u64,
    lines_before: Option<u64>,
}

impl OpenRange {
    /// The number of lines of the source before `piece`, which is next in the range; `None` if the
    /// range begins too far into the source to count them.
    fn lines_before(
        &mut self,
        piece: &Piece,
        corpus: &Corpus,
        site: &ShardSite<'_>,
    ) -> Result<Option<u64>> {
        if self.start > COUNTED_BYTES {
            return Ok(None);
        }
        if piece.lines_before.is_some() {
            return Ok(piece.lines_before);
        }
        let before = match self.lines_before {
            Some(before) => before,
            None => site.line_marks.before(corpus, self.source, self.start)?,
        };
        self.lines_before = Some(before);
        Ok(Some(before + self.lines))
    }
}

impl OpenShard {
    fn push(&mut self, encoded: &Encoded, corpus: &Corpus, site: &ShardSite<'_>) -> Result<()> {
        let before = self.writer.tokens();
        for document in &encoded.documents {
            self.push_document(document, before)?;
        }
        self.writer.push_tokens(&encoded.ids)?;
        self.totals.invalid_sequences += encoded.invalid_sequences;
        let mut bad_lines = &encoded.bad_lines[..];
        for (index, piece) in (0..).zip(&encoded.pieces) {
            self.hash(piece, corpus)?;
            let end = bad_lines.partition_point(|line| line.piece <= index);
            let (of_piece, rest) = bad_lines.split_at(end);
            self.push_bad_lines(of_piece, piece, corpus, site)?;
            bad_lines = rest;
        }
        Ok(())
    }

    /// Lists the left-out records of `piece`, which was hashed last.
    fn push_bad_lines(
        &mut self,
        lines: &[BadLine],
        piece: &Piece,
        corpus: &Corpus,
        site: &ShardSite<'_>,
    ) -> Result<()> {
        let Some(range) = &mut self.range else {
            return Ok(());
        };
        if !lines.is_empty() {
            let before = range.lines_before(piece, corpus, site)?;
            let mut record = BadRecord {
                source: piece.source,
                name: corpus.sources()[piece.source as usize].name(),
                byte_start: 0,
                byte_len: 0,
                line: None,
                kind: lines[0].bad.kind(),
                message: String::new(),
            };
            for line in lines {
                record.byte_start = line.byte_start;
                record.byte_len = line.byte_len;
                record.line = before.map(|before| before + u64::from(line.index) + 1);
                record.kind = line.bad.kind();
                record.message = line.bad.listed(&site.config.settings.text_field);
                self.writer.push_bad_record(&record)?;
            }
        }
        range.lines += u64::from(piece.lines);
        Ok(())
    }

    fn push_document(&mut self, piece: &DocumentPiece, before: u64) -> Result<()> {
        self.totals.text_bytes += piece.text_bytes;
        self.totals.documents += u64::from(piece.begins);
        let document = match self.open.take() {
            Some(mut document) => {
                document.record.end_tokens = before + piece.end_tokens;
                document.record.byte_len += piece.byte_len;
                document.text_bytes += piece.text_bytes;
                document
            }
            None => OpenDocument {
                record: DocRecord {
                    end_tokens: before + piece.end_tokens,
                    byte_start: piece.byte_start,
                    byte_len: piece.byte_len,
                    source: piece.source,
                    flags: if piece.begins {
                        0
                    } else {
                        DocRecord::BEGAN_EARLIER
                    },
                },
                text_bytes: piece.text_bytes,
            },
        };
        if piece.ends {
            self.close(document)
        } else {
            self.open = Some(document);
            Ok(())
        }
    }

    /// Writes the record of a document that ends in this shard.
    fn close(&mut self, mut document: OpenDocument) -> Result<()> {
        if document.text_bytes == 0 && !document.record.began_earlier() {
            document.record.flags |= DocRecord::EMPTY;
            self.totals.empty_documents += 1;
        }
        self.writer.push_record(document.record)
    }

    fn hash(&mut self, piece: &Piece, corpus: &Corpus) -> Result<()> {
        if self
            .range
            .as_ref()
            .is_none_or(|range| range.source != piece.source)
        {
            self.close_range(corpus)?;
        }
        let range = self.range.get_or_insert_with(|| OpenRange {
            source: piece.source,
            start: piece.byte,
            bytes: 0,
            hasher: BlockHasher::new(),
            lines: 0,
            lines_before: None,
        });
        range.hasher.update(piece.bytes());
        range.bytes += piece.len_bytes();
        Ok(())
    }

    fn close_range(&mut self, corpus: &Corpus) -> Result<()> {
        if let Some(range) = self.range.take() {
            // What was hashed is what was tokenized, and what other units see, only if nothing
            // wrote to the file in between.
            let source = &corpus.sources()[range.source as usize];
            source.check_unchanged(&corpus.path(source))?;
            self.ranges.push(RangeInfo {
                source: range.source,
                bytes: range.bytes,
                hash: Hash128::of_hashes(&range.hasher.finish()),
            });
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, unit: Unit, corpus: &Corpus) -> Result<DoneUnit> {
        self.close_range(corpus)?;
        if let Some(mut document) = self.open.take() {
            document.record.flags |= DocRecord::GOES_ON;
            self.writer.push_record(document.record)?;
        }
        self.totals.tokens = self.writer.tokens();
        let finished = self.writer.finish()?;
        Ok(DoneUnit {
            shard: ShardInfo {
                file: finished.file,
                docs_file: finished.docs_file,
                start: unit.start,
                end: unit.end,
                tokens: self.totals.tokens,
                documents: self.totals.documents,
                text_bytes: self.totals.text_bytes,
                bytes: finished.bytes,
                blocks: finished.blocks,
                docs_bytes: finished.docs_bytes,
                docs_blocks: finished.docs_blocks,
                bad_records: finished.bad_records,
            },
            empty_documents: self.totals.empty_documents,
            invalid_sequences: self.totals.invalid_sequences,
            ranges: self.ranges,
        })
    }
}
