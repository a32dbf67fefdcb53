//! The general categories that the split patterns distinguish.
//!
//! `classes.bin` is a two-level table: 4,352 bytes that give the page of each block of 256 code
//! points, then the pages, one byte per code point. The test below rebuilds it from the tables of
//! `regex-syntax`, the engine behind tiktoken's patterns, and compares. So it both proves the file
//! and generates it (`UPDATE_CLASSES=1 cargo test classes_are_those`).

/// The class of a character in the split patterns.
///
/// The table has the first eight. What the others are for depends on the scheme, which derives them
/// from [`Traits`]: CJK is what it keeps apart from other letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Class {
    /// None of the others: punctuation, symbols, controls, unassigned.
    Other = 0,
    /// `\p{Lu}` and `\p{Lt}`.
    Upper = 1,
    /// `\p{Ll}`.
    Lower = 2,
    /// `\p{Lm}` and `\p{Lo}`: letters without case.
    Caseless = 3,
    /// `\p{M}`.
    Mark = 4,
    /// `\p{N}`.
    Number = 5,
    /// `\s` except the two below.
    Space = 6,
    /// CR and LF.
    Newline = 7,
    /// Letters of CJK.
    Cjk = 8,
    /// Punctuation and symbols of CJK.
    CjkOther = 9,
    /// Marks of CJK.
    CjkMark = 10,
    /// Numbers of CJK.
    CjkNumber = 11,
    /// What is not even punctuation or a symbol: controls, formats, unassigned.
    Odd = 12,
    /// The same within CJK.
    CjkOdd = 13,
}

impl Class {
    /// The number of classes.
    pub(crate) const COUNT: usize = 14;

    const OF_TABLE: [Self; 8] = [
        Self::Other,
        Self::Upper,
        Self::Lower,
        Self::Caseless,
        Self::Mark,
        Self::Number,
        Self::Space,
        Self::Newline,
    ];

    /// `\p{L}`, without CJK.
    #[inline(always)]
    pub(crate) const fn is_letter(self) -> bool {
        matches!(self, Self::Upper | Self::Lower | Self::Caseless)
    }

    /// `\s`.
    #[inline(always)]
    pub(crate) const fn is_space(self) -> bool {
        matches!(self, Self::Space | Self::Newline)
    }
}

/// What the table says about a character.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traits(u8);

impl Traits {
    /// How many values there are.
    pub(crate) const COUNT: usize = 1 << 7;
    /// `\p{Han}`.
    const HAN: u8 = 1 << 3;
    /// `[一-龥぀-ゟ゠-ヿ]`: common ideographs, and the blocks of Hiragana and Katakana.
    const CJK: u8 = 1 << 4;
    /// `[\p{P}\p{S}]`.
    const VISIBLE: u8 = 1 << 5;
    /// Numbers of Unicode 17 that are not yet in `\p{N}`.
    const NEW_NUMBER: u8 = 1 << 6;

    /// The value of these bits.
    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The traits as an index.
    #[inline(always)]
    pub(crate) fn index(self) -> usize {
        usize::from(self.0) % Self::COUNT
    }

    /// The class of the character, without CJK and oddness.
    #[inline(always)]
    pub(crate) const fn class(self) -> Class {
        Class::OF_TABLE[(self.0 & 7) as usize]
    }

    /// `\p{Han}`.
    pub(crate) const fn is_han(self) -> bool {
        self.0 & Self::HAN != 0
    }

    /// `[一-龥぀-ゟ゠-ヿ]`.
    pub(crate) const fn is_cjk(self) -> bool {
        self.0 & Self::CJK != 0
    }

    /// `[\p{P}\p{S}]`.
    pub(crate) const fn is_visible(self) -> bool {
        self.0 & Self::VISIBLE != 0
    }

    /// A number of Unicode 17 that is not yet in `\p{N}`.
    pub(crate) const fn is_new_number(self) -> bool {
        self.0 & Self::NEW_NUMBER != 0
    }
}

static TABLE: &[u8] = include_bytes!("classes.bin");
const BLOCKS: usize = 0x11_0000 / 256;

/// The traits of a code point below 0x110000.
#[inline(always)]
pub(crate) fn traits_of(code_point: u32) -> Traits {
    let page = TABLE[(code_point >> 8) as usize] as usize;
    Traits(TABLE[BLOCKS + (page << 8 | (code_point & 0xff) as usize)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(pattern: &str) -> Vec<(u32, u32)> {
        let hir = regex_syntax::parse(pattern).unwrap();
        let regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) =
            hir.into_kind()
        else {
            panic!("{pattern} is a class");
        };
        class
            .iter()
            .map(|range| (u32::from(range.start()), u32::from(range.end())))
            .collect()
    }

    /// A byte per code point, from the regex engine's tables.
    fn traits() -> Vec<u8> {
        let mut traits = vec![Class::Other as u8; 0x11_0000];
        for (pattern, class) in [
            (r"[\p{Lu}\p{Lt}]", Class::Upper),
            (r"\p{Ll}", Class::Lower),
            (r"[\p{Lm}\p{Lo}]", Class::Caseless),
            (r"\p{M}", Class::Mark),
            (r"\p{N}", Class::Number),
            (r"\s", Class::Space),
            (r"[\r\n]", Class::Newline),
        ] {
            for (start, end) in ranges(pattern) {
                for class_of in &mut traits[start as usize..=end as usize] {
                    assert!(
                        *class_of == Class::Other as u8 || class == Class::Newline,
                        "{pattern} overlaps another class"
                    );
                    *class_of = class as u8;
                }
            }
        }
        for (pattern, bit) in [
            (r"\p{Han}", Traits::HAN),
            ("[一-龥぀-ゟ゠-ヿ]", Traits::CJK),
            (r"[\p{P}\p{S}]", Traits::VISIBLE),
            (
                r"[\x{11de0}-\x{11de9}\x{16ff4}-\x{16ff6}&&\P{N}]",
                Traits::NEW_NUMBER,
            ),
        ] {
            for (start, end) in ranges(pattern) {
                for traits in &mut traits[start as usize..=end as usize] {
                    *traits |= bit;
                }
            }
        }
        traits
    }

    fn table(traits: &[u8]) -> Vec<u8> {
        let mut index = Vec::new();
        let mut pages: Vec<&[u8]> = Vec::new();
        for block in traits.chunks(256) {
            let page = pages.iter().position(|page| *page == block);
            let page = page.unwrap_or_else(|| {
                pages.push(block);
                pages.len() - 1
            });
            index.push(u8::try_from(page).unwrap());
        }
        index.extend(pages.concat());
        index
    }

    #[test]
    fn classes_are_those_of_the_regex_engine() {
        let traits = traits();
        let expected = table(&traits);
        if std::env::var_os("UPDATE_CLASSES").is_some() {
            let file = concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/src/pretoken/unicode/classes.bin"
            );
            std::fs::write(file, &expected).unwrap();
        }
        assert!(TABLE == expected, "classes.bin is not current");
        for (code_point, &traits) in (0..).zip(&traits) {
            assert_eq!(traits_of(code_point).0, traits, "U+{code_point:04X}");
        }
    }

    #[test]
    fn classes_fit_into_arrays_by_class() {
        assert_eq!(Class::CjkOdd as usize + 1, Class::COUNT);
        assert!((0..0x11_0000).all(|code_point| traits_of(code_point).0 < 1 << 7));
    }
}
