//! Parquet inputs: the same documents as from JSON Lines, whoever wrote the file and however its
//! rows are laid out.

mod damage;
mod refused;
mod same;
mod shared;

use std::sync::Arc;

use parquet::basic::{Compression, Encoding};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// How a file is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(super) compression: Compression,
    /// `None` for dictionaries as far as they pay, and then plain values.
    pub(super) encoding: Option<Encoding>,
    pub(super) version: WriterVersion,
    pub(crate) group_rows: usize,
    pub(super) page_bytes: usize,
    /// Whether a value may be null.
    pub(super) is_optional: bool,
}

impl Layout {
    pub(crate) const PLAIN: Self = Self {
        compression: Compression::UNCOMPRESSED,
        encoding: Some(Encoding::PLAIN),
        version: WriterVersion::PARQUET_1_0,
        group_rows: 50,
        page_bytes: 1 << 20,
        is_optional: true,
    };
}

/// A file with columns `id` and `text`, of these rows.
pub(crate) fn parquet<T: AsRef<[u8]>>(rows: &[Option<T>], layout: Layout) -> Vec<u8> {
    let repetition = if layout.is_optional {
        "optional"
    } else {
        "required"
    };
    let schema = format!(
        "message schema {{ required int64 id; {repetition} binary text (string); \
         optional group more {{ optional binary text; repeated binary list (string); }} }}"
    );
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let mut properties = WriterProperties::builder()
        .set_compression(layout.compression)
        .set_writer_version(layout.version)
        .set_data_page_size_limit(layout.page_bytes)
        .set_write_batch_size(8)
        .set_dictionary_enabled(layout.encoding.is_none());
    if let Some(encoding) = layout.encoding {
        properties = properties.set_column_encoding("text".into(), encoding);
    }
    let mut bytes = Vec::new();
    let properties = Arc::new(properties.build());
    let mut file = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
    for (group, rows) in rows.chunks(layout.group_rows).enumerate() {
        let mut writer = file.next_row_group().unwrap();
        let mut column = writer.next_column().unwrap().unwrap();
        let ids: Vec<_> = (0..rows.len())
            .map(|row| i64::try_from(group * layout.group_rows + row).unwrap())
            .collect();
        let ids = column.typed::<Int64Type>().write_batch(&ids, None, None);
        ids.unwrap();
        column.close().unwrap();
        let mut column = writer.next_column().unwrap().unwrap();
        let texts: Vec<_> = rows.iter().flatten().collect();
        let texts: Vec<ByteArray> = texts
            .iter()
            .map(|text| text.as_ref().to_vec().into())
            .collect();
        let levels: Vec<_> = rows.iter().map(|row| i16::from(row.is_some())).collect();
        let levels = layout.is_optional.then_some(&levels[..]);
        let texts = column
            .typed::<ByteArrayType>()
            .write_batch(&texts, levels, None);
        texts.unwrap();
        column.close().unwrap();
        // The rest is null.
        for repetition in [None, Some(vec![0; rows.len()])] {
            let mut column = writer.next_column().unwrap().unwrap();
            let nulls = vec![0; rows.len()];
            let column_of = column.typed::<ByteArrayType>();
            column_of
                .write_batch(&[], Some(&nulls), repetition.as_deref())
                .unwrap();
            column.close().unwrap();
        }
        writer.close().unwrap();
    }
    file.close().unwrap();
    bytes
}
