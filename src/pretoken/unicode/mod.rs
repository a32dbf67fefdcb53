//! The general categories that the split patterns distinguish.
//!
//! `classes.bin` is a two-level table: 4,352 bytes that give the page of each block of 256 code
//! points, then the pages, one byte per code point. The test below rebuilds it from the tables of
//! `regex-syntax`, the engine behind tiktoken's patterns, and compares. So it both proves the file
//! and generates it (`UPDATE_CLASSES=1 cargo test classes_are_those`).

/// The class of a character in the split patterns.
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
}

impl Class {
    const ALL: [Self; 8] = [
        Self::Other,
        Self::Upper,
        Self::Lower,
        Self::Caseless,
        Self::Mark,
        Self::Number,
        Self::Space,
        Self::Newline,
    ];

    /// `\p{L}`.
    #[inline(always)]
    pub(crate) fn is_letter(self) -> bool {
        matches!(self, Self::Upper | Self::Lower | Self::Caseless)
    }

    /// `\s`.
    #[inline(always)]
    pub(crate) fn is_space(self) -> bool {
        matches!(self, Self::Space | Self::Newline)
    }
}

static TABLE: &[u8] = include_bytes!("classes.bin");
const BLOCKS: usize = 0x11_0000 / 256;

/// The class of a code point below 0x110000.
#[inline(always)]
pub(crate) fn class_of(code_point: u32) -> Class {
    let page = TABLE[(code_point >> 8) as usize] as usize;
    let class = TABLE[BLOCKS + (page << 8 | (code_point & 0xff) as usize)];
    Class::ALL[(class & 7) as usize]
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

    /// A class byte per code point, from the regex engine's tables.
    fn classes() -> Vec<u8> {
        let mut classes = vec![Class::Other as u8; 0x11_0000];
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
                for class_of in &mut classes[start as usize..=end as usize] {
                    assert!(
                        *class_of == Class::Other as u8 || class == Class::Newline,
                        "{pattern} overlaps another class"
                    );
                    *class_of = class as u8;
                }
            }
        }
        classes
    }

    fn table(classes: &[u8]) -> Vec<u8> {
        let mut index = Vec::new();
        let mut pages: Vec<&[u8]> = Vec::new();
        for block in classes.chunks(256) {
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
        let classes = classes();
        let expected = table(&classes);
        if std::env::var_os("UPDATE_CLASSES").is_some() {
            let file = concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/src/pretoken/unicode/classes.bin"
            );
            std::fs::write(file, &expected).unwrap();
        }
        assert!(TABLE == expected, "classes.bin is not current");
        for (code_point, &class) in (0..).zip(&classes) {
            assert_eq!(class_of(code_point) as u8, class, "U+{code_point:04X}");
        }
    }
}
