//! The buffers of a record batch.

use std::ops::Range;

use bytes::Bytes;
use shardmill_core::show::count;

use crate::columnar::arrow::Fault;
use crate::columnar::arrow::buffer::{Buffer, Codec};
use crate::columnar::arrow::flat::Table;
use crate::columnar::arrow::message::{Header, Message, Place};
use crate::columnar::arrow::schema::{Kind, Parts};
use crate::columnar::arrow::stored::Stored;

/// The texts of one batch of views lie in no more buffers than this: each thread has all of them.
const MAX_VIEW_BUFFERS: usize = 1 << 16;

/// A record batch, whose metadata was read.
pub(super) struct BatchBody {
    stored: Stored,
    body: Range<u64>,
    pub(super) rows: u64,
    pub(super) codec: Option<Codec>,
    /// The rows of each column and struct, and how many of them are null.
    nodes: Vec<(i64, i64)>,
    /// Where each buffer begins in the body, and its length.
    buffers: Vec<(i64, i64)>,
    /// How many further buffers each column of views has.
    views: Vec<i64>,
}

fn two(bytes: &[u8; 16]) -> (i64, i64) {
    let (first, second) = bytes.split_at(8);
    let number = |bytes: &[u8]| {
        let bytes = bytes.first_chunk().copied();
        bytes.map_or(0, i64::from_le_bytes)
    };
    (number(first), number(second))
}

impl BatchBody {
    /// The record batch, or the values of the dictionary, at `place`.
    pub(super) fn open(stored: &Stored, place: &Place) -> Result<Self, Fault> {
        let metadata: Bytes = stored.get(place.metadata.clone())?;
        let message = Message::read(&metadata).map_err(Fault::Problem)?;
        let table = match message.header {
            Header::Batch(table) => Some(table),
            Header::Dictionary(table) => table.table(1)?,
            Header::Schema(_) => None,
        };
        let Some(table) = table else {
            return Err(Fault::damaged("has no values"));
        };
        Self::read(stored, &table, place.body.clone())
    }

    fn read(stored: &Stored, table: &Table<'_>, body: Range<u64>) -> Result<Self, Fault> {
        let rows = u64::try_from(table.i64(0)?);
        let codec = match table.table(3)? {
            None => None,
            Some(compression) => match (compression.u8(0)?, compression.u8(1)?) {
                (0, 0) => Some(Codec::Lz4),
                (1, 0) => Some(Codec::Zstd),
                (codec, _) => {
                    let what = format!("is compressed with codec {codec}, which is not supported");
                    return Err(Fault::Problem(
                        (what, "write the file again with zstd").into(),
                    ));
                }
            },
        };
        let views = table.structs::<8>(4)?.iter();
        Ok(Self {
            stored: stored.clone(),
            body,
            rows: rows.map_err(|_| Fault::damaged("has damaged metadata"))?,
            codec,
            nodes: table.structs(1)?.iter().map(two).collect(),
            buffers: table.structs(2)?.iter().map(two).collect(),
            views: views.map(|count| i64::from_le_bytes(*count)).collect(),
        })
    }

    /// Where the buffers of a column begin in the list, and how many further ones it has if it has views.
    pub(super) fn place(&self, parts: Parts, kind: Kind) -> Result<(usize, usize), Fault> {
        let wrong = || Fault::damaged("has buffers that its schema does not say");
        let before = self.views.get(..parts.views).ok_or_else(wrong)?;
        let mut first = parts.buffer;
        for further in before {
            let further = usize::try_from(*further).map_err(|_| wrong())?;
            first = first.checked_add(further).ok_or_else(wrong)?;
        }
        let more = match kind {
            Kind::View => *self.views.get(parts.views).ok_or_else(wrong)?,
            _ => 0,
        };
        let more = usize::try_from(more).map_err(|_| wrong())?;
        if more > MAX_VIEW_BUFFERS {
            let what = format!("has its texts in {} buffers of a batch", count(more as u64));
            let hint = "write smaller record batches";
            return Err(Fault::Problem((what, hint).into()));
        }
        let end = first.checked_add(2).and_then(|end| end.checked_add(more));
        let end = end.ok_or_else(wrong)?;
        if kind == Kind::View && end > self.buffers.len() {
            return Err(wrong());
        }
        Ok((first, more))
    }

    /// The bytes of the buffer with this index, in the file.
    pub(super) fn range(&self, index: usize) -> Result<Range<u64>, Fault> {
        let outside = || Fault::damaged("has a buffer that is not in its record batch");
        let &(offset, length) = self.buffers.get(index).ok_or_else(outside)?;
        let number = |number: i64| u64::try_from(number).map_err(|_| outside());
        let (offset, length) = (number(offset)?, number(length)?);
        let start = self.body.start.checked_add(offset).ok_or_else(outside)?;
        let end = start
            .checked_add(length)
            .filter(|end| *end <= self.body.end);
        Ok(start..end.ok_or_else(outside)?)
    }

    /// The buffer with this index.
    pub(super) fn buffer(&self, index: usize) -> Result<Buffer, Fault> {
        let range = self.range(index)?;
        match self.codec {
            None => Buffer::plain(&self.stored, range),
            Some(codec) => Buffer::compressed(&self.stored, range, codec),
        }
    }

    /// How long the values of a column are together, with their offsets; not compressed, as they say.
    pub(super) fn bytes(&self, parts: Parts, kind: Kind) -> Result<u64, Fault> {
        if kind == Kind::Null {
            return Ok(0);
        }
        let (first, more) = self.place(parts, kind)?;
        let rest = match kind {
            Kind::Text { .. } => 1,
            _ => more,
        };
        let mut bytes = 0_u64;
        for index in first + 1..first + 2 + rest {
            bytes = bytes.saturating_add(self.buffer(index)?.length);
        }
        Ok(bytes)
    }

    /// Which rows of a column or struct are null, if any: its first buffer, a bit for each row.
    pub(super) fn nulls(&self, parts: Parts, first: usize) -> Result<Option<Buffer>, Fault> {
        let wrong = || Fault::damaged("has another number of rows than its record batch");
        let &(rows, nulls) = self.nodes.get(parts.node).ok_or_else(wrong)?;
        if u64::try_from(rows) != Ok(self.rows) {
            return Err(wrong());
        }
        if nulls == 0 {
            return Ok(None);
        }
        let buffer = self.buffer(first)?;
        if nulls < 0 || nulls > rows || buffer.length < self.rows.div_ceil(8) {
            return Err(Fault::damaged("does not say which of its rows are null"));
        }
        Ok(Some(buffer))
    }
}
