//! Writes rows into a pipe.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;

use shardmill_core::dtype::{Dtype, Element};

use crate::error::{Error, Result};
use crate::sink::{ArrayFormat, ArrayLayout, Batch, Sink};

/// The capacity to request for a pipe: the most that Linux allows unprivileged processes. It halves
/// the switches to the reader and back.
#[cfg(target_os = "linux")]
const PIPE_BYTES: usize = 1 << 20;

/// Makes a pipe as large as allowed; leaves anything else as it is.
#[cfg(target_os = "linux")]
pub(crate) fn widen_pipe(pipe: impl AsFd) {
    // The process may be refused that much; the current size works, too.
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
}

/// Elsewhere, pipes have one size.
#[cfg(not(target_os = "linux"))]
pub(crate) fn widen_pipe(_: impl AsFd) {}

/// Writes embeddings, row-major, little-endian, to any writer.
#[derive(Debug)]
pub struct StreamSink<W> {
    writer: W,
    /// The writer's name in messages.
    name: PathBuf,
    format: ArrayFormat,
}

impl StreamSink<File> {
    /// Writes to an open file, which messages call `name`. A pipe is made larger, if allowed.
    pub fn to_file(file: File, name: impl Into<PathBuf>) -> Self {
        widen_pipe(&file);
        Self::new(file, name)
    }
}

impl<W: Write> StreamSink<W> {
    /// Writes to `writer`, which messages call `name`; without a header.
    pub fn new(writer: W, name: impl Into<PathBuf>) -> Self {
        Self {
            writer,
            name: name.into(),
            format: ArrayFormat::Raw,
        }
    }

    /// Writes what a file of `format` would hold.
    #[must_use]
    pub fn with_format(mut self, format: ArrayFormat) -> Self {
        self.format = format;
        self
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer
            .write_all(bytes)
            .and_then(|()| self.writer.flush())
            .map_err(Error::io(&self.name, "cannot write"))
    }
}

impl<W: Write> Sink for StreamSink<W> {
    fn begin(&mut self, shape: [u64; 3], dtype: Dtype) -> Result<()> {
        let layout = ArrayLayout {
            format: self.format,
            shape,
            dtype,
        };
        self.put(&layout.embeddings_header())
    }

    fn write<E: Element>(&mut self, batch: &Batch<'_, E>) -> Result<()> {
        self.put(bytemuck::cast_slice(batch.embeddings))
    }
}
