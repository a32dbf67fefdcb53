//! The name of a table and the formats that it may be stored in.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use shardmill_core::map::Map;
use shardmill_core::show;

use super::options::TableOptions;
use super::{Extent, Table, npy, safetensors};
use crate::error::{Error, Problem, Result};

/// The name of a table: `FILE`, or `FILE#key` for one tensor of a file that holds several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSpec {
    path: PathBuf,
    key: Option<String>,
}

impl TableSpec {
    /// A table in the file at `path`; `key` is the tensor's name there.
    pub fn new(path: impl Into<PathBuf>, key: Option<String>) -> Self {
        Self {
            path: path.into(),
            key,
        }
    }

    /// Parses `FILE[#key]`. If `text` as a whole is the name of an existing file, it is that file,
    /// even if it contains `#`. Otherwise the last `#` separates file and key.
    pub fn parse(text: impl AsRef<OsStr>) -> Self {
        let text = text.as_ref();
        let bytes = text.as_bytes();
        let hash = bytes.iter().rposition(|&byte| byte == b'#');
        match hash {
            Some(at) if !Path::new(text).exists() => Self {
                path: OsStr::from_bytes(&bytes[..at]).into(),
                // Tensor names are UTF-8, so a key with a replaced byte is not found.
                key: Some(String::from_utf8_lossy(&bytes[at + 1..]).into_owned()),
            },
            _ => Self::new(text, None),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole spec, as the path of an error.
    fn whole_name(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        if let Some(key) = &self.key {
            name.push("#");
            name.push(key);
        }
        name.into()
    }

    /// The tensor's name in the file, if one is given.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

impl fmt::Display for TableSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", show::name(&self.path))?;
        let mut key = self.key.iter();
        key.try_for_each(|key| write!(f, "#{}", show::name(key)))
    }
}

/// A file format that tables are read from.
#[derive(Debug)]
#[non_exhaustive]
pub struct TableFormat {
    /// The format's name.
    pub name: &'static str,
    /// The file name extension, without the dot; case does not matter.
    pub extension: &'static str,
    /// Finds the table in the bytes of a file, or says what is wrong. The extent lies inside the
    /// bytes.
    read: Reader,
}

type Reader = fn(&[u8], Option<&str>, &TableOptions) -> std::result::Result<Extent, Problem>;

/// All formats.
pub const FORMATS: &[TableFormat] = &[
    TableFormat {
        name: "npy",
        extension: "npy",
        read: npy::read,
    },
    TableFormat {
        name: "safetensors",
        extension: "safetensors",
        read: safetensors::read,
    },
];

impl Table {
    /// Opens the table that `spec` names. The file name's extension determines the format.
    ///
    /// The elements are mapped, not copied, if they are aligned for their type.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Input`] if the file cannot be mapped; [`Error::Table`] if it is
    /// not a two-dimensional f16, bf16 or f32 table in C order, is damaged, has too few rows, or if
    /// the key is missing, unknown or ambiguous.
    pub fn open(spec: &TableSpec, options: &TableOptions) -> Result<Self> {
        let map = Map::open(spec.path())?;
        let found = format_of(spec.path())
            .map_err(Problem::from)
            .and_then(|format| (format.read)(&map, spec.key(), options))
            .and_then(|extent| Ok(enough_rows(extent, options.min_rows)?));
        match found {
            Ok(extent) => Ok(Self::from_map(map, extent)),
            Err(problem) => Err(Error::table(spec.whole_name(), problem)),
        }
    }
}

fn format_of(path: &Path) -> std::result::Result<&'static TableFormat, String> {
    let extension = path.extension().unwrap_or_default();
    let found = FORMATS
        .iter()
        .find(|format| extension.eq_ignore_ascii_case(format.extension));
    found.ok_or_else(|| {
        let known: Vec<_> = FORMATS
            .iter()
            .map(|f| format!(".{}", f.extension))
            .collect();
        format!(
            "is not a table file by its name; known are {}",
            known.join(", ")
        )
    })
}

fn enough_rows(extent: Extent, min_rows: usize) -> std::result::Result<Extent, String> {
    if extent.rows < min_rows {
        let Extent { rows, dim, .. } = extent;
        return Err(format!(
            "has {rows} rows of {dim}; at least {min_rows} rows are needed"
        ));
    }
    Ok(extent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_splits_at_the_last_hash_unless_that_file_exists() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("a#b.npy");
        std::fs::write(&odd, "").unwrap();
        assert_eq!(TableSpec::parse(&odd), TableSpec::new(&odd, None));

        let spec = TableSpec::parse("dir#1/model.safetensors#wte.weight");
        assert_eq!(spec.path(), Path::new("dir#1/model.safetensors"));
        assert_eq!(spec.key(), Some("wte.weight"));
        assert_eq!(spec.to_string(), "dir#1/model.safetensors#wte.weight");

        let spec = TableSpec::parse(OsStr::from_bytes(b"\xff.npy#\xff"));
        assert_eq!(spec.path().as_os_str().as_bytes(), b"\xff.npy");
        assert_eq!(spec.key(), Some("\u{fffd}"));
    }

    #[test]
    fn unknown_extensions_are_refused_with_the_known_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table.bin");
        std::fs::write(&path, "x").unwrap();
        let spec = TableSpec::parse(&path);
        let error = Table::open(&spec, &TableOptions::default()).unwrap_err();
        assert!(
            error.to_string().ends_with("known are .npy, .safetensors"),
            "{error}"
        );
    }

    #[test]
    fn every_format_opens_an_empty_file_with_an_error() {
        let dir = tempfile::tempdir().unwrap();
        for format in FORMATS {
            let path = dir
                .path()
                .join(format!("t.{}", format.extension.to_uppercase()));
            std::fs::write(&path, "").unwrap();
            let error = Table::open(&TableSpec::parse(&path), &TableOptions::default());
            assert!(matches!(error, Err(Error::Table { .. })), "{}", format.name);
        }
    }

    #[test]
    fn short_tables_are_refused_at_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.npy");
        let table = Table::from_vec(3, 2, vec![1.0f32; 6]).unwrap();
        table
            .write_npy(std::fs::File::create(&path).unwrap())
            .unwrap();
        let spec = TableSpec::parse(&path);
        assert!(Table::open(&spec, &TableOptions::position(3)).is_ok());
        let error = Table::open(&spec, &TableOptions::token(4)).unwrap_err();
        assert!(error.to_string().contains("at least 4 rows"), "{error}");
    }
}
