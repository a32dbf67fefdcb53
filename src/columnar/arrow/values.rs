//! The values of a column, by their rows.

use crate::columnar::arrow::Fault;
use crate::columnar::arrow::batch::BatchBody;
use crate::columnar::arrow::buffer::Buffer;
use crate::columnar::arrow::schema::{Kind, Parts};
use crate::document::json_float;

/// The length of a view, and of a text that is in it.
const VIEW_BYTES: u64 = 16;
const INLINE_BYTES: usize = 12;

/// The values of a column, or of a dictionary, in one record batch. Rows that rise are read in any
/// buffers; others only if these are whole.
#[derive(Clone)]
pub(super) struct Values {
    kind: Kind,
    pub(super) rows: u64,
    nulls: Option<Buffer>,
    /// Offsets, views, or the values.
    first: Buffer,
    /// What offsets and views point to.
    rest: Vec<Buffer>,
}

/// A value.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Text(&'a [u8]),
    /// A number or a word of JSON.
    Json(String),
}

/// Whether row `row` has its bit.
pub(super) fn has_bit(bits: &mut Buffer, row: u64) -> Result<bool, Fault> {
    let byte = bits.get(row / 8, 1)?.first().copied();
    Ok(byte.is_some_and(|byte| byte >> (row % 8) & 1 == 1))
}

impl Values {
    /// The values of the column with these parts. Buffers that cannot be read in order are made whole,
    /// which takes of `budget`; all of them if `is_whole`.
    pub(super) fn open(
        batch: &BatchBody,
        parts: Parts,
        kind: Kind,
        is_whole: bool,
        budget: &mut u64,
    ) -> Result<Self, Fault> {
        let (place, more) = batch.place(parts, kind)?;
        let mut values = Self {
            kind,
            rows: batch.rows,
            nulls: None,
            first: Buffer::empty(),
            rest: Vec::new(),
        };
        if kind == Kind::Null {
            return Ok(values);
        }
        let mut made = |buffer: Buffer, is_random: bool| match (is_whole, is_random) {
            (true, _) => buffer.whole(budget),
            (false, true) => buffer.random(budget),
            (false, false) => Ok(buffer),
        };
        let nulls = batch.nulls(parts, place)?;
        values.nulls = nulls.map(|nulls| made(nulls, false)).transpose()?;
        values.first = made(batch.buffer(place + 1)?, false)?;
        let needed = values.first_bytes(batch.rows);
        if needed.is_none_or(|needed| values.first.length < needed) {
            return Err(Fault::damaged("has fewer values than rows"));
        }
        let rest = match kind {
            Kind::Text { .. } => 1,
            _ => more,
        };
        for index in place + 2..place + 2 + rest {
            let buffer = made(batch.buffer(index)?, kind == Kind::View)?;
            values.rest.push(buffer);
        }
        Ok(values)
    }

    /// How long the first buffer must be for so many rows.
    fn first_bytes(&self, rows: u64) -> Option<u64> {
        match self.kind {
            Kind::Boolean => Some(rows.div_ceil(8)),
            // No offsets are needed if there is no row.
            Kind::Text { offset_bytes } if rows > 0 => {
                rows.checked_add(1)?.checked_mul(offset_bytes.into())
            }
            kind => rows.checked_mul(value_bytes(kind)),
        }
    }

    /// How many bytes all texts have together, at most.
    pub(super) fn text_bytes(&self) -> u64 {
        let rest = self.rest.iter().map(|buffer| buffer.length);
        let first = match self.kind {
            Kind::Text { .. } => 0,
            _ => self.first.length,
        };
        rest.fold(first, u64::saturating_add)
    }

    /// The length of the text in row `row`, or of another value.
    pub(super) fn len(&mut self, row: u64) -> Result<u64, Fault> {
        // What stands in such a row means nothing.
        if self.is_null(row)? {
            return Ok(0);
        }
        Ok(match self.kind {
            Kind::Text { offset_bytes } => {
                let (start, end) = self.offsets(row, offset_bytes)?;
                end - start
            }
            Kind::View => self.view(row)?.0 as u64,
            kind => value_bytes(kind),
        })
    }

    /// The value in row `row`, which there is.
    pub(super) fn get(&mut self, row: u64) -> Result<Value<'_>, Fault> {
        if self.is_null(row)? {
            return Ok(Value::Null);
        }
        let json = match self.kind {
            Kind::Text { offset_bytes } => return self.text(row, offset_bytes).map(Value::Text),
            Kind::View => return self.viewed(row).map(Value::Text),
            Kind::Boolean => Some(has_bit(&mut self.first, row)?.to_string()),
            Kind::Integer { bytes, is_signed } => {
                Some(self.integer(row, bytes, is_signed)?.to_string())
            }
            Kind::Half => {
                let value = half::f16::from_le_bytes(self.number(row)?).to_f32();
                json_float(value, value.is_finite())
            }
            Kind::Single => {
                let value = f32::from_le_bytes(self.number(row)?);
                json_float(value, value.is_finite())
            }
            Kind::Double => {
                let value = f64::from_le_bytes(self.number(row)?);
                json_float(value, value.is_finite())
            }
            Kind::Null | Kind::List | Kind::Other(_) => None,
        };
        Ok(json.map_or(Value::Null, Value::Json))
    }

    /// The place in a dictionary that row `row` has; `None` if it is null.
    pub(super) fn index(&mut self, row: u64) -> Result<Option<u64>, Fault> {
        let Kind::Integer { bytes, is_signed } = self.kind else {
            return Ok(None);
        };
        if self.is_null(row)? {
            return Ok(None);
        }
        let index = u64::try_from(self.integer(row, bytes, is_signed)?);
        let wrong = |_| Fault::damaged("has an index that is not in its dictionary");
        index.map(Some).map_err(wrong)
    }

    fn is_null(&mut self, row: u64) -> Result<bool, Fault> {
        match &mut self.nulls {
            Some(bits) => Ok(!has_bit(bits, row)?),
            None => Ok(false),
        }
    }

    fn number<const N: usize>(&mut self, row: u64) -> Result<[u8; N], Fault> {
        let bytes = self.first.get(row * N as u64, N)?;
        Ok(bytes.first_chunk().copied().unwrap_or([0; N]))
    }

    fn integer(&mut self, row: u64, bytes: u8, is_signed: bool) -> Result<i128, Fault> {
        Ok(match (bytes, is_signed) {
            (1, true) => i8::from_le_bytes(self.number(row)?).into(),
            (2, true) => i16::from_le_bytes(self.number(row)?).into(),
            (4, true) => i32::from_le_bytes(self.number(row)?).into(),
            (_, true) => i64::from_le_bytes(self.number(row)?).into(),
            (1, false) => u8::from_le_bytes(self.number(row)?).into(),
            (2, false) => u16::from_le_bytes(self.number(row)?).into(),
            (4, false) => u32::from_le_bytes(self.number(row)?).into(),
            (_, false) => u64::from_le_bytes(self.number(row)?).into(),
        })
    }

    /// Between which bytes the text of row `row` lies.
    fn offsets(&mut self, row: u64, offset_bytes: u8) -> Result<(u64, u64), Fault> {
        let width = usize::from(offset_bytes);
        let two = self.first.get(row * width as u64, 2 * width)?;
        let offset = |bytes: &[u8]| match width {
            4 => bytes
                .first_chunk()
                .map(|bytes| i64::from(i32::from_le_bytes(*bytes))),
            _ => bytes.first_chunk().map(|bytes| i64::from_le_bytes(*bytes)),
        };
        let number = |bytes| offset(bytes).and_then(|offset| u64::try_from(offset).ok());
        let offsets = number(&two[..width]).zip(number(&two[width..]));
        let data = self.rest.first().map_or(0, |data| data.length);
        let offsets = offsets.filter(|(start, end)| start <= end && *end <= data);
        offsets.ok_or_else(|| Fault::damaged("has offsets that are not in its text"))
    }

    fn text(&mut self, row: u64, offset_bytes: u8) -> Result<&[u8], Fault> {
        let (start, end) = self.offsets(row, offset_bytes)?;
        match self.rest.first_mut() {
            Some(data) => data.get(start, usize::try_from(end - start).unwrap_or(usize::MAX)),
            None => Ok(&[]),
        }
    }

    /// The length of a view, and its bytes.
    fn view(&mut self, row: u64) -> Result<(usize, [u8; 16]), Fault> {
        let view: [u8; 16] = self.number(row)?;
        let length = i32::from_le_bytes([view[0], view[1], view[2], view[3]]);
        let length = usize::try_from(length);
        let length = length.map_err(|_| Fault::damaged("has views that are not in its text"))?;
        Ok((length, view))
    }

    fn viewed(&mut self, row: u64) -> Result<&[u8], Fault> {
        let wrong = || Fault::damaged("has views that are not in its text");
        let (length, view) = self.view(row)?;
        if length <= INLINE_BYTES {
            return self.first.get(row * VIEW_BYTES + 4, length);
        }
        let number = |at: usize| {
            let bytes = view[at..].first_chunk().copied();
            let number = bytes.map(i32::from_le_bytes);
            number
                .and_then(|number| usize::try_from(number).ok())
                .ok_or_else(wrong)
        };
        let data = self.rest.get_mut(number(8)?).ok_or_else(wrong)?;
        let text = data.get(number(12)? as u64, length)?;
        if text.starts_with(&view[4..8]) {
            Ok(text)
        } else {
            Err(wrong())
        }
    }
}

/// The length of a value in the first buffer.
fn value_bytes(kind: Kind) -> u64 {
    match kind {
        Kind::Integer { bytes, .. } => bytes.into(),
        Kind::Half => 2,
        Kind::Single => 4,
        Kind::Double => 8,
        Kind::View => VIEW_BYTES,
        Kind::Boolean => 1,
        Kind::Null | Kind::Text { .. } | Kind::List | Kind::Other(_) => 0,
    }
}
