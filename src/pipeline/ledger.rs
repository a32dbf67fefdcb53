//! Writes a unit's document records (`.docs`) and its list of records that are left out, and
//! collects the hashes of its input. Those of small files and of compressed sources are computed
//! where they are read.

use shardmill_core::hash::Hash128;

use crate::compression::Compression;
use crate::corpus::Corpus;
use crate::dataset::{BadRecord, DocRecord, RangeInfo, RecordWriter, Totals};
use crate::error::Result;
use crate::hash::BLOCK_BYTES;
use crate::pipeline::line_marks::COUNTED_BYTES;
use crate::pipeline::piece::{Piece, Stored};
use crate::pipeline::range_hash::RangeHasher;
use crate::pipeline::site::ShardSite;
use crate::pipeline::worker::{BadLine, DocumentPiece, Encoded};

/// The records of a unit; takes its chunks in order.
#[derive(Debug)]
pub(super) struct Ledger {
    records: RecordWriter,
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
    hash: RangeHash,
    /// The number of lines of the range so far, and of the source before the range, once asked for.
    lines: u64,
    lines_before: Option<u64>,
}

#[derive(Debug)]
enum RangeHash {
    /// It was computed where the source was read.
    Known(Hash128),
    Open {
        hasher: Box<RangeHasher>,
        /// The number of bytes of the range whose memory has been released.
        released: u64,
    },
    /// It comes with the last piece.
    Compressed {
        compression: Compression,
        hash: Option<Hash128>,
    },
}

impl RangeHash {
    fn open(hasher: RangeHasher) -> Self {
        Self::Open {
            hasher: Box::new(hasher),
            released: 0,
        }
    }
}

impl OpenRange {
    fn new(piece: &Piece) -> Self {
        Self {
            source: piece.source,
            start: piece.byte,
            bytes: 0,
            hash: match (&piece.stored, piece.whole) {
                (Stored::Compressed { compression, .. }, _) => RangeHash::Compressed {
                    compression: *compression,
                    hash: None,
                },
                (Stored::AsIs, Some(hash)) => RangeHash::Known(hash),
                (Stored::AsIs, None) => RangeHash::open(RangeHasher::new()),
                (Stored::Rows { file, .. }, _) => {
                    RangeHash::open(RangeHasher::of_rows(file.metadata))
                }
            },
            lines: 0,
            lines_before: None,
        }
    }

    /// Adds the bytes of `piece`, which are not read again.
    fn push(&mut self, piece: &Piece) -> Result<()> {
        self.bytes += piece.stored_bytes();
        match &mut self.hash {
            RangeHash::Known(_) => {}
            RangeHash::Open { hasher, released } => {
                piece.source_bytes(|bytes| hasher.update(bytes))?;
                let behind = self.bytes - *released;
                if behind >= BLOCK_BYTES as u64 {
                    piece.release(behind);
                    *released = self.bytes;
                }
            }
            RangeHash::Compressed { hash, .. } => {
                if let Stored::Compressed { hash: last, .. } = piece.stored {
                    *hash = last;
                }
            }
        }
        Ok(())
    }

    /// How the source is compressed, and its hash.
    fn finish(self) -> (Option<Compression>, Hash128) {
        match self.hash {
            RangeHash::Known(hash) => (None, hash),
            RangeHash::Open { hasher, .. } => (None, hasher.finish()),
            RangeHash::Compressed { compression, hash } => {
                // A unit ends only where a compressed source does.
                debug_assert!(hash.is_some(), "the last piece has not come");
                (Some(compression), hash.unwrap_or(Hash128::of_hashes(&[])))
            }
        }
    }

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

impl Ledger {
    pub(super) fn new(records: RecordWriter) -> Self {
        Self {
            records,
            open: None,
            totals: Totals::default(),
            ranges: Vec::new(),
            range: None,
        }
    }

    /// Adds a chunk.
    pub(super) fn push(
        &mut self,
        encoded: &Encoded,
        corpus: &Corpus,
        site: &ShardSite<'_>,
    ) -> Result<()> {
        let before = self.totals.tokens;
        let mut kept = encoded.kept.documents();
        for document in &encoded.documents {
            let values = kept.next().unwrap_or_default();
            if self.open.is_none() {
                self.records.push_kept(values)?;
            }
            self.push_document(document, before)?;
        }
        self.totals.tokens += encoded.ids.len() as u64;
        self.totals.invalid_sequences += encoded.invalid_sequences;
        self.totals.other_side += encoded.other_side;
        self.totals.outside_limits = self.totals.outside_limits.plus(&encoded.outside_limits);
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
                lines: 1,
                row: None,
                kind: lines[0].bad.kind(),
                message: String::new(),
            };
            for line in lines {
                record.byte_start = line.place;
                record.byte_len = line.byte_len;
                record.lines = line.lines.into();
                if piece.has_rows() {
                    record.row = Some(line.place);
                } else {
                    record.line = before.map(|before| before + u64::from(line.index) + 1);
                }
                record.kind = line.bad.kind();
                record.message = line.bad.listed(&site.config.settings.text_field);
                self.records.push_bad(&record)?;
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
                    byte_start: piece.place,
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
            self.end_document(document)
        } else {
            self.open = Some(document);
            Ok(())
        }
    }

    /// Writes the record of a document that ends in this shard.
    fn end_document(&mut self, mut document: OpenDocument) -> Result<()> {
        if document.text_bytes == 0 && !document.record.began_earlier() {
            document.record.flags |= DocRecord::EMPTY;
            self.totals.empty_documents += 1;
        }
        self.records.push(document.record)
    }

    fn hash(&mut self, piece: &Piece, corpus: &Corpus) -> Result<()> {
        if self
            .range
            .as_ref()
            .is_none_or(|range| range.source != piece.source)
        {
            self.close_range(corpus)?;
        }
        let range = self.range.get_or_insert_with(|| OpenRange::new(piece));
        range.push(piece)
    }

    fn close_range(&mut self, corpus: &Corpus) -> Result<()> {
        if let Some(range) = self.range.take() {
            if !matches!(range.hash, RangeHash::Known(_)) {
                // What was hashed is what was tokenized, and what other units see, only if nothing
                // wrote to the file in between.
                let source = &corpus.sources()[range.source as usize];
                source.check_unchanged(&corpus.path(source))?;
            }
            let (source, bytes) = (range.source, range.bytes);
            let (compression, hash) = range.finish();
            self.ranges.push(RangeInfo {
                source,
                compression,
                bytes,
                hash,
            });
        }
        Ok(())
    }

    /// Ends the unit after its last chunk.
    pub(super) fn close(mut self, corpus: &Corpus) -> Result<Closed> {
        self.close_range(corpus)?;
        if let Some(mut document) = self.open.take() {
            document.record.flags |= DocRecord::GOES_ON;
            self.records.push(document.record)?;
        }
        Ok(Closed {
            records: self.records,
            totals: self.totals,
            ranges: self.ranges,
        })
    }
}

/// What a unit holds, when it is complete.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) records: RecordWriter,
    pub(super) totals: Totals,
    pub(super) ranges: Vec<RangeInfo>,
}
