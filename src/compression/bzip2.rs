//! Bzip2: streams, one after another, as pbzip2 writes them, each with checksums.
//!
//! Anything else after a stream is an error, while bzip2(1) leaves it out with a warning. To decode
//! takes 4 MiB at most.

use crate::compression::{Compression, CompressionFormat};

pub(super) const COMPRESSION: CompressionFormat = CompressionFormat {
    compression: Compression::Bzip2,
    extensions: &["bz2"],
    is_magic,
    #[cfg(feature = "bzip2")]
    decoder: Some(|| Ok(Box::new(decoder::Streams::default()))),
    #[cfg(not(feature = "bzip2"))]
    decoder: None,
    first: None,
    command: "bzip2 -dc",
};

/// `BZh`, a block size, and the magic of the first block or of the stream's end. Fewer letters could
/// begin a text.
fn is_magic(head: &[u8]) -> bool {
    const BLOCK: [u8; 6] = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
    const END: [u8; 6] = [0x17, 0x72, 0x45, 0x38, 0x50, 0x90];
    match head {
        [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..] => {
            rest.starts_with(&BLOCK) || rest.starts_with(&END)
        }
        _ => false,
    }
}

#[cfg(feature = "bzip2")]
mod decoder {
    use bzip2::{Decompress, Error, Status};

    use crate::compression::{Decode, Failure};
    use crate::error::Problem;

    /// The streams that are decoded one after another.
    #[derive(Default)]
    pub(super) struct Streams {
        /// The stream that is being decoded; `None` between two.
        open: Option<Decompress>,
        /// Whether a stream has ended.
        has_one: bool,
    }

    fn problem(error: Error, has_one: bool) -> Problem {
        if matches!(error, Error::DataMagic) && has_one {
            // No stream begins here.
            return (
                "something follows the bzip2 data that is not bzip2 data",
                "get the file again, or cut it off here",
            )
                .into();
        }
        (
            "the bzip2 data is damaged: corrupt input",
            "get the file again",
        )
            .into()
    }

    impl Decode for Streams {
        fn decode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, Failure> {
            if self.open.is_none() && input.is_empty() {
                return Ok(0);
            }
            let is_new = self.open.is_none();
            let stream = self.open.get_or_insert_with(|| Decompress::new(false));
            let before = stream.total_in();
            let decoded = stream.decompress_vec(input, output);
            // At most the length of the input.
            let taken = usize::try_from(stream.total_in() - before).unwrap_or(input.len());
            match decoded {
                Ok(Status::StreamEnd) => {
                    self.open = None;
                    self.has_one = true;
                    Ok(taken)
                }
                Ok(Status::MemNeeded) => Err(Failure::Memory),
                Ok(_) => Ok(taken),
                Err(error) => Err(Failure::Damage {
                    at: if is_new { 0 } else { taken },
                    problem: problem(error, self.has_one),
                }),
            }
        }

        fn may_end(&self) -> bool {
            self.open.is_none() && self.has_one
        }
    }
}
