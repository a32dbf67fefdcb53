//! Raw rows into a pipe.

use std::io::Write;
use std::path::PathBuf;

use crate::sink::{Batch, Sink};
use crate::{Element, Error, Result};

/// Writes embeddings without a header, row-major, little-endian, to any writer.
#[derive(Debug)]
pub struct StreamSink<W> {
    writer: W,
    /// What the writer is called in messages.
    name: PathBuf,
}

impl<W: Write> StreamSink<W> {
    /// Writes to `writer`, which messages call `name`.
    pub fn new(writer: W, name: impl Into<PathBuf>) -> Self {
        Self {
            writer,
            name: name.into(),
        }
    }
}

impl<W: Write> Sink for StreamSink<W> {
    fn write<E: Element>(&mut self, batch: &Batch<'_, E>) -> Result<()> {
        self.writer
            .write_all(bytemuck::cast_slice(batch.embeddings))
            .and_then(|()| self.writer.flush())
            .map_err(Error::io(&self.name, "cannot write"))
    }
}
