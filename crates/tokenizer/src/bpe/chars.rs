//! Ids by character.

use shardmill_core::token::TokenId;

/// In place of an id or a rank: there is none.
pub(crate) const NONE: u32 = u32::MAX;

const PAGE: usize = 256;

/// Ids by character.
#[derive(Clone, Debug)]
pub(crate) struct CharIds {
    /// Which of `pages` has the characters of each block of [`PAGE`]; page 0 is empty.
    pub(super) blocks: Vec<u32>,
    /// [`PAGE`] ids each.
    pub(super) pages: Vec<TokenId>,
}

impl CharIds {
    /// If a character comes twice, the last id counts.
    pub(crate) fn new(ids: impl Iterator<Item = (char, TokenId)>) -> Self {
        let mut table = Self {
            blocks: vec![0; char::MAX as usize / PAGE + 1],
            pages: vec![NONE; PAGE],
        };
        for (char, id) in ids {
            let block = &mut table.blocks[char as usize / PAGE];
            if *block == 0 {
                // There are 4,352 blocks.
                *block = u32::try_from(table.pages.len() / PAGE).unwrap_or(0);
                table.pages.resize(table.pages.len() + PAGE, NONE);
            }
            table.pages[*block as usize * PAGE + char as usize % PAGE] = id;
        }
        table
    }

    /// [`NONE`] if no token is this character.
    #[inline(always)]
    pub(crate) fn get(&self, char: char) -> TokenId {
        get(&self.blocks, &self.pages, u32::from(char))
    }
}

/// [`CharIds::get`], of a character's number.
#[inline(always)]
pub(super) fn get(blocks: &[u32], pages: &[TokenId], char: u32) -> TokenId {
    let char = char as usize;
    let page = blocks.get(char / PAGE).map_or(0, |&page| page as usize);
    let id = pages.get(page * PAGE + char % PAGE);
    id.copied().unwrap_or(NONE)
}
