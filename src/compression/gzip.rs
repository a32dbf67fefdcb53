//! Gzip: members, one after another, each with a checksum and a length, as RFC 1952 says.
//!
//! Zeros after a member are padding, such as a tape has, and another member may follow them; Python
//! reads this, too. Anything else after a member is an error, while gzip(1) leaves it out with a
//! warning.

use crate::compression::{Compression, CompressionFormat, First};

pub(super) const COMPRESSION: CompressionFormat = CompressionFormat {
    compression: Compression::Gzip,
    extensions: &["gz"],
    is_magic: |head| head.starts_with(b"\x1f\x8b"),
    #[cfg(feature = "gzip")]
    decoder: Some(|| Ok(Box::new(decoder::Members::default()))),
    #[cfg(not(feature = "gzip"))]
    decoder: None,
    first: Some(first_block),
    command: "gzip -dc",
};

/// The first member, if it says how long it is, as those of BGZF do: section 4.1 of the specification
/// of SAM and BAM. It has the flag for extra fields, and the first of these has the size.
fn first_block(bytes: &[u8]) -> First {
    /// Magic, deflate, and the flag for extra fields alone.
    const START: [u8; 4] = [0x1f, 0x8b, 8, 4];
    /// Of the extra fields: 6 bytes, those of the field `BC`, and 2 in it.
    const FIELD: [u8; 6] = [6, 0, b'B', b'C', 2, 0];
    const FIELD_AT: usize = 10;
    const SIZE_AT: usize = FIELD_AT + FIELD.len();
    let begins = |at: usize, with: &[u8]| {
        let found = bytes.get(at..).unwrap_or_default().iter().zip(with);
        found.into_iter().all(|(found, with)| found == with)
    };
    if !begins(0, &START) || !begins(FIELD_AT, &FIELD) {
        return First::Other;
    }
    let Some(&[low, high]) = bytes.get(SIZE_AT..).and_then(|rest| rest.first_chunk()) else {
        return First::Unfinished;
    };
    match usize::from(u16::from_le_bytes([low, high])) + 1 {
        length if length < SIZE_AT => First::Other,
        length if length <= bytes.len() => First::Whole(length),
        _ => First::Unfinished,
    }
}

#[cfg(feature = "gzip")]
mod decoder {
    use flate2::{Decompress, FlushDecompress, Status};

    use crate::compression::{Decode, Failure};
    use crate::error::Problem;

    /// The largest window of deflate, as a power of two.
    const WINDOW_BITS: u8 = 15;

    /// The members that are decoded one after another.
    #[derive(Default)]
    pub(super) struct Members {
        /// The member that is being decoded; `None` between two.
        open: Option<Decompress>,
        /// Whether a member has ended.
        has_one: bool,
    }

    impl Members {
        /// Decodes the start of `input`, which belongs to a member.
        fn member(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, Failure> {
            let member = self
                .open
                .get_or_insert_with(|| Decompress::new_gzip(WINDOW_BITS));
            let before = member.total_in();
            let decoded = member.decompress_vec(input, output, FlushDecompress::None);
            // At most the length of the input.
            let taken = usize::try_from(member.total_in() - before).unwrap_or(input.len());
            match decoded {
                Ok(Status::StreamEnd) => {
                    self.open = None;
                    self.has_one = true;
                    Ok(taken)
                }
                Ok(Status::Ok | Status::BufError) => Ok(taken),
                Err(error) => {
                    let said = error.message().unwrap_or("cannot be decoded");
                    // No member begins here.
                    let is_garbage = self.has_one && said == "incorrect header check";
                    Err(if is_garbage {
                        Failure::Damage {
                            at: 0,
                            problem: garbage(),
                        }
                    } else {
                        Failure::Damage {
                            at: taken,
                            problem: damaged(said),
                        }
                    })
                }
            }
        }
    }

    fn damaged(said: &str) -> Problem {
        // So the library says for some damage.
        let said = match said {
            "repeated call with bad state" => "corrupt input",
            other => other,
        };
        (
            format!("the gzip data is damaged: {said}"),
            "get the file again",
        )
            .into()
    }

    fn garbage() -> Problem {
        (
            "something follows the gzip data that is neither gzip data nor zeros",
            "get the file again, or cut it off here",
        )
            .into()
    }

    impl Decode for Members {
        fn decode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, Failure> {
            if self.open.is_some() || !self.has_one {
                return self.member(input, output);
            }
            match input.iter().position(|&byte| byte != 0) {
                None => Ok(input.len()),
                Some(0) => self.member(input, output),
                Some(zeros) => Ok(zeros),
            }
        }

        fn may_end(&self) -> bool {
            self.open.is_none() && self.has_one
        }
    }
}
