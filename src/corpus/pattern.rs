//! Path patterns, like a shell's globs.
//!
//! `*` matches any characters of a name, `?` one character, `[a-z]` one of these, `[!a-z]` one that
//! is not among these, and `{a,b}` either. `**` alone between slashes matches any number of
//! directories. A backslash makes the next character literal. Whole characters are compared, and a
//! byte that is not UTF-8 counts as one character.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// A pattern's braces expand to at most this many patterns.
const MAX_ALTERNATIVES: usize = 1000;

/// What one name of a path must match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Component {
    /// `**`: any number of directories, none of them hidden.
    Directories,
    /// A name that matches this.
    Name(NamePattern),
}

/// A pattern for one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamePattern {
    /// The pattern as it was typed.
    pub(super) text: String,
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    Many,
    Class {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// Whether `argument` has any of the characters that make a pattern.
pub(super) fn is_pattern(argument: &OsStr) -> bool {
    argument
        .as_bytes()
        .iter()
        .any(|byte| b"*?[{".contains(byte))
}

/// The characters of a name; a byte that is not UTF-8 becomes a character that no name has.
pub(super) fn characters(name: &OsStr) -> Cow<'_, str> {
    if let Some(text) = name.to_str() {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(name.len() * 2);
    for chunk in name.as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        let stray = chunk.invalid().iter();
        // The last private-use characters.
        text.extend(stray.filter_map(|&byte| char::from_u32(0x10_FF00 + u32::from(byte))));
    }
    Cow::Owned(text)
}

/// Expands the braces of `pattern`. Each result lists what the names of a path below a directory
/// must match.
///
/// # Errors
/// Says what is wrong with the pattern.
pub(super) fn parse(pattern: &OsStr) -> Result<Vec<Vec<Component>>, String> {
    let mut alternatives = Vec::new();
    expand_braces(characters(pattern).into_owned(), &mut alternatives)?;
    alternatives.iter().map(|text| components(text)).collect()
}

/// Adds `text` to `found`, once for each choice in its braces, like `bash`.
fn expand_braces(text: String, found: &mut Vec<String>) -> Result<(), String> {
    let Some((open, close, commas)) = first_braces(&text) else {
        if found.len() == MAX_ALTERNATIVES {
            return Err(format!(
                "is not a pattern: its braces stand for more than {MAX_ALTERNATIVES} patterns"
            ));
        }
        found.push(text);
        return Ok(());
    };
    let mut start = open + 1;
    for end in commas.into_iter().chain([close]) {
        let choice = &text[start..end];
        expand_braces(
            format!("{}{choice}{}", &text[..open], &text[close + 1..]),
            found,
        )?;
        start = end + 1;
    }
    Ok(())
}

/// The first pair of braces with a comma of its own: the positions of the braces and of the commas.
fn first_braces(text: &str) -> Option<(usize, usize, Vec<usize>)> {
    // The open braces, each with its commas.
    let mut open: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut first: Option<(usize, usize, Vec<usize>)> = None;
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'{' => open.push((at, Vec::new())),
            b',' => {
                if let Some((_, commas)) = open.last_mut() {
                    commas.push(at);
                }
            }
            b'}' => {
                if let Some((start, commas)) = open.pop()
                    && !commas.is_empty()
                    && first.as_ref().is_none_or(|&(at, ..)| start < at)
                {
                    first = Some((start, at, commas));
                }
            }
            _ => {}
        }
    }
    first
}

fn components(text: &str) -> Result<Vec<Component>, String> {
    let mut components = Vec::new();
    for name in text.split('/') {
        match name {
            "" | "." => {}
            ".." => return Err("is not a pattern: '..' after a wildcard".to_owned()),
            "**" => {
                if components.last() != Some(&Component::Directories) {
                    components.push(Component::Directories);
                }
            }
            _ => components.push(Component::Name(NamePattern::new(name))),
        }
    }
    // Only a directory can have something after a slash.
    if text.ends_with('/') && components.last() != Some(&Component::Directories) {
        components.push(Component::Directories);
    }
    Ok(components)
}

impl NamePattern {
    fn new(text: &str) -> Self {
        let mut tokens = Vec::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let token = match c {
                '*' => Token::Many,
                '?' => Token::One,
                '\\' => Token::Char(rest.next().unwrap_or('\\')),
                '[' => match class(rest.as_str()) {
                    Some((class, behind)) => {
                        rest = behind.chars();
                        class
                    }
                    // Nothing closes it, so it is literal.
                    None => Token::Char('['),
                },
                _ => Token::Char(c),
            };
            if token != Token::Many || tokens.last() != Some(&Token::Many) {
                tokens.push(token);
            }
        }
        Self {
            text: text.to_owned(),
            tokens,
        }
    }

    /// Whether the pattern asks for hidden names, which begin with a dot.
    pub(super) fn is_hidden(&self) -> bool {
        self.tokens.first() == Some(&Token::Char('.'))
    }

    /// Whether `name` matches, hidden or not.
    pub(super) fn matches(&self, name: &str) -> bool {
        let mut rest = name.chars();
        let mut at = 0;
        // What follows the last `*`, and the rest of the name that the `*` has not taken.
        let mut many = None;
        loop {
            match self.tokens.get(at) {
                Some(Token::Many) => {
                    at += 1;
                    many = Some((at, rest.clone()));
                    continue;
                }
                Some(token) => {
                    let mut next = rest.clone();
                    if next.next().is_some_and(|c| token.takes(c)) {
                        rest = next;
                        at += 1;
                        continue;
                    }
                }
                None if rest.as_str().is_empty() => return true,
                None => {}
            }
            let Some((behind, untaken)) = &mut many else {
                return false;
            };
            if untaken.next().is_none() {
                return false;
            }
            at = *behind;
            rest = untaken.clone();
        }
    }
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Char(wanted) => *wanted == c,
            Self::One | Self::Many => true,
            Self::Class { is_negated, ranges } => {
                ranges.iter().any(|&(first, last)| first <= c && c <= last) != *is_negated
            }
        }
    }
}

/// The class that begins after a `[`, and what follows it; `None` if nothing closes it.
fn class(text: &str) -> Option<(Token, &str)> {
    let positive = text.strip_prefix(['!', '^']);
    let is_negated = positive.is_some();
    let mut rest = positive.unwrap_or(text).chars();
    let mut ranges = Vec::new();
    loop {
        let first = match rest.next()? {
            ']' if !ranges.is_empty() => break,
            '\\' => rest.next()?,
            c => c,
        };
        let mut ahead = rest.clone();
        let last = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(last)) if last != ']' => {
                rest = ahead;
                if last == '\\' { rest.next()? } else { last }
            }
            _ => first,
        };
        ranges.push((first, last));
    }
    Some((Token::Class { is_negated, ranges }, rest.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_match(pattern: &str, name: &str) -> bool {
        NamePattern::new(pattern).matches(name)
    }

    #[test]
    fn names_are_matched_by_whole_characters() {
        for (pattern, name) in [
            ("*", ""),
            ("*.txt", "a.txt"),
            ("*a*b*c", "aabbcabc"),
            ("?.txt", "é.txt"),
            ("caf[éè]", "café"),
            ("[а-я]1", "ж1"),
            ("[!a]", "😀"),
            ("[^a]", "b"),
            ("[]]", "]"),
            ("[!]]", "a"),
            ("[a-]", "-"),
            ("[\\]a]", "]"),
            ("a[b", "a[b"),
            ("a\\*", "a*"),
            ("a\\", "a\\"),
            ("**.txt", "a.txt"),
        ] {
            assert!(is_match(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("", "a"),
            ("?", ""),
            ("??", "é"),
            ("*.txt", "a.txt.gz"),
            ("[!a]", "a"),
            ("[b-a]", "a"),
            ("a\\*", "ab"),
            ("*a*b*c", "aabb"),
        ] {
            assert!(!is_match(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_byte_that_is_not_utf8_is_one_character_and_is_itself() {
        let name = OsStr::from_bytes(b"\xe9t\xc3\xa9.txt");
        let name = characters(name);
        for (pattern, matches) in [
            (&b"*.txt"[..], true),
            (b"?t?.txt", true),
            (b"\xe9*", true),
            (b"\xe8*", false),
            (b"??t*", false),
        ] {
            let pattern = characters(OsStr::from_bytes(pattern));
            assert_eq!(is_match(&pattern, &name), matches, "{pattern}");
        }
    }

    #[test]
    fn braces_stand_for_each_of_their_choices() {
        let expand = |text: &str| {
            let mut found = Vec::new();
            expand_braces(text.to_owned(), &mut found).map(|()| found)
        };
        for (text, choices) in [
            ("a", &["a"][..]),
            ("a.{txt,md}", &["a.txt", "a.md"]),
            ("{a,b{c,d}}e", &["ae", "bce", "bde"]),
            ("{a,b}{c,d}", &["ac", "ad", "bc", "bd"]),
            ("{a/b,c}/*", &["a/b/*", "c/*"]),
            ("{,a}b", &["b", "ab"]),
            ("{a}", &["{a}"]),
            ("{a,b", &["{a,b"]),
            ("x{y}{a,b}", &["x{y}a", "x{y}b"]),
            ("{{a,b}}", &["{a}", "{b}"]),
            ("\\{a,b}", &["\\{a,b}"]),
        ] {
            assert_eq!(expand(text).unwrap(), choices, "{text}");
        }
        assert!(expand(&"{a,b}".repeat(11)).is_err());
    }

    proptest! {
        /// The rule in one line: a `*` takes some of the name, everything else one character.
        #[test]
        fn a_match_is_what_the_rule_says(
            pattern in "[ab*?é]{0,8}",
            name in "[abé]{0,8}",
        ) {
            fn rule(pattern: &[char], name: &[char]) -> bool {
                match pattern {
                    [] => name.is_empty(),
                    ['*', rest @ ..] => (0..=name.len()).any(|taken| rule(rest, &name[taken..])),
                    [c, rest @ ..] => name
                        .split_first()
                        .is_some_and(|(first, name)| (*c == '?' || c == first) && rule(rest, name)),
                }
            }
            let pattern_chars: Vec<_> = pattern.chars().collect();
            let name_chars: Vec<_> = name.chars().collect();
            prop_assert_eq!(is_match(&pattern, &name), rule(&pattern_chars, &name_chars));
        }
    }
}
