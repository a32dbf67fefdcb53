//! The columns of a file, by a walk through its schema, depth first: that is the order of their parts in
//! a record batch.

use crate::columnar::AGAIN;
use crate::columnar::arrow::flat::{Damaged, Table};
use crate::document::no_column;
use crate::error::Problem;

/// Columns that are nested deeper are refused: they are followed by recursion.
const MAX_NESTING: usize = 128;

/// The names of all columns together are not longer. Those of nested ones begin with the names of the
/// outer ones, so a short schema may have long names.
const MAX_NAME_BYTES: usize = 64 << 20;

/// What values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Boolean,
    Integer {
        bytes: u8,
        is_signed: bool,
    },
    Half,
    Single,
    Double,
    /// Text or bytes, between two offsets of so many bytes.
    Text {
        offset_bytes: u8,
    },
    /// The same, where views say.
    View,
    List,
    /// What is neither text nor kept, by its name.
    Other(&'static str),
}

/// Where the parts of a column begin in a record batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) node: usize,
    /// Not counting the further buffers of views.
    pub(super) buffer: usize,
    /// How many columns of views come before it, each with as many further buffers as the batch says.
    pub(super) views: usize,
}

/// A column that has values, or a list.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// With the names of those in which it lies, separated by dots.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// If the values are in a dictionary: which, and what the indices are.
    pub(super) dictionary: Option<(i64, Kind)>,
    pub(super) parts: Parts,
    /// The struct in which it lies.
    pub(super) inside: Option<usize>,
}

/// A column that has others in it, and the one in which it lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Struct {
    pub(super) parts: Parts,
    pub(super) inside: Option<usize>,
}

/// The columns of a file.
#[derive(Debug, Default)]
pub(super) struct Schema {
    pub(super) columns: Vec<Column>,
    pub(super) structs: Vec<Struct>,
}

/// How far the walk has come.
struct Walk {
    schema: Schema,
    parts: Parts,
    /// How many more fields there may be.
    fields: usize,
    name_bytes: usize,
}

/// Numbers of types in a schema.
mod types {
    pub(super) const INTEGER: u8 = 2;
    pub(super) const FLOAT: u8 = 3;
    pub(super) const STRUCT: u8 = 13;
    pub(super) const UNION: u8 = 14;
}

impl Kind {
    /// The kind of values of a type, with its number.
    fn of(number: u8, kind: Option<&Table<'_>>) -> Result<Self, Damaged> {
        let table = kind.ok_or(Damaged);
        Ok(match number {
            1 => Self::Null,
            types::INTEGER => integer(table?)?,
            types::FLOAT => match table?.i16(0)? {
                0 => Self::Half,
                1 => Self::Single,
                2 => Self::Double,
                _ => return Err(Damaged),
            },
            4 | 5 => Self::Text { offset_bytes: 4 },
            19 | 20 => Self::Text { offset_bytes: 8 },
            6 => Self::Boolean,
            23 | 24 => Self::View,
            12 | 16 | 17 | 21 | 25 | 26 => Self::List,
            7 => Self::Other("Decimal"),
            8 => Self::Other("Date"),
            9 => Self::Other("Time"),
            10 => Self::Other("Timestamp"),
            11 => Self::Other("Interval"),
            types::STRUCT => Self::Other("Struct"),
            types::UNION => Self::Other("Union"),
            15 => Self::Other("FixedSizeBinary"),
            18 => Self::Other("Duration"),
            22 => Self::Other("RunEndEncoded"),
            _ => return Err(Damaged),
        })
    }

    /// Its name, for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Null => "Null",
            Self::Boolean => "Bool",
            Self::Integer { bytes, is_signed } => match (bytes, is_signed) {
                (1, true) => "Int8",
                (2, true) => "Int16",
                (4, true) => "Int32",
                (_, true) => "Int64",
                (1, false) => "UInt8",
                (2, false) => "UInt16",
                (4, false) => "UInt32",
                (_, false) => "UInt64",
            },
            Self::Half => "Float16",
            Self::Single => "Float32",
            Self::Double => "Float64",
            Self::Text { offset_bytes: 4 } => "Utf8",
            Self::Text { .. } => "LargeUtf8",
            Self::View => "Utf8View",
            Self::List => "List",
            Self::Other(name) => name,
        }
    }
}

fn integer(table: &Table<'_>) -> Result<Kind, Damaged> {
    let bytes = match table.i32(0)? {
        8 => 1,
        16 => 2,
        32 => 4,
        64 => 8,
        _ => return Err(Damaged),
    };
    let is_signed = table.u8(1)? != 0;
    Ok(Kind::Integer { bytes, is_signed })
}

/// How many buffers a column of a type has in a record batch, without those of the columns in it.
fn buffers(number: u8, table: Option<&Table<'_>>, is_v4: bool) -> Result<usize, Damaged> {
    Ok(match number {
        1 => 0,
        // Run-end encoded ones.
        22 => usize::from(is_v4),
        // Structs, and lists of a fixed size.
        types::STRUCT | 16 => 1,
        // Of which kind each value is, and, in dense ones, where it is.
        types::UNION => {
            let is_dense = table.ok_or(Damaged)?.i16(0)? != 0;
            1 + usize::from(is_dense) + usize::from(is_v4)
        }
        // Text and bytes, and lists that are views.
        4 | 5 | 19 | 20 | 25 | 26 => 3,
        _ => 2,
    })
}

impl Schema {
    /// The columns of `schema`, which lies in `bytes` bytes of metadata.
    pub(super) fn read(schema: &Table<'_>, bytes: usize, is_v4: bool) -> Result<Self, Problem> {
        let damaged = |Damaged| -> Problem { ("has a damaged schema", AGAIN).into() };
        if schema.i16(0).map_err(damaged)? != 0 {
            let what = "has big-endian columns, which are not supported";
            return Err((what, "write it on a little-endian machine").into());
        }
        let mut walk = Walk {
            schema: Self::default(),
            parts: Parts::default(),
            // Each takes at least the four bytes that say where it is, if it is there once.
            fields: bytes / 4,
            name_bytes: 0,
        };
        for field in schema.tables(1).map_err(damaged)?.iter() {
            let field = field.map_err(damaged)?;
            walk.field(&field, None, Some(""), 1, is_v4)?;
        }
        Ok(walk.schema)
    }

    /// The column `field`, which `setting` names, if `check` takes it.
    pub(super) fn column(
        &self,
        field: &str,
        setting: &str,
        check: fn(&Column) -> Result<(), Problem>,
    ) -> Result<&Column, Problem> {
        let mut found = self.columns.iter().filter(|column| column.name == field);
        let at = |problem: Problem| problem.at(format_args!("column '{field}' "));
        match (found.next(), found.next()) {
            (Some(column), None) => return check(column).map(|()| column).map_err(at),
            (Some(_), Some(_)) => {
                let what = format!("has two columns '{field}'");
                return Err((what, "rename one of them").into());
            }
            _ => {}
        }
        // A name that other columns lie in stands for the first of them.
        let inner = self.columns.iter().find(|column| {
            let inner = column.name.strip_prefix(field);
            inner.is_some_and(|inner| inner.starts_with('.'))
        });
        if let Some(inner) = inner {
            let what = format!("has columns in it, such as '{}'", inner.name);
            let hint = format!("choose one of them with `{setting}`");
            return Err(at((what, hint).into()));
        }
        let names: Vec<_> = self.columns.iter().map(|column| &column.name).collect();
        Err(no_column(field, setting, &names))
    }
}

impl Walk {
    /// Walks through a field and those in it. `outer` is what its name begins with; `None` within a
    /// list, of which nothing is read.
    fn field(
        &mut self,
        field: &Table<'_>,
        inside: Option<usize>,
        outer: Option<&str>,
        depth: usize,
        is_v4: bool,
    ) -> Result<(), Problem> {
        let damaged = |Damaged| -> Problem { ("has a damaged schema", AGAIN).into() };
        if depth > MAX_NESTING {
            let what = format!("its columns are nested more than {MAX_NESTING} deep");
            return Err((what, "flatten them").into());
        }
        let Some(left) = self.fields.checked_sub(1) else {
            return Err(damaged(Damaged));
        };
        self.fields = left;
        let number = field.u8(2).map_err(damaged)?;
        let table = field.table(3).map_err(damaged)?;
        let kind = Kind::of(number, table.as_ref()).map_err(damaged)?;
        let dictionary = field.table(4).map_err(damaged)?;
        let dictionary = dictionary.map(|dictionary| read_dictionary(&dictionary));
        let dictionary = dictionary.transpose().map_err(damaged)?;
        let parts = self.parts;
        self.parts.node += 1;
        if dictionary.is_some() {
            self.parts.buffer += 2;
        } else {
            self.parts.buffer += buffers(number, table.as_ref(), is_v4).map_err(damaged)?;
            self.parts.views += usize::from(kind == Kind::View);
        }
        let is_struct = number == types::STRUCT && dictionary.is_none();
        let name = match outer {
            Some(outer) => {
                let own = field.string(0).map_err(damaged)?.unwrap_or_default();
                let name = format!("{outer}{own}");
                self.name_bytes += name.len();
                if self.name_bytes > MAX_NAME_BYTES {
                    let what = "the names of its columns are too long together";
                    return Err((what, "flatten or rename them").into());
                }
                Some(name)
            }
            None => None,
        };
        let mut inside = inside;
        if let Some(name) = &name {
            if is_struct {
                self.schema.structs.push(Struct { parts, inside });
                inside = Some(self.schema.structs.len() - 1);
            } else {
                self.schema.columns.push(Column {
                    name: name.clone(),
                    kind,
                    dictionary,
                    parts,
                    inside,
                });
            }
        }
        if dictionary.is_some() {
            return Ok(());
        }
        let outer = name.filter(|_| is_struct).map(|name| format!("{name}."));
        for inner in field.tables(5).map_err(damaged)?.iter() {
            let inner = inner.map_err(damaged)?;
            self.field(&inner, inside, outer.as_deref(), depth + 1, is_v4)?;
        }
        Ok(())
    }
}

/// The number of a dictionary, and what indices into it are.
fn read_dictionary(table: &Table<'_>) -> Result<(i64, Kind), Damaged> {
    let index = match table.table(1)? {
        Some(index) => integer(&index)?,
        None => Kind::Integer {
            bytes: 4,
            is_signed: true,
        },
    };
    Ok((table.i64(0)?, index))
}

/// Checks that a column holds one text in each row.
pub(super) fn check_text(column: &Column) -> Result<(), Problem> {
    let hint = "choose another with `text_field`";
    match column.kind {
        Kind::Text { .. } | Kind::View => Ok(()),
        Kind::List => {
            let what = "is a list, or lies in one, so a row has more than one text";
            Err((what, hint).into())
        }
        kind => {
            let what = format!("holds no text, but values of type {}", kind.name());
            Err((what, hint).into())
        }
    }
}

/// Checks that values of a column can be kept, and that there is one in each row.
pub(super) fn check_kept(column: &Column) -> Result<(), Problem> {
    let hint = "keep other fields";
    match column.kind {
        Kind::List => Err(("is a list, or lies in one, which cannot be kept", hint).into()),
        Kind::Other(name) => {
            let what = format!("holds values of type {name}, which cannot be kept");
            Err((what, hint).into())
        }
        _ => Ok(()),
    }
}
