//! Decodes the columns of kept fields.

use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::schema::types::ColumnDescriptor;

use crate::columnar::parquet::column::Column;
use crate::columnar::parquet::text::{is_text, kind_of};
use crate::columnar::parquet::values::Values;
use crate::document::{Cell, json_float, push_cell};
use crate::error::{Problem, Result};

/// The values of a kept field in some rows.
pub(super) enum Cells {
    Boolean(Values<BoolType>),
    Int32(Values<Int32Type>, Sign),
    Int64(Values<Int64Type>, Sign),
    Float(Values<FloatType>),
    Double(Values<DoubleType>),
    Text(Values<ByteArrayType>),
}

/// Whether integers have a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Signed,
    Unsigned,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Boolean,
    Int32(Sign),
    Int64(Sign),
    Float,
    Double,
    Text,
}

impl Kind {
    /// `None` if values of the column cannot be kept.
    fn of(column: &ColumnDescriptor) -> Option<Self> {
        let integer = integer(column);
        match column.physical_type() {
            Type::BOOLEAN => Some(Self::Boolean),
            Type::INT32 => integer.map(Self::Int32),
            Type::INT64 => integer.map(Self::Int64),
            Type::FLOAT => Some(Self::Float),
            Type::DOUBLE => Some(Self::Double),
            Type::BYTE_ARRAY if is_text(column) => Some(Self::Text),
            _ => None,
        }
    }
}

/// The sign of a column of integers; `None` if they stand for something else, such as dates.
fn integer(column: &ColumnDescriptor) -> Option<Sign> {
    let sign = |is_signed| {
        if is_signed {
            Sign::Signed
        } else {
            Sign::Unsigned
        }
    };
    match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Integer(integer)), _) => Some(sign(integer.is_signed)),
        // All values of a column of an unknown type are null.
        (None, ConvertedType::NONE) | (Some(LogicalType::Unknown), _) => Some(Sign::Signed),
        (None, converted) => match converted {
            ConvertedType::INT_8
            | ConvertedType::INT_16
            | ConvertedType::INT_32
            | ConvertedType::INT_64 => Some(Sign::Signed),
            ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64 => Some(Sign::Unsigned),
            _ => None,
        },
        (Some(_), _) => None,
    }
}

/// Checks that values of a column can be kept, and that there is one in each row.
pub(super) fn check_kept(column: &ColumnDescriptor) -> std::result::Result<(), Problem> {
    let hint = "keep other fields";
    if column.max_rep_level() > 0 {
        return Err(("is a list, or lies in one, which cannot be kept", hint).into());
    }
    if Kind::of(column).is_none() {
        let what = format!(
            "holds values of type {}, which cannot be kept",
            kind_of(column)
        );
        return Err((what, hint).into());
    }
    Ok(())
}

impl Cells {
    /// Begins with `rows` of row group `group` after the first `before`.
    pub(super) fn new(column: &Arc<Column>, group: usize, rows: (u64, u64)) -> Result<Self> {
        let schema = column.file.metadata.file_metadata().schema_descr();
        Ok(match Kind::of(&schema.column(column.index)) {
            Some(Kind::Boolean) => Self::Boolean(Values::new(column, group, rows, true)?),
            Some(Kind::Int32(sign)) => Self::Int32(Values::new(column, group, rows, true)?, sign),
            Some(Kind::Int64(sign)) => Self::Int64(Values::new(column, group, rows, true)?, sign),
            Some(Kind::Float) => Self::Float(Values::new(column, group, rows, true)?),
            Some(Kind::Double) => Self::Double(Values::new(column, group, rows, true)?),
            // Other columns were refused.
            Some(Kind::Text) | None => Self::Text(Values::new(column, group, rows, true)?),
        })
    }

    /// Appends the value of the next row to `rows`. Returns `false` if it is too long.
    pub(super) fn push_next(&mut self, rows: &mut Vec<u8>) -> Result<bool> {
        let json = match self {
            Self::Text(values) => {
                let text = values.next()?;
                let cell = text.as_ref().map(ByteArray::data).map(Cell::Text);
                return Ok(push_cell(rows, cell.as_ref()));
            }
            Self::Boolean(values) => values.next()?.map(|value| value.to_string()),
            Self::Int32(values, Sign::Signed) => values.next()?.map(|value| value.to_string()),
            Self::Int32(values, Sign::Unsigned) => values
                .next()?
                .map(|value| value.cast_unsigned().to_string()),
            Self::Int64(values, Sign::Signed) => values.next()?.map(|value| value.to_string()),
            Self::Int64(values, Sign::Unsigned) => values
                .next()?
                .map(|value| value.cast_unsigned().to_string()),
            Self::Float(values) => values
                .next()?
                .and_then(|value| json_float(value, value.is_finite())),
            Self::Double(values) => values
                .next()?
                .and_then(|value| json_float(value, value.is_finite())),
        };
        Ok(push_cell(rows, json.map(Cell::Json).as_ref()))
    }
}
