//! Arguments -> sources.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shardmill_core::show;

use crate::compression::Compression;
use crate::corpus::crew::Crew;
use crate::corpus::json::{holds_json_lines, object_holds_json_lines};
use crate::corpus::pattern::is_pattern;
use crate::corpus::select::{Filter, Selection};
use crate::corpus::visit::{FileId, Found, id_of};
use crate::corpus::walk::walk;
use crate::corpus::{Corpus, CorpusOptions, Kind, Source};
use crate::document::{Format, TextDocuments};
use crate::error::{Error, Result};
use crate::remote::{Object, Stores};

/// A corpus whose arguments are being listed.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) corpus: Corpus,
    pub(super) formats: Formats,
    pub(super) crew: Crew,
    pub(super) stores: Stores,
    /// The files of the sources, each with the source's index.
    files: Vec<(FileId, u32)>,
    /// Whether a file may be listed twice.
    pub(super) may_repeat: bool,
}

/// Which format a source has, as far as its name and content do not say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Formats {
    /// The format of all sources.
    chosen: Option<Format>,
    /// What is a document in a text.
    documents: TextDocuments,
}

impl Formats {
    /// The format of a source whose name or content says `format`.
    fn named(self, format: Format) -> Format {
        match format {
            Format::Text => self.documents.format(),
            other => other,
        }
    }
}

/// A file or an object that becomes a source.
pub(super) struct Listed {
    pub(super) source: Source,
    id: FileId,
    /// Whether the file has several names.
    is_linked: bool,
    /// Whether its name leaves the format open, and it is read as text.
    is_json_as_text: bool,
}

impl Listing {
    pub(super) fn new(options: &CorpusOptions, filter: Filter) -> Self {
        Self {
            corpus: Corpus::empty(filter),
            formats: Formats {
                chosen: options.format,
                documents: options.documents,
            },
            crew: Crew::new(options.threads),
            stores: Stores::default(),
            files: Vec::new(),
            may_repeat: false,
        }
    }

    /// Adds the sources that `argument`, which is no URL, names.
    pub(super) fn add(&mut self, argument: &OsStr) -> Result<()> {
        if argument == "-" {
            return self.add_stdin();
        }
        if argument.is_empty() {
            return Err(Error::config("arguments", "a name is empty"));
        }
        let path = Path::new(argument);
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                let left_out = self.add_walk(path.to_owned(), Selection::everything())?;
                if let Some(left_out) = left_out {
                    return Err(refuse(path, format!("has no files to read{left_out}")));
                }
                Ok(())
            }
            Ok(metadata) => self.add_file(path, &metadata),
            Err(error) if error.kind() == ErrorKind::NotFound && has_scheme(argument) => {
                let what = "is no file, and no URL that is read";
                let hint = "URLs begin with s3, gs, az, abfss or https";
                Err(Error::input(
                    show::url(&argument.to_string_lossy()),
                    (what, hint),
                ))
            }
            Err(error) if error.kind() == ErrorKind::NotFound && is_pattern(argument) => {
                self.add_pattern(argument)
            }
            Err(error) => Err(Error::io(path, "cannot open")(error)),
        }
    }

    fn add_stdin(&mut self) -> Result<()> {
        if self.corpus.has_stdin() {
            return Err(Error::config(
                "arguments",
                "'-' is given twice; standard input can be read once",
            ));
        }
        let base = self.corpus.add_base(PathBuf::new());
        let source = Source::new(
            base,
            "-".into(),
            Kind::Stdin,
            None,
            self.formats
                .named(self.formats.chosen.unwrap_or(Format::Text)),
            self.formats.chosen.is_some(),
        );
        self.corpus.sources.push(source);
        Ok(())
    }

    /// Adds a file that an argument names; the source's name is the file name, without directories.
    fn add_file(&mut self, path: &Path, metadata: &Metadata) -> Result<()> {
        let (Some(name), Some(base)) = (path.file_name(), path.parent()) else {
            return Err(refuse(path, "is not a file name"));
        };
        let found = Found {
            relative: name.to_owned(),
            metadata: metadata.clone(),
        };
        let base = self.corpus.add_base(base.to_owned());
        let listed = source_of(self.formats, base, found, &|| path.to_owned())?;
        self.push(listed)
    }

    /// Adds the files that match; names are relative to the directories before the first wildcard.
    fn add_pattern(&mut self, argument: &OsStr) -> Result<()> {
        let path = Path::new(argument);
        let (base, pattern) = split_base(argument);
        let selection = Selection::matching(pattern).map_err(|what| refuse(path, what))?;
        let left_out = self.add_walk(base, selection)?;
        if let Some(left_out) = left_out {
            let what = format!("no file has this name or matches this pattern{left_out}");
            return Err(refuse(path, what));
        }
        Ok(())
    }

    /// Adds what a walk finds, in the order of the names' bytes. If it finds nothing, returns a
    /// text for a message that says what was left out.
    fn add_walk(&mut self, base: PathBuf, selection: Selection) -> Result<Option<String>> {
        let index = self.corpus.add_base(base.clone());
        let take =
            |found: Found, path: &dyn Fn() -> PathBuf| source_of(self.formats, index, found, path);
        let (walk, finds) = walk(base, selection, &self.corpus.filter, &self.crew, &take)?;
        self.corpus.walks.push(walk);
        let mut found = finds.files;
        if found.is_empty() {
            let left_out = finds.skipped.describe(|count| count.to_string());
            return Ok(Some(
                left_out.map_or_else(String::new, |what| format!("; left out: {what}")),
            ));
        }
        self.corpus.report.left_out.add(finds.skipped);
        self.crew.sort(&mut found, |a, b| {
            let [a, b] = [a, b].map(|listed| listed.source.relative().as_bytes());
            a.cmp(b)
        });
        self.corpus.sources.reserve(found.len());
        self.files.reserve(found.len());
        found.into_iter().try_for_each(|listed| self.push(listed))?;
        Ok(None)
    }

    pub(super) fn push(&mut self, listed: Listed) -> Result<()> {
        let Ok(index) = u32::try_from(self.corpus.sources.len()) else {
            return Err(Error::config(
                "arguments",
                ("more than 4294967295 sources", "make several datasets"),
            ));
        };
        if listed.is_json_as_text {
            let path = self.corpus.path(&listed.source);
            self.corpus.report.json_as_text.add(&path);
        }
        self.may_repeat |= listed.is_linked;
        self.files.push((listed.id, index));
        self.corpus.sources.push(listed.source);
        Ok(())
    }

    /// The corpus, with its report.
    pub(super) fn finish(mut self) -> Corpus {
        let links = self.corpus.walks.iter().any(|walk| walk.has_links);
        if self.may_repeat || links {
            self.find_repeats();
        }
        self.corpus
    }

    /// Reports files that are listed more than once.
    fn find_repeats(&mut self) {
        self.files.sort_unstable();
        let mut repeats: Vec<_> = self
            .files
            .chunk_by(|(a, _), (b, _)| a == b)
            .flat_map(|same| same[1..].iter().map(|&(_, index)| (index, same[0].1)))
            .collect();
        repeats.sort_unstable();
        for (index, earlier) in repeats {
            let [path, earlier] = [index, earlier].map(|i| self.corpus.path_of(i as usize));
            self.corpus.report.repeated.add(&path, &earlier);
        }
    }
}

/// Whether `argument`, which is no file, looks like a URL.
fn has_scheme(argument: &OsStr) -> bool {
    let bytes = argument.as_bytes();
    let Some(end) = memchr::memmem::find(bytes, b"://") else {
        return false;
    };
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+.-".contains(byte);
    let directory = Path::new(OsStr::from_bytes(&bytes[..=end]));
    end > 0 && bytes[..end].iter().all(is_part) && !directory.exists()
}

pub(super) fn refuse(path: &Path, what: impl Into<String>) -> Error {
    Error::input(path, what.into())
}

/// The source that a file becomes; `path` returns its path.
fn source_of(
    formats: Formats,
    base: usize,
    found: Found,
    path: &dyn Fn() -> PathBuf,
) -> Result<Listed> {
    let Found { relative, metadata } = found;
    let named = Named {
        base,
        relative,
        kind: kind_of(path, &metadata)?,
        object: None,
        id: id_of(&metadata),
    };
    let mut listed = named.listed(formats, path)?;
    listed.is_linked = metadata.nlink() > 1;
    Ok(listed)
}

/// A file or an object whose format is not known yet.
pub(super) struct Named {
    pub(super) base: usize,
    pub(super) relative: OsString,
    pub(super) kind: Kind,
    pub(super) object: Option<Arc<Object>>,
    pub(super) id: FileId,
}

impl Named {
    /// What it becomes; `path` returns its path.
    pub(super) fn listed(self, formats: Formats, path: &dyn Fn() -> PathBuf) -> Result<Listed> {
        let named = Compression::of_path(self.relative.as_ref());
        let inside = named
            .as_ref()
            .map_or(self.relative.as_ref(), |(_, inside)| inside.as_path());
        let compression = named.as_ref().map(|&(compression, _)| compression);
        let format = formats.chosen;
        let is_file = matches!(self.kind, Kind::File { .. });
        let is_open = format.is_none() && is_file && Format::is_open(inside);
        let is_lines = is_open
            && match &self.object {
                None => holds_json_lines(&path(), compression)?,
                Some(object) => {
                    let reader = object.reader(0..object.bytes());
                    object_holds_json_lines(&path(), compression, reader)?
                }
            };
        let chosen = match format {
            Some(format) => format,
            None if is_lines => Format::Jsonl,
            None => Format::of_path(inside),
        };
        let format_name = formats.named(chosen);
        let (base, kind) = (self.base, self.kind);
        let is_believed = format.is_some();
        let source = Source::new(
            base,
            self.relative,
            kind,
            compression,
            format_name,
            is_believed,
        );
        Ok(Listed {
            source: source.of_object(self.object),
            id: self.id,
            is_linked: false,
            is_json_as_text: is_open && !is_lines,
        })
    }
}

fn kind_of(path: &dyn Fn() -> PathBuf, metadata: &Metadata) -> Result<Kind> {
    let file_type = metadata.file_type();
    if file_type.is_file() {
        Ok(Kind::File {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
        })
    } else if file_type.is_fifo() || file_type.is_char_device() {
        Ok(Kind::Stream)
    } else {
        Err(refuse(&path(), "is neither a file, a directory nor a FIFO"))
    }
}

/// Splits `argument` into the directories before its first name with a wildcard, and the rest. A
/// name that exists exactly as written does not count as one with a wildcard.
fn split_base(argument: &OsStr) -> (PathBuf, &OsStr) {
    let bytes = argument.as_bytes();
    let mut start = 0;
    while let Some(slash) = bytes[start..].iter().position(|&byte| byte == b'/') {
        let name = OsStr::from_bytes(&bytes[start..start + slash]);
        let above = OsStr::from_bytes(&bytes[..start + slash]);
        let is_escaped = name.as_bytes().contains(&b'\\');
        if (is_pattern(name) || is_escaped) && Path::new(above).symlink_metadata().is_err() {
            break;
        }
        start += slash + 1;
    }
    let (base, pattern) = bytes.split_at(start);
    (OsStr::from_bytes(base).into(), OsStr::from_bytes(pattern))
}
