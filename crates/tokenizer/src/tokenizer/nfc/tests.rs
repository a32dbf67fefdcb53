use proptest::prelude::*;
use unicode_normalization_alignments::char::canonical_combining_class;
use unicode_normalization_alignments::{IsNormalized, UNICODE_VERSION, is_nfc_quick};

use super::*;

/// The specification.
fn plain(text: &str) -> String {
    text.nfc().map(|(char, _)| char).collect()
}

fn check(text: &str) {
    let expected = plain(text);
    let found = nfc(text);
    assert_eq!(found.is_some(), expected != text, "{text:?}");
    assert_eq!(found.as_deref().unwrap_or(text), expected, "{text:?}");
}

fn chars() -> impl Iterator<Item = char> {
    (0..=u32::from(char::MAX)).filter_map(char::from_u32)
}

/// What is in `marks.bin` for a code point.
fn mark(code_point: u32) -> u8 {
    // No text has surrogates.
    let Some(char) = char::from_u32(code_point) else {
        return 0;
    };
    let is_sure = is_nfc_quick([char].into_iter()) == IsNormalized::Yes;
    let class = canonical_combining_class(char);
    assert_ne!(class, Mark::UNSURE.0);
    if is_sure { class } else { Mark::UNSURE.0 }
}

fn table(marks: &[u8]) -> Vec<u8> {
    let mut index = Vec::new();
    let mut pages: Vec<&[u8]> = Vec::new();
    for block in marks.chunks(256) {
        let page = pages.iter().position(|page| *page == block);
        let page = page.unwrap_or_else(|| {
            pages.push(block);
            pages.len() - 1
        });
        index.push(u8::try_from(page).unwrap());
    }
    index.extend(pages.concat());
    index
}

#[test]
fn marks_are_those_of_unicode_9() {
    assert_eq!(UNICODE_VERSION, (9, 0, 0));
    let marks: Vec<u8> = (0..0x11_0000).map(mark).collect();
    let expected = table(&marks);
    if std::env::var_os("UPDATE_MARKS").is_some() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tokenizer/nfc/marks.bin");
        std::fs::write(file, &expected).unwrap();
    }
    assert!(TABLE == expected, "marks.bin is not current");
    for char in chars() {
        assert_eq!(Mark::of(char as usize).0, marks[char as usize], "{char:?}");
    }
}

#[test]
fn each_character_in_contexts_is_normalized_as_the_whole() {
    let around = [
        ("", ""),
        ("a", "b"),
        ("é", "é"),
        ("e\u{301}", "\u{301}"),
        ("\u{1100}", "\u{11a8}"),
        ("\u{ac00}", "\u{1161}"),
        ("中中中中中中中中中中中", "中中中中中中中中中中中"),
        ("\u{9c7}\u{5b0}", "\u{9be}\u{323}"),
        ("\u{c6}\u{334}", "\u{3099}"),
    ];
    for char in chars() {
        for (before, after) in around {
            check(&format!("{before}{char}{after}"));
        }
    }
}

#[test]
fn nothing_joins_what_begins_anew() {
    let marks = [
        'a', '\u{1100}', '\u{ac00}', '中', '\u{301}', '\u{9c7}', 'é', '\u{3099}', '\u{1b05}',
    ];
    for y in chars().filter(|&y| begins_anew(y)) {
        for x in marks {
            let (left, right) = (x.to_string(), y.to_string());
            assert_eq!(
                plain(&format!("{left}{right}")),
                plain(&left) + &plain(&right)
            );
            assert_eq!(plain(&right), right);
        }
    }
    assert!(('\0'..'\u{300}').all(begins_anew));
    assert_eq!("\u{300}".as_bytes()[0], FIRST_COMBINING_BYTE);
}

/// Parts of texts, many of which NFC joins, orders or changes.
fn parts() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "e\u{301}", "\u{301}", "a", " ", "\u{1100}\u{1161}\u{11a8}", "中", "\u{212b}",
            "\u{323}\u{307}", "\u{307}\u{323}", "xyzxyzxyz", "é", "\u{9c7}\u{9be}", "привет, мир",
            "한국어", "\u{651}\u{64e}", "กำลัง", "क\u{93c}", "か\u{3099}", "\u{2f800}", "\u{1d15e}",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => "[\u{300}-\u{36f}]{1,3}",
        1 => "[ -~]{1,70}",
    ]
}

proptest! {
    #[test]
    fn texts_are_normalized_as_the_whole(
        parts in prop::collection::vec(parts(), 0..400)
    ) {
        check(&parts.concat());
    }

    #[test]
    fn characters_are_normalized_as_the_whole(text in any::<String>()) {
        check(&text);
    }
}

/// For every first byte, and whatever the place in a block.
#[test]
fn characters_that_are_passed_over_begin_anew() {
    for byte in 0xc2..=0xf4 {
        let mut with_it = chars().filter(|char| char.to_string().as_bytes()[0] == byte);
        let begin_anew = with_it.all(begins_anew);
        assert!(begin_anew || is_unsure(byte), "{byte:#x}");
    }
    for byte in 0..=u8::MAX {
        for at in 0..BLOCK {
            let mut block = [b'a'; BLOCK];
            block[at] = byte;
            assert_eq!(leads(&block), u64::from(is_unsure(byte)) << at);
        }
    }
}
