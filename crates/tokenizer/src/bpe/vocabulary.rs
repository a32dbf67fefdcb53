//! Vocabularies: the tables of [`image`](crate::bpe::image), from the build script or a file.

use std::ops::Range;
use std::sync::{Arc, LazyLock, OnceLock};

use shardmill_core::map::{OutOfMemory, Slab};
use shardmill_core::simd::prefetch;
use shardmill_core::token::TokenId;

use crate::bpe::cache::MAX_CACHED_BYTES;
use crate::bpe::chars;
use crate::bpe::hash;
use crate::bpe::image::{Image, LENGTHS, SEED};
use crate::bpe::pairs::{Pair, PairTableRef};
use crate::bpe::ranked::Ranked;

/// Takes the place of an id if a pair does not merge. Greater than every id.
pub(super) const NO_MERGE: TokenId = TokenId::MAX;

/// A vocabulary with the tables that encoding needs.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    tables: Tables,
    /// The length of the longest token that is looked up as a whole.
    longest_bytes: usize,
    /// Merges by a list of pairs, if the tables' own cannot express them.
    ranked: Option<Ranked>,
    /// A copy, made on first use; see [`Self::nearer`].
    nearer: OnceLock<Option<Arc<Self>>>,
}

/// Where the tables are. [`image`](crate::bpe::image) describes them.
#[derive(Debug)]
enum Tables {
    /// In the program's own file, or in a copy of that.
    Static {
        image: &'static [u8],
        tables: TablesRef<'static>,
    },
    Owned {
        memory: Slab<u64>,
        /// In bytes of the memory.
        image: Range<usize>,
        seed: u32,
        places: [Range<usize>; TABLES],
    },
}

/// How many tables there are.
const TABLES: usize = 12;

/// Which of them the index is.
const INDEX: usize = 6;

/// The tables of a vocabulary.
#[derive(Clone, Copy, Debug)]
struct TablesRef<'a> {
    pairs: PairTableRef<'a>,
    crossed: &'a [u64],
    byte_pairs: &'a [u32],
    byte_parts: &'a [u32],
    starts: &'a [u32],
    index: &'a [u32],
    ids: &'a [TokenId],
    blocks: &'a [u32],
    pages: &'a [u32],
    spelled: &'a [u32],
    bytes: &'a [u8],
}

/// A [`Vocabulary`] that can be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VocabularyRef<'a> {
    tables: TablesRef<'a>,
    longest_bytes: usize,
    ranked: Option<&'a Ranked>,
}

/// Bytes with the alignment of a cache line, as a copy has.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

macro_rules! vocabulary {
    ($name:ident, $file:literal) => {
        pub(crate) static $name: LazyLock<Arc<Vocabulary>> = LazyLock::new(|| {
            static IMAGE: &Aligned<[u8]> =
                &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/", $file)));
            Arc::new(Vocabulary::of_static(&IMAGE.0))
        });
    };
}

vocabulary!(R50K, "r50k.vocab");
vocabulary!(P50K, "p50k.vocab");
vocabulary!(CL100K, "cl100k.vocab");
vocabulary!(O200K, "o200k.vocab");

impl Vocabulary {
    /// Reads an image that the build script wrote.
    fn of_static(image: &'static [u8]) -> Self {
        let lengths = bytemuck::cast_slice(&image[..LENGTHS * 4]);
        let tables = TablesRef::of(image, lengths[SEED], &places(lengths, 0));
        Self::new(Tables::Static { image, tables }, None)
    }

    /// The vocabulary of `tables`; with a list of pairs, none of theirs is used.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) if memory runs out.
    pub(crate) fn of_tables(tables: &Image, list: Option<Ranked>) -> Result<Self, OutOfMemory> {
        let lengths = tables.lengths();
        let places = places(&lengths, 0);
        let image = 0..places[TABLES - 1].end;
        let mut memory = Slab::zeroed(image.end.div_ceil(size_of::<u64>()))?;
        let copy = bytemuck::cast_slice_mut(&mut memory);
        copy[..LENGTHS * 4].copy_from_slice(bytemuck::cast_slice(&lengths));
        let wide = [
            bytemuck::cast_slice(&tables.pairs.entries),
            bytemuck::cast_slice(&tables.crossed),
            bytemuck::cast_slice(&tables.pairs.displacements),
        ];
        let words = tables.words().map(bytemuck::cast_slice);
        let all = wide.into_iter().chain(words).chain([&tables.bytes[..]]);
        for (place, table) in places.iter().zip(all) {
            copy[place.clone()].copy_from_slice(table);
        }
        let tables = Tables::Owned {
            memory,
            image,
            seed: lengths[SEED],
            places,
        };
        Ok(Self::new(tables, list))
    }

    /// The vocabulary of an image as [`Self::image`] returns it, which is at `image` in `memory`.
    /// `None` if its lengths are not its own.
    pub(crate) fn of_image(memory: Slab<u64>, image: Range<usize>) -> Option<Self> {
        let bytes: &[u8] = bytemuck::cast_slice(&memory);
        let lengths = bytes.get(image.clone())?.get(..LENGTHS * 4)?;
        let lengths: &[u32] = bytemuck::try_cast_slice(lengths).ok()?;
        let (seed, places) = (lengths[SEED], places(lengths, image.start));
        let is_whole = places[TABLES - 1].end == image.end;
        is_whole.then(|| {
            let tables = Tables::Owned {
                memory,
                image,
                seed,
                places,
            };
            Self::new(tables, None)
        })
    }

    /// The tables as bytes; `None` with a list of pairs, or if they are the program's own.
    pub(crate) fn image(&self) -> Option<&[u8]> {
        match &self.tables {
            Tables::Owned { memory, image, .. } if self.ranked.is_none() => {
                Some(&bytemuck::cast_slice(memory)[image.clone()])
            }
            _ => None,
        }
    }

    fn new(tables: Tables, ranked: Option<Ranked>) -> Self {
        let view = tables.get();
        let lengths = view.starts.windows(2).map(|ends| ends[1] - ends[0]);
        let longest_bytes = match tables {
            Tables::Static { .. } => MAX_CACHED_BYTES,
            Tables::Owned { .. } => lengths.max().unwrap_or(0) as usize,
        };
        Self {
            tables,
            longest_bytes,
            ranked,
            nearer: OnceLock::new(),
        }
    }

    /// A copy on huge pages, for texts long enough that copying 2 to 7 MB costs nothing. Most
    /// random reads in the program's own file need a page table walk.
    pub(super) fn nearer(self: &Arc<Self>) -> Arc<Self> {
        let copy = self.nearer.get_or_init(|| {
            let Tables::Static { image, .. } = &self.tables else {
                return None;
            };
            let words = image.len().div_ceil(size_of::<u64>());
            let copy = Slab::<u64>::zeroed(words).ok()?.leak();
            let copy = &mut bytemuck::cast_slice_mut(copy)[..image.len()];
            copy.copy_from_slice(image);
            Some(Arc::new(Self::of_static(copy)))
        });
        Arc::clone(copy.as_ref().unwrap_or(self))
    }

    /// Prefetches the index entry for this [`hash::pretoken`].
    #[inline(always)]
    pub(super) fn prefetch(&self, hash: u64) {
        let index = match &self.tables {
            Tables::Static { tables, .. } => tables.index,
            Tables::Owned { memory, places, .. } => {
                let memory: &[u8] = bytemuck::cast_slice(memory);
                bytemuck::cast_slice(&memory[places[INDEX].clone()])
            }
        };
        #[expect(clippy::cast_possible_truncation, reason = "masked to the table")]
        prefetch(index, hash as usize & (index.len() - 1));
    }

    #[inline(always)]
    pub(crate) fn view(&self) -> VocabularyRef<'_> {
        VocabularyRef {
            tables: self.tables.get(),
            longest_bytes: self.longest_bytes,
            ranked: self.ranked.as_ref(),
        }
    }
}

impl Tables {
    #[inline(always)]
    fn get(&self) -> TablesRef<'_> {
        match self {
            Self::Static { tables, .. } => *tables,
            Self::Owned {
                memory,
                seed,
                places,
                ..
            } => TablesRef::of(bytemuck::cast_slice(memory), *seed, places),
        }
    }
}

/// Where the tables of an image that begins at `start` are, by their lengths.
fn places(lengths: &[u32], start: usize) -> [Range<usize>; TABLES] {
    let widths = [8, 8, 2, 4, 4, 4, 4, 4, 4, 4, 4, 1];
    let mut end = start + LENGTHS * 4;
    std::array::from_fn(|i| {
        let start = end;
        end += lengths[i] as usize * widths[i];
        start..end
    })
}

impl<'a> TablesRef<'a> {
    fn of(image: &'a [u8], seed: u32, places: &[Range<usize>; TABLES]) -> Self {
        let words = |i: usize| bytemuck::cast_slice(&image[places[i].clone()]);
        let entries = bytemuck::cast_slice(&image[places[0].clone()]);
        let displacements = bytemuck::cast_slice(&image[places[2].clone()]);
        Self {
            pairs: PairTableRef::new(seed, displacements, entries),
            crossed: bytemuck::cast_slice(&image[places[1].clone()]),
            byte_pairs: words(3),
            byte_parts: words(4),
            starts: words(5),
            index: words(INDEX),
            ids: words(7),
            blocks: words(8),
            pages: words(9),
            spelled: words(10),
            bytes: &image[places[11].clone()],
        }
    }
}

impl<'a> VocabularyRef<'a> {
    /// What merges, if that is a list of pairs.
    pub(super) fn ranked(self) -> Option<&'a Ranked> {
        self.ranked
    }

    /// The id of a number.
    pub(super) fn id(self, number: u32) -> TokenId {
        let id = self.tables.ids.get(number as usize);
        id.copied().unwrap_or(number)
    }

    /// Whether merging begins with characters, not bytes.
    #[inline(always)]
    pub(super) fn has_characters(&self) -> bool {
        !self.tables.blocks.is_empty()
    }

    /// The part of a character; [`NONE`](crate::bpe::NONE) if it is spelled out.
    #[inline(always)]
    pub(super) fn character(&self, char: u32) -> u32 {
        chars::get(self.tables.blocks, self.tables.pages, char)
    }

    /// The part of a byte of a character that is spelled out.
    #[inline(always)]
    pub(super) fn spelled(&self, byte: u8) -> u32 {
        self.tables.spelled[usize::from(byte)]
    }

    /// The length of the longest token.
    pub(super) fn longest_bytes(self) -> usize {
        self.longest_bytes
    }

    /// The bytes of an id; empty if the id is not in use.
    pub(crate) fn token(&self, id: TokenId) -> &'a [u8] {
        let id = id as usize;
        match self.tables.starts.get(id..id + 2) {
            Some(&[start, end]) => &self.tables.bytes[start as usize..end as usize],
            _ => &[],
        }
    }

    /// The number of these bytes as a whole.
    #[cfg(test)]
    pub(crate) fn get(&self, bytes: &[u8]) -> Option<TokenId> {
        self.get_hashed(bytes, hash::pretoken(bytes))
    }

    /// The number of these bytes as a whole, whose [`hash::pretoken`] is `hash`.
    pub(super) fn get_hashed(&self, bytes: &[u8], hash: u64) -> Option<TokenId> {
        let mask = self.tables.index.len() - 1;
        let tag = hash::tag(hash);
        #[expect(clippy::cast_possible_truncation, reason = "masked to the table")]
        let mut at = hash as usize & mask;
        loop {
            let entry = self.tables.index[at];
            if entry == 0 {
                return None;
            }
            let id = (entry ^ tag).wrapping_sub(1);
            if id < 1 << hash::ID_BITS && self.token(id) == bytes {
                return Some(id);
            }
            at = (at + 1) & mask;
        }
    }

    /// The pair of two adjacent ids, with its place.
    #[inline(always)]
    pub(super) fn pair(&self, left: TokenId, right: TokenId) -> Pair {
        self.tables.pairs.pair(left, right)
    }

    /// Prefetches what a pair merges to.
    #[inline(always)]
    pub(super) fn prefetch_pair(&self, pair: Pair) {
        prefetch(self.tables.pairs.entries, pair.place);
    }

    /// The part that merging begins with for a byte; of a vocabulary of characters, for an ASCII
    /// character.
    #[inline(always)]
    pub(crate) fn byte_id(&self, byte: u8) -> TokenId {
        self.tables.byte_parts[usize::from(byte)]
    }

    /// The id, which is also the rank, that two adjacent ids merge to, or [`NO_MERGE`].
    #[inline(always)]
    pub(super) fn merged(&self, left: TokenId, right: TokenId) -> TokenId {
        self.merged_pair(self.pair(left, right))
    }

    /// The id that a pair merges to, or [`NO_MERGE`].
    #[inline(always)]
    pub(super) fn merged_pair(&self, pair: Pair) -> TokenId {
        self.tables.pairs.get(pair)
    }

    /// What two bytes merge to, or [`NO_MERGE`].
    #[inline(always)]
    pub(super) fn merged_bytes(&self, left: u8, right: u8) -> TokenId {
        self.tables.byte_pairs[usize::from(u16::from_be_bytes([left, right]))]
    }

    /// Whether a merge may cross the border between two characters while one of them is still in
    /// parts, judged by the bytes at the border.
    #[inline(always)]
    pub(super) fn is_crossed(&self, left: u8, right: u8) -> bool {
        let at = usize::from(u16::from_be_bytes([left, right]));
        self.tables.crossed[at / 64] >> (at % 64) & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::bpe::pairs::EMPTY;

    #[test]
    fn every_token_is_found_by_its_bytes_and_ends_in_one_pair() {
        for (vocabulary, oracle, n) in [
            (&R50K, tiktoken_rs::r50k_base(), 50_256_u32),
            (&P50K, tiktoken_rs::p50k_base(), 50_281),
            (&CL100K, tiktoken_rs::cl100k_base(), 100_256),
            (&O200K, tiktoken_rs::o200k_base(), 199_998),
        ] {
            let oracle = oracle.unwrap();
            let vocabulary = vocabulary.view();
            let mut pairs = 0;
            for id in (0..n).filter(|&id| id != 50_256 || n > 60_000) {
                let bytes = oracle.decode_bytes(&[id]).unwrap();
                assert_eq!(vocabulary.token(id), bytes);
                assert_eq!(vocabulary.get(&bytes), Some(id));
                assert!(
                    bytes.len() <= MAX_CACHED_BYTES,
                    "longer ones are not looked up"
                );
                pairs += usize::from(bytes.len() > 1);
            }
            let entries = vocabulary.tables.pairs.entries.iter();
            assert_eq!(entries.filter(|&&entry| entry != EMPTY).count(), pairs);
            for byte in 0..=u8::MAX {
                assert_eq!(vocabulary.token(vocabulary.byte_id(byte)), [byte]);
            }
            for pair in 0..=u16::MAX {
                let [left, right] = pair.to_be_bytes();
                let ids = [left, right].map(|byte| vocabulary.byte_id(byte));
                let merged = vocabulary.merged_bytes(left, right);
                assert_eq!(merged, vocabulary.merged(ids[0], ids[1]));
                assert_eq!(merged, vocabulary.get(&[left, right]).unwrap_or(NO_MERGE));
            }
            assert_eq!(vocabulary.token(n), b"");
            assert_eq!(vocabulary.get(b"no token has these bytes"), None);
        }
    }

    #[test]
    fn every_pair_merges_and_nothing_else() {
        for vocabulary in [&R50K, &P50K, &CL100K, &O200K] {
            let vocabulary = vocabulary.view();
            let entries = vocabulary.tables.pairs.entries.iter();
            let known: HashMap<u64, u64> = entries
                .filter(|&&entry| entry != EMPTY)
                .map(|entry| (entry >> 24, entry & 0xff_ffff))
                .collect();
            let check = |left: u32, right: u32| {
                let expected = known.get(&hash::pair_key(left, right));
                let expected = expected.copied().unwrap_or(NO_MERGE.into());
                assert_eq!(u64::from(vocabulary.merged(left, right)), expected);
            };
            let number = |bits: u64| u32::try_from(bits & 0xf_ffff).unwrap();
            for key in known.keys() {
                let (left, right) = (number(key >> 20), number(*key));
                check(left, right);
                check(left ^ 1, right);
                check(right, left);
            }
            let mut state = 1_u64;
            for _ in 0..1_000_000 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                check(number(state >> 44) / 4, number(state >> 24) / 4);
            }
        }
    }
}
