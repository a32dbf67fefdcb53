//! Where added tokens may begin: at one of the few texts that they all begin with.

use std::collections::BTreeMap;

use memchr::memmem::Finder;

/// More to look for would cost more than an automaton that looks for everything at once.
const MOST: usize = 3;

/// Longer texts could make the caller read much of a text again and again.
const LONGEST: usize = 256;

/// What texts begin with: for each first byte, what those with it have in common.
#[derive(Debug)]
pub(super) struct Openings(Vec<Finder<'static>>);

impl Openings {
    /// `None` if there are no texts, if they begin in too many ways, or if one is long or empty.
    pub(super) fn of(texts: &[String]) -> Option<Self> {
        let mut openings = BTreeMap::<u8, &[u8]>::new();
        for text in texts.iter().map(String::as_bytes) {
            if text.len() > LONGEST {
                return None;
            }
            let opening = openings.entry(*text.first()?).or_insert(text);
            let common = opening.iter().zip(text).take_while(|(x, y)| x == y);
            *opening = &opening[..common.count()];
        }
        let finders = openings
            .into_values()
            .map(|opening| Finder::new(opening).into_owned());
        (1..=MOST)
            .contains(&finders.len())
            .then(|| Self(finders.collect()))
    }

    pub(super) fn in_text<'a>(&'a self, text: &'a str) -> Places<'a> {
        Places {
            finders: &self.0,
            text: text.as_bytes(),
            next: [None; MOST],
        }
    }
}

/// The places of openings in a text, found from its beginning to its end.
#[derive(Debug)]
pub(super) struct Places<'a> {
    finders: &'a [Finder<'static>],
    text: &'a [u8],
    /// Where each opening is next; the text's length if nowhere. `None` before it is looked for.
    next: [Option<usize>; MOST],
}

impl Places<'_> {
    /// The first opening at or after byte `from`, which is at least that of the call before.
    pub(super) fn at_or_after(&mut self, from: usize) -> Option<usize> {
        let end = self.text.len();
        let mut first = end;
        for (finder, next) in self.finders.iter().zip(&mut self.next) {
            let at = next.filter(|&at| at >= from).unwrap_or_else(|| {
                let rest = &self.text[from..];
                finder.find(rest).map_or(end, |at| from + at)
            });
            *next = Some(at);
            first = first.min(at);
        }
        (first < end).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(texts: &[&str], text: &str) -> Option<Vec<usize>> {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        let openings = Openings::of(&texts)?;
        let mut places = openings.in_text(text);
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(at) = places.at_or_after(from) {
            found.push(at);
            from = at + 1;
        }
        Some(found)
    }

    #[test]
    fn places_are_those_of_each_opening_in_order() {
        let texts = ["<|a|>", "<b>", "|||x", "|||y"];
        assert_eq!(places(&texts, "<|||| <"), Some(vec![0, 1, 2, 6]));
        assert_eq!(places(&texts, ""), Some(vec![]));
        // One of two with the same first byte may be all that they share.
        assert_eq!(places(&["ab", "a"], "xaab"), Some(vec![1, 2]));
        assert_eq!(places(&["｜x", "，"], "a，｜"), Some(vec![1, 4]));
    }

    #[test]
    fn many_openings_and_long_texts_are_left_to_an_automaton() {
        assert_eq!(places(&["a", "b", "c", "d"], "abcd"), None);
        assert_eq!(places(&[&"a".repeat(LONGEST + 1)], "a"), None);
        assert_eq!(places(&[], "a"), None);
        assert_eq!(places(&["a", ""], "a"), None);
    }
}
