//! Normalization of text before it is split.

use std::borrow::Cow;

use crate::definition::Normalizer;
use crate::tokenizer::nfc::{begins_anew, nfc};
use memchr::memmem;

/// `text`, which has no added token in it, after all of `normalizers`. `begins` says whether it
/// begins where the document begins or an added token ends.
pub(super) fn normalize<'t>(
    normalizers: &[Normalizer],
    text: &'t str,
    begins: bool,
) -> Cow<'t, str> {
    let mut text = Cow::Borrowed(text);
    for normalizer in normalizers {
        if text.is_empty() {
            break;
        }
        let changed = match normalizer {
            Normalizer::Nfc => nfc(&text),
            Normalizer::Prepend(before) => begins.then(|| format!("{before}{text}")),
            Normalizer::Replace { from, to } => replace(&text, from, to),
            Normalizer::Strip { left, right } => {
                let mut kept = &*text;
                if *left {
                    kept = kept.trim_start();
                }
                if *right {
                    kept = kept.trim_end();
                }
                (kept.len() < text.len()).then(|| kept.to_owned())
            }
        };
        if let Some(changed) = changed {
            text = Cow::Owned(changed);
        }
    }
    text
}

/// `None` if nothing changes.
pub(super) fn replace(text: &str, from: &str, to: &str) -> Option<String> {
    let finder = memmem::Finder::new(from);
    let mut found = finder.find_iter(text.as_bytes()).peekable();
    found.peek()?;
    let mut replaced = String::with_capacity(text.len() + text.len() / 2);
    let mut done = 0;
    for at in found {
        replaced.push_str(&text[done..at]);
        replaced.push_str(to);
        done = at + from.len();
    }
    replaced.push_str(&text[done..]);
    Some(replaced)
}

/// Whether NFC treats the texts before and after a cut between `x` and `y` alone as together, and
/// leaves both characters as they are, whatever is before and after them: what may be cut depends on
/// them.
fn is_nfc_border(x: char, y: char) -> bool {
    begins_anew(x) && stays_before_marks(y)
}

/// Whether `y` begins anew, and no mark after it joins it.
fn stays_before_marks(y: char) -> bool {
    match y {
        '\0'..='\x7f' => !(y.is_ascii_alphabetic() || matches!(y, '<' | '=' | '>')),
        '\u{80}'..='\u{bf}' => y != '\u{a8}',
        // Punctuation and ideographs of CJK, and full-width forms.
        '\u{3001}'..='\u{3020}' | '\u{4e00}'..='\u{9fff}' | '\u{ff01}'..='\u{ff60}' => true,
        _ => false,
    }
}

/// Whether a step adds text at the beginning.
pub(super) fn adds_prefix(normalizers: &[Normalizer]) -> bool {
    let is_prefix = |step: &Normalizer| matches!(step, Normalizer::Prepend(_));
    normalizers.iter().any(is_prefix)
}

/// What `x` and `y` become, if a text may be cut between them: its parts are then normalized as the
/// whole is.
pub(super) fn across_cut(normalizers: &[Normalizer], x: char, y: char) -> Option<(char, char)> {
    let (mut x, mut y) = (x, y);
    for step in normalizers {
        match step {
            Normalizer::Nfc if is_nfc_border(x, y) => {}
            Normalizer::Prepend(_) => {}
            // It would strip at every cut.
            Normalizer::Nfc | Normalizer::Strip { .. } => return None,
            // Only one character by one is known to be independent of what is beside it.
            Normalizer::Replace { from, to } => {
                let (from, to) = (single(from)?, single(to)?);
                [x, y] = [x, y].map(|char| if char == from { to } else { char });
            }
        }
    }
    Some((x, y))
}

/// The only character of `text`.
pub(super) fn single(text: &str) -> Option<char> {
    let mut chars = text.chars();
    let char = chars.next();
    char.filter(|_| chars.next().is_none())
}

#[cfg(test)]
mod tests {
    use unicode_normalization_alignments::char::compose;

    use super::*;

    fn chars() -> impl Iterator<Item = char> {
        (0..=u32::from(char::MAX)).filter_map(char::from_u32)
    }

    #[test]
    fn no_mark_joins_what_stays() {
        let marks: Vec<char> = chars().filter(|&char| !begins_anew(char)).collect();
        for y in chars().filter(|&y| stays_before_marks(y)) {
            assert!(begins_anew(y));
            assert!(
                marks.iter().all(|&mark| compose(y, mark).is_none()),
                "{y:?}"
            );
        }
    }

    #[test]
    fn characters_at_a_border_are_what_they_were() {
        let nfc = &[Normalizer::Nfc];
        assert_eq!(across_cut(nfc, 'é', ' '), Some(('é', ' ')));
        for (x, y) in [
            ('\u{301}', ' '),
            ('a', 'e'),
            ('a', '='),
            ('\u{37e}', ' '),
            ('a', '\u{301}'),
        ] {
            assert_eq!(across_cut(nfc, x, y), None, "{x:?} {y:?}");
        }
    }

    #[test]
    fn each_step_sees_the_text_after_the_one_before() {
        let replace = Normalizer::Replace {
            from: " ".to_owned(),
            to: "▁".to_owned(),
        };
        let prepend = Normalizer::Prepend("▁".to_owned());
        let llama = [prepend, replace];
        assert_eq!(normalize(&llama, " a b", true), "▁▁a▁b");
        assert_eq!(normalize(&llama, " a b", false), "▁a▁b");
        assert_eq!(normalize(&llama, "", true), "");
        let strip = [Normalizer::Strip {
            left: true,
            right: true,
        }];
        assert_eq!(normalize(&strip, " a\u{a0}", true), "a");
        assert!(matches!(
            normalize(&[Normalizer::Nfc], "aé", true),
            Cow::Borrowed(_)
        ));
        assert_eq!(normalize(&[Normalizer::Nfc], "e\u{301}", true), "é");
    }
}
