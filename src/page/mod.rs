//! A report as one page of HTML that needs nothing else: no scripts, no fonts, no other files.
//!
//! ```text
//! mod         the page, and the file that it becomes
//! sections    what the page says of the contents, section by section
//! provenance  what it says of how they came about, and of what was left out
//! chart       charts as SVG
//! table       tables and lists of figures
//! text        text from outside as HTML, and numbers for people
//! style       how it looks: on light and dark screens, on narrow ones, in print
//! ```
//!
//! The page is well-formed XML, too. All text from a dataset is escaped. Knows nothing of shards;
//! `report` counts.

mod chart;
mod provenance;
mod sections;
mod table;
mod text;

use std::path::Path;

use crate::error::Result;
use crate::publish::Durability;
use crate::publish::single_file::{place, write_file};
use crate::report::Report;

/// How the name of a page ends.
const ENDING: &str = "html";

const STYLE: &str = include_str!("style.css");

/// What [`write_page`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageOutcome {
    /// The size of the file in bytes.
    pub bytes: u64,
    /// Whether the file already existed, exactly as it would be written, and was left as it is.
    pub was_there: bool,
}

/// The page of `report`. It depends on the report alone.
///
/// ```no_run
/// use shardmill::page::html;
/// use shardmill::{Report, Stats, TokenStore};
///
/// let store = TokenStore::open("out".as_ref())?;
/// let page = html(&Report::of(&store, None, &Stats::default())?);
/// assert!(page.starts_with("<!DOCTYPE html>"));
/// # Ok::<(), shardmill::Error>(())
/// ```
pub fn html(report: &Report) -> String {
    let sections = [
        sections::summary,
        sections::sources,
        sections::lengths,
        sections::density,
        sections::tokens,
        sections::vocabulary,
        provenance::left_out,
        provenance::made_with,
    ];
    let sections = sections.map(|section| section(report)).concat();
    let id = report.dataset_id;
    format!(
        "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n\
         <meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>Dataset {id}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>Dataset report</h1>\n{sections}</main>\n</body>\n</html>\n"
    )
}

/// Checks, before a dataset is read for its report, that a page can be written to `out`: that it is a name for
/// such a file, and does not lie in a dataset.
///
/// # Errors
/// [`Error::Output`](crate::Error::Output).
pub fn check_out(out: &Path) -> Result<()> {
    place(out, ENDING).map(|_| ())
}

/// Writes the page of `report` to the `.html` file `out`, which appears once it is complete.
///
/// An existing file with exactly these bytes is left as it is; any other file is replaced only if
/// `overwrite` is set.
///
/// # Errors
/// [`Error::Output`](crate::Error::Output) if `out` is not a name for such a file, lies in a dataset, or is
/// something else, and [`Error::Io`](crate::Error::Io).
pub fn write_page(
    report: &Report,
    out: &Path,
    overwrite: bool,
    durability: Durability,
) -> Result<PageOutcome> {
    let page = html(report);
    let was_there = write_file(out, ENDING, page.as_bytes(), overwrite, durability)?;
    Ok(PageOutcome {
        bytes: page.len() as u64,
        was_there,
    })
}
