//! The parts of messages: names that are safe to show, and counts with their nouns.
//!
//! A file may have any name. Shown raw, it could color a terminal, reverse the order of a line, or
//! add a line that looks like the program's own.

use std::ffi::OsStr;
use std::fmt::{self, Display, Write};

/// Shows text from outside, such as a file name, on one line and without control characters.
///
/// Control characters, line separators and the characters that change the direction of text are
/// written as escapes; bytes that are not UTF-8 become U+FFFD. All other text stays as it is, so
/// the result may be passed through `name` again.
///
/// ```
/// # use shardmill_core::show::name;
///
/// assert_eq!(name("gr\u{fc}n.txt").to_string(), "gr\u{fc}n.txt");
/// assert_eq!(name("a\nb \u{1b}[31m\u{202e}").to_string(), r"a\nb \u{1b}[31m\u{202e}");
/// ```
pub fn name<T: AsRef<OsStr> + ?Sized>(text: &T) -> Name<'_> {
    Name(text.as_ref().as_encoded_bytes())
}

/// Like [`name`], for at most 80 characters of `text`.
pub fn shortened(text: &str) -> String {
    const MAX_CHARS: usize = 80;
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}...", name(&text[..end])),
        None => name(text).to_string(),
    }
}

/// See [`name`].
#[derive(Clone, Copy, Debug)]
pub struct Name<'a>(&'a [u8]);

/// Does not allocate, so it can be used when memory has run out.
impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            let mut rest = chunk.valid();
            while let Some(at) = rest.find(is_control) {
                let (before, after) = rest.split_at(at);
                f.write_str(before)?;
                let mut chars = after.chars();
                match chars.next() {
                    Some(c @ ('\t' | '\n' | '\r')) => write!(f, "{}", c.escape_default())?,
                    Some(c) => write!(f, "{}", c.escape_unicode())?,
                    None => {}
                }
                rest = chars.as_str();
            }
            f.write_str(rest)?;
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

/// A URL, alone or after other text, without what gives access: a user with a password, and a query,
/// which may be a signature. Text without a URL stays as it is.
///
/// ```
/// # use shardmill_core::show::url;
///
/// assert_eq!(url("https://me:secret@host/a.txt?sig=x"), "https://***@host/a.txt?***");
/// assert_eq!(url("s3://bucket/a?.txt"), "s3://bucket/a?.txt");
/// ```
pub fn url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let is_web = scheme.to_ascii_lowercase().contains("http");
    let authority = match authority.rsplit_once('@') {
        // Azure has a container there.
        Some((user, host)) if is_web || user.contains(':') => format!("***@{host}"),
        _ => authority.to_owned(),
    };
    let path = match path.split_once('?') {
        // In a bucket, a name may have a question mark, and a pattern.
        Some((path, query)) if is_web || query.contains('=') => format!("{path}?***"),
        _ => path.to_owned(),
    };
    format!("{scheme}://{authority}{path}")
}

/// Whether a terminal or a reader would take `c` for something other than text: control characters,
/// line and paragraph separators, and characters that change the direction of text.
pub fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A number with commas between thousands.
///
/// ```
/// assert_eq!(shardmill_core::show::count(1_234_567), "1,234,567");
/// ```
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun, in the singular or plural.
///
/// ```
/// # use shardmill_core::show::counted;
///
/// assert_eq!(counted(1, "token"), "1 token");
/// assert_eq!(counted(1200, "token"), "1,200 tokens");
/// assert_eq!(counted(0, "entry"), "0 entries");
/// assert_eq!(counted(2, "batch"), "2 batches");
/// ```
pub fn counted(n: u64, word: &str) -> String {
    let n_shown = count(n);
    if n == 1 {
        return format!("{n_shown} {word}");
    }
    match word.strip_suffix('y') {
        Some(stem) => format!("{n_shown} {stem}ies"),
        None if word.ends_with("ch") => format!("{n_shown} {word}es"),
        None => format!("{n_shown} {word}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn nothing_that_is_shown_controls_a_terminal_or_ends_a_line() {
        for code in 0..=0x2_ffff {
            let Some(c) = char::from_u32(code) else {
                continue;
            };
            let shown = name(&format!("a{c}b")).to_string();
            let stays = !c.is_control()
                && ![0x61c, 0x200e, 0x200f].contains(&code)
                && !(0x2028..=0x202e).contains(&code)
                && !(0x2066..=0x2069).contains(&code);
            assert_eq!(shown == format!("a{c}b"), stays, "U+{code:04X}");
            assert!(!shown.contains(is_control), "U+{code:04X}");
            assert_eq!(name(&shown).to_string(), shown, "U+{code:04X}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced() {
        let text = OsStr::from_bytes(b"\xff\x1ba\xe9");
        assert_eq!(name(text).to_string(), "\u{fffd}\\u{1b}a\u{fffd}");
    }
}
