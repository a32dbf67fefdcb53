//! A file or a stream: where its record batches and dictionaries lie.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use shardmill_core::hash::{Hash128, Hasher128};
use shardmill_core::show::counted;

use crate::columnar::AGAIN;
use crate::columnar::arrow::flat::{Damaged, Table};
use crate::columnar::arrow::message;
use crate::columnar::arrow::message::{
    CONTINUATION, Found, Header, Message, Place, check_version, cut_short, find,
};
use crate::columnar::arrow::schema::Schema;
use crate::columnar::arrow::stored::{Headers, Stored};
use crate::columnar::layout::Layout;
use crate::error::{Error, Problem, Result};
use crate::remote::Blocks;

/// Begins and ends a file. After the first come two zeros; before the last, the length of the footer.
const MAGIC: &[u8] = b"ARROW1";
const HEAD_BYTES: u64 = 8;
const TAIL_BYTES: u64 = 10;

/// Before the footer come no more bytes that are in no record batch: an end mark and padding.
const END_BYTES: u64 = 256;

/// A file or a stream.
pub(crate) struct File {
    pub(super) path: PathBuf,
    pub(super) stored: Stored,
    pub(super) schema: Schema,
    /// Those that have rows.
    pub(super) batches: Vec<Batch>,
    /// In order.
    pub(super) dictionaries: Vec<DictionaryPlace>,
    layout: Layout,
    hash: Hash128,
}

/// A record batch.
#[derive(Debug)]
pub(super) struct Batch {
    /// Its index in the file, empty ones included.
    pub(super) index: u64,
    pub(super) place: Place,
    pub(super) rows: u64,
    /// How many dictionaries of the file apply to it: the first ones.
    pub(super) dictionaries: usize,
}

/// A dictionary, or a part of one.
#[derive(Debug)]
pub(super) struct DictionaryPlace {
    pub(super) number: i64,
    /// Whether its values come after those of the dictionary before it with the same number.
    pub(super) is_delta: bool,
    pub(super) place: Place,
}

/// What is found of a file on the way through it.
#[derive(Default)]
struct Parts {
    batches: Vec<Batch>,
    dictionaries: Vec<DictionaryPlace>,
    /// How many record batches there are, empty ones included.
    count: u64,
    /// The ranges of all messages and bodies.
    places: Vec<Range<u64>>,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl File {
    /// Finds the record batches of a file; `bytes` are all of it, and `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Input`] if it is no Arrow data, or its metadata is damaged.
    pub(in crate::columnar) fn open(
        path: &Path,
        bytes: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<Self> {
        Self::new(path, Stored::Whole(Bytes::from_owner(bytes)))
    }

    /// Finds the record batches of an object. Reads the metadata of each, but no values.
    ///
    /// # Errors
    /// As [`Self::open`]; also if the object cannot be read.
    pub(in crate::columnar) fn open_object(path: &Path, blocks: Arc<Blocks>) -> Result<Self> {
        Self::new(path, Stored::Object(blocks))
    }

    fn new(path: &Path, stored: Stored) -> Result<Self> {
        let mut headers = Headers::new(&stored);
        let magic = headers.get(0, MAGIC.len() as u64)?;
        let is_old = magic
            .as_ref()
            .is_some_and(|magic| magic.starts_with(b"FEA1"));
        if is_old {
            let what = "is Feather of version 1, which is not supported";
            return Err(Error::input(path, (what, "write it again as version 2")));
        }
        let (metadata, schema, parts) = if magic.is_some_and(|magic| magic == MAGIC) {
            read_file(path, &mut headers, stored.len())?
        } else {
            read_stream(path, &mut headers, stored.len())?
        };
        let Parts {
            batches,
            dictionaries,
            ..
        } = parts;
        let groups = batches.iter();
        let groups = groups.map(|batch| (batch.rows, batch.place.start..batch.place.body.end));
        let layout = Layout::new(groups, stored.len());
        // Dictionaries are not in the range of every row that they say.
        let mut hasher = Hasher128::new();
        hasher.update(&metadata);
        for dictionary in &dictionaries {
            let place = &dictionary.place;
            stored.each(place.start..place.body.end, |part| hasher.update(part))?;
        }
        Ok(Self {
            path: path.to_owned(),
            schema,
            batches,
            dictionaries,
            layout,
            hash: hasher.finish(),
            stored,
        })
    }

    pub(in crate::columnar) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The hash of the schema, or of the footer with it, and of the dictionaries.
    pub(in crate::columnar) fn metadata(&self) -> Hash128 {
        self.hash
    }

    /// Whether there is a column of that name, or others lie in one.
    pub(in crate::columnar) fn has_column(&self, name: &str) -> bool {
        self.schema.columns.iter().any(|column| {
            let rest = column.name.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}

impl Parts {
    /// Adds the message at `place`, which `message` says.
    fn add(&mut self, message: &Message<'_>, place: Place) -> std::result::Result<(), Problem> {
        let damaged = |Damaged| -> Problem { ("has damaged metadata", AGAIN).into() };
        self.places.push(place.start..place.body.end);
        match &message.header {
            Header::Dictionary(table) => self.dictionaries.push(DictionaryPlace {
                number: table.i64(0).map_err(damaged)?,
                is_delta: table.u8(2).map_err(damaged)? != 0,
                place,
            }),
            Header::Batch(table) => {
                let rows = u64::try_from(table.i64(0).map_err(damaged)?);
                let rows = rows.map_err(|_| damaged(Damaged))?;
                let index = self.count;
                self.count += 1;
                if rows > 0 {
                    self.batches.push(Batch {
                        index,
                        place,
                        rows,
                        dictionaries: self.dictionaries.len(),
                    });
                }
            }
            Header::Schema(_) => {
                let what = "has a second schema";
                return Err((what, "write each stream to a file of its own").into());
            }
        }
        Ok(())
    }
}

/// What the messages of a stream say, one after another; also the metadata of the first one.
fn read_stream(
    path: &Path,
    headers: &mut Headers<'_>,
    size: u64,
) -> Result<(Bytes, Schema, Parts)> {
    let not_arrow = || {
        let what = "is not Arrow data";
        let hint = "rename it to what it is, or choose its `format`";
        Error::input(path, (what, hint))
    };
    let is_named = headers
        .get(0, 4)?
        .is_some_and(|start| *start == CONTINUATION);
    let (place, metadata) = match find(headers, 0)? {
        Found::Message(place, metadata) => (place, metadata),
        Found::Cut if is_named => return Err(cut_short(path, 0)),
        _ => return Err(not_arrow()),
    };
    let message = match Message::read(&metadata) {
        Ok(message) => message,
        Err(problem) if is_named => return Err(Error::input(path, problem)),
        Err(_) => return Err(not_arrow()),
    };
    let Header::Schema(table) = message.header else {
        return Err(not_arrow());
    };
    let is_v4 = Table::root(&metadata).and_then(|table| table.i16(0)) != Ok(message::V5);
    let schema = Schema::read(&table, metadata.len(), is_v4);
    let schema = schema.map_err(|problem| Error::input(path, problem))?;
    let mut parts = Parts::default();
    let mut at = place.metadata.end.checked_add(message.body_bytes);
    while let Some(start) = at.filter(|at| *at < size) {
        let (mut place, metadata) = match find(headers, start)? {
            Found::Message(place, metadata) => (place, metadata),
            Found::End(end) if end == size => break,
            Found::End(end) => {
                let what = format!(
                    "has {} after the end of its stream",
                    counted(size - end, "byte")
                );
                let hint = "write each stream to a file of its own";
                return Err(Error::at_byte(path, end, (what, hint)));
            }
            Found::Nothing => {
                return Err(Error::at_byte(
                    path,
                    start,
                    ("no message begins here", AGAIN),
                ));
            }
            Found::Cut => return Err(cut_short(path, start)),
        };
        let problem = |problem: Problem| Error::at_byte(path, start, problem.at("the message "));
        let message = Message::read(&metadata).map_err(problem)?;
        let end = place.body.start.checked_add(message.body_bytes);
        let Some(end) = end.filter(|end| *end <= size) else {
            return Err(cut_short(path, start));
        };
        place.body.end = end;
        at = Some(end);
        parts.add(&message, place).map_err(problem)?;
    }
    if at.is_none_or(|at| at > size) {
        return Err(cut_short(path, 0));
    }
    Ok((metadata, schema, parts))
}

/// What the footer of a file says; also its bytes.
fn read_file(path: &Path, headers: &mut Headers<'_>, size: u64) -> Result<(Bytes, Schema, Parts)> {
    let without_end = || {
        let what = "is Arrow data without its end, where its record batches are listed";
        Error::input(path, (what, "it was cut short; get the file again"))
    };
    let tail = size.checked_sub(TAIL_BYTES).filter(|at| *at >= HEAD_BYTES);
    let tail = match tail {
        Some(at) => headers.get(at, TAIL_BYTES)?,
        None => None,
    };
    let tail = tail.filter(|tail| tail.ends_with(MAGIC));
    let length = tail.and_then(|tail| tail.first_chunk().map(|length| i32::from_le_bytes(*length)));
    let length = length.and_then(|length| u64::try_from(length).ok());
    let start = length.and_then(|length| (size - TAIL_BYTES).checked_sub(length));
    let Some((length, start)) = length.zip(start.filter(|start| *start >= HEAD_BYTES)) else {
        return Err(without_end());
    };
    let footer = headers.get(start, length)?.ok_or_else(without_end)?;
    let damaged = |Damaged| Error::input(path, ("has a damaged footer", AGAIN));
    let refused = |problem: Problem| Error::input(path, problem);
    let table = Table::root(&footer).map_err(damaged)?;
    let version = table.i16(0).map_err(damaged)?;
    check_version(version).map_err(refused)?;
    let schema = table.table(1).map_err(damaged)?;
    let schema = schema.ok_or(Damaged).map_err(damaged)?;
    let schema = Schema::read(&schema, footer.len(), version != message::V5).map_err(refused)?;
    let mut parts = Parts::default();
    // Dictionaries first: they apply to all record batches, wherever they lie.
    for (slot, kind) in [(2, "dictionary"), (3, "record batch")] {
        let blocks = table.structs::<24>(slot).map_err(damaged)?;
        for (index, block) in blocks.iter().enumerate() {
            let problem = |problem: Problem| {
                let place = format_args!("{kind} {index} ");
                Error::input(path, problem.at(place))
            };
            let (place, metadata) = find_block(headers, block, start)?
                .ok_or_else(|| problem(("is not where the footer says", AGAIN).into()))?;
            let message = Message::read(&metadata).map_err(problem)?;
            let is_right = matches!(
                (&message.header, slot),
                (Header::Dictionary(_), 2) | (Header::Batch(_), 3)
            );
            if !is_right || message.body_bytes > place.body.end - place.body.start {
                return Err(problem(("is not what the footer says", AGAIN).into()));
            }
            parts.add(&message, place).map_err(problem)?;
        }
    }
    let mut places = std::mem::take(&mut parts.places);
    places.sort_unstable_by_key(|place| place.start);
    if places.windows(2).any(|two| two[0].end > two[1].start) {
        let what = "has record batches or dictionaries that overlap";
        return Err(Error::input(path, (what, AGAIN)));
    }
    // If files of the same layout are put one after another, the last footer suits the first file.
    let after = places.last().map_or(0, |place| start - place.end);
    if after > END_BYTES {
        let what = format!(
            "has {} between its last record batch and its footer",
            counted(after, "byte")
        );
        return Err(Error::input(path, (what, "write each file by itself")));
    }
    let mut numbers = HashSet::new();
    for dictionary in parts.dictionaries.iter().filter(|part| !part.is_delta) {
        if !numbers.insert(dictionary.number) {
            let what = format!("has two dictionaries with the number {}", dictionary.number);
            return Err(Error::input(path, (what, "write it as a stream")));
        }
    }
    Ok((footer.clone(), schema, parts))
}

/// The message of a block that a footer lists, which begins at byte `footer` of the file.
fn find_block(
    headers: &mut Headers<'_>,
    block: &[u8; 24],
    footer: u64,
) -> Result<Option<(Place, Bytes)>> {
    let number = |at: usize| {
        let bytes = block[at..].first_chunk().copied().unwrap_or_default();
        u64::try_from(i64::from_le_bytes(bytes)).ok()
    };
    let length = [block[8], block[9], block[10], block[11]];
    let length = u64::try_from(i32::from_le_bytes(length)).ok();
    let (Some(start), Some(length), Some(body)) = (number(0), length, number(16)) else {
        return Ok(None);
    };
    let body_start = start.checked_add(length);
    let end = body_start.and_then(|start| start.checked_add(body));
    let Some((body_start, end)) = body_start.zip(end.filter(|end| *end <= footer)) else {
        return Ok(None);
    };
    let Found::Message(mut place, metadata) = find(headers, start)? else {
        return Ok(None);
    };
    if place.metadata.end > body_start {
        return Ok(None);
    }
    place.body = body_start..end;
    Ok(Some((place, metadata)))
}
