//! Arrow inputs: the same documents as from JSON Lines, whoever wrote the file and however its rows are
//! laid out.

mod damage;
mod dictionaries;
mod flat;
mod refused;
mod same;
mod shared;

use flat::Flat;

/// How a file is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Or else a stream.
    pub(crate) is_file: bool,
    pub(crate) batch_rows: usize,
    pub(crate) kind: Kind,
    /// Whether buffers are compressed with zstd.
    pub(crate) is_compressed: bool,
}

/// How texts are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Utf8,
    LargeBinary,
    View,
}

impl Layout {
    pub(crate) const PLAIN: Self = Self {
        is_file: false,
        batch_rows: 50,
        kind: Kind::Utf8,
        is_compressed: false,
    };
}

/// Appends a message and its body, padded; returns the length of the message.
fn push_message(bytes: &mut Vec<u8>, kind: u8, header: Flat, body: &[u8]) -> usize {
    let start = bytes.len();
    let length = i64::try_from(body.len().next_multiple_of(8)).unwrap();
    let message = Flat::Table(vec![
        Flat::i16(4),
        Flat::u8(kind),
        header,
        Flat::i64(length),
    ]);
    let mut message = message.root();
    message.resize(message.len().next_multiple_of(8), 0);
    bytes.extend([0xff; 4]);
    bytes.extend(u32::try_from(message.len()).unwrap().to_le_bytes());
    bytes.extend(message);
    let end = bytes.len();
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    end - start
}

fn field(name: &str, number: u8, kind: Flat, inner: Vec<Flat>) -> Flat {
    let inner = Flat::Tables(inner);
    Flat::Table(vec![
        Flat::text(name),
        Flat::u8(1),
        Flat::u8(number),
        kind,
        Flat::None,
        inner,
    ])
}

/// The columns `id`, `text`, and `more`, a struct with the column `code` and the list `list`.
fn schema(kind: Kind) -> Flat {
    let number = || Flat::Table(vec![Flat::i32(32), Flat::u8(1)]);
    let empty = || Flat::Table(Vec::new());
    let text = match kind {
        Kind::Utf8 => 5,
        Kind::LargeBinary => 19,
        Kind::View => 24,
    };
    let list = field(
        "list",
        12,
        empty(),
        vec![field("item", 2, number(), Vec::new())],
    );
    let more = vec![
        field("code", 10, Flat::Table(vec![Flat::i16(1)]), Vec::new()),
        list,
    ];
    let fields = vec![
        field("id", 2, number(), Vec::new()),
        field("text", text, empty(), Vec::new()),
        field("more", 13, empty(), more),
    ];
    Flat::Table(vec![Flat::i16(0), Flat::Tables(fields)])
}

/// The buffers of texts.
fn text_buffers<T: AsRef<[u8]>>(rows: &[Option<T>], kind: Kind) -> Vec<Vec<u8>> {
    let mut nulls = vec![0; rows.len().div_ceil(8)];
    let mut first = Vec::new();
    let mut data = Vec::new();
    for (row, text) in rows.iter().enumerate() {
        nulls[row / 8] |= u8::from(text.is_some()) << (row % 8);
        let text = text.as_ref().map_or(&[][..], AsRef::as_ref);
        let (start, length) = (i32::try_from(data.len()).unwrap(), text.len());
        match kind {
            Kind::Utf8 => first.extend(start.to_le_bytes()),
            Kind::LargeBinary => first.extend(i64::from(start).to_le_bytes()),
            Kind::View => {
                if rows[row].is_none() {
                    // What stands there means nothing.
                    first.extend([0xff; 16]);
                    continue;
                }
                first.extend(i32::try_from(length).unwrap().to_le_bytes());
                let mut view = text[..length.min(12)].to_vec();
                if length > 12 {
                    view.truncate(4);
                    view.extend([0; 4]);
                    view.extend(start.to_le_bytes());
                }
                view.resize(12, 0);
                first.extend(view);
            }
        }
        if kind != Kind::View || length > 12 {
            data.extend(text);
        }
    }
    let end = data.len() as u64;
    match kind {
        Kind::Utf8 => first.extend(&end.to_le_bytes()[..4]),
        Kind::LargeBinary => first.extend(end.to_le_bytes()),
        Kind::View => {}
    }
    vec![nulls, first, data]
}

/// The header and the body of a record batch.
fn batch<T: AsRef<[u8]>>(rows: &[Option<T>], first: usize, layout: Layout) -> (Flat, Vec<u8>) {
    let count = i64::try_from(rows.len()).unwrap();
    let nulls = i64::try_from(rows.iter().filter(|row| row.is_none()).count()).unwrap();
    let ids = (first..first + rows.len()).flat_map(|id| u32::try_from(id).unwrap().to_le_bytes());
    let mut buffers = vec![Vec::new(), ids.collect()];
    buffers.extend(text_buffers(rows, layout.kind));
    // The struct and its columns, of which every list is empty.
    buffers.extend([vec![], vec![], vec![0; 8 * rows.len()]]);
    buffers.extend([vec![], vec![0; 4 * (rows.len() + 1)], vec![], vec![]]);
    let nodes = [
        [count, 0],
        [count, nulls],
        [count, 0],
        [count, 0],
        [count, 0],
        [0, 0],
    ];
    let mut body = Vec::new();
    let mut places = Vec::new();
    for buffer in buffers {
        let start = body.len();
        if layout.is_compressed && !buffer.is_empty() {
            body.extend((buffer.len() as u64).to_le_bytes());
            body.extend(zstd::encode_all(&buffer[..], 1).unwrap());
        } else {
            body.extend(&buffer);
        }
        places.push([start, body.len() - start].map(|number| i64::try_from(number).unwrap()));
        body.resize(body.len().next_multiple_of(8), 0);
    }
    let compression = if layout.is_compressed {
        Flat::Table(vec![Flat::u8(1)])
    } else {
        Flat::None
    };
    let views = match layout.kind {
        Kind::View => Flat::structs(&[[1]]),
        _ => Flat::None,
    };
    let (nodes, buffers) = (Flat::structs(&nodes), Flat::structs(&places));
    let header = vec![Flat::i64(count), nodes, buffers, compression, views];
    (Flat::Table(header), body)
}

/// A file or a stream of these rows.
pub(crate) fn arrow<T: AsRef<[u8]>>(rows: &[Option<T>], layout: Layout) -> Vec<u8> {
    let mut bytes = Vec::new();
    if layout.is_file {
        bytes.extend(b"ARROW1\0\0");
    }
    push_message(&mut bytes, 1, schema(layout.kind), &[]);
    let mut blocks = Vec::new();
    for (index, rows) in rows.chunks(layout.batch_rows).enumerate() {
        let (header, body) = batch(rows, index * layout.batch_rows, layout);
        let start = bytes.len();
        let length = push_message(&mut bytes, 3, header, &body);
        let body_length = bytes.len() - start - length;
        blocks.push([start, length, body_length].map(|number| i64::try_from(number).unwrap()));
    }
    bytes.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    if layout.is_file {
        let blocks = Flat::structs(&blocks);
        let footer = vec![Flat::i16(4), schema(layout.kind), Flat::None, blocks];
        let footer = Flat::Table(footer).root();
        bytes.extend(&footer);
        bytes.extend(u32::try_from(footer.len()).unwrap().to_le_bytes());
        bytes.extend(b"ARROW1");
    }
    bytes
}
