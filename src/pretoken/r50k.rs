//! `gpt2`, `r50k_base`, `p50k_base`, `p50k_edit`:
//!
//! ```text
//! '(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s
//! ```

use super::masks::{Kinds, Word};
use super::scan::{Masked, Starts};
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
        // ` ?` matches the space whenever a character that is not white space follows: without it,
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

impl Masked for R50k {
    type Carry = ();

    /// A character that is not white space begins a pretoken unless it continues the run before it
    /// or has a space as its prefix. White space begins one at the start of a run, and at the last
    /// character of a run that something follows. A contraction ends sooner than its run.
    #[inline(always)]
    fn starts(word: &Word<'_>, (): &mut (), starts: &mut Starts) -> bool {
        let (letter, number) = (word.masks.letter, word.masks.number);
        let other = word.masks.other | word.masks.mark;
        let space = word.masks.space();
        let goes_on = letter & word.after(letter, Kinds::LETTER)
            | number & word.after(number, Kinds::NUMBER)
            | other & word.after(other, Kinds::OTHER_OR_MARK)
            | word.after(word.masks.sp, Kinds::SP);
        let runs = space & !word.after(space, Kinds::SPACE);
        let visible = letter | number | other;
        starts.set(word.base, visible & !goes_on | runs | word.last_space);

        let mut apostrophes = word.masks.apostrophe & starts.bits;
        while apostrophes != 0 {
            let at = word.base + apostrophes.trailing_zeros() as usize;
            apostrophes &= apostrophes - 1;
            if let Some(end) = contraction(word.text, at) {
                starts.join(word.base, at + 1, end);
            }
        }
        true
    }

    fn carry_on(_: u32) {}
}
