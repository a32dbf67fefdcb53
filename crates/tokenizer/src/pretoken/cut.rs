//! Where a text may be cut into parts that are split and encoded independently.
//!
//! A cut lies between two characters, `x` and `y`, of these classes:
//!
//! ```text
//! x                                   y
//! not white space                     white space but CR and LF
//! letter                              number, CJK
//! number                              letter, CJK
//! CJK                                 letter, number
//! letter, number or CJK               CR, LF
//! letter, number or CJK               other, but for the apostrophe
//! other, but for the apostrophe       number, CJK
//! CR or LF, alone after what is       letter, number, CJK, or other but for the slash
//! not white space
//! ```
//!
//! The classes are those of the scheme. CJK are the letters that it keeps apart from others, if
//! there are any. "Other" is anything that is not a letter, mark, number or white space and, if the
//! scheme distinguishes it, not odd and not punctuation or a symbol of CJK. Then, in all patterns:
//!
//! 1. No match contains `x` followed by `y`. White space other than CR and LF is the first
//!    character of a match or has only white space before it. Letters, numbers and CJK are never in
//!    one match with another of the three. CR and LF follow only others or white space. Others
//!    follow letters only in a contraction, and never follow numbers or CJK; numbers and CJK never
//!    follow others. So a match begins at `y`. In DeepSeek's patterns, which leave runs of odd
//!    characters unmatched, `y` is not odd, so one does there too.
//! 2. The part up to `x` is split as before. What looks ahead, `$` and `(?!\S)`, does so only after
//!    white space, and `x` is not white space. Everything else that could match more text after `x`
//!    fails at `y`, by 1, as it does at the end of the text, so a backtracking search tries the
//!    same things.
//! 3. No pattern looks behind, so the matches from `y` on depend only on what follows.
//!
//! In the last row `x` is white space, but a single character of it. Either the others before it
//! include it in their match, which could continue at `y` only with a slash, or it is a match of
//! its own, which it also is at the end of the text.
//!
//! In a chain, the first pattern splits the text at the cut, by 1, or does not match there at all:
//! then the cut is inside one of its pieces, of which both parts remain. The same is true of the
//! next pattern and that piece, and so on.
//!
//! A special token, or a byte sequence that is not UTF-8, must not span the cut either. Between a
//! printable ASCII character and a space there is neither. Elsewhere, the bytes before the cut must
//! be UTF-8 for more than the length of any special token and must not contain the start of one.

use super::{Char, Class, Scheme, char_at};

/// Longer than any special token, in bytes.
pub(crate) const SPECIAL_BYTES: usize = 32;

/// The first place at or after `from` where `bytes` may be cut.
pub(crate) fn next_cut<P: Scheme>(bytes: &[u8], from: usize) -> Option<usize> {
    (from.max(1)..bytes.len()).find(|&at| is_cut::<P>(bytes, at))
}

fn is_cut<P: Scheme>(bytes: &[u8], at: usize) -> bool {
    let is_between_ascii = bytes[at] == b' ' && bytes[at - 1].is_ascii_graphic();
    is_between_ascii || divides::<P>(bytes, at) && is_plain(bytes, at)
}

/// Whether the characters on both sides of `at` are one of the pairs above.
#[inline(always)]
fn divides<P: Scheme>(bytes: &[u8], at: usize) -> bool {
    let is_first = |byte: u8| byte & 0xc0 != 0x80;
    if !is_first(bytes[at]) {
        return false;
    }
    let (Some(x), Some(y)) = (char_before::<P>(bytes, at), char_at::<P>(bytes, at)) else {
        return false;
    };
    let is_plain_other = |class, byte| class == Class::Other && byte != b'\'';
    let is_run = |class: Class| class.is_letter() || matches!(class, Class::Number | Class::Cjk);
    if x.class == Class::Newline {
        let is_alone =
            char_before::<P>(bytes, at - x.len).is_some_and(|before| !before.class.is_space());
        return is_alone && (is_run(y.class) || y.class == Class::Other) && bytes[at] != b'/';
    }
    match y.class {
        Class::Space => !x.class.is_space(),
        Class::Newline => is_run(x.class),
        Class::Number | Class::Cjk => {
            is_run(x.class) && x.class != y.class || is_plain_other(x.class, bytes[at - 1])
        }
        Class::Upper | Class::Lower | Class::Caseless => {
            matches!(x.class, Class::Number | Class::Cjk)
        }
        Class::Other => is_plain_other(y.class, bytes[at]) && is_run(x.class),
        _ => false,
    }
}

/// The character that ends at `at`, if the bytes there look like UTF-8.
#[inline(always)]
fn char_before<P: Scheme>(bytes: &[u8], at: usize) -> Option<Char> {
    let is_first = |byte: u8| byte & 0xc0 != 0x80;
    let back = (1..=at.min(4)).find(|&back| is_first(bytes[at - back]))?;
    char_at::<P>(bytes, at - back)
}

/// Whether the bytes around `at` are UTF-8 and no special token begins in those before it.
fn is_plain(bytes: &[u8], at: usize) -> bool {
    let is_first = |&at: &usize| bytes.get(at).is_none_or(|byte| byte & 0xc0 != 0x80);
    let near = at.saturating_sub(SPECIAL_BYTES);
    let start = (near.saturating_sub(3)..=near).rev().find(is_first);
    let end = (at + 1..at + 4).find(is_first).unwrap_or(at + 4);
    let around = start.and_then(|start| bytes.get(start..end));
    around.is_some_and(|around| {
        std::str::from_utf8(around).is_ok() && memchr::memmem::find(around, b"<|").is_none()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rayon::prelude::*;

    use super::*;
    use crate::pretoken::tests::{advanced, alphabet, hard_character, strings};
    use crate::pretoken::{Cl100k, Family, with_scheme};

    fn check_parts<P: Scheme>(text: &str, at: usize) {
        let (left, right) = text.split_at(at);
        let mut parts = advanced::<P>(left);
        parts.extend(advanced::<P>(right).into_iter().map(|end| at + end));
        assert_eq!(parts, advanced::<P>(text), "{text:?} cut at {at}");
    }

    /// Cuts `text` wherever the family allows it; returns the number of cuts.
    fn check(family: Family, text: &str) -> usize {
        with_scheme!(family, P => {
            let cuts = (1..text.len()).filter(|&at| is_cut::<P>(text.as_bytes(), at));
            cuts.inspect(|&at| check_parts::<P>(text, at)).count()
        })
    }

    #[test]
    fn parts_of_every_string_of_up_to_four_kinds_split_as_the_whole() {
        for family in Family::ALL {
            let alphabet = alphabet(family);
            let count = |first: &&str| {
                let mut cuts = 0;
                let mut text = (*first).to_owned();
                strings(alphabet, &mut text, 4, &mut |text| {
                    cuts += check(family, text);
                });
                cuts
            };
            let cuts: usize = alphabet.par_iter().map(count).sum();
            assert!(cuts > 20_000, "{}: {cuts}", family.name());
        }
    }

    #[test]
    fn texts_without_spaces_may_be_cut_often() {
        for text in [
            "我们都知道，这是一个。很好的1例子",
            "word\nanother\nline\n",
            "function(a,b){return a+b}",
            "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo0OTg3",
            "a\tb\tc\n",
            "--\n--\n",
            "<|a b",
        ] {
            for family in Family::ALL {
                assert!(check(family, text) > 0, "{}: {text}", family.name());
            }
        }
        assert_eq!(next_cut::<Cl100k>(b"aaaaaa", 0), None);
        assert_eq!(next_cut::<Cl100k>(b"a1", 1), Some(1));
        assert_eq!(next_cut::<Cl100k>(b"a1", 2), None);
        assert_eq!(next_cut::<Cl100k>(b"", 0), None);
    }

    #[test]
    fn a_cut_is_not_near_a_special_token_or_what_is_not_utf8() {
        for text in [
            &b"a<|endoftext|>"[..],
            b"<|reserved_200013|>",
            b"a\xff1",
            b"\xe6\x971",
            b"a\xe6\x97",
        ] {
            let cuts: Vec<_> = (2..text.len())
                .filter(|&at| is_cut::<Cl100k>(text, at))
                .collect();
            assert_eq!(cuts, [0; 0], "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn parts_of_strings_of_hard_characters_split_as_the_whole(
            parts in prop::collection::vec(hard_character(), 0..100)
        ) {
            for family in Family::ALL {
                check(family, &parts.concat());
            }
        }

        #[test]
        fn parts_are_decoded_as_the_whole(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    &b"a"[..], b"1", b" ", b"\n", b"\xe6\x97\xa5", b"\xe6", b"\x97", b"\xff", b"!",
                    b"\xf0\x9f", b"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
                ]),
                0..40,
            )
        ) {
            let bytes = parts.concat();
            let valid = |bytes: &[u8]| bytes.utf8_chunks().map(|chunk| chunk.valid()).collect();
            let replaced = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            for text in [&valid as &dyn Fn(&[u8]) -> String, &replaced] {
                for at in (1..bytes.len()).filter(|&at| is_cut::<Cl100k>(&bytes, at)) {
                    let (left, right) = bytes.split_at(at);
                    prop_assert_eq!(text(left) + &text(right), text(&bytes));
                }
            }
        }
    }
}
