//! Normalization of text before it is split.

use std::borrow::Cow;

use crate::definition::Normalizer;
use crate::tokenizer::nfc::nfc;
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

/// Whether NFC treats the texts before and after a cut between `x` and `y` alone as together, for
/// any `x`: `y` never combines with what is before it.
fn is_nfc_border(y: char) -> bool {
    y < '\u{300}'
        // Punctuation and ideographs of CJK, and full-width forms.
        || matches!(y, '\u{3001}'..='\u{3020}' | '\u{4e00}'..='\u{9fff}' | '\u{ff01}'..='\u{ff60}')
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
            Normalizer::Nfc if is_nfc_border(y) => {}
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
    use super::*;
    use crate::tokenizer::nfc::begins_anew;

    #[test]
    fn nothing_joins_across_a_border() {
        let chars = (0..=u32::from(char::MAX)).filter_map(char::from_u32);
        assert!(chars.filter(|&y| is_nfc_border(y)).all(begins_anew));
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
