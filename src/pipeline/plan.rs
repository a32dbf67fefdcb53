//! The unit cut: where one shard ends and the next begins.
//!
//! Lay the sources end to end. Boundary `k` is the first allowed cut at or after `k` times the unit
//! size; equal boundaries merge. Cuts are allowed at the start of a source, at the start of a JSON
//! Lines record, between the row groups of a file with columns and, only inside a text document
//! larger than the unit size, by rule A (`document/text.rs`). A compressed source counts with the
//! bytes that are stored, and is never cut inside. The rule looks at nothing after a boundary, so a
//! stream is cut like a file.

use shardmill_tokenizer::Tokenizer;

use crate::compression::Compression;
use crate::corpus::{CHANGED, Corpus};
use crate::dataset::{EncodingInfo, Plan, PlannedSource, Position, Settings, Unit};
use crate::document::Format;
use crate::error::{Error, Result};
use crate::pipeline::TokenizeConfig;
use crate::pipeline::cut_rules::CutRules;
use crate::pipeline::search::Search;

/// Finds unit boundaries while walking the sources.
#[derive(Debug)]
pub(crate) struct UnitCutter {
    unit_bytes: u64,
    /// Where the current source begins in the corpus.
    source_start: u64,
    /// The next unit ends at the first allowed cut from here on.
    boundary: u64,
}

impl UnitCutter {
    pub(crate) fn new(unit_bytes: u64) -> Self {
        Self {
            unit_bytes,
            source_start: 0,
            boundary: unit_bytes,
        }
    }

    /// Whether a unit ends where the current source starts.
    pub(crate) fn ends_at_source_start(&mut self) -> bool {
        self.cut(0)
    }

    /// The byte of the current source from which on the next allowed cut ends the unit.
    pub(crate) fn target(&self) -> u64 {
        self.boundary.saturating_sub(self.source_start)
    }

    /// Whether an allowed cut at `byte` of the current source ends the unit. If so, the search for
    /// the next boundary begins.
    pub(crate) fn cut(&mut self, byte: u64) -> bool {
        let at = self.source_start.saturating_add(byte);
        if at < self.boundary {
            return false;
        }
        self.boundary = (at / self.unit_bytes)
            .saturating_add(1)
            .saturating_mul(self.unit_bytes);
        true
    }

    /// Whether a source may be cut inside that is compressed in this way, and has this format and
    /// size, if that is known.
    pub(crate) fn cuts_inside(
        &self,
        compression: Option<Compression>,
        format: Format,
        bytes: Option<u64>,
    ) -> bool {
        let is_large = bytes.is_none_or(|bytes| bytes > self.unit_bytes);
        compression.is_none() && (!format.row().is_one_document || is_large)
    }

    /// Whether the current source starts at the first byte of the corpus.
    pub(crate) fn is_at_start(&self) -> bool {
        self.source_start == 0
    }

    /// Moves to the next source, after one of `bytes` bytes.
    pub(crate) fn next_source(&mut self, bytes: u64) {
        self.source_start = self.source_start.saturating_add(bytes);
    }
}

/// The units that `corpus` will be cut into. Sources larger than a unit are read around each
/// boundary.
///
/// # Errors
/// [`Error::Config`] for a stream, which must be read to be cut.
///
/// ```no_run
/// use shardmill::{Corpus, CorpusOptions, Tokenizer, TokenizeConfig, plan};
///
/// let corpus = Corpus::open(&["books/".into()], &CorpusOptions::default())?;
/// let tokenizer = Tokenizer::by_name("gpt2")?;
/// let plan = plan(&corpus, &tokenizer, &TokenizeConfig::default())?;
/// println!("{} units of {} bytes", plan.units.len(), plan.total_bytes());
/// # Ok::<(), shardmill::Error>(())
/// ```
pub fn plan(corpus: &Corpus, tokenizer: &Tokenizer, config: &TokenizeConfig) -> Result<Plan> {
    config.validate(tokenizer)?;
    if corpus.has_stream() {
        return Err(Error::config(
            "corpus",
            "a stream cannot be planned: it is cut while it is read",
        ));
    }
    let sources = corpus.sources().iter().map(|source| PlannedSource {
        name: source.name(),
        format: source.format(),
        compression: source.compression(),
        bytes: source.bytes().unwrap_or(0),
    });
    Ok(Plan::new(
        EncodingInfo::of(tokenizer),
        config.settings.clone(),
        sources.collect(),
        units(corpus, tokenizer, &config.settings)?,
    ))
}

/// The units of a corpus of regular files.
pub(crate) fn units(
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    settings: &Settings,
) -> Result<Vec<Unit>> {
    let rules = CutRules::new(Some(tokenizer), settings);
    let mut cutter = UnitCutter::new(settings.unit_size_bytes);
    let mut cuts = vec![Position::default()];
    for (index, source) in (0_u32..).zip(corpus.sources()) {
        let bytes = source.bytes().unwrap_or(0);
        if cutter.ends_at_source_start() {
            cuts.push(Position {
                source: index,
                byte: 0,
            });
        }
        let (compression, format) = (source.compression(), source.format());
        if cutter.target() < bytes && cutter.cuts_inside(compression, format, Some(bytes)) {
            let search = Search::open(corpus, index)?;
            let mut last = 0;
            while let Some(byte) = search.next_cut(&rules, last, cutter.target())? {
                last = byte;
                cutter.cut(byte);
                cuts.push(Position {
                    source: index,
                    byte,
                });
            }
        }
        cutter.next_source(bytes);
    }
    cuts.push(end_of(corpus));
    Ok(cuts
        .windows(2)
        .map(|cut| Unit {
            start: cut[0],
            end: cut[1],
        })
        .collect())
}

/// Checks that `corpus` is still cut as `plan` says. If a file had other contents of the same size
/// and time when it was planned, units may begin inside a record.
pub(crate) fn check_cuts(corpus: &Corpus, tokenizer: &Tokenizer, plan: &Plan) -> Result<()> {
    let now = units(corpus, tokenizer, &plan.settings)?;
    let differs = plan.units.iter().zip(&now).find(|(a, b)| a != b);
    let cut = match differs {
        Some((planned, _)) => planned.end,
        None if plan.units.len() == now.len() => return Ok(()),
        None => Position::default(),
    };
    // A unit may end where the next source begins.
    let source = (cut.source as usize).saturating_sub(usize::from(cut.byte == 0));
    Err(Error::at_byte(corpus.path_of(source), cut.byte, CHANGED))
}

/// The position after the last source.
pub(crate) fn end_of(corpus: &Corpus) -> Position {
    Position {
        // `Corpus::open` refuses more sources.
        source: u32::try_from(corpus.len()).unwrap_or(u32::MAX),
        byte: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::CorpusOptions;
    use proptest::prelude::*;

    /// The rule taken literally: every allowed cut by its offset in the corpus, then the first at
    /// or after each multiple of the unit size.
    fn naive(files: &[(Format, Vec<u8>)], unit: u64) -> Vec<Position> {
        let mut allowed = Vec::new();
        let mut offset = 0;
        for (source, (format, bytes)) in files.iter().enumerate() {
            for byte in 0..bytes.len().max(1) {
                let is_allowed = byte == 0
                    || if format.row().is_one_document {
                        bytes.len() as u64 > unit
                            && bytes[byte] == b' '
                            && (0x21..=0x7e).contains(&bytes[byte - 1])
                    } else {
                        bytes[byte - 1] == b'\n'
                    };
                if is_allowed {
                    let position = Position {
                        source: u32::try_from(source).unwrap(),
                        byte: byte as u64,
                    };
                    allowed.push((offset + byte as u64, position));
                }
            }
            offset += bytes.len() as u64;
        }
        let mut cuts = vec![Position::default()];
        for k in 1..=offset / unit {
            let found = allowed.iter().find(|&&(at, _)| at >= k * unit);
            if let Some(&(_, position)) = found
                && cuts.last() != Some(&position)
            {
                cuts.push(position);
            }
        }
        cuts
    }

    fn file() -> impl Strategy<Value = (Format, Vec<u8>)> {
        let bytes = prop::collection::vec(prop::sample::select(b"ab  \n\xff".to_vec()), 0..60);
        (
            prop::sample::select(vec![Format::Text, Format::Jsonl]),
            bytes,
        )
    }

    proptest! {
        #[test]
        fn units_follow_the_rule(files in prop::collection::vec(file(), 1..6), unit in 1_u64..80) {
            let dir = tempfile::tempdir().unwrap();
            let arguments: Vec<_> = files
                .iter()
                .enumerate()
                .map(|(index, (format, bytes))| {
                    let extension = if *format == Format::Text { "txt" } else { "jsonl" };
                    let path = dir.path().join(format!("{index}.{extension}"));
                    std::fs::write(&path, bytes).unwrap();
                    path.into_os_string()
                })
                .collect();
            let corpus = Corpus::open(&arguments, &CorpusOptions::default()).unwrap();
            let settings = Settings { unit_size_bytes: unit, ..Settings::default() };
            let units = units(&corpus, &Tokenizer::by_name("gpt2").unwrap(), &settings).unwrap();
            let starts: Vec<_> = units.iter().map(|unit| unit.start).collect();
            prop_assert_eq!(starts, naive(&files, unit));
            prop_assert!(units.windows(2).all(|pair| pair[0].end == pair[1].start));
            prop_assert_eq!(units.last().unwrap().end, end_of(&corpus));
        }
    }
}
