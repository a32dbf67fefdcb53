use std::fmt::Write;

use super::*;
use crate::document::{BadKind, Fields, KeptValues};
use proptest::prelude::*;

/// As the other `read`, at the level of this CPU, if nothing is kept.
fn read<'a>(
    line: &'a [u8],
    field: &str,
    policy: InvalidUtf8,
    buffer: &'a mut String,
) -> Result<Text<'a>, Bad> {
    let fields = Fields::new(field, std::iter::empty());
    let reading = reading(&fields, policy);
    let kept = &mut FieldValues::default();
    super::read(line, &reading, Level::detect(), buffer, kept)
}

fn reading(fields: &Fields, invalid_utf8: InvalidUtf8) -> Reading<'_> {
    Reading {
        fields,
        separator: "",
        head: &[],
        invalid_utf8,
    }
}

/// The line of the kept fields `names` of the record `line`.
fn kept(line: &str, names: &[&'static str], level: Level) -> Option<String> {
    let names = names.iter().map(|&name| (name, name, "keep_fields"));
    let fields = Fields::new("text", names);
    let reading = reading(&fields, InvalidUtf8::Strict);
    let mut kept = FieldValues::default();
    super::read(
        line.as_bytes(),
        &reading,
        level,
        &mut String::new(),
        &mut kept,
    )
    .ok()?;
    let mut values = KeptValues::default();
    values.push(&fields.kept, Some(&kept));
    let mut line = Vec::new();
    fields.push_line(values.documents().next()?, &mut Vec::new(), &mut line);
    Some(String::from_utf8(line).unwrap())
}

#[test]
fn kept_fields_stand_as_in_the_record() {
    let line = r#"{ "text": "a", "n": 1e400, "s": "\u00e9 \ud83d", "o": { "a": [ 1, "x y" ] , "b.c": NaN },
        "o.d": true, "n": -0 }"#
        .replace('\n', " ");
    let found = |names: &[&'static str]| kept(&line, names, Level::detect()).unwrap();
    assert_eq!(found(&["n"]), "{\"n\":-0}\n");
    assert_eq!(
        found(&["s", "no"]),
        "{\"s\":\"\\u00e9 \\ud83d\",\"no\":null}\n"
    );
    assert_eq!(found(&["o"]), "{\"o\":{\"a\":[1,\"x y\"],\"b.c\":NaN}}\n");
    assert_eq!(
        found(&["o.a", "o.b.c", "o.d", "o.e", "text"]),
        "{\"o.a\":[1,\"x y\"],\"o.b.c\":NaN,\"o.d\":true,\"o.e\":null,\"text\":\"a\"}\n"
    );
    assert_eq!(kept("{\"text\":1,\"n\":2}", &["n"], Level::detect()), None);
}

fn text(line: &str) -> Result<String, String> {
    read(
        line.as_bytes(),
        "text",
        InvalidUtf8::Strict,
        &mut String::new(),
    )
    .map(|record| record.text.into_owned())
    .map_err(|bad| bad.problem("text").to_string())
}

#[test]
fn the_field_is_found_among_others() {
    assert_eq!(
        text(r#"{"id":1,"text":"a","meta":{"text":"b"}}"#).unwrap(),
        "a"
    );
    assert_eq!(
        text(r#" {"te\u0078t":"a\n\u00e9\ud83d\ude00"} "#).unwrap(),
        "a\né😀"
    );
    let mut buffer = String::new();
    let line = br#"{"text":"plain"}"#;
    let plain = read(line, "text", InvalidUtf8::Strict, &mut buffer).unwrap();
    assert_eq!(plain.text, "plain");
    assert_eq!(buffer.capacity(), 0);
}

#[test]
fn a_name_with_dots_is_a_field_or_a_path() {
    let nested = |line: &str, field: &str| {
        let mut buffer = String::new();
        read(line.as_bytes(), field, InvalidUtf8::Strict, &mut buffer)
            .map(|record| record.text.into_owned())
            .map_err(|bad| (bad.at(), bad.problem(field).to_string()))
    };
    // Also next to what is no plain JSON.
    for more in ["", r#","n":NaN"#] {
        for (line, field, text) in [
            (r#"{"a":{"b":"x"}"#, "a.b", "x"),
            (r#"{"a":{"b":1},"a":{"b":"x\n"}"#, "a.b", "x\n"),
            (r#"{"a":{"b":"no"},"a.b":"x""#, "a.b", "x"),
            (r#"{"a":{"b.c":"x","b":{"c":"no"}}"#, "a.b.c", "x"),
            (r#"{"a":{"b":{"c":"x"}}"#, "a.b.c", "x"),
        ] {
            let line = format!("{line}{more}}}");
            assert_eq!(nested(&line, field).as_deref(), Ok(text), "{line}");
        }
        for (line, field, at, what) in [
            (
                r#"{"a":{"x":1,"y":2}"#,
                "a.b",
                0,
                r#"no field "a.b"; there are "a.x", "a.y"; choose one with `text_field`"#,
            ),
            (
                r#"{"a":{"b":{}}"#,
                "a.b.c",
                0,
                r#"no field "a.b.c": the object is empty"#,
            ),
            (
                r#"{"a":{"b":["x"]}"#,
                "a.b",
                0,
                r#"field "a.b" is an array, not a string"#,
            ),
            (
                r#"{"a":{"b":"\ud800"}"#,
                "a.b",
                11,
                "column 12: an escape \\u is half of a surrogate pair; use `invalid_utf8` \
                 replace or ignore to accept it",
            ),
        ] {
            let line = format!("{line}{more}}}");
            assert_eq!(nested(&line, field), Err((at, what.to_owned())), "{line}");
        }
    }
    let what = nested(r#"{"a":"x","c":{}}"#, "a.b").unwrap_err().1;
    assert_eq!(
        what,
        r#"no field "a.b"; there are "a", "c"; choose one with `text_field`"#
    );
}

#[test]
fn of_duplicate_keys_the_last_wins() {
    assert_eq!(text(r#"{"text":"a","text":"b"}"#).unwrap(), "b");
    assert_eq!(text(r#"{"text":1,"text":"b"}"#).unwrap(), "b");
    assert_eq!(text(r#"{"text":"\ud800","text":"b"}"#).unwrap(), "b");
    assert_eq!(
        text(r#"{"text":"a","text":null}"#).unwrap_err(),
        "field \"text\" is null, not a string"
    );
}

#[test]
fn what_python_writes_beside_the_text_is_no_matter() {
    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    for other in [
        "NaN",
        "[-Infinity, Infinity]",
        "1e999",
        "-0.0E-7",
        r#""\ud800""#,
        r#"{"\udc00":"\udc00"}"#,
        &"9".repeat(5000),
        &deep,
    ] {
        // The same next to what is no plain JSON.
        for line in [
            format!(r#"{{"a":{other},"text":"b"}}"#),
            format!(r#"{{"\ud800":NaN,"a":{other},"text":"b"}}"#),
        ] {
            assert_eq!(text(&line).unwrap(), "b", "{}", &line[..line.len().min(60)]);
        }
    }
}

#[test]
fn a_field_may_be_as_deep() {
    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    let what = text(&format!(r#"{{"text":{deep}}}"#)).unwrap_err();
    assert_eq!(what, "field \"text\" is an array, not a string");
    let what = text(&format!(r#"{{"text":{}"#, &deep[..200_000])).unwrap_err();
    assert_eq!(what, "column 200009: the line ends before the value");
}

#[test]
fn halves_of_surrogate_pairs_are_refused_replaced_or_left_out() {
    let line = br#"{"text":"\ud83d\ud83d\ude00\ude00\u00e9\n\uD800"}"#;
    let mut buffer = String::new();
    let bad = read(line, "text", InvalidUtf8::Strict, &mut buffer).unwrap_err();
    assert_eq!((bad.kind(), bad.at()), (BadKind::LoneSurrogate, 9));
    for (policy, text) in [
        (InvalidUtf8::Replace, "\u{fffd}😀\u{fffd}é\n\u{fffd}"),
        (InvalidUtf8::Ignore, "😀é\n"),
    ] {
        let record = read(line, "text", policy, &mut buffer).unwrap();
        assert_eq!((&*record.text, record.invalid), (text, 3));
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (line, what) in [
        ("{}", "no field \"text\": the object is empty"),
        (
            r#"{"a":1,"b\u0007\u202e\ud800":2}"#,
            "no field \"text\"; there are \"a\", \"b\\u{7}\\u{202e}\u{fffd}\"; choose one with \
             `text_field`",
        ),
        ("[1]", "is an array, not an object"),
        (r#""\ud800""#, "is a string, not an object"),
        ("NaN", "is a number, not an object"),
        (
            r#"{"text":3.5}"#,
            "field \"text\" is a number, not a string",
        ),
        (
            r#"{"text":1e999}"#,
            "field \"text\" is a number, not a string",
        ),
        (
            r#"{"text":[1,"a"]}"#,
            "field \"text\" is an array, not a string",
        ),
        (
            r#"{"text":"a"} x"#,
            "column 14: something follows the object",
        ),
        (
            r#"{"text":"a""#,
            "column 12: the line ends inside an object",
        ),
        (r#"{"text":"a"#, "column 11: the line ends inside a string"),
        (r#"{"text":"a\"#, "column 12: the line ends inside a string"),
        (
            r#"{"a":NaN,"text":[1"#,
            "column 19: the line ends inside an array",
        ),
        (r#"{"text":"#, "column 9: the line ends before the value"),
        (r#"{'text':"a"}"#, "column 2: expected a string as the key"),
        (
            r#"{"text":"a",}"#,
            "column 13: expected a string as the key",
        ),
        (r#"{"text" "a"}"#, "column 9: expected ':'"),
        (r#"{"text":"a" "b":1}"#, "column 13: expected ',' or '}'"),
        (r#"{"a":[1 2]}"#, "column 9: expected ',' or ']'"),
        (r#"{"a":[1,]}"#, "column 9: expected a value"),
        (r#"{"a":01}"#, "column 7: expected ',' or '}'"),
        (r#"{"a":1.}"#, "column 7: expected ',' or '}'"),
        (r#"{"a":nan}"#, "column 6: expected a value"),
        (
            "{\"text\":\"a\tb\"}",
            "column 11: a control character in a string is not escaped",
        ),
        (r#"{"text":"\x"}"#, "column 10: an unknown escape"),
        (
            r#"{"text":"\u12g4"}"#,
            "column 10: an escape \\u without four hex digits",
        ),
        (
            "\u{feff}{}",
            "column 1: a byte order mark after the start of the file",
        ),
    ] {
        assert_eq!(text(line).unwrap_err(), what, "{line}");
    }
}

#[test]
fn only_the_first_fields_are_named_and_the_start_of_their_names() {
    let fields: Vec<_> = (0..12)
        .map(|i| format!("\"f{i}{}\":{i}", "é".repeat(99)))
        .collect();
    let what = text(&format!("{{{}}}", fields.join(","))).unwrap_err();
    let name = |i| format!("\"f{i}{}\"...", "é".repeat(38));
    let names: Vec<_> = (0..10).map(name).collect();
    assert_eq!(
        what,
        format!(
            "no field \"text\"; there are {} and 2 more; choose one with `text_field`",
            names.join(", ")
        )
    );
}

#[test]
fn lines_skip_blank_ones_and_drop_line_ends() {
    let mut lines = lines(b"a\r\n\n \t\r\nb\nc\n\n", true);
    let found: Vec<_> = (&mut lines)
        .map(|line| (line.start, line.index, line.bytes))
        .collect();
    assert_eq!(found, [(0, 0, &b"a"[..]), (8, 3, b"b"), (10, 4, b"c")]);
    assert_eq!(lines.index, 6);
}

#[test]
fn a_byte_order_mark_is_skipped_where_the_source_begins() {
    let bytes = b"\xef\xbb\xbfa\n\xef\xbb\xbfb";
    let found = |is_start| -> Vec<_> {
        let lines = lines(bytes, is_start);
        lines.map(|line| (line.start, line.bytes)).collect()
    };
    assert_eq!(found(true), [(3, &b"a"[..]), (5, b"\xef\xbb\xbfb")]);
    assert_eq!(found(false)[0], (0, &b"\xef\xbb\xbfa"[..]));
    assert_eq!(lines(b"\xef\xbb\xbf\r\n", true).next(), None);
}

#[test]
fn cuts_are_line_starts_inside() {
    let bytes = b"ab\ncd\n";
    let cuts: Vec<_> = (0..=7).map(|from| next_cut(bytes, from)).collect();
    assert_eq!(
        cuts,
        [Some(3), Some(3), Some(3), Some(3), None, None, None, None]
    );
}

proptest! {
    /// `serde_json` accepts what RFC 8259 does, and these parts have nothing else that Python reads.
    #[test]
    fn records_are_those_that_serde_json_reads(parts in prop::collection::vec(prop::sample::select(
        vec![
            "{", "}", "[", "]", ",", ":", "\"", "\"text\":", "\"a\"", "\"b\":", "{\"text\":\"",
            "\"}", "1", "-0", ".5", "e3", "null", "true", " ", "\\n", "\\u0041", "\\ud83d\\ude00",
            "\\", "é", "\t", "[1,{}],", "\"x\":[", "\"te\\u0078t\":\"",
            "a string that is longer than a block of bytes and has no special ones in it,",
        ]), 0..14)) {
        let line = parts.concat();
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&line).is_ok();
        for level in Level::available() {
            let mut buffer = String::new();
            let policy = InvalidUtf8::Strict;
            let fields = Fields::new("text", std::iter::empty());
            let reading = reading(&fields, policy);
            let unused = &mut FieldValues::default();
            let found = super::read(line.as_bytes(), &reading, level, &mut buffer, unused);
            let kind = found.as_ref().err().map(Bad::kind);
            let is_broken = kind == Some(BadKind::BrokenJson);
            prop_assert_eq!(is_broken, !is_json, "{}", line);
            // Numbers may be too large for this.
            let Ok(value) = serde_json::from_str::<serde_json::Value>(&line) else {
                continue;
            };
            if let Some(kept) = kept(&line, &["b", "x", "text.b"], level) {
                let text_b = value.get("text.b").or_else(|| value.get("text")?.get("b"));
                let expected = serde_json::json!({
                    "b": value.get("b"), "x": value.get("x"), "text.b": text_b,
                });
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&kept).unwrap(), expected);
            }
            let text = value.get("text");
            match (value.as_object(), text, found) {
                (None, _, _) => prop_assert_eq!(kind, Some(BadKind::NotAnObject)),
                (_, None, _) => prop_assert_eq!(kind, Some(BadKind::MissingField)),
                (_, Some(text), Ok(found)) => prop_assert_eq!(text.as_str(), Some(&*found.text)),
                (_, Some(text), Err(_)) => {
                    let expected = if text.is_null() {
                        BadKind::NullField
                    } else {
                        BadKind::NotAString
                    };
                    prop_assert!(!text.is_string());
                    prop_assert_eq!(kind, Some(expected));
                }
            }
        }
    }

    #[test]
    fn escapes_are_those_of_the_characters(
        characters in prop::collection::vec(
            (
                prop_oneof![
                    any::<char>(),
                    prop::sample::select(vec![
                        '\n', '\t', '\r', '\u{8}', '\u{c}', '\0', '"', '\\', '/',
                    ]),
                ],
                any::<bool>(),
            ),
            0..40,
        )
    ) {
        let mut line = r#"{"id":1,"text":""#.to_owned();
        for &(character, is_by_number) in &characters {
            if is_by_number {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(line, "\\u{unit:04x}").unwrap();
                }
            } else {
                // With a short escape, if there is one.
                let quoted = serde_json::to_string(&character).unwrap();
                line += &quoted[1..quoted.len() - 1];
            }
        }
        line += "\"}";
        let expected = characters.into_iter().map(|(character, _)| character).collect();
        prop_assert_eq!(text(&line), Ok(expected));
    }
}
