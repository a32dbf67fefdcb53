//! Xz: streams, one after another, each with checksums, as the .xz file format says.
//!
//! Zeros after a stream are padding, in groups of four, and another stream may follow them. A stream
//! says how far back it refers, and that much of its text is kept in memory: 64 MiB with the highest
//! level. More than twice of that is refused: memory must not depend on what a file asks for.

use crate::compression::{Compression, CompressionFormat};

pub(super) const COMPRESSION: CompressionFormat = CompressionFormat {
    compression: Compression::Xz,
    extensions: &["xz"],
    is_magic: |head| head.starts_with(b"\xfd7zXZ\0"),
    #[cfg(feature = "xz")]
    decoder: Some(|| Ok(Box::new(decoder::Streams::default()))),
    #[cfg(not(feature = "xz"))]
    decoder: None,
    first: None,
    command: "xz -dc",
};

#[cfg(feature = "xz")]
mod decoder {
    use liblzma::stream::{Action, Error, Status, Stream, TELL_UNSUPPORTED_CHECK};

    use crate::compression::{Decode, Failure};
    use crate::error::Problem;

    /// The largest window that is accepted.
    const WINDOW_BYTES: u64 = 128 << 20;

    /// Every stream begins with it.
    const FIRST_BYTE: u8 = 0xfd;

    /// What a decoder needs besides its window.
    const OTHER_BYTES: u64 = 1 << 20;

    /// The streams that are decoded one after another.
    #[derive(Default)]
    pub(super) struct Streams {
        /// The stream that is being decoded; `None` between two.
        open: Option<Stream>,
        /// Whether a stream has ended.
        has_one: bool,
        /// The number of zeros since then.
        zeros: usize,
    }

    impl Streams {
        /// Decodes the start of `input`, which belongs to a stream.
        fn stream(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, Failure> {
            let damage = |at, error| Failure::Damage {
                at,
                problem: problem(error, self.has_one),
            };
            if self.open.is_none() {
                let limit = WINDOW_BYTES + OTHER_BYTES;
                let opened = Stream::new_stream_decoder(limit, TELL_UNSUPPORTED_CHECK);
                self.open = Some(opened.map_err(|error| match error {
                    Error::Mem => Failure::Memory,
                    other => damage(0, other),
                })?);
            }
            let Some(stream) = &mut self.open else {
                return Ok(0);
            };
            let before = stream.total_in();
            let decoded = stream.process_vec(input, output, Action::Run);
            // At most the length of the input.
            let taken = usize::try_from(stream.total_in() - before).unwrap_or(input.len());
            match decoded {
                Ok(Status::StreamEnd) => {
                    self.open = None;
                    self.has_one = true;
                    self.zeros = 0;
                    Ok(taken)
                }
                Ok(_) => Ok(taken),
                // The header of a stream is refused as a whole.
                Err(Error::Format) => Err(damage(0, Error::Format)),
                Err(Error::Mem) => Err(Failure::Memory),
                Err(error) => Err(damage(taken, error)),
            }
        }
    }

    /// What is wrong with data for which the library returns `error`, before or after the first
    /// stream.
    fn problem(error: Error, has_one: bool) -> Problem {
        let said = match error {
            Error::MemLimit => {
                return (
                    format!("needs a window of more than {} MiB", WINDOW_BYTES >> 20),
                    "decode it in a pipe: xz -dc FILE | shardmill tokenize - `format` FORMAT",
                )
                    .into();
            }
            // No stream begins here.
            Error::Format if has_one => return garbage(),
            Error::Format => "a stream does not begin as it must",
            Error::Options => "an option that this program does not know",
            Error::UnsupportedCheck => "a checksum that this program does not know",
            _ => "corrupt input",
        };
        (
            format!("the xz data is damaged: {said}"),
            "get the file again",
        )
            .into()
    }

    fn garbage() -> Problem {
        (
            "something follows the xz data that is neither xz data nor padding",
            "get the file again, or cut it off here",
        )
            .into()
    }

    impl Decode for Streams {
        fn decode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, Failure> {
            if self.open.is_some() || !self.has_one {
                return self.stream(input, output);
            }
            let zeros = input.iter().take_while(|&&byte| byte == 0).count();
            self.zeros += zeros;
            match (zeros, self.may_end()) {
                _ if input.is_empty() || zeros == input.len() => Ok(zeros),
                // A whole header is read before its first byte is refused.
                (0, true) if input[0] == FIRST_BYTE => self.stream(input, output),
                (1.., true) => Ok(zeros),
                (_, _) => Err(Failure::Damage {
                    at: zeros,
                    problem: garbage(),
                }),
            }
        }

        fn may_end(&self) -> bool {
            self.open.is_none() && self.has_one && self.zeros.is_multiple_of(4)
        }
    }
}
