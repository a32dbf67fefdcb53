//! Characters -> classes: two characters are in one class if every set of the pattern has both or
//! neither.

use std::collections::HashMap;

use regex_syntax::hir::ClassUnicode;

use super::Refusal;
use super::node::Sets;

/// So that a class, and one more for the end of the text, fits a byte.
const MAX_CLASSES: usize = 254;
/// The characters of a page share all but their low 8 bits.
const PAGE: usize = 256;
const PAGES: usize = 0x11_0000 / PAGE;

/// A set of classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClassSet([u64; 4]);

impl ClassSet {
    pub(crate) fn all() -> Self {
        Self([u64::MAX; 4])
    }

    pub(crate) fn insert(&mut self, class: usize) {
        self.0[class / 64] |= 1 << (class % 64);
    }

    pub(crate) fn contains(&self, class: usize) -> bool {
        self.0[class / 64] >> (class % 64) & 1 == 1
    }

    pub(crate) fn intersect(&mut self, other: &Self) {
        for (bits, other) in self.0.iter_mut().zip(other.0) {
            *bits &= other;
        }
    }
}

/// The class of each character.
#[derive(Clone, Debug)]
pub(crate) struct Classes {
    ascii: [u8; 128],
    /// Which page of `cells` the characters of a page share.
    pages: Box<[u16]>,
    cells: Box<[u8]>,
    count: usize,
}

impl Classes {
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    #[inline(always)]
    pub(crate) fn of_ascii(&self, byte: u8) -> usize {
        self.ascii[usize::from(byte & 0x7f)].into()
    }

    #[inline(always)]
    pub(crate) fn of_code_point(&self, code: u32) -> usize {
        let code = code as usize;
        let page = usize::from(self.pages[code / PAGE]);
        self.cells[page * PAGE + code % PAGE].into()
    }

    /// Whether any character whose UTF-8 begins with `byte` has a class that `is_any` accepts.
    pub(crate) fn may_begin(&self, byte: u8, is_any: impl Fn(usize) -> bool) -> bool {
        let lead = u32::from(byte);
        let (first, count) = match byte {
            0..0x80 => return is_any(self.of_ascii(byte)),
            0xc2..0xe0 => ((lead & 0x1f) << 6, 1 << 6),
            0xe0..0xf0 => ((lead & 0x0f) << 12, 1 << 12),
            0xf0..0xf5 => ((lead & 0x07) << 18, 1 << 18),
            _ => return false,
        };
        // What has a shorter form begins with another byte.
        let shortest = match byte {
            0xe0 => 0x800,
            0xf0 => 0x1_0000,
            _ => first,
        };
        let mut codes = shortest..(first + count).min(0x11_0000);
        if codes.len() < PAGE {
            return codes.any(|code| is_any(self.of_code_point(code)));
        }
        // Pages are often the same.
        let mut pages: Vec<u16> = codes
            .step_by(PAGE)
            .map(|code| self.pages[code as usize / PAGE])
            .collect();
        pages.dedup();
        let mut cells = pages.into_iter().flat_map(|page| {
            let start = usize::from(page) * PAGE;
            &self.cells[start..start + PAGE]
        });
        cells.any(|&class| is_any(class.into()))
    }

    pub(crate) fn of_char(&self, char: char) -> usize {
        self.of_code_point(char.into())
    }
}

/// The classes, and which of them each set has.
pub(crate) fn partition(sets: &Sets) -> Result<(Classes, Vec<ClassSet>), Refusal> {
    let mut starts = vec![0];
    for range in sets.iter().flat_map(ClassUnicode::ranges) {
        starts.extend([u32::from(range.start()), u32::from(range.end()) + 1]);
    }
    starts.retain(|&start| start < 0x11_0000);
    starts.sort_unstable();
    starts.dedup();

    let index = |code: u32| starts.partition_point(|&start| start < code);
    let mut class_of = vec![0_usize; starts.len()];
    let mut count = 1;
    for set in sets.iter() {
        // What a set has of a class becomes a class of its own. Those that it has whole leave
        // their number unused; numbers are made dense below.
        let mut inside = HashMap::new();
        for range in set.ranges() {
            let segments = index(range.start().into())..index(u32::from(range.end()) + 1);
            for class in &mut class_of[segments] {
                *class = *inside.entry(*class).or_insert_with(|| {
                    count += 1;
                    count - 1
                });
            }
        }
    }
    let mut dense = HashMap::new();
    for class in &mut class_of {
        let next = dense.len();
        *class = *dense.entry(*class).or_insert(next);
    }
    if dense.len() > MAX_CLASSES {
        return Err(Refusal::new(format!(
            "it divides characters into more than {MAX_CLASSES} classes"
        )));
    }

    let of_set = sets.iter().map(|set| {
        let mut classes = ClassSet::default();
        for range in set.ranges() {
            let segments = index(range.start().into())..index(u32::from(range.end()) + 1);
            class_of[segments]
                .iter()
                .for_each(|&class| classes.insert(class));
        }
        classes
    });
    let of_set = of_set.collect();
    let class_of: Vec<u8> = class_of
        .iter()
        .map(|&class| u8::try_from(class).unwrap_or(u8::MAX))
        .collect();
    Ok((table(&starts, &class_of, dense.len()), of_set))
}

/// Segment `i` begins at `starts[i]` and has the class `class_of[i]`.
fn table(starts: &[u32], class_of: &[u8], count: usize) -> Classes {
    let mut pages = Vec::with_capacity(PAGES);
    let mut cells: Vec<u8> = Vec::new();
    let mut known: HashMap<[u8; PAGE], u16> = HashMap::new();
    let mut uniform: [Option<u16>; 256] = [None; 256];
    let mut segment = 0;
    for page in 0..PAGES {
        let start = page * PAGE;
        let end = start + PAGE;
        let segment_end = |segment: usize| {
            starts
                .get(segment + 1)
                .map_or(PAGES * PAGE, |&end| end as usize)
        };
        let is_uniform = segment_end(segment) >= end;
        let first = class_of[segment];
        let mut row = [first; PAGE];
        while segment_end(segment) < end {
            let from = segment_end(segment) - start;
            segment += 1;
            row[from..].fill(class_of[segment]);
        }
        if segment_end(segment) == end && segment + 1 < class_of.len() {
            segment += 1;
        }
        let known = if is_uniform {
            &mut uniform[usize::from(first)]
        } else {
            let mut slot = known.get(&row).copied();
            if slot.is_none() {
                slot = Some(push(&mut cells, &row));
                known.extend(slot.map(|slot| (row, slot)));
            }
            pages.extend(slot);
            continue;
        };
        pages.push(*known.get_or_insert_with(|| push(&mut cells, &row)));
    }
    let mut ascii = [0; 128];
    let first = usize::from(pages[0]) * PAGE;
    ascii.copy_from_slice(&cells[first..first + 128]);
    Classes {
        ascii,
        pages: pages.into(),
        cells: cells.into(),
        count,
    }
}

/// Appends a page; returns its index.
fn push(cells: &mut Vec<u8>, row: &[u8; PAGE]) -> u16 {
    let index = cells.len() / PAGE;
    cells.extend(row);
    // There are fewer than 2^16 pages.
    u16::try_from(index).unwrap_or(u16::MAX)
}
