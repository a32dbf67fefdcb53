//! Text from outside as HTML, and numbers for people.

use std::fmt::Write;

use shardmill_core::show;
use unicode_normalization_alignments::char::is_combining_mark;

/// At most this many characters or bytes of a token are shown.
const TOKEN_CHARS: usize = 40;

/// `text` as it may stand in an element or in an attribute in double quotes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // XML has no way to write these.
            '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A name or a message, on one line, that does not change the direction of what is around it.
pub(super) fn name(text: &str) -> String {
    format!("<bdi>{}</bdi>", escape(&show::name(text).to_string()))
}

/// The text of a token. What could not be seen, or is no character, is in boxes: `␣` for a space,
/// else an escape, or the hex digits of bytes.
pub(super) fn token(bytes: &[u8]) -> String {
    let mut html = "<bdi class=\"token\">".to_owned();
    let mut shown = 0;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if shown == TOKEN_CHARS {
                return cut(&html, bytes);
            }
            push_char(&mut html, c, shown == 0);
            shown += 1;
        }
        for byte in chunk.invalid() {
            if shown == TOKEN_CHARS {
                return cut(&html, bytes);
            }
            let _ = write!(html, "<i>{byte:02X}</i>");
            shown += 1;
        }
    }
    html + "</bdi>"
}

fn push_char(html: &mut String, c: char, is_first: bool) {
    match c {
        ' ' => html.push_str("<i>\u{2423}</i>"),
        '\t' | '\n' | '\r' => {
            let _ = write!(html, "<i>{}</i>", c.escape_default());
        }
        c if is_unseen(c) => {
            let _ = write!(html, "<i>U+{:04X}</i>", u32::from(c));
        }
        c => {
            if is_first && is_combining_mark(c) {
                // A mark needs something to stand on.
                html.push('\u{25cc}');
            }
            html.push_str(&escape(c.encode_utf8(&mut [0; 4])));
        }
    }
}

fn cut(html: &str, bytes: &[u8]) -> String {
    format!(
        "{html}</bdi>\u{2026} ({} bytes)",
        show::count(bytes.len() as u64)
    )
}

/// Whether `c` shows nothing, or changes what is around it.
fn is_unseen(c: char) -> bool {
    show::is_control(c)
        || c.is_whitespace()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
            | '\u{e0000}'..='\u{10ffff}')
}

/// `12.3%`; a share that is not quite nothing or all is shown as such.
pub(super) fn percent(part: u64, whole: u64) -> String {
    match tenths(part, whole) {
        0 if part > 0 => "&lt; 0.1%".to_owned(),
        1000 if part < whole => "&gt; 99.9%".to_owned(),
        tenths => format!("{}.{}%", tenths / 10, tenths % 10),
    }
}

/// The share in thousandths, rounded.
fn tenths(part: u64, whole: u64) -> u64 {
    scaled(part, whole, 1000)
}

/// A quotient with three decimals, such as `4.321`; a dash without a divisor.
pub(super) fn ratio(a: u64, b: u64) -> String {
    decimals(a, b, 3)
}

/// A quotient with `places` decimals.
pub(super) fn decimals(a: u64, b: u64, places: u32) -> String {
    if b == 0 {
        return "\u{2013}".to_owned();
    }
    let factor = 10_u64.pow(places);
    let value = scaled(a, b, factor);
    let whole = show::count(value / factor);
    format!(
        "{whole}.{:0width$}",
        value % factor,
        width = places as usize
    )
}

/// `a / b` times `factor`, rounded.
fn scaled(a: u64, b: u64, factor: u64) -> u64 {
    let b = u128::from(b.max(1));
    let value = (u128::from(a) * u128::from(factor) + b / 2) / b;
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// A number that fits under an axis: `8,192`, `131k`, `1.05M`.
pub(super) fn short(n: u64) -> String {
    const UNITS: [(u64, &str); 5] = [
        (1_000_000_000_000_000, "P"),
        (1_000_000_000_000, "T"),
        (1_000_000_000, "G"),
        (1_000_000, "M"),
        (1_000, "k"),
    ];
    let unit = UNITS.into_iter().find(|&(unit, _)| n >= unit);
    let Some((unit, name)) = unit.filter(|_| n >= 10_000) else {
        return show::count(n);
    };
    let places = match n / unit {
        0..10 => 2,
        10..100 => 1,
        _ => return format!("{}{name}", show::count(scaled(n, unit, 1))),
    };
    let number = decimals(n, unit, places);
    format!(
        "{}{name}",
        number.trim_end_matches('0').trim_end_matches('.')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_markup() {
        assert_eq!(
            name("<script>alert(1)</script>\n\u{202e}\"'&.txt"),
            "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;\\n\\u{202e}&quot;&#39;&amp;.txt</bdi>"
        );
        for code in 0..=0x1_ffff {
            let Some(c) = char::from_u32(code) else {
                continue;
            };
            let text = c.to_string();
            for shown in [name(&text), token(text.as_bytes())] {
                let inner = shown
                    .split_once('>')
                    .unwrap()
                    .1
                    .strip_suffix("</bdi>")
                    .unwrap();
                let inner = inner.replace("<i>", "").replace("</i>", "");
                assert!(
                    !inner.contains(['<', '>', '"', '\'']),
                    "U+{code:04X}: {shown}"
                );
                assert!(!inner.contains(show::is_control), "U+{code:04X}: {shown}");
                assert!(!inner.is_empty());
            }
        }
    }

    #[test]
    fn tokens_show_what_cannot_be_seen() {
        for (bytes, html) in [
            (&b" the"[..], "<i>\u{2423}</i>the"),
            (b"\n\t", "<i>\\n</i><i>\\t</i>"),
            (b"</style>", "&lt;/style&gt;"),
            (b"\xe2\x80", "<i>E2</i><i>80</i>"),
            (b"a\xff\0", "a<i>FF</i><i>U+0000</i>"),
            ("\u{200b}\u{a0}".as_bytes(), "<i>U+200B</i><i>U+00A0</i>"),
            ("\u{301}".as_bytes(), "\u{25cc}\u{301}"),
        ] {
            let expected = format!("<bdi class=\"token\">{html}</bdi>");
            assert_eq!(token(bytes), expected, "{bytes:?}");
        }
        assert!(token(&[b' '; 128]).ends_with("</i></bdi>\u{2026} (128 bytes)"));
        assert!(!token(&[b'x'; TOKEN_CHARS]).contains('\u{2026}'));
    }

    #[test]
    fn numbers_are_rounded_once() {
        for (part, whole, shown) in [
            (0, 7, "0.0%"),
            (1, 3, "33.3%"),
            (1, 1 << 60, "&lt; 0.1%"),
            (99_999, 100_000, "&gt; 99.9%"),
            (u64::MAX, u64::MAX, "100.0%"),
            (0, 0, "0.0%"),
        ] {
            assert_eq!(percent(part, whole), shown);
        }
        assert_eq!(ratio(12_345, 10), "1,234.500");
        assert_eq!(ratio(2, 3), "0.667");
        assert_eq!(ratio(2, 0), "\u{2013}");
        let shorts = [8192, 10_000, 65_536, 131_072, 1_000_000, 1_048_576, 1 << 62].map(short);
        let expected = ["8,192", "10k", "65.5k", "131k", "1M", "1.05M", "4,612P"];
        assert_eq!(shorts, expected);
    }
}
