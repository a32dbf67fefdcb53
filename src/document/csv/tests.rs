use proptest::prelude::*;

use super::*;
use crate::document::{BadKind, Fields, InvalidUtf8, KeptValues};

/// A record: where it begins and ends, without its line end, the lines before it, and its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Plain {
    start: usize,
    end: usize,
    line: usize,
    fields: Vec<Vec<u8>>,
    broken: Option<Csv>,
}

/// The specification: one byte after another, as the state machine of Python's `_csv.c`. Returns the
/// records, except empty lines, and where each line begins that does not continue a record.
fn plain(bytes: &[u8], separator: u8) -> (Vec<Plain>, Vec<usize>) {
    #[derive(PartialEq)]
    enum State {
        StartOfRecord,
        StartOfField,
        InField,
        InQuotes,
        AfterQuote,
    }
    let mut records = Vec::new();
    let mut starts = Vec::new();
    let mut record = Plain::default();
    let mut state = State::StartOfRecord;
    let mut lines = 0;
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if state == State::StartOfRecord {
            starts.push(at);
            record = Plain {
                start: at,
                line: lines,
                fields: vec![Vec::new()],
                ..Plain::default()
            };
            if bytes[at..].starts_with(b"\xef\xbb\xbf\"") {
                at += 3;
                state = State::StartOfField;
                continue;
            }
        }
        let is_second = byte == b'\n' && at > 0 && bytes[at - 1] == b'\r';
        lines += usize::from(matches!(byte, b'\r' | b'\n') && !is_second);
        let field = record.fields.last_mut().unwrap();
        let is_end = matches!(byte, b'\r' | b'\n');
        state = match state {
            State::StartOfRecord | State::StartOfField if byte == b'"' => State::InQuotes,
            State::InQuotes if byte == b'"' => State::AfterQuote,
            State::InQuotes => {
                field.push(byte);
                State::InQuotes
            }
            State::AfterQuote if byte == b'"' => {
                field.push(byte);
                State::InQuotes
            }
            state if is_end => {
                record.end = at;
                if state != State::StartOfRecord {
                    records.push(record.clone());
                }
                if byte == b'\r' && bytes.get(at + 1) == Some(&b'\n') {
                    at += 1;
                }
                State::StartOfRecord
            }
            _ if byte == separator => {
                record.fields.push(Vec::new());
                State::StartOfField
            }
            State::AfterQuote => {
                record.broken = record.broken.or(Some(Csv::AfterQuote));
                State::InField
            }
            _ => {
                field.push(byte);
                State::InField
            }
        };
        at += 1;
    }
    if state == State::InQuotes {
        record.broken = record.broken.or(Some(Csv::OpenQuote));
    }
    if state != State::StartOfRecord {
        record.end = bytes.len();
        records.push(record);
    }
    (records, starts)
}

/// What is read from `bytes`, which begin the source or not: where each document begins, its length,
/// the lines before it, and its text or what is wrong; and the lines in all.
type Read = Vec<(usize, usize, u32, Result<Vec<u8>, Bad>)>;

fn read(bytes: &[u8], begins: bool, header: &[u8], separator: u8) -> (Read, u32) {
    let span = Span {
        bytes,
        begins,
        ends: true,
    };
    let fields = Fields::new("b", std::iter::empty());
    let reading = Reading {
        fields: &fields,
        separator: "",
        head: header,
        invalid_utf8: InvalidUtf8::Strict,
    };
    let mut records = Records::new(span, reading, separator);
    let mut found = Vec::new();
    while let Some(document) = records.next_document() {
        let extent = document.extent;
        let text = document.text.map(|text| text.text.as_bytes().to_vec());
        found.push((extent.start, extent.len, extent.line.unwrap(), text));
    }
    (found, records.lines())
}

/// What the specification says of the records after the header.
fn expected(records: &[Plain], columns: usize, column: usize) -> Read {
    let read = |record: &Plain| {
        let found = record.fields.len();
        let text = match record.broken {
            Some(what) => Err(Bad::csv(what)),
            None if found == columns => Ok(record.fields[column].clone()),
            None => Err(Bad::csv(Csv::Fields {
                found: u32::try_from(found).unwrap(),
                columns: u32::try_from(columns).unwrap(),
            })),
        };
        let line = u32::try_from(record.line).unwrap();
        (record.start, record.end - record.start, line, text)
    };
    records.iter().map(read).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Whatever stands there, it is read as by the specification, wherever it is cut.
    #[test]
    fn records_are_those_of_the_specification(
        text in r#"([ab,\t\r\n]|"|""|,"|",|"\n|\u{feff}){0,30}"#,
        separator in prop::sample::select(vec![b',', b'\t']),
        from in 0_usize..40,
    ) {
        let header = format!("a{}b\n", char::from(separator));
        let bytes = [header.as_bytes(), text.as_bytes()].concat();
        let (records, starts) = plain(&bytes, separator);
        let expected = expected(&records[1..], 2, 1);
        let (whole, lines) = read(&bytes, true, header.as_bytes(), separator);
        prop_assert_eq!(&whole, &expected);
        let ends = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
        prop_assert_eq!(lines as usize, ends.matches(['\r', '\n']).count());
        // The cuts are the starts of records and empty lines.
        let cut = next_cut(&bytes, from, separator);
        prop_assert_eq!(cut, starts.into_iter().find(|&start| start >= from.max(1)));
        let Some(cut) = cut else {
            return Ok(());
        };
        let (left, right) = bytes.split_at(cut);
        let (mut parts, lines) = read(left, true, header.as_bytes(), separator);
        let (rest, _) = read(right, false, header.as_bytes(), separator);
        parts.extend(rest.into_iter().map(|(start, len, line, text)| (start + cut, len, line + lines, text)));
        prop_assert_eq!(parts, expected);
    }
}

#[test]
fn the_column_is_found_by_its_name() {
    for (header, text) in [
        ("a,b\n", "2"),
        ("b,a\n", "1"),
        ("\u{feff}b,a\r\n", "1"),
        ("\u{feff}\"b\",\"a, or\nmore\"\n", "1"),
        ("\"b\",a\r", "1"),
        // The last of the same name, as in a dictionary.
        ("b,b\n", "2"),
    ] {
        let bytes = format!("{header}1,2\n");
        let header = Format::Csv.head(bytes.as_bytes(), false).unwrap();
        let header = header.unwrap().to_vec();
        assert!(Format::Csv.has_field(&header, "b"), "{bytes:?}");
        let (found, _) = read(bytes.as_bytes(), true, &header, b',');
        assert_eq!(found.len(), 1, "{bytes:?}");
        assert_eq!(found[0].3.as_deref(), Ok(text.as_bytes()), "{bytes:?}");
    }
    let fields = Fields::new("b", std::iter::empty());
    let problem = Format::Csv
        .check_fields(b"\"a\"\"\x1b\",c\n", &fields)
        .unwrap_err();
    assert_eq!(
        problem.to_string(),
        r#"has no column 'b'; there are 'a"\u{1b}', 'c'; choose one with `text_field`"#
    );
    for (header, what) in [
        (&b"\r\n"[..], "its first line is empty"),
        (
            b"b,\"c\n1,2\n",
            "its header is broken: a quote that begins a field is never closed",
        ),
        (
            b"\"b\"x,c\n",
            "its header is broken: something follows a quote that closes a field",
        ),
    ] {
        let problem = Format::Csv.check_fields(header, &fields).unwrap_err();
        assert!(problem.to_string().starts_with(what), "{problem}");
    }
    // A source without any bytes.
    assert!(Format::Csv.check_fields(b"", &fields).is_ok());
    let kept = [("id", "no", "id_field")];
    let fields = Fields::new("b", kept.into_iter());
    let problem = Format::Csv.check_fields(b"a,b\n", &fields).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "has no column 'no'; there are 'a', 'b'; choose one with `id_field`"
    );
}

#[test]
fn kept_fields_are_strings() {
    let kept = [("id", "a", "id_field"), ("c", "c", "keep_fields")];
    let fields = Fields::new("b", kept.into_iter());
    let read = |bytes: &[u8], invalid_utf8| {
        let span = Span {
            bytes,
            begins: false,
            ends: true,
        };
        let reading = Reading {
            fields: &fields,
            separator: "",
            head: b"a,b,c\n",
            invalid_utf8,
        };
        let mut records = Records::new(span, reading, b',');
        let mut values = KeptValues::default();
        let mut found = Vec::new();
        while let Some(document) = records.next_document() {
            match document.text {
                Ok(text) => {
                    values.push(&fields.kept, document.kept);
                    found.push(Ok(text.invalid));
                }
                Err(bad) => found.push(Err((bad.kind(), bad.at()))),
            }
        }
        let (mut lines, mut counts) = (Vec::new(), Vec::new());
        for document in values.documents() {
            fields.push_line(document, &mut counts, &mut lines);
        }
        (found, String::from_utf8(lines).unwrap())
    };
    let bytes = b"\"x\"\"\",1,\xff\n,,y\n";
    let (found, lines) = read(bytes, InvalidUtf8::Replace);
    assert_eq!(found, [Ok(1), Ok(0)]);
    assert_eq!(
        lines,
        "{\"id\":\"x\\\"\",\"c\":\"\u{fffd}\"}\n{\"id\":\"\",\"c\":\"y\"}\n"
    );
    let (found, lines) = read(bytes, InvalidUtf8::Strict);
    assert_eq!(found, [Err((BadKind::InvalidUtf8, 0)), Ok(0)]);
    assert_eq!(lines, "{\"id\":\"\",\"c\":\"y\"}\n");
}

#[test]
fn a_header_that_does_not_end_is_refused() {
    let open = [b"\"".repeat(3), vec![b'x'; 2 << 20]].concat();
    assert!(Format::Csv.head(&open[..1000], false).unwrap().is_none());
    assert_eq!(
        Format::Csv.head(&open[..1000], true).unwrap(),
        Some(&open[..1000])
    );
    let problem = Format::Csv.head(&open, false).unwrap_err();
    assert!(
        problem
            .to_string()
            .contains("its header is longer than 1 MiB")
    );
}

#[test]
fn bytes_that_are_not_utf8_are_found_where_they_are() {
    let header = b"a,b\n";
    let bytes = b"1,\"x\"\"\xff\"\n\xfe,ok\n";
    let (found, _) = read(bytes, false, header, b',');
    let bad = found[0].3.as_ref().unwrap_err();
    assert_eq!((bad.kind(), bad.at()), (BadKind::InvalidUtf8, 6));
    // Other fields may hold anything.
    assert_eq!(found[1].3.as_deref(), Ok(&b"ok"[..]));
}
