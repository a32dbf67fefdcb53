//! Zstandard: frames, one after another, as RFC 8878 says; skippable ones are skipped.
//!
//! A frame says how far back it refers, and that much of its text is kept in memory: up to 8 MiB
//! with levels to 19, 128 MiB with the highest level. More is refused, as zstd(1) does unless it is
//! told otherwise: memory must not depend on what a file asks for.

use crate::compression::{Compression, CompressionFormat};

pub(super) const COMPRESSION: CompressionFormat = CompressionFormat {
    compression: Compression::Zstd,
    extensions: &["zst", "zstd"],
    is_magic: |head| {
        let is_frame = head.starts_with(b"\x28\xb5\x2f\xfd");
        // Some programs put a frame first that is to be skipped.
        is_frame || matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
    },
    #[cfg(feature = "zstd")]
    decoder: Some(|| Ok(Box::new(decoder::Frames::new()?))),
    #[cfg(not(feature = "zstd"))]
    decoder: None,
    #[cfg(feature = "zstd")]
    first: Some(decoder::first),
    #[cfg(not(feature = "zstd"))]
    first: None,
    command: "zstd -dc",
};

#[cfg(feature = "zstd")]
mod decoder {
    use std::io;

    use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};
    use zstd::zstd_safe::{find_frame_compressed_size, get_error_name};

    use crate::compression::{Decode, Failure, First};
    use crate::error::Problem;

    /// The largest window that is accepted, as a power of two.
    const WINDOW_BITS: u32 = 27;

    /// The frames that are decoded one after another.
    pub(super) struct Frames {
        decoder: Decoder<'static>,
        /// Whether the last call ended a frame.
        is_between: bool,
        /// Whether a frame has ended.
        has_one: bool,
    }

    /// The first frame: each of its blocks says how long it is.
    pub(super) fn first(bytes: &[u8]) -> First {
        match find_frame_compressed_size(bytes) {
            Ok(length) => First::Whole(length),
            Err(code) if get_error_name(code) == "Src size is incorrect" => First::Unfinished,
            Err(_) => First::Other,
        }
    }

    impl Frames {
        pub(super) fn new() -> io::Result<Self> {
            let mut decoder = Decoder::new()?;
            decoder.set_parameter(DParameter::WindowLogMax(WINDOW_BITS))?;
            Ok(Self {
                decoder,
                is_between: false,
                has_one: false,
            })
        }

        fn problem(&self, said: &str) -> Problem {
            if said.contains("too much memory") {
                return (
                    format!(
                        "needs a window of more than {} MiB",
                        (1 << WINDOW_BITS) >> 20
                    ),
                    "decode it in a pipe: zstd -dc -M2048MB FILE | shardmill tokenize - `format` FORMAT",
                )
                    .into();
            }
            if said.contains("dictionary mismatch") {
                return (
                    "needs the dictionary that it was made with",
                    "decode it in a pipe: zstd -dc -D DICTIONARY FILE | shardmill tokenize - `format` FORMAT",
                )
                    .into();
            }
            // No frame begins here.
            if self.has_one && said.contains("unknown frame") {
                return (
                    "something follows the zstd data that is not zstd data",
                    "get the file again, or cut it off here",
                )
                    .into();
            }
            // What is said of buffers is not about the file.
            let is_of_caller = said.contains("src size") || said.contains("buffer");
            let said = if is_of_caller { "corrupt input" } else { said };
            (
                format!("the zstd data is damaged: {said}"),
                "get the file again",
            )
                .into()
        }
    }

    impl Decode for Frames {
        fn decode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, Failure> {
            if self.is_between && input.is_empty() {
                return Ok(0);
            }
            let start = output.len();
            let mut taken = InBuffer::around(input);
            let mut out = OutBuffer::around_pos(output, start);
            let hint = self.decoder.run(&mut taken, &mut out);
            let hint = hint.map_err(|error| match error.to_string().to_lowercase() {
                said if said.contains("not enough memory") => Failure::Memory,
                said => Failure::Damage {
                    at: taken.pos(),
                    problem: self.problem(&said),
                },
            })?;
            self.is_between = hint == 0;
            self.has_one |= self.is_between;
            Ok(taken.pos())
        }

        fn may_end(&self) -> bool {
            self.is_between
        }
    }
}
