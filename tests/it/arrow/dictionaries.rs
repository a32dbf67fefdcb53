//! Dictionaries that no writer of the fixtures makes, and limits of what a record batch holds.

use tempfile::TempDir;

use super::{Flat, field, push_message};
use crate::columnar::dataset;
use crate::common_dataset::{Dataset, config, encoding, ids_of, write};

const RECORD_BATCH: u8 = 3;
const DICTIONARY: u8 = 2;
const NUMBER: i64 = 7;

/// A buffer's place in a body, and the body.
fn body(buffers: &[&[u8]]) -> (Vec<[i64; 2]>, Vec<u8>) {
    let mut body = Vec::new();
    let mut places = Vec::new();
    for buffer in buffers {
        places.push([body.len(), buffer.len()].map(|number| i64::try_from(number).unwrap()));
        body.extend(*buffer);
        body.resize(body.len().next_multiple_of(8), 0);
    }
    (places, body)
}

/// The header and the body of a batch of one column.
fn one_column(rows: usize, buffers: &[&[u8]]) -> (Vec<Flat>, Vec<u8>) {
    let rows = i64::try_from(rows).unwrap();
    let (places, body) = body(buffers);
    let nodes = Flat::structs(&[[rows, 0]]);
    (vec![Flat::i64(rows), nodes, Flat::structs(&places)], body)
}

/// The column `text`, the values of which are in a dictionary.
fn schema() -> Flat {
    let Flat::Table(mut text) = field("text", 5, Flat::Table(Vec::new()), Vec::new()) else {
        unreachable!("a field is a table");
    };
    text[4] = Flat::Table(vec![Flat::i64(NUMBER)]);
    Flat::Table(vec![Flat::i16(0), Flat::Tables(vec![Flat::Table(text)])])
}

/// Appends a message; returns its place, as a footer has it.
fn push(bytes: &mut Vec<u8>, kind: u8, header: Vec<Flat>, body: &[u8]) -> [i64; 3] {
    let start = bytes.len();
    let length = push_message(bytes, kind, Flat::Table(header), body);
    [start, length, bytes.len() - start - length].map(|number| i64::try_from(number).unwrap())
}

/// Appends a part of the dictionary.
fn push_dictionary(bytes: &mut Vec<u8>, values: &[&str], is_delta: bool) -> [i64; 3] {
    let mut offsets = vec![0];
    for value in values {
        offsets.push(offsets[offsets.len() - 1] + i32::try_from(value.len()).unwrap());
    }
    let offsets: Vec<_> = offsets.into_iter().flat_map(i32::to_le_bytes).collect();
    let (batch, body) = one_column(values.len(), &[&[], &offsets, values.concat().as_bytes()]);
    let header = vec![
        Flat::i64(NUMBER),
        Flat::Table(batch),
        Flat::u8(is_delta.into()),
    ];
    push(bytes, DICTIONARY, header, &body)
}

/// Appends a record batch of values with these indices.
fn push_indices(bytes: &mut Vec<u8>, indices: &[i32]) -> [i64; 3] {
    let buffer: Vec<_> = indices.iter().flat_map(|at| at.to_le_bytes()).collect();
    let (header, body) = one_column(indices.len(), &[&[], &buffer]);
    push(bytes, RECORD_BATCH, header, &body)
}

/// Reading all deltas again for each record batch would take minutes.
#[test]
fn a_delta_may_come_before_each_record_batch() {
    let directory = TempDir::new().unwrap();
    let values: Vec<_> = (0..6000).map(|index| format!("Value {index}.")).collect();
    let mut bytes = Vec::new();
    push_message(&mut bytes, 1, schema(), &[]);
    let mut texts = Vec::new();
    for (index, value) in values.iter().enumerate() {
        push_dictionary(&mut bytes, &[value], index > 0);
        let rows = [index, index / 2, 0];
        texts.extend(rows.map(|row| Some(&values[row])));
        push_indices(&mut bytes, &rows.map(|row| i32::try_from(row).unwrap()));
    }
    let path = write(directory.path(), "a.arrows", bytes);
    let expected = dataset(&texts);
    for unit_size in [1 << 30, 100_000] {
        let made = Dataset::make(&[&path], encoding("gpt2"), &config(unit_size));
        assert!(made.ids() == expected.ids(), "{unit_size}");
        assert_eq!(made.store.manifest().totals.documents, 18_000);
    }
}

/// In a stream, a dictionary applies until the next with its number.
#[test]
fn a_dictionary_may_be_replaced_in_a_stream_and_not_in_a_file() {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    let mut messages = b"ARROW1\0\0".to_vec();
    push_message(&mut messages, 1, schema(), &[]);
    let mut blocks = (Vec::new(), Vec::new());
    let mut texts = Vec::new();
    for words in [["one", "two"], ["three", "four"]] {
        blocks.0.push(push_dictionary(&mut messages, &words, false));
        blocks.1.push(push_indices(&mut messages, &[1, 0]));
        texts.extend([Some(words[1]), Some(words[0])]);
    }
    let path = write(directory.path(), "a.arrows", &messages[8..]);
    let made = Dataset::make(&[&path], encoding("gpt2"), &config(1 << 30));
    assert!(made.ids() == dataset(&texts).ids());

    let (dictionaries, batches) = blocks;
    let twice = [dictionaries[0], dictionaries[0]];
    for (dictionaries, what) in [
        (&dictionaries[..], "has two dictionaries with the number 7"),
        (&twice, "has record batches or dictionaries that overlap"),
    ] {
        let footer = vec![
            Flat::i16(4),
            schema(),
            Flat::structs(dictionaries),
            Flat::structs(&batches),
        ];
        let footer = Flat::Table(footer).root();
        let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
        let file = [&messages[..], &footer, &length, b"ARROW1"].concat();
        let path = write(directory.path(), "a.arrow", file);
        let error = ids_of(&path, &config(1 << 30), &out).unwrap_err();
        assert_eq!(error.problem(), format!("{}: {what}", path.display()));
    }
}

/// Each further buffer takes memory as long as the record batch is read.
#[test]
fn views_into_too_many_buffers_are_refused() {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    for (further, is_refused) in [(1 << 16, false), ((1 << 16) + 1, true)] {
        let mut bytes = Vec::new();
        let text = field("text", 24, Flat::Table(Vec::new()), Vec::new());
        let schema = vec![Flat::i16(0), Flat::Tables(vec![text])];
        push_message(&mut bytes, 1, Flat::Table(schema), &[]);
        let view = [&3_u32.to_le_bytes()[..], b"abc", &[0; 9]].concat();
        let mut buffers = vec![&[][..], &view];
        buffers.resize(2 + further, &[]);
        let (mut header, body) = one_column(1, &buffers);
        header.push(Flat::None);
        header.push(Flat::structs(&[[i64::try_from(further).unwrap()]]));
        push(&mut bytes, RECORD_BATCH, header, &body);
        let path = write(directory.path(), "a.arrow", bytes);
        let made = ids_of(&path, &config(1 << 30), &out);
        let what = "has its texts in 65,537 buffers of a batch";
        match made {
            Ok(_) => assert!(!is_refused),
            Err(error) => assert!(is_refused && error.problem().contains(what), "{error}"),
        }
    }
}
