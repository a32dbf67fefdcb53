//! Sets of characters: `[...]`, `\p{...}`, `\s`, and characters by escape.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

use super::Refusal;

/// Properties that the engines define equally: general categories and scripts.
pub(super) const PROPERTIES: &[&str] = &[
    "L",
    "Lu",
    "Ll",
    "Lt",
    "Lm",
    "Lo",
    "M",
    "Mn",
    "Mc",
    "Me",
    "N",
    "Nd",
    "Nl",
    "No",
    "P",
    "Pc",
    "Pd",
    "Ps",
    "Pe",
    "Pi",
    "Pf",
    "Po",
    "S",
    "Sm",
    "Sc",
    "Sk",
    "So",
    "Z",
    "Zs",
    "Zl",
    "Zp",
    "Cc",
    "Cf",
    "Co",
    "Letter",
    "Mark",
    "Number",
    "Punctuation",
    "Symbol",
    "Separator",
    "Arabic",
    "Armenian",
    "Bengali",
    "Bopomofo",
    "Common",
    "Cyrillic",
    "Devanagari",
    "Ethiopic",
    "Georgian",
    "Greek",
    "Gujarati",
    "Gurmukhi",
    "Han",
    "Hangul",
    "Hebrew",
    "Hiragana",
    "Inherited",
    "Kannada",
    "Katakana",
    "Khmer",
    "Lao",
    "Latin",
    "Malayalam",
    "Mongolian",
    "Myanmar",
    "Oriya",
    "Sinhala",
    "Tamil",
    "Telugu",
    "Thai",
    "Tibetan",
];

/// An escape outside or inside of brackets.
pub(crate) enum Escape {
    Char(char),
    Set(ClassUnicode),
}

pub(crate) fn of_char(char: char) -> ClassUnicode {
    of_range(char, char)
}

pub(crate) fn of_range(start: char, end: char) -> ClassUnicode {
    ClassUnicode::new([ClassUnicodeRange::new(start, end)])
}

pub(crate) fn everything() -> ClassUnicode {
    of_range('\0', char::MAX)
}

pub(crate) fn without(mut set: ClassUnicode, other: &ClassUnicode) -> ClassUnicode {
    set.difference(other);
    set
}

/// What regex-syntax understands by a class escape.
pub(super) fn named(escape: &str) -> Result<ClassUnicode, Refusal> {
    let parsed = regex_syntax::parse(escape).map(regex_syntax::hir::Hir::into_kind);
    match parsed {
        Ok(HirKind::Class(Class::Unicode(set))) => Ok(set),
        Ok(HirKind::Literal(literal)) => {
            let text = String::from_utf8_lossy(&literal.0);
            Ok(ClassUnicode::new(
                text.chars().map(|char| ClassUnicodeRange::new(char, char)),
            ))
        }
        _ => Err(Refusal::new("it has a property that is unknown".to_owned())),
    }
}

/// The characters for which [`char::is_numeric`] holds in Rust 1.89 and later: those of Unicode 17.
/// The other sets are of Unicode 16.
pub(crate) fn numeric() -> Result<ClassUnicode, Refusal> {
    let mut set = named(r"\p{N}")?;
    set.union(&of_range('\u{11de0}', '\u{11de9}'));
    set.union(&of_range('\u{16ff4}', '\u{16ff6}'));
    Ok(set)
}

/// ASCII punctuation, and the categories P* of Unicode 8, which is what HF tokenizers 0.23 knows.
/// Two of its characters have left these categories since.
pub(crate) fn punctuation() -> Result<ClassUnicode, Refusal> {
    let mut set = named(r"[\p{P}&&\p{age=8.0}]")?;
    set.union(&named(r"[!-/:-@\[-\x60{-~\x{166D}\x{111C9}]")?);
    Ok(set)
}

/// Whether letter case means nothing to it, to any engine.
pub(crate) fn is_caseless(set: &ClassUnicode) -> Result<bool, Refusal> {
    let mut cased = named(r"[\p{L}\p{M}\p{Nl}\p{So}]")?;
    cased.intersect(set);
    Ok(cased.ranges().is_empty())
}
