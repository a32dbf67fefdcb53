//! Arrow: files, which are also called Feather, and streams.
//!
//! ```text
//! flat        tables of `FlatBuffers`, in which metadata is
//! stored      the bytes of a file, all of them or as they are needed
//! message     messages: schemas, dictionaries and record batches
//! schema      the columns, and which parts of a record batch are theirs
//! file        a file or a stream: where its record batches and dictionaries lie
//! buffer      one buffer of a record batch, plain or compressed
//! batch       the buffers of a record batch
//! values      the values of a column, row by row
//! dictionary  the values of dictionaries
//! column      the values of a column in a record batch, and what is wrong with them
//! slices      cuts the rows of a record batch into slices
//! rows        decodes the rows of a slice
//! ```
//!
//! A record batch is what a row group is elsewhere. If it is not compressed, its values are read where
//! they are mapped, and it is cut where offsets or views say that there is enough text. The buffers of one
//! that is compressed can only be decompressed from their start on, as its rows are read. It is cut by the
//! average length of its texts; who has read a slice leaves its decoders for a later one, and the texts
//! between are decompressed and dropped. So each thread decompresses all of it about once at most.

mod batch;
mod buffer;
mod column;
mod dictionary;
mod file;
mod flat;
mod message;
mod rows;
mod schema;
mod slices;
mod stored;
mod values;

pub(super) use file::File;
pub(super) use rows::Rows;
pub(super) use slices::{Columns, Cutter};

/// What ends the reading of values: something is wrong with them, or they cannot be read.
enum Fault {
    Problem(crate::error::Problem),
    Error(crate::error::Error),
}

impl From<crate::error::Error> for Fault {
    fn from(error: crate::error::Error) -> Self {
        Self::Error(error)
    }
}

impl Fault {
    /// The data contradicts itself, as `what` says.
    fn damaged(what: impl Into<String>) -> Self {
        Self::Problem((what, crate::columnar::AGAIN).into())
    }
}

impl From<flat::Damaged> for Fault {
    fn from(_: flat::Damaged) -> Self {
        Self::damaged("has damaged metadata")
    }
}
