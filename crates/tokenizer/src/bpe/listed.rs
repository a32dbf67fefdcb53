//! The tables of a vocabulary that has a list of merges. [`Image`] describes them.

use std::cell::LazyCell;
use std::collections::HashMap;

use shardmill_core::token::TokenId;

use crate::bpe::chars::NONE;
use crate::bpe::image::Image;
use crate::bpe::pairs::Pairs;
use crate::bpe::ranked::{Alphabet, Merge, Ranked};

/// A vocabulary with a list of merges.
pub(crate) struct List<'a> {
    /// By id: the text that becomes it; empty if none does.
    pub(crate) texts: &'a [&'a [u8]],
    /// In the order of their ranks.
    pub(crate) merges: &'a [Merge],
    pub(crate) alphabet: &'a Alphabet,
    /// Whether a text that is a token as a whole becomes it whatever the merges say.
    pub(crate) whole_tokens: bool,
}

impl Image {
    /// The tables of a vocabulary that has a list of merges. `None` if they cannot express it: if
    ///
    /// - merges of two tokens have one rank;
    /// - a merge does not make the text of its parts' texts;
    /// - a text has no parts that merging can begin with;
    /// - there is no table of the pairs.
    pub(crate) fn of_list(list: &List<'_>) -> Option<Self> {
        let is_symbol = symbols(list)?;
        let mut merges = usable(list)?;
        let Numbered {
            numbers,
            ids,
            is_proven,
            pairs,
            odd,
            ..
        } = *numbered(list, &mut merges, &is_symbol)?;
        let texts: Vec<&[u8]> = ids.iter().map(|&id| list.texts[id as usize]).collect();
        let mut image = Self::new(&texts);
        image.pairs = pairs.table()?;
        for (number, text) in (0..).zip(&texts).filter(|(_, text)| !text.is_empty()) {
            if list.whole_tokens || is_proven[number as usize] {
                image.add_to_index(number);
            }
            image.mark_crossed(text);
        }
        for id in odd {
            image.mark_borders(list.texts[id as usize]);
        }
        let number = |id: TokenId| numbers.get(id as usize).copied().unwrap_or(NONE);
        image.byte_parts = parts_of_bytes(list.alphabet).map(number).to_vec();
        if let Alphabet::Characters { ids, bytes } = list.alphabet {
            image.blocks.clone_from(&ids.blocks);
            image.pages = ids.pages.iter().map(|&id| number(id)).collect();
            image.spelled = bytes.iter().map(|&id| number(id)).collect();
        }
        image.fill_byte_pairs(&pairs);
        if (0..).zip(&ids).any(|(number, &id)| number != id) {
            image.ids = ids;
        }
        Some(image)
    }
}

/// The id that merging begins with for each byte; of characters, for those of ASCII.
fn parts_of_bytes(alphabet: &Alphabet) -> [TokenId; 256] {
    match alphabet {
        Alphabet::Bytes(ids) => **ids,
        Alphabet::Characters { ids, bytes } => std::array::from_fn(|at| match u8::try_from(at) {
            Ok(byte) if byte.is_ascii() => {
                let id = ids.get(char::from(byte));
                if id == NONE { bytes[at] } else { id }
            }
            _ => NONE,
        }),
    }
}

/// By id: whether merging can begin with it. The bytes that spell characters out are left out: they
/// never merge. `None` if a text has no such parts.
fn symbols(list: &List<'_>) -> Option<Vec<bool>> {
    let mut is_symbol = vec![false; list.texts.len()];
    let mut add = |&id: &TokenId| {
        if id != NONE {
            is_symbol[id as usize] = true;
        }
    };
    // Bytes that UTF-8 does not have are in no text.
    let mut needed = (0..0xc0).chain(0xc2..0xf5);
    let is_complete = match list.alphabet {
        Alphabet::Bytes(ids) => {
            ids.iter().for_each(add);
            needed.all(|byte: usize| ids[byte] != NONE)
        }
        Alphabet::Characters { ids, bytes } => {
            ids.pages.iter().for_each(&mut add);
            needed.all(|byte| match u8::try_from(byte) {
                Ok(ascii) if ascii.is_ascii() && ids.get(char::from(ascii)) != NONE => true,
                _ => bytes[byte] != NONE,
            })
        }
    };
    is_complete.then_some(is_symbol)
}

/// The merges that can occur in texts. `None` if one does not make the text of its parts, or if
/// merges of two tokens have one rank.
fn usable(list: &List<'_>) -> Option<Vec<Merge>> {
    let text = |id: TokenId| list.texts[id as usize];
    let mut merges: Vec<Merge> = Vec::with_capacity(list.merges.len());
    for &merge in list.merges {
        let (left, right, merged) = (text(merge.left), text(merge.right), text(merge.merged));
        if left.is_empty() || right.is_empty() {
            continue;
        }
        let is_tie = |last: &Merge| last.rank == merge.rank && last.merged != merge.merged;
        if merged.strip_prefix(left) != Some(right) || merges.last().is_some_and(is_tie) {
            return None;
        }
        merges.push(merge);
    }
    Some(merges)
}

/// The order of tokens. Those whose merges are apart in the list, and are not proven, are tried: each
/// keeps only the merge that its text alone ends with.
fn numbered(list: &List<'_>, merges: &mut Vec<Merge>, is_symbol: &[bool]) -> Option<Box<Numbered>> {
    let ranked =
        LazyCell::new(|| Ranked::new(list.merges.iter().copied(), list.alphabet.clone(), None));
    for _ in 0..MOST_TRIALS {
        let tried: HashMap<TokenId, _> = match Numbered::of(merges, is_symbol)? {
            Order::Certain(numbered) => return Some(numbered),
            Order::Uncertain(ids) => {
                let tried = ids.iter().map(|&id| {
                    let pair = ranked.last_pair(list.texts[id as usize]);
                    Some((id, pair.ok()?))
                });
                tried.collect::<Option<_>>()?
            }
        };
        merges.retain(|merge| {
            let pair = tried.get(&merge.merged);
            pair.is_none_or(|&pair| pair == Some((merge.left, merge.right)))
        });
    }
    None
}

/// With fewer merges, others may become uncertain, but not often.
const MOST_TRIALS: usize = 4;

/// Whether the order of tokens is certain.
enum Order {
    Certain(Box<Numbered>),
    /// It is not because of these.
    Uncertain(Vec<TokenId>),
}

/// Tokens in the order of their ranks, after those that no merge makes.
struct Numbered {
    /// By id; [`NONE`] up to the token's turn.
    numbers: Vec<u32>,
    /// By number.
    ids: Vec<TokenId>,
    /// By number: the pair that merges to it; [`NONE`] if it is a symbol, or odd.
    splits: Vec<(u32, u32)>,
    /// By number: whether text is proven to lead to it.
    is_proven: Vec<bool>,
    pairs: Pairs,
    /// The ids of odd tokens.
    odd: Vec<TokenId>,
    /// Merges to odd tokens, by a part that has no number yet.
    waiting: HashMap<TokenId, Vec<Merge>>,
}

impl Numbered {
    /// `None` if two merges have the same parts.
    fn of(merges: &[Merge], is_symbol: &[bool]) -> Option<Order> {
        let groups = || merges.chunk_by(|a, b| a.merged == b.merged);
        // How often a token comes in the list, with other tokens between.
        let mut times = vec![0_u32; is_symbol.len()];
        for group in groups() {
            times[group[0].merged as usize] += 1;
        }
        let mut all = Self {
            numbers: vec![NONE; is_symbol.len()],
            ids: Vec::with_capacity(is_symbol.len()),
            splits: Vec::with_capacity(is_symbol.len()),
            is_proven: Vec::with_capacity(is_symbol.len()),
            pairs: Pairs::for_tokens(is_symbol.len()),
            odd: Vec::new(),
            waiting: HashMap::new(),
        };
        for (id, (&times, &is_symbol)) in (0..).zip(times.iter().zip(is_symbol)) {
            if times == 0 {
                all.number(id, (NONE, NONE), is_symbol)?;
            }
        }
        // What is no symbol, and no merge makes, is in no text.
        let is_part = |id: TokenId| is_symbol[id as usize] || times[id as usize] > 0;
        let can_occur = |merge: &&Merge| is_part(merge.left) && is_part(merge.right);
        for group in groups() {
            let merged = group[0].merged;
            if all.numbers[merged as usize] != NONE {
                continue;
            }
            if let Some(pair) = group.iter().find_map(|merge| all.proven_pair(merge)) {
                all.pairs
                    .add(pair.0, pair.1, u32::try_from(all.ids.len()).ok()?);
                all.number(merged, pair, true)?;
            } else if times[merged as usize] == 1 {
                all.odd.push(merged);
                all.number(merged, (NONE, NONE), false)?;
                for merge in group.iter().filter(can_occur) {
                    all.add(*merge)?;
                }
            } else if group.iter().any(|merge| can_occur(&merge)) {
                // Its pair may come later, or be one of those here once its parts are there.
                all.waiting.entry(merged).or_default();
            }
        }
        // One without a number by now has no pair that is certain.
        if !all.waiting.is_empty() {
            return Some(Order::Uncertain(all.waiting.into_keys().collect()));
        }
        for id in 0..u32::try_from(is_symbol.len()).ok()? {
            if all.numbers[id as usize] == NONE {
                all.number(id, (NONE, NONE), false)?;
            }
        }
        Some(Order::Certain(Box::new(all)))
    }

    /// Gives a token the next number.
    fn number(&mut self, id: TokenId, split: (u32, u32), is_proven: bool) -> Option<()> {
        self.numbers[id as usize] = u32::try_from(self.ids.len()).ok()?;
        self.ids.push(id);
        self.splits.push(split);
        self.is_proven.push(is_proven);
        for merge in self.waiting.remove(&id).unwrap_or_default() {
            self.add(merge)?;
        }
        Some(())
    }

    /// Adds the pair of a merge to an odd token, now or when both parts have numbers.
    fn add(&mut self, merge: Merge) -> Option<()> {
        let [left, right, merged] =
            [merge.left, merge.right, merge.merged].map(|id| self.numbers[id as usize]);
        for (part, number) in [(merge.left, left), (merge.right, right)] {
            if number == NONE {
                self.waiting.entry(part).or_default().push(merge);
                return Some(());
            }
        }
        if self.pairs.get(left, right) != NONE {
            return None;
        }
        self.pairs.add(left, right, merged);
        Some(())
    }

    /// The numbers of the parts, if merging what they and the merged token stand for ends in these
    /// two before it makes the token.
    fn proven_pair(&self, merge: &Merge) -> Option<(u32, u32)> {
        let [left, right] = [merge.left, merge.right].map(|id| self.numbers[id as usize]);
        let is_proven = |part: u32| part != NONE && self.is_proven[part as usize];
        let is_it = is_proven(left) && is_proven(right) && self.stays_apart(left, right);
        is_it.then_some((left, right))
    }

    /// Whether none of the merges so far crosses the border between two tokens while they come to
    /// be.
    ///
    /// The later of the two parts at the border is undone, until both are symbols. Source: the
    /// `bpe` crate's `is_valid_token_pair`.
    fn stays_apart(&self, mut left: u32, mut right: u32) -> bool {
        let mut limit = NONE;
        loop {
            if self.pairs.get(left, right) < limit {
                return false;
            }
            let (of_left, of_right) = (self.splits[left as usize], self.splits[right as usize]);
            if of_left.0 == NONE && of_right.0 == NONE {
                return true;
            }
            // Of two that are equal, the left one was merged first.
            if left > right {
                limit = left;
                left = of_left.1;
            } else {
                limit = right + 1;
                right = of_right.0;
            }
        }
    }
}

#[cfg(test)]
mod tests;
