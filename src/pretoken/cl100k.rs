//! `cl100k_base`:
//!
//! ```text
//! '(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|
//! \s++$|\s*[\r\n]|\s+(?!\S)|\s
//! ```

use super::{Class, Scheme, char_at, contraction_in_any_case, run, spaces};

/// The pattern of GPT-3.5 and GPT-4.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cl100k;

impl Scheme for Cl100k {
    #[inline(always)]
    fn advance(text: &[u8], at: usize) -> usize {
        // '(?i:[sdmt]|ll|ve|re)
        if let Some(end) = contraction_in_any_case(text, at) {
            return end;
        }
        let Some(first) = char_at(text, at) else {
            return at;
        };
        let after = at + first.len;
        let second = char_at(text, after);
        match first.class {
            // [^\r\n\p{L}\p{N}]?+\p{L}++ without its first part
            Class::Upper | Class::Lower | Class::Caseless => {
                return run(text, after, Class::is_letter);
            }
            // \p{N}{1,3}+
            Class::Number => return digits(text, after),
            // and with it
            Class::Other | Class::Mark | Class::Space
                if second.is_some_and(|second| second.class.is_letter()) =>
            {
                return run(text, after, Class::is_letter);
            }
            _ => {}
        }
        //  ?[^\s\p{L}\p{N}]++[\r\n]*+
        let is_other = |class| matches!(class, Class::Other | Class::Mark);
        let is_prefixed = text[at] == b' ' && second.is_some_and(|second| is_other(second.class));
        if is_prefixed || is_other(first.class) {
            let end = run(text, after, is_other);
            return run(text, end, |class| class == Class::Newline);
        }
        let spaces = spaces(text, at);
        // \s++$
        if spaces.end == text.len() {
            return spaces.end;
        }
        // \s*[\r\n]|\s+(?!\S)|\s
        spaces.newline_end.unwrap_or_else(|| spaces.before_last(at))
    }
}

/// The end of up to three numbers, of which one lies before byte `at`.
#[inline(always)]
pub(super) fn digits(text: &[u8], mut at: usize) -> usize {
    for _ in 0..2 {
        match char_at(text, at) {
            Some(char) if char.class == Class::Number => at += char.len,
            _ => break,
        }
    }
    at
}
