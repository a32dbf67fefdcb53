//! Tables of `FlatBuffers`, in which Arrow has its metadata. Every place is checked when it is read.

/// The bytes contradict themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

type Checked<T> = Result<T, Damaged>;

/// A table: each of its fields has a slot, which says where it is.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
    slots: &'a [u8],
}

/// The tables of a vector.
#[derive(Clone, Copy)]
pub(super) struct Tables<'a> {
    bytes: &'a [u8],
    /// Where the first of them has its place.
    at: usize,
    count: usize,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Checked<[u8; N]> {
    let rest = bytes.get(at..).ok_or(Damaged)?;
    rest.first_chunk().copied().ok_or(Damaged)
}

/// Where the offset at `at` leads.
fn target(bytes: &[u8], at: usize) -> Checked<usize> {
    let offset = u32::from_le_bytes(array(bytes, at)?) as usize;
    at.checked_add(offset).ok_or(Damaged)
}

/// Where the elements of the vector at `at` begin, and how many there are.
fn vector(bytes: &[u8], at: usize) -> Checked<(usize, usize)> {
    let count = u32::from_le_bytes(array(bytes, at)?) as usize;
    Ok((at + 4, count))
}

impl<'a> Table<'a> {
    /// The table that `bytes` are made for.
    pub(super) fn root(bytes: &'a [u8]) -> Checked<Self> {
        Self::new(bytes, target(bytes, 0)?)
    }

    fn new(bytes: &'a [u8], at: usize) -> Checked<Self> {
        let back = i64::from(i32::from_le_bytes(array(bytes, at)?));
        let start = i64::try_from(at).ok().and_then(|at| at.checked_sub(back));
        let start = start.and_then(|start| usize::try_from(start).ok());
        let start = start.ok_or(Damaged)?;
        let length = usize::from(u16::from_le_bytes(array(bytes, start)?));
        let slots = bytes[start..].get(4..length).ok_or(Damaged)?;
        Ok(Self { bytes, at, slots })
    }

    /// Where the field of a slot is; `None` if it is left out.
    fn place(&self, slot: usize) -> Checked<Option<usize>> {
        match self
            .slots
            .as_chunks()
            .0
            .get(slot)
            .map(|at| u16::from_le_bytes(*at))
        {
            None | Some(0) => Ok(None),
            Some(offset) => self
                .at
                .checked_add(usize::from(offset))
                .map(Some)
                .ok_or(Damaged),
        }
    }

    fn scalar<const N: usize>(&self, slot: usize) -> Checked<Option<[u8; N]>> {
        let place = self.place(slot)?;
        place.map(|at| array(self.bytes, at)).transpose()
    }

    /// The number of a slot; 0 if it is left out.
    pub(super) fn u8(&self, slot: usize) -> Checked<u8> {
        Ok(self.scalar(slot)?.map_or(0, u8::from_le_bytes))
    }

    pub(super) fn i16(&self, slot: usize) -> Checked<i16> {
        Ok(self.scalar(slot)?.map_or(0, i16::from_le_bytes))
    }

    pub(super) fn i32(&self, slot: usize) -> Checked<i32> {
        Ok(self.scalar(slot)?.map_or(0, i32::from_le_bytes))
    }

    pub(super) fn i64(&self, slot: usize) -> Checked<i64> {
        Ok(self.scalar(slot)?.map_or(0, i64::from_le_bytes))
    }

    pub(super) fn table(&self, slot: usize) -> Checked<Option<Self>> {
        let place = self.place(slot)?;
        let table = place.map(|at| Self::new(self.bytes, target(self.bytes, at)?));
        table.transpose()
    }

    pub(super) fn string(&self, slot: usize) -> Checked<Option<&'a str>> {
        let text = self.bytes(slot)?.map(str::from_utf8);
        text.transpose().map_err(|_| Damaged)
    }

    /// The bytes of a string, which may be invalid.
    pub(super) fn bytes(&self, slot: usize) -> Checked<Option<&'a [u8]>> {
        let Some(at) = self.place(slot)? else {
            return Ok(None);
        };
        let (start, length) = vector(self.bytes, target(self.bytes, at)?)?;
        let bytes = self.bytes[start..].get(..length).ok_or(Damaged)?;
        Ok(Some(bytes))
    }

    /// The structs of a vector, each of `N` bytes; none if it is left out.
    pub(super) fn structs<const N: usize>(&self, slot: usize) -> Checked<&'a [[u8; N]]> {
        let Some(at) = self.place(slot)? else {
            return Ok(&[]);
        };
        let (start, count) = vector(self.bytes, target(self.bytes, at)?)?;
        let (structs, _) = self.bytes[start..].as_chunks();
        structs.get(..count).ok_or(Damaged)
    }

    /// The tables of a vector; none if it is left out.
    pub(super) fn tables(&self, slot: usize) -> Checked<Tables<'a>> {
        let (at, count) = match self.place(slot)? {
            Some(at) => vector(self.bytes, target(self.bytes, at)?)?,
            None => (0, 0),
        };
        let is_inside = self.bytes[at..].len() / 4 >= count;
        let tables = Tables {
            bytes: self.bytes,
            at,
            count,
        };
        is_inside.then_some(tables).ok_or(Damaged)
    }
}

impl<'a> Tables<'a> {
    pub(super) fn iter(self) -> impl Iterator<Item = Checked<Table<'a>>> {
        let at = move |index: usize| self.at + 4 * index;
        (0..self.count).map(move |index| Table::new(self.bytes, target(self.bytes, at(index))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table with the `u8` 7 in slot 0, no slot 1, and the text "ab" in slot 2.
    const TABLE: [u8; 32] = [
        16, 0, 0, 0, // the root
        10, 0, 12, 0, 4, 0, 0, 0, 8, 0, 0, 0, // the slots
        12, 0, 0, 0, 7, 0, 0, 0, 4, 0, 0, 0, // the table
        2, 0, 0, 0, // the text, which is cut off
    ];

    #[test]
    fn fields_are_where_the_slots_say() {
        let bytes = [&TABLE[..], b"ab"].concat();
        let table = Table::root(&bytes).unwrap();
        assert_eq!(table.u8(0), Ok(7));
        assert_eq!((table.i64(1), table.i64(9)), (Ok(0), Ok(0)));
        assert_eq!(table.string(2), Ok(Some("ab")));
        assert_eq!(table.tables(1).map(|tables| tables.count), Ok(0));
        assert_eq!(table.structs::<16>(2), Err(Damaged));
    }

    #[test]
    fn places_outside_are_damage() {
        let whole = [&TABLE[..], b"ab"].concat();
        for end in 0..whole.len() {
            let table = Table::root(&whole[..end]);
            assert!(table.and_then(|table| table.string(2)).is_err(), "{end}");
        }
        for at in 0..whole.len() {
            for byte in [0xff, 0x80, 1] {
                let mut bytes = whole.clone();
                bytes[at] ^= byte;
                let Ok(table) = Table::root(&bytes) else {
                    continue;
                };
                for slot in 0..4 {
                    let _ = (table.u8(slot), table.i64(slot), table.string(slot));
                    let _ = (table.structs::<16>(slot), table.table(slot).is_ok());
                    if let Ok(tables) = table.tables(slot) {
                        assert!(tables.iter().count() <= bytes.len());
                    }
                }
            }
        }
    }
}
