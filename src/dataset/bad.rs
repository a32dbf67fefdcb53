//! The records that a shard leaves out: how many of each kind, and the file that lists them.

use serde::{Deserialize, Serialize};
use shardmill_core::hash::Hash128;

use crate::document::BadKind;

/// How many records were left out, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadCounts {
    /// [`BadKind::BrokenJson`].
    pub broken_json: u64,
    /// [`BadKind::NotAnObject`].
    pub not_an_object: u64,
    /// [`BadKind::MissingField`].
    pub missing_field: u64,
    /// [`BadKind::NullField`].
    pub null_field: u64,
    /// [`BadKind::NotAString`].
    pub not_a_string: u64,
    /// [`BadKind::InvalidUtf8`].
    pub invalid_utf8: u64,
    /// [`BadKind::LoneSurrogate`].
    pub lone_surrogate: u64,
    /// [`BadKind::BrokenCsv`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub broken_csv: u64,
    /// How many lines the records of all kinds take up beyond one for each: in CSV, a stray quote
    /// makes many lines one record.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_lines: u64,
}

/// Whether `count` need not be written.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
pub(super) fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_one(count: &u64) -> bool {
    *count == 1
}

impl BadCounts {
    /// The number of records of `kind`.
    pub fn get(&self, kind: BadKind) -> u64 {
        let mut counts = *self;
        *counts.of(kind)
    }

    /// The number of records of all kinds.
    pub fn total(&self) -> u64 {
        BadKind::ALL
            .iter()
            .fold(0, |sum, &kind| sum.saturating_add(self.get(kind)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts a record of `kind` that takes up `lines`.
    pub(crate) fn add(&mut self, kind: BadKind, lines: u64) {
        let of = self.of(kind);
        *of = of.saturating_add(1);
        self.more_lines = self.more_lines.saturating_add(lines.saturating_sub(1));
    }

    /// The sum of both.
    pub(crate) fn plus(mut self, other: &Self) -> Self {
        for kind in BadKind::ALL {
            let of = self.of(kind);
            *of = of.saturating_add(other.get(kind));
        }
        self.more_lines = self.more_lines.saturating_add(other.more_lines);
        self
    }

    fn of(&mut self, kind: BadKind) -> &mut u64 {
        match kind {
            BadKind::BrokenJson => &mut self.broken_json,
            BadKind::NotAnObject => &mut self.not_an_object,
            BadKind::MissingField => &mut self.missing_field,
            BadKind::NullField => &mut self.null_field,
            BadKind::NotAString => &mut self.not_a_string,
            BadKind::InvalidUtf8 => &mut self.invalid_utf8,
            BadKind::LoneSurrogate => &mut self.lone_surrogate,
            BadKind::BrokenCsv => &mut self.broken_csv,
        }
    }
}

/// The file that lists the records that a shard leaves out. A shard that leaves out none has no
/// such file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadFile {
    /// Its name.
    pub file: String,
    /// The number of records that it lists, by kind.
    pub counts: BadCounts,
    /// Its size in bytes.
    pub bytes: u64,
    /// Hashes of its 16 MiB blocks.
    pub blocks: Vec<Hash128>,
}

/// A record that was left out: a line of the file that lists them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadRecord {
    /// Index of the source in the manifest.
    pub source: u32,
    /// The source's name there.
    pub name: String,
    /// Where the line begins in the source, in bytes; if the source has columns, the row.
    pub byte_start: u64,
    /// The length of the line in bytes, without its line end, or of the row's text.
    pub byte_len: u64,
    /// The line number in the source, counted from 1; `None` if the unit begins more than 4 GiB
    /// into the source.
    pub line: Option<u64>,
    /// The number of lines that it takes up.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub lines: u64,
    /// The row of the source, counted from 0; only if it has columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// What is wrong, for programs.
    pub kind: BadKind,
    /// What is wrong, for people.
    pub message: String,
}

/// The name of the file that lists what shard `index` leaves out.
pub(crate) fn bad_file_name(index: usize) -> String {
    format!("shard-{index:05}.bad.jsonl")
}
