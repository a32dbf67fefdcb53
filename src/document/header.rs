//! What stands at the start of a source and every piece of it needs: a header that names columns, or
//! the first bytes of a text that is one document.

use std::borrow::Cow;

use shardmill_core::show::shortened;

use crate::document::jsonl::BYTE_ORDER_MARK;
use crate::document::{Fields, Format};
use crate::error::Problem;

/// How the header of a format is read.
#[derive(Debug)]
pub(crate) struct Header {
    /// The length of the header of a source that begins with these bytes; `None` if the header may
    /// be longer than they are.
    pub(super) end: fn(&[u8]) -> Option<usize>,
    /// The names of the columns.
    pub(super) names: fn(&[u8]) -> Names<'_>,
}

/// The names of columns, or what is wrong with the header.
pub(super) type Names<'a> = Result<Vec<Cow<'a, [u8]>>, Problem>;

/// A longer header is refused: most likely it has a quote that is never closed.
const HEADER_BYTES: usize = 1 << 20;

/// So much of a text goes with every piece of it.
pub(crate) const TEXT_HEAD_BYTES: usize = 64 << 10;

/// How many columns are named if the wanted one is missing.
const COLUMNS_SHOWN: usize = 10;

impl Format {
    /// Whether every piece of a source needs what stands at its start.
    pub(crate) fn has_head(self) -> bool {
        self.row().is_one_document || self.row().header.is_some()
    }

    /// What every piece of a source needs that begins with `start` or, if `is_whole`, is that; `None` if
    /// more of the source is needed. Empty if [`Self::has_head`] is `false`.
    pub(crate) fn head(self, start: &[u8], is_whole: bool) -> Result<Option<&[u8]>, Problem> {
        let Some(header) = &self.row().header else {
            let wanted = if self.row().is_one_document {
                TEXT_HEAD_BYTES
            } else {
                0
            };
            let is_enough = is_whole || start.len() >= wanted;
            return Ok(is_enough.then(|| &start[..start.len().min(wanted)]));
        };
        let start = &start[..start.len().min(HEADER_BYTES)];
        match (header.end)(start) {
            Some(end) => Ok(Some(&start[..end])),
            None if start.len() == HEADER_BYTES => Err((
                format!("its header is longer than {} MiB", HEADER_BYTES >> 20),
                "close its quotes, give the columns shorter names, or choose `format` text",
            )
                .into()),
            None => Ok(is_whole.then_some(start)),
        }
    }

    /// Whether `header` names a column `field`.
    pub(crate) fn has_field(self, header: &[u8], field: &str) -> bool {
        self.row().header.as_ref().is_some_and(|row| {
            let names = (row.names)(header).unwrap_or_default();
            names.iter().any(|name| **name == *field.as_bytes())
        })
    }

    /// Refuses a source whose header is broken, or does not name a column for each of `fields`. A source
    /// without any bytes but a byte order mark has no header, and no documents.
    pub(crate) fn check_fields(self, header: &[u8], fields: &Fields) -> Result<(), Problem> {
        let Some(row) = &self.row().header else {
            return Ok(());
        };
        if header.is_empty() || header == BYTE_ORDER_MARK {
            return Ok(());
        }
        let names = (row.names)(header)?;
        for (field, setting) in fields.names() {
            match names
                .iter()
                .filter(|name| ***name == *field.as_bytes())
                .count()
            {
                0 => {
                    let names = names.iter().map(|name| String::from_utf8_lossy(name));
                    return Err(no_column(field, setting, &names.collect::<Vec<_>>()));
                }
                1 => {}
                _ => {
                    let what = format!("has two columns '{field}'");
                    return Err((what, "rename one of them").into());
                }
            }
        }
        Ok(())
    }
}

/// The problem with a source whose columns `names` do not include `field`, which `setting` names.
pub(crate) fn no_column(field: &str, setting: &str, names: &[impl AsRef<str>]) -> Problem {
    let shown = names.len().min(COLUMNS_SHOWN);
    let list: Vec<_> = names[..shown]
        .iter()
        .map(|name| format!("'{}'", shortened(name.as_ref())))
        .collect();
    let more = match names.len() - shown {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let what = match &list[..] {
        [] => format!("has no column '{field}'; it has none at all"),
        _ => format!(
            "has no column '{field}'; there are {}{more}",
            list.join(", ")
        ),
    };
    (what, format!("choose one with `{setting}`")).into()
}
