//! Normalization to NFC, of Unicode 9.0 as in HF tokenizers 0.23.
//!
//! Most text is in NFC. Its bytes or a table of characters say so, and only stretches of which they
//! do not are normalized by `unicode-normalization-alignments`, whose data is the specification. A
//! stretch begins and ends at characters that begin anew: they stay what they are, and nothing
//! joins what is before them.
//!
//! `marks.bin` is a two-level table: 4,352 bytes that give the page of each block of 256 code
//! points, then the pages, one byte per code point. A test checks that it is equal to the data of
//! that crate, and generates it (`UPDATE_MARKS=1 cargo test marks_are_those`).

use std::ops::Range;

use unicode_normalization_alignments::UnicodeNormalization;

/// The first byte of U+0300. All characters below it begin anew, and their bytes are lower.
const FIRST_COMBINING_BYTE: u8 = 0xcc;

/// The bytes whose masks are looked at together.
const BLOCK: usize = 64;

/// No character has more bytes.
const MAX_CHAR: usize = 4;

static TABLE: &[u8] = include_bytes!("marks.bin");
const PAGES: usize = 0x11_0000 / 256;

/// What decides whether a text with a character is in NFC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark(u8);

impl Mark {
    /// The character begins anew.
    const NONE: Self = Self(0);

    /// NFC may change the character, or join it to what is before it. Any other value is the
    /// canonical combining class of a character that stays, if such characters are in order.
    const UNSURE: Self = Self(255);

    /// That of a code point below 0x110000.
    #[inline(always)]
    fn of(code_point: usize) -> Self {
        let page = usize::from(TABLE[code_point >> 8]);
        Self(TABLE[PAGES + (page << 8 | code_point & 0xff)])
    }
}

/// Whether `char` begins anew.
pub(super) fn begins_anew(char: char) -> bool {
    Mark::of(char as usize) == Mark::NONE
}

/// `None` if `text` is in NFC.
pub(super) fn nfc(text: &str) -> Option<String> {
    let mut changed: Option<String> = None;
    let (mut done, mut from) = (0, 0);
    while let Some(stretch) = next_unsure(text, from) {
        from = stretch.end;
        let before = &text[stretch.clone()];
        if before.nfc().map(|(char, _)| char).eq(before.chars()) {
            continue;
        }
        let changed = changed.get_or_insert_with(|| String::with_capacity(text.len()));
        changed.push_str(&text[done..stretch.start]);
        changed.extend(before.nfc().map(|(char, _)| char));
        done = stretch.end;
    }
    if let Some(changed) = &mut changed {
        changed.push_str(&text[done..]);
    }
    changed
}

/// The first stretch from `from` on of which it is not sure that it is in NFC.
fn next_unsure(text: &str, from: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut last = Last::default();
    let mut at = from;
    while at + BLOCK + MAX_CHAR <= bytes.len() {
        let mut leads = leads(bytes[at..].first_chunk().expect("a block is there"));
        while leads != 0 {
            let start = at + leads.trailing_zeros() as usize;
            leads &= leads - 1;
            let (code_point, len) = first_char(&bytes[start..start + MAX_CHAR]);
            let end = start + len;
            if !last.is_followed(Mark::of(code_point), start..end) {
                return Some(around(text, from, end));
            }
        }
        at += BLOCK;
    }
    while !text.is_char_boundary(at) {
        at += 1;
    }
    for (offset, char) in text[at..].char_indices() {
        let start = at + offset;
        let end = start + char.len_utf8();
        if !last.is_followed(Mark::of(char as usize), start..end) {
            return Some(around(text, from, end));
        }
    }
    None
}

/// The last character that was looked at.
#[derive(Default)]
struct Last {
    mark: Mark,
    end: usize,
}

impl Last {
    /// Whether a text in NFC is still in NFC with the next character at `at`. What was not looked
    /// at begins anew.
    #[inline(always)]
    fn is_followed(&mut self, mark: Mark, at: Range<usize>) -> bool {
        let is_next = at.start == self.end;
        let before = if is_next { self.mark } else { Mark::NONE };
        let end = at.end;
        *self = Self { mark, end };
        mark == Mark::NONE || (mark != Mark::UNSURE && before.0 <= mark.0)
    }
}

/// Whether a character that begins with `byte` may not begin anew. Those with other bytes, such as
/// most of Cyrillic, Chinese and Korean, all do.
#[inline(always)]
fn is_unsure(byte: u8) -> bool {
    let is_in = |first: u8, last: u8| byte.wrapping_sub(first) <= last - first;
    is_in(FIRST_COMBINING_BYTE, 0xce)
        || byte == 0xd2
        || is_in(0xd6, 0xe3)
        || byte == 0xea
        || is_in(0xef, 0xf0)
}

/// Bit `i` says whether byte `i` begins a character that may not begin anew.
#[inline(always)]
fn leads(block: &[u8; BLOCK]) -> u64 {
    if block.iter().fold(0, |max, &byte| byte.max(max)) < FIRST_COMBINING_BYTE {
        return 0;
    }
    let unsure = block.map(|byte| u8::from(is_unsure(byte)));
    let (words, _) = unsure.as_chunks();
    (0..).zip(words).fold(0, |leads, (word, &bits)| {
        let bits = u64::from_le_bytes(bits);
        leads | (bits.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * word)
    })
}

/// The code point and the length of the character that `bytes` begin with, which is not ASCII.
#[inline(always)]
fn first_char(bytes: &[u8]) -> (usize, usize) {
    let low = |index: usize| usize::from(bytes[index] & 0x3f);
    let first = usize::from(bytes[0]);
    match first {
        ..0xe0 => ((first & 0x1f) << 6 | low(1), 2),
        0xe0..0xf0 => ((first & 0xf) << 12 | low(1) << 6 | low(2), 3),
        _ => ((first & 7) << 18 | low(1) << 12 | low(2) << 6 | low(3), 4),
    }
}

/// The stretch with the character that ends at `end`: none between it and `from` or the first of
/// the stretch begins anew.
fn around(text: &str, from: usize, end: usize) -> Range<usize> {
    let is_first = |&(_, char): &(usize, char)| begins_anew(char);
    let before = text[from..end].char_indices().rev().find(is_first);
    let after = text[end..].char_indices().find(is_first);
    from + before.map_or(0, |(at, _)| at)..after.map_or(text.len(), |(at, _)| end + at)
}

#[cfg(test)]
mod tests;
