//! Stored bytes -> decoded bytes.
//!
//! Knows how compressed data looks and how it is decoded. Does not open files, and knows nothing of
//! documents.
//!
//! ```text
//! mod           the table of compressions, and which one a name or content indicates
//! gzip          members, one after another
//! zstd          frames, one after another
//! xz            streams, one after another
//! bzip2         streams, one after another
//! decompressor  decodes while it reads, counts and hashes what is stored, and says where it is
//!               damaged
//! ahead         decodes parts on other threads
//! ```

mod ahead;
mod bzip2;
mod decompressor;
mod gzip;
mod xz;
mod zstd;

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use shardmill_core::choice;

use crate::error::{Error, Problem, Result};

pub(crate) use ahead::Ahead;
pub(crate) use decompressor::Decompressor;

choice! {
    /// How the bytes of a source are compressed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    #[non_exhaustive]
    pub enum Compression {
        /// Gzip: any number of members, one after another, and zeros after each.
        Gzip = "gzip",
        /// Zstandard: any number of frames, one after another, some of which may be skippable.
        Zstd = "zstd",
        /// Xz: any number of streams, one after another, and zeros after each.
        Xz = "xz",
        /// Bzip2: any number of streams, one after another.
        Bzip2 = "bzip2",
    }
}

/// The properties of a compression: a row of [`COMPRESSIONS`].
#[derive(Debug)]
#[non_exhaustive]
pub struct CompressionFormat {
    /// The compression.
    pub compression: Compression,
    /// The file extensions that mean it.
    pub extensions: &'static [&'static str],
    /// Whether these first bytes are its data.
    is_magic: fn(&[u8]) -> bool,
    /// Makes a decoder; `None` if the program was built without the feature of its name.
    decoder: Option<MakeDecoder>,
    /// What it begins with that can be decoded alone, without decoding it; `None` if only decoding
    /// says where it ends.
    first: Option<FirstOf>,
    /// The command that decodes a file outside of this program.
    command: &'static str,
}

/// One row for each compression.
pub static COMPRESSIONS: [CompressionFormat; 4] = [
    gzip::COMPRESSION,
    zstd::COMPRESSION,
    xz::COMPRESSION,
    bzip2::COMPRESSION,
];

/// Makes a decoder that is at the start of some data.
type MakeDecoder = fn() -> io::Result<Box<dyn Decode>>;

/// What some data, that begins where a frame or member may begin, begins with.
type FirstOf = fn(&[u8]) -> First;

/// What some data begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// Frames or members that are whole, in so many bytes.
    Whole(usize),
    /// One that may be whole if more bytes follow.
    Unfinished,
    /// Nothing whose size is known, or nothing sound.
    Other,
}

/// Decodes compressed data that comes in pieces.
pub(crate) trait Decode: Send {
    /// Decodes the start of `input` into the spare capacity of `output`, as much of both as it
    /// can; returns how many bytes of `input` it took. An empty `input` means that no more follows.
    fn decode(&mut self, input: &[u8], output: &mut Vec<u8>)
    -> std::result::Result<usize, Failure>;

    /// Whether the data may end here.
    fn may_end(&self) -> bool;
}

/// Why data was not decoded.
#[derive(Debug)]
#[cfg_attr(
    not(any(feature = "bzip2", feature = "xz", feature = "zstd")),
    allow(dead_code, reason = "no decoder says all of it")
)]
pub(crate) enum Failure {
    /// It cannot be decoded.
    Damage {
        /// Where that was found in the input.
        at: usize,
        /// What is wrong.
        problem: Problem,
    },
    /// There is not enough memory.
    Memory,
}

impl Compression {
    /// The compression's row in [`COMPRESSIONS`].
    fn row(self) -> &'static CompressionFormat {
        // The rows are in the order of the variants; a test checks this.
        &COMPRESSIONS[self as usize]
    }

    /// The compression that a file's extension names, and its path without that extension.
    pub(crate) fn of_path(path: &Path) -> Option<(Self, PathBuf)> {
        let extension = path.extension().unwrap_or(OsStr::new(""));
        let is_known = |known: &&str| extension.eq_ignore_ascii_case(known);
        let mut rows = COMPRESSIONS.iter();
        let row = rows.find(|row| row.extensions.iter().any(is_known))?;
        Some((row.compression, path.with_extension("")))
    }

    /// The compression whose data begins with `head`.
    pub(crate) fn of_content(head: &[u8]) -> Option<Self> {
        let row = COMPRESSIONS.iter().find(|row| (row.is_magic)(head));
        row.map(|row| row.compression)
    }

    /// The compression of a source whose name means `named`, if it means one, and whose stored
    /// bytes begin with `head`.
    ///
    /// # Errors
    /// [`Error::Input`] if the content is not what the name says.
    pub(crate) fn check_name(
        path: &Path,
        named: Option<Self>,
        head: &[u8],
    ) -> Result<Option<Self>> {
        let found = Self::of_content(head);
        match named {
            Some(named) if found != Some(named) => Err(Error::input(path, named.lie(found, head))),
            _ => Ok(found),
        }
    }

    /// The problem with a source that its name says is `self`, while its content is not.
    fn lie(self, found: Option<Self>, head: &[u8]) -> Problem {
        let name = self.name();
        let what = match found {
            _ if head.is_empty() => {
                return (
                    format!("is empty, while its name says {name}, which always has a header"),
                    "get the file again, or leave it out",
                )
                    .into();
            }
            Some(found) => format!("its name says {name}, and it is {} data", found.name()),
            None => format!("its name says {name}, and it is not {name} data"),
        };
        (what, "rename it to what it is").into()
    }

    /// The problem with compressed data in a file whose name does not say so.
    pub(crate) fn unnamed(self) -> Problem {
        let extension = self.row().extensions[0];
        let what = format!("is {} data, and its name does not say so", self.name());
        (what, format!("let its name end in .{extension}")).into()
    }

    /// The problem with compressed data in compressed data.
    pub(crate) fn twice(self) -> Problem {
        (
            format!("is compressed twice: there is {} data in it", self.name()),
            self.by_hand(),
        )
            .into()
    }

    /// What a user can do whose file this program cannot decode.
    fn by_hand(self) -> String {
        format!(
            "decode it in a pipe: {} FILE | shardmill tokenize - `format` FORMAT",
            self.row().command
        )
    }

    /// A decoder for data of the source at `path`.
    fn decoder(self, path: &Path) -> Result<Box<dyn Decode>> {
        let Some(decoder) = self.row().decoder else {
            let name = self.name();
            let what =
                format!("is {name} data, and this program was built without the feature '{name}'");
            return Err(Error::input(path, (what, self.by_hand())));
        };
        decoder().map_err(Error::io(path, "cannot begin to decode"))
    }
}

#[cfg(test)]
mod tests;
