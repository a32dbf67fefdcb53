//! Arguments -> sources.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::corpus::{Corpus, Kind, Source};
use crate::document::Format;
use crate::{Error, Result};

/// Adds the sources that `argument` names.
pub(super) fn add(corpus: &mut Corpus, argument: &OsStr, format: Option<Format>) -> Result<()> {
    if argument == "-" {
        return add_stdin(corpus, format);
    }
    let path = Path::new(argument);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let mut found = Vec::new();
            add_directory(corpus, path, OsStr::new(""), format, &mut found)?;
            if found.is_empty() {
                return Err(input(
                    path,
                    "has no files to read; hidden files and symbolic links do not count",
                ));
            }
            corpus.roots.push(path.to_owned());
            push_sorted(corpus, path.to_owned(), found);
            Ok(())
        }
        Ok(metadata) => add_file(corpus, path, &metadata, format),
        Err(error) => match argument.to_str().filter(|text| is_glob(text)) {
            Some(pattern) if error.kind() == std::io::ErrorKind::NotFound => {
                add_glob(corpus, pattern, format)
            }
            _ => Err(Error::io(path, "cannot open")(error)),
        },
    }
}

fn input(path: &Path, what: &str) -> Error {
    Error::Input {
        path: path.to_owned(),
        what: what.to_owned(),
    }
}

fn add_stdin(corpus: &mut Corpus, format: Option<Format>) -> Result<()> {
    if corpus
        .sources
        .iter()
        .any(|source| source.kind() == Kind::Stdin)
    {
        return Err(Error::Config {
            field: "INPUT",
            what: "'-' is given twice; standard input can be read once".to_owned(),
        });
    }
    let stdin = Source::new(
        corpus.bases.len(),
        "-".into(),
        Kind::Stdin,
        format.unwrap_or(Format::Text),
    );
    corpus.bases.push(PathBuf::new());
    corpus.sources.push(stdin);
    Ok(())
}

/// Adds a file that is named itself; its name is its own, without directories.
fn add_file(
    corpus: &mut Corpus,
    path: &Path,
    metadata: &Metadata,
    format: Option<Format>,
) -> Result<()> {
    let (Some(name), Some(base)) = (path.file_name(), path.parent()) else {
        return Err(input(path, "is not a file name"));
    };
    let kind = kind_of(path, metadata)?;
    let format = format.unwrap_or_else(|| Format::of_path(path));
    let source = Source::new(corpus.bases.len(), name.to_owned(), kind, format);
    corpus.bases.push(base.to_owned());
    corpus.sources.push(source);
    Ok(())
}

fn kind_of(path: &Path, metadata: &Metadata) -> Result<Kind> {
    let file_type = metadata.file_type();
    if file_type.is_file() {
        Ok(Kind::File {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
        })
    } else if file_type.is_fifo() || file_type.is_char_device() {
        Ok(Kind::Stream)
    } else {
        Err(input(path, "is neither a file, a directory nor a FIFO"))
    }
}

/// A source still without its argument.
struct Found {
    relative: OsString,
    kind: Kind,
    format: Format,
}

fn push_sorted(corpus: &mut Corpus, base: PathBuf, mut found: Vec<Found>) {
    found.sort_unstable_by(|a, b| a.relative.as_bytes().cmp(b.relative.as_bytes()));
    let index = corpus.bases.len();
    corpus.bases.push(base);
    corpus.sources.extend(
        found
            .into_iter()
            .map(|item| Source::new(index, item.relative, item.kind, item.format)),
    );
}

/// Adds the regular files below `base.join(relative)`.
fn add_directory(
    corpus: &mut Corpus,
    base: &Path,
    relative: &OsStr,
    format: Option<Format>,
    found: &mut Vec<Found>,
) -> Result<()> {
    let directory = base.join(relative);
    let entries = fs::read_dir(&directory).map_err(Error::io(&directory, "cannot list"))?;
    for entry in entries {
        let entry = entry.map_err(Error::io(&directory, "cannot list"))?;
        let name = entry.file_name();
        let path = entry.path();
        let file_type = entry.file_type().map_err(Error::io(&path, "cannot open"))?;
        if name.as_bytes().starts_with(b".") {
            corpus.skipped.hidden += 1;
        } else if file_type.is_symlink() {
            corpus.skipped.symlinks += 1;
        } else if file_type.is_dir() {
            add_directory(corpus, base, &join(relative, &name), format, found)?;
        } else if file_type.is_file() {
            let metadata = entry.metadata().map_err(Error::io(&path, "cannot open"))?;
            found.push(Found {
                relative: join(relative, &name),
                kind: kind_of(&path, &metadata)?,
                format: format.unwrap_or_else(|| Format::of_path(&path)),
            });
        }
    }
    Ok(())
}

fn join(directory: &OsStr, name: &OsStr) -> OsString {
    Path::new(directory).join(name).into_os_string()
}

fn is_glob(argument: &str) -> bool {
    argument.contains(['*', '?', '['])
}

/// Adds what matches; names are relative to the directories before the first wildcard.
fn add_glob(corpus: &mut Corpus, pattern: &str, format: Option<Format>) -> Result<()> {
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let matches = glob::glob_with(pattern, options)
        .map_err(|error| input(Path::new(pattern), &format!("is not a pattern: {error}")))?;
    let base = glob_base(pattern);
    let mut found = Vec::new();
    for path in matches {
        let path = path.map_err(|error| {
            let path = error.path().to_owned();
            Error::io(path, "cannot list")(error.into())
        })?;
        let relative = path
            .strip_prefix(base)
            .unwrap_or(&path)
            .as_os_str()
            .to_owned();
        let metadata = fs::metadata(&path).map_err(Error::io(&path, "cannot open"))?;
        if metadata.is_dir() {
            add_directory(corpus, base, &relative, format, &mut found)?;
            corpus.roots.push(path);
        } else {
            found.push(Found {
                relative,
                kind: kind_of(&path, &metadata)?,
                format: format.unwrap_or_else(|| Format::of_path(&path)),
            });
        }
    }
    if found.is_empty() {
        return Err(input(
            Path::new(pattern),
            "no file has this name or matches this pattern",
        ));
    }
    // `**` and directories can reach a file in two ways; it is still one file.
    found.sort_unstable_by(|a, b| a.relative.as_bytes().cmp(b.relative.as_bytes()));
    found.dedup_by(|a, b| a.relative == b.relative);
    push_sorted(corpus, base.to_owned(), found);
    Ok(())
}

/// The directories of `pattern` before its first component with a wildcard.
fn glob_base(pattern: &str) -> &Path {
    let literal = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
    let end = pattern[..literal].rfind('/').map_or(0, |slash| slash + 1);
    Path::new(&pattern[..end])
}
