//! The fields of a protocol buffer, as SentencePiece models use it.

use crate::definition::Refusal;

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Integer(u64),
    /// Four bytes: a float.
    Float(f32),
    /// Eight bytes, which no known field has.
    Double,
    /// A string or a message, and where it begins in the file.
    Bytes(&'a [u8], usize),
}

/// A field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) value: Value<'a>,
    /// Where it begins in the file.
    pub(super) at: usize,
}

/// The fields of a message, in the order of the file.
#[derive(Clone, Debug)]
pub(super) struct Message<'a> {
    rest: &'a [u8],
    /// Where `rest` begins in the file.
    at: usize,
}

impl<'a> Message<'a> {
    /// The message in these bytes, which begin at byte `at` of the file.
    pub(super) const fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { rest: bytes, at }
    }

    /// The next field; `None` at the end.
    pub(super) fn next_field(&mut self) -> Result<Option<Field<'a>>, Refusal> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let at = self.at;
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Integer(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Double
            }
            2 => {
                let len = self.varint()?;
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let start = self.at;
                Value::Bytes(self.take(len)?, start)
            }
            5 => {
                let bytes = self.take(4)?;
                let bytes = bytes.first_chunk().copied().unwrap_or_default();
                Value::Float(f32::from_le_bytes(bytes))
            }
            _ => return Err(damaged(at)),
        };
        let number = tag >> 3;
        if number == 0 {
            return Err(damaged(at));
        }
        Ok(Some(Field { number, value, at }))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Refusal> {
        let Some((bytes, rest)) = self.rest.split_at_checked(len) else {
            return Err(Refusal::byte(self.at, "the file ends within a field"));
        };
        self.rest = rest;
        self.at += len;
        Ok(bytes)
    }

    fn varint(&mut self) -> Result<u64, Refusal> {
        let start = self.at;
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(damaged(start))
    }
}

fn damaged(at: usize) -> Refusal {
    Refusal::byte(at, "is not a field of a SentencePiece model")
}

impl<'a> Field<'a> {
    pub(super) fn integer(&self) -> Result<u64, Refusal> {
        match self.value {
            Value::Integer(value) => Ok(value),
            _ => Err(damaged(self.at)),
        }
    }

    pub(super) fn flag(&self) -> Result<bool, Refusal> {
        Ok(self.integer()? != 0)
    }

    pub(super) fn float(&self) -> Result<f32, Refusal> {
        match self.value {
            Value::Float(value) => Ok(value),
            _ => Err(damaged(self.at)),
        }
    }

    pub(super) fn bytes(&self) -> Result<&'a [u8], Refusal> {
        match self.value {
            Value::Bytes(bytes, _) => Ok(bytes),
            _ => Err(damaged(self.at)),
        }
    }

    pub(super) fn text(&self) -> Result<&'a str, Refusal> {
        str::from_utf8(self.bytes()?).map_err(|_| Refusal::byte(self.at, "is not UTF-8"))
    }

    pub(super) fn message(&self) -> Result<Message<'a>, Refusal> {
        match self.value {
            Value::Bytes(bytes, at) => Ok(Message::new(bytes, at)),
            _ => Err(damaged(self.at)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::definition) fn varint(mut value: u64, out: &mut Vec<u8>) {
        while value >= 0x80 {
            out.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        out.push(value.to_le_bytes()[0]);
    }

    pub(in crate::definition) fn integer(number: u64, value: u64, out: &mut Vec<u8>) {
        varint(number << 3, out);
        varint(value, out);
    }

    pub(in crate::definition) fn float(number: u64, value: f32, out: &mut Vec<u8>) {
        varint(number << 3 | 5, out);
        out.extend_from_slice(&value.to_le_bytes());
    }

    pub(in crate::definition) fn bytes(number: u64, value: &[u8], out: &mut Vec<u8>) {
        varint(number << 3 | 2, out);
        varint(value.len() as u64, out);
        out.extend_from_slice(value);
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let message = |bytes: &[u8]| {
            let mut message = Message::new(bytes, 0);
            loop {
                match message.next_field() {
                    Ok(Some(_)) => {}
                    Ok(None) => return String::new(),
                    Err(refusal) => return refusal.to_string(),
                }
            }
        };
        assert_eq!(
            message(&[0x0a, 5, 1]),
            "byte 2: the file ends within a field"
        );
        assert_eq!(
            message(&[
                0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1
            ]),
            "byte 11: the file ends within a field"
        );
        assert_eq!(
            message(&[0x80; 20]),
            "byte 0: is not a field of a SentencePiece model"
        );
        assert_eq!(message(&[0x08]), "byte 1: the file ends within a field");
        assert_eq!(
            message(&[0x0b]),
            "byte 0: is not a field of a SentencePiece model"
        );
        assert_eq!(
            message(&[0x00, 0x01]),
            "byte 0: is not a field of a SentencePiece model"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number in 1_u64..1 << 29, value: u64, real: f32, text: Vec<u8>) {
            let mut out = Vec::new();
            integer(number, value, &mut out);
            float(number, real, &mut out);
            let at = out.len();
            bytes(number, &text, &mut out);
            let mut message = Message::new(&out, 0);
            let mut next = || message.next_field().unwrap().unwrap();
            prop_assert_eq!(next().integer().unwrap(), value);
            prop_assert_eq!(next().float().unwrap().to_bits(), real.to_bits());
            let field = next();
            prop_assert_eq!((field.bytes().unwrap(), field.at, field.number), (&*text, at, number));
            prop_assert!(message.next_field().unwrap().is_none());
        }

        #[test]
        fn any_bytes_end(bytes: Vec<u8>) {
            let mut message = Message::new(&bytes, 0);
            while let Ok(Some(_)) = message.next_field() {}
        }
    }
}
