//! `gpt2`, `r50k_base`, `p50k_base`, `p50k_edit`:
//!
//! ```text
//! '(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s
//! ```

use super::{Class, Scheme, char_at, contraction, run, spaces};

/// The pattern of GPT-2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct R50k;

impl Scheme for R50k {
    #[inline(always)]
    fn advance(text: &[u8], at: usize) -> usize {
        // '(?:[sdmt]|ll|ve|re)
        if let Some(end) = contraction(text, at) {
            return end;
        }
        // ` ?` takes the space wherever a character that is not white space follows: without it,
        // all three alternatives fail at a space.
        let start = at + usize::from(text[at] == b' ');
        if let Some(char) = char_at(text, start) {
            let after = start + char.len;
            match char.class {
                Class::Upper | Class::Lower | Class::Caseless => {
                    return run(text, after, Class::is_letter);
                }
                Class::Number => return run(text, after, |class| class == Class::Number),
                Class::Other | Class::Mark => {
                    return run(text, after, |class| {
                        matches!(class, Class::Other | Class::Mark)
                    });
                }
                Class::Space | Class::Newline => {}
            }
        }
        let spaces = spaces(text, at);
        // \s++$
        if spaces.end == text.len() {
            return spaces.end;
        }
        // \s+(?!\S)|\s
        spaces.before_last(at)
    }
}
