//! `plan.json`: the units of a dataset, before they are made.
//!
//! Lies in DIR.partial next to the receipts. Its id covers what names the work: sources with their
//! sizes, encoding, settings. It covers no path, no time and no content; contents are in the
//! receipts. The cuts follow from the content, so they are not part of the id, but they are listed
//! for `finish`, which does not read the input. Receipts belong to a plan by its job, which is the
//! id without the sizes, so a file that grows or is repaired costs only the units from there on.

use std::path::Path;

use serde::{Deserialize, Serialize};
use shardmill_core::hash::Hash128;

use crate::compression::Compression;
use crate::dataset::{EncodingInfo, FORMAT_VERSION, Position, Settings};
use crate::document::Format;
use crate::error::{Error, Result};
use crate::publish::durability::Durability;
use crate::publish::json_file::{read_json, write_json, write_new_json};

/// The name of the plan in a directory that is being filled.
pub(crate) const PLAN: &str = "plan.json";

/// Larger plans are not read. A source takes some 100 bytes.
const MAX_BYTES: u64 = 8 << 30;

/// A contiguous range of the corpus that becomes one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// Where it begins.
    pub start: Position,
    /// Where it ends (exclusive); `(n_sources, 0)` at the end of the corpus.
    pub end: Position,
}

/// The sources, the settings and the units that they are cut into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`FORMAT_VERSION`] of the writer.
    pub format_version: u32,
    /// What the ids will mean.
    pub encoding: EncodingInfo,
    /// The settings that shape the bytes.
    pub settings: Settings,
    /// The inputs, in order.
    pub sources: Vec<PlannedSource>,
    /// Hash of everything above, as compact JSON.
    pub plan_id: Hash128,
    /// The units, in order; each becomes one shard.
    pub units: Vec<Unit>,
}

/// An input that has not been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedSource {
    /// Its path relative to the argument that named it.
    pub name: String,
    /// How its documents are marked.
    pub format: Format,
    /// How it is compressed; written only if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Its size in bytes, as it is stored.
    pub bytes: u64,
}

/// A plan without its id; the id is the hash of this.
#[derive(Serialize)]
struct Body<'a> {
    format_version: u32,
    encoding: &'a EncodingInfo,
    settings: &'a Settings,
    sources: &'a [PlannedSource],
}

/// What a job knows of a source.
#[derive(Serialize)]
#[serde(untagged)]
enum Named<'a> {
    AsIs(&'a str, Format),
    Compressed(&'a str, Format, Compression),
}

impl Plan {
    pub(crate) fn new(
        encoding: EncodingInfo,
        settings: Settings,
        sources: Vec<PlannedSource>,
        units: Vec<Unit>,
    ) -> Self {
        let mut plan = Self {
            format_version: FORMAT_VERSION,
            encoding,
            settings,
            sources,
            plan_id: Hash128::of(b""),
            units,
        };
        plan.plan_id = plan.computed_id();
        plan
    }

    fn computed_id(&self) -> Hash128 {
        let body = Body {
            format_version: self.format_version,
            encoding: &self.encoding,
            settings: &self.settings,
            sources: &self.sources,
        };
        Hash128::of_json(&body)
    }

    /// Identifies the job of the plan, whatever the sizes of its sources. Units of an earlier plan
    /// of the same job stay valid as long as the bytes that they were made from are unchanged.
    pub(crate) fn job_id(&self) -> Hash128 {
        let sources: Vec<_> = self.sources.iter().map(PlannedSource::named).collect();
        let job = (self.format_version, &self.encoding, &self.settings, sources);
        Hash128::of_json(&job)
    }

    /// The total bytes of all sources.
    pub fn total_bytes(&self) -> u64 {
        self.sources
            .iter()
            .fold(0, |sum, source| sum.saturating_add(source.bytes))
    }

    /// The number of corpus bytes in `unit`.
    pub fn unit_bytes(&self, unit: &Unit) -> u64 {
        self.ranges(unit)
            .fold(0, |sum, (_, start, end)| sum.saturating_add(end - start))
    }

    /// The sources in `unit`, each with the start and end (exclusive) of its byte range.
    pub(crate) fn ranges(&self, unit: &Unit) -> impl Iterator<Item = (u32, u64, u64)> {
        let Unit { start, end } = *unit;
        let last = end.source.saturating_add(u32::from(end.byte > 0));
        (start.source..last)
            .zip(self.sources.iter().skip(start.source as usize))
            .map(move |(index, source)| {
                let from = if index == start.source { start.byte } else { 0 };
                let to = if index == end.source {
                    end.byte
                } else {
                    source.bytes
                };
                (index, from, to.max(from))
            })
    }

    /// Writes the plan into `directory`, replacing an existing one.
    pub(crate) fn write(&self, directory: &Path, durability: Durability) -> Result<()> {
        write_json(directory, PLAN, durability, self)
    }

    /// Writes the plan into `directory` unless there is one; returns whether it did.
    pub(crate) fn write_new(&self, directory: &Path, durability: Durability) -> Result<bool> {
        write_new_json(directory, PLAN, durability, self)
    }

    /// The plan in `directory`; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Shard`] if it is damaged or of another version.
    pub(crate) fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(PLAN);
        let damaged = |what: String| Error::shard(&path, what);
        let Some(plan) = read_json::<Self>(&path, "plan", MAX_BYTES)? else {
            return Ok(None);
        };
        if plan.format_version != FORMAT_VERSION {
            return Err(damaged(format!(
                "has format version {}, this program writes {FORMAT_VERSION}",
                plan.format_version
            )));
        }
        plan.check().map_err(damaged)?;
        Ok(Some(plan))
    }

    /// Checks that the id is the hash, and that the units cover the sources without gap or overlap.
    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        if self.computed_id() != self.plan_id {
            return Err("was changed after it was written: its plan_id is not its hash".to_owned());
        }
        let mut at = Position::default();
        for (index, unit) in self.units.iter().enumerate() {
            let is_forward = unit.end > unit.start || self.sources.is_empty();
            if unit.start != at || !is_forward || !self.has(unit.end) {
                return Err(format!("its unit {index} does not follow the one before"));
            }
            at = unit.end;
        }
        if at.source as usize == self.sources.len() && !self.units.is_empty() {
            Ok(())
        } else {
            Err("its units do not end where its sources end".to_owned())
        }
    }

    /// Whether a unit may end at `at`.
    fn has(&self, at: Position) -> bool {
        match self.sources.get(at.source as usize) {
            Some(source) => at.byte == 0 || at.byte < source.bytes,
            None => at.source as usize == self.sources.len() && at.byte == 0,
        }
    }

    /// The first difference between this plan and `other`, with the values of both; `None` if they
    /// are the same work.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        let mut pairs = vec![(
            "the format version",
            self.format_version.to_string(),
            other.format_version.to_string(),
        )];
        for (what, of) in FIELDS {
            pairs.push((what, of(self), of(other)));
        }
        let differs = pairs.into_iter().find(|(_, a, b)| a != b);
        if let Some((what, there, here)) = differs {
            return Some(format!("{what} was {there} and is {here}"));
        }
        let mut both = self.sources.iter().zip(&other.sources).enumerate();
        let differs = both.find(|(_, (a, b))| a != b);
        if let Some((index, (there, here))) = differs {
            return Some(format!(
                "source {index} was {} and is {}",
                there.describe(),
                here.describe()
            ));
        }
        (self.sources.len() != other.sources.len()).then(|| {
            format!(
                "there were {} sources and are {}",
                self.sources.len(),
                other.sources.len()
            )
        })
    }
}

/// A setting that shapes the bytes: its name in messages, and how to show its value.
type Field = (&'static str, fn(&Plan) -> String);

const FIELDS: [Field; 17] = [
    ("`tokenizer`", |plan| plan.encoding.name.clone()),
    ("the vocabulary", |plan| {
        let EncodingInfo {
            n_vocab,
            vocabulary_hash,
            pattern,
            end_of_text,
            tokenizer,
            ..
        } = &plan.encoding;
        let end = end_of_text.map_or("none".to_owned(), |id| id.to_string());
        let vocabulary = format!("{vocabulary_hash} ({n_vocab}, {pattern}, {end})");
        match tokenizer {
            Some(info) => format!("{vocabulary} by rules {}", info.rules_hash),
            None => vocabulary,
        }
    }),
    ("`text_field`", |plan| {
        format!("'{}'", plan.settings.text_field)
    }),
    ("`id_field`", |plan| match &plan.settings.id_field {
        None => "none".to_owned(),
        Some(field) => format!("'{field}'"),
    }),
    ("`keep_fields`", |plan| match &*plan.settings.keep_fields {
        [] => "none".to_owned(),
        fields => format!("'{}'", fields.join("', '")),
    }),
    ("`separator`", |plan| match &*plan.settings.separator {
        "" => "none".to_owned(),
        separator => format!("{separator:?}"),
    }),
    ("`eot`", |plan| plan.settings.eot.name().to_owned()),
    ("`bos`", |plan| {
        number_or_none(plan.settings.bos.map(u64::from))
    }),
    ("`special`", |plan| plan.settings.special.name().to_owned()),
    ("`invalid_utf8`", |plan| {
        plan.settings.invalid_utf8.name().to_owned()
    }),
    ("`bad_records`", |plan| {
        plan.settings.bad_records.name().to_owned()
    }),
    ("`split`", |plan| match plan.settings.split {
        None => "none".to_owned(),
        Some(split) => format!(
            "{} of {} millionths",
            split.side.name(),
            split.validation_millionths
        ),
    }),
    ("`max_document_bytes`", |plan| {
        number_or_none(plan.settings.max_document_bytes)
    }),
    ("`min_tokens`", |plan| {
        number_or_none(plan.settings.min_tokens)
    }),
    ("`max_tokens`", |plan| {
        number_or_none(plan.settings.max_tokens)
    }),
    ("`token_dtype`", |plan| {
        plan.settings.token_dtype.name().to_owned()
    }),
    ("`unit_size_bytes`", |plan| {
        format!("{} bytes", plan.settings.unit_size_bytes)
    }),
];

fn number_or_none(number: Option<u64>) -> String {
    number.map_or("none".to_owned(), |number| number.to_string())
}

impl PlannedSource {
    /// What a job knows of it.
    fn named(&self) -> Named<'_> {
        match self.compression {
            None => Named::AsIs(&self.name, self.format),
            Some(compression) => Named::Compressed(&self.name, self.format, compression),
        }
    }

    /// The name and the format; the name is moved out.
    pub(crate) fn take_name(&mut self) -> (String, Format) {
        (std::mem::take(&mut self.name), self.format)
    }

    fn describe(&self) -> String {
        let compressed = match self.compression {
            Some(compression) => format!(", {}", compression.name()),
            None => String::new(),
        };
        format!(
            "'{}' ({}{compressed}, {} bytes)",
            self.name,
            self.format.row().name,
            self.bytes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Side, Split};
    use crate::document::BadRecords;

    /// Whichever setting differs, it is named.
    #[test]
    fn every_setting_is_a_field_that_may_differ() {
        let settings = Settings {
            id_field: Some("id".to_owned()),
            keep_fields: vec!["url".to_owned()],
            separator: "|".to_owned(),
            bos: Some(1),
            bad_records: BadRecords::Skip,
            split: Some(Split {
                validation_millionths: 1,
                side: Side::Train,
            }),
            max_document_bytes: Some(1),
            min_tokens: Some(1),
            max_tokens: Some(1),
            ..Settings::default()
        };
        let settings = serde_json::to_value(settings).unwrap();
        for name in settings.as_object().unwrap().keys() {
            let name = format!("`{name}`");
            assert!(FIELDS.iter().any(|(field, _)| *field == name), "{name}");
        }
    }
}
