//! Writes tables of `FlatBuffers`: each before those that it names.

/// What a slot of a table leads to.
pub(super) enum Flat {
    /// Nothing: the slot is empty.
    None,
    Number(Vec<u8>),
    Text(String),
    /// The number of structs, and their bytes.
    Structs(usize, Vec<u8>),
    Table(Vec<Self>),
    Tables(Vec<Self>),
}

impl Flat {
    pub(super) fn u8(number: u8) -> Self {
        Self::Number(vec![number])
    }

    pub(super) fn i16(number: i16) -> Self {
        Self::Number(number.to_le_bytes().into())
    }

    pub(super) fn i32(number: i32) -> Self {
        Self::Number(number.to_le_bytes().into())
    }

    pub(super) fn i64(number: i64) -> Self {
        Self::Number(number.to_le_bytes().into())
    }

    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(super) fn structs<const N: usize>(structs: &[[i64; N]]) -> Self {
        let bytes = structs
            .iter()
            .flatten()
            .flat_map(|number| number.to_le_bytes());
        Self::Structs(structs.len(), bytes.collect())
    }

    /// The bytes of a table, and of all that it names.
    pub(super) fn root(&self) -> Vec<u8> {
        let mut bytes = vec![0; 4];
        let at = self.push(&mut bytes);
        bytes[..4].copy_from_slice(&at.to_le_bytes());
        bytes
    }

    /// Appends it; returns where it begins.
    fn push(&self, bytes: &mut Vec<u8>) -> u32 {
        let here = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
        let count = |bytes: &mut Vec<u8>, count: usize| {
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            let at = here(bytes);
            bytes.extend(u32::try_from(count).unwrap().to_le_bytes());
            at
        };
        let named = |bytes: &mut Vec<u8>, name: u32, flat: &Self| {
            let at = flat.push(bytes);
            let name = name as usize;
            let offset = at - u32::try_from(name).unwrap();
            bytes[name..name + 4].copy_from_slice(&offset.to_le_bytes());
        };
        match self {
            Self::None | Self::Number(_) => panic!("lies in a table"),
            Self::Text(text) => {
                let at = count(bytes, text.len());
                bytes.extend(text.bytes());
                at
            }
            Self::Structs(length, structs) => {
                let at = count(bytes, *length);
                bytes.extend(structs);
                at
            }
            Self::Tables(tables) => {
                let at = count(bytes, tables.len());
                let first = here(bytes);
                bytes.resize(bytes.len() + 4 * tables.len(), 0);
                for (name, table) in (first..).step_by(4).zip(tables) {
                    named(bytes, name, table);
                }
                at
            }
            Self::Table(slots) => {
                // Each field takes eight bytes.
                let length = 4 + 2 * slots.len();
                let start = here(bytes);
                bytes.extend(u16::try_from(length).unwrap().to_le_bytes());
                bytes.extend(u16::try_from(8 + 8 * slots.len()).unwrap().to_le_bytes());
                for (index, slot) in slots.iter().enumerate() {
                    let place = if matches!(slot, Self::None) {
                        0
                    } else {
                        8 + 8 * index
                    };
                    bytes.extend(u16::try_from(place).unwrap().to_le_bytes());
                }
                let at = here(bytes);
                bytes.extend((at - start).to_le_bytes());
                bytes.extend([0; 4]);
                let first = bytes.len();
                bytes.resize(first + 8 * slots.len(), 0);
                for (place, slot) in (first..).step_by(8).zip(slots) {
                    match slot {
                        Self::None => {}
                        Self::Number(number) => {
                            bytes[place..place + number.len()].copy_from_slice(number);
                        }
                        slot => named(bytes, u32::try_from(place).unwrap(), slot),
                    }
                }
                at
            }
        }
    }
}
