//! Sets of kinds of characters.

use super::{ASCII, Class};

/// A set of kinds of characters: the classes, and U+0020 in addition to its class.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kinds(u16);

impl Kinds {
    pub(super) const NONE: Self = Self(0);
    pub(super) const LOWER: Self = Self::of(Class::Lower);
    pub(super) const CASELESS: Self = Self::of(Class::Caseless);
    pub(super) const MARK: Self = Self::of(Class::Mark);
    pub(super) const NUMBER: Self = Self::of(Class::Number);
    pub(super) const OTHER: Self = Self::of(Class::Other);
    pub(super) const BLANK: Self = Self::of(Class::Space);
    pub(super) const NEWLINE: Self = Self::of(Class::Newline);
    /// Letters of CJK.
    pub(super) const CJK: Self = Self::of(Class::Cjk);
    pub(super) const CJK_OTHER: Self = Self::of(Class::CjkOther);
    pub(super) const ODD: Self = Self::of(Class::Odd);
    pub(super) const SP: Self = Self(1 << 15);
    pub(super) const LETTER: Self = Self::of(Class::Upper)
        .union(Self::LOWER)
        .union(Self::CASELESS);
    pub(super) const LETTER_OR_MARK: Self = Self::LETTER.union(Self::MARK);
    pub(super) const OTHER_OR_MARK: Self = Self::OTHER.union(Self::MARK);
    pub(super) const SPACE: Self = Self::BLANK.union(Self::NEWLINE);
    /// Everything of CJK.
    pub(super) const ALL_CJK: Self = Self::CJK
        .union(Self::CJK_OTHER)
        .union(Self::of(Class::CjkMark))
        .union(Self::of(Class::CjkNumber))
        .union(Self::of(Class::CjkOdd));

    pub(super) const fn of(class: Class) -> Self {
        Self(1 << class as u16)
    }

    pub(super) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline(always)]
    pub(super) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the set has `class`.
    #[inline(always)]
    pub(super) const fn has(self, class: Class) -> bool {
        self.intersects(Self::of(class))
    }
}

const _: () = assert!(
    Class::COUNT < 16,
    "there is a bit for each class, and one for U+0020"
);

/// The kinds of the ASCII characters, if they have these classes.
pub(super) const fn ascii_kinds(classes: &[Class; 128]) -> [Kinds; 128] {
    let mut kinds = [Kinds::NONE; 128];
    let mut byte = 0;
    while byte < 128 {
        kinds[byte] = Kinds::of(classes[byte]);
        byte += 1;
    }
    kinds[b' ' as usize] = kinds[b' ' as usize].union(Kinds::SP);
    kinds
}

/// The kinds of the ASCII characters in most schemes.
pub(super) static ASCII_KINDS: [Kinds; 128] = ascii_kinds(&ASCII);
