//! Which columns hold text.

use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::schema::types::ColumnDescriptor;

use crate::error::Problem;

/// Whether the values of a column are texts, or bytes that may be.
pub(super) fn is_text(column: &ColumnDescriptor) -> bool {
    let is_text = match column.logical_type_ref() {
        Some(logical) => matches!(
            logical,
            LogicalType::String | LogicalType::Enum | LogicalType::Json
        ),
        None => matches!(
            column.converted_type(),
            ConvertedType::NONE | ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON
        ),
    };
    is_text && column.physical_type() == Type::BYTE_ARRAY
}

/// What the values of a column are, for messages.
pub(super) fn kind_of(column: &ColumnDescriptor) -> String {
    let kind = match column.logical_type_ref() {
        Some(logical) => format!("{logical:?}"),
        None => column.physical_type().to_string(),
    };
    // Without its parameters.
    kind.split('(').next().unwrap_or_default().to_owned()
}

/// Checks that a column holds one text in each row.
pub(super) fn check_text(column: &ColumnDescriptor) -> Result<(), Problem> {
    let hint = "choose another with `text_field`";
    if column.max_rep_level() > 0 {
        let what = "is a list, or lies in one, so a row has more than one text";
        return Err((what, hint).into());
    }
    if !is_text(column) {
        let what = format!("holds no text, but values of type {}", kind_of(column));
        return Err((what, hint).into());
    }
    Ok(())
}
