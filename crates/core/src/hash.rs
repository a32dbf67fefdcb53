//! Checksums: XXH3-128, written as 32 lower-case hex digits.

use std::fmt;
use std::io::{BufWriter, Write};
use std::str::{self, FromStr};

use twox_hash::XxHash3_128;

/// An XXH3-128 checksum. It detects damage, not forgery.
///
/// ```
/// # use shardmill_core::hash::Hash128;
/// let hash = Hash128::of(b"");
/// assert_eq!(hash.to_string(), "99aa06d3014798d86001c324468d497f");
/// assert_eq!("99aa06d3014798d86001c324468d497f".parse(), Ok(hash));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash128(u128);

impl Hash128 {
    /// The checksum of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(XxHash3_128::oneshot(bytes))
    }

    /// The checksum as a number.
    pub fn number(self) -> u128 {
        self.0
    }

    /// The checksum with these bits.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The checksum of `value` as compact JSON.
    pub fn of_json(value: &impl serde::Serialize) -> Self {
        // JSON comes in pieces of a few bytes, each of which would cost the hasher a call.
        let mut hasher = BufWriter::with_capacity(64 << 10, Hasher128::new());
        // The hasher takes everything and plain data always serializes.
        let _ = serde_json::to_writer(&mut hasher, value);
        let _ = hasher.flush();
        hasher.get_ref().finish()
    }

    /// The hash of a list of hashes: the hash of their concatenated canonical (big-endian) bytes.
    pub fn of_hashes(hashes: &[Self]) -> Self {
        // Most sources have one block in one unit.
        if let [hash] = hashes {
            return Self::of(&hash.0.to_be_bytes());
        }
        let mut hasher = Hasher128::new();
        for hash in hashes {
            hasher.update(&hash.0.to_be_bytes());
        }
        hasher.finish()
    }

    /// The canonical hex digits.
    fn digits(self) -> [u8; 32] {
        let mut digits = [0; 32];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0.to_be_bytes()) {
            pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
            pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
        }
        digits
    }
}

impl fmt::Display for Hash128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl fmt::Debug for Hash128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash128 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_canonical =
            text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let value = u128::from_str_radix(text, 16);
        match value {
            Ok(value) if is_canonical => Ok(Self(value)),
            _ => Err(format!("'{text}' is not 32 lower-case hex digits")),
        }
    }
}

impl serde::Serialize for Hash128 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl<'de> serde::Deserialize<'de> for Hash128 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Computes a [`Hash128`] of bytes that come in pieces; the hash does not depend on the pieces.
pub struct Hasher128(XxHash3_128);

impl Hasher128 {
    /// A hasher that has no bytes yet.
    #[expect(clippy::new_without_default, reason = "no struct has one by default")]
    pub fn new() -> Self {
        Self(XxHash3_128::new())
    }

    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The checksum of all bytes so far.
    pub fn finish(&self) -> Hash128 {
        Hash128(self.0.finish_128())
    }
}

impl fmt::Debug for Hasher128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher128")
    }
}

impl Write for Hasher128 {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that vary with their position.
    fn some_bytes(len: usize) -> Vec<u8> {
        let byte = |i| u8::try_from(i * 7 % 251).unwrap();
        (0..len).map(byte).collect()
    }

    #[test]
    fn the_hash_is_the_published_xxh3_128() {
        // "" from xxHash's own sanity checks, the others from its C library, version 0.8.4.
        for (len, expected) in [
            (0, "99aa06d3014798d86001c324468d497f"),
            (100, "fc8da0d97205f51d6c45cd2f745cc3a7"),
            (100_000, "70227b16fd5f74ef17a701075a95b432"),
        ] {
            let bytes = some_bytes(len);
            assert_eq!(Hash128::of(&bytes).to_string(), expected);
            let mut hasher = Hasher128::new();
            bytes.chunks(77).for_each(|piece| hasher.update(piece));
            assert_eq!(hasher.finish().to_string(), expected);
        }
    }

    #[test]
    fn hex_round_trips_and_nothing_else_is_taken() {
        let hash = Hash128::of(b"shardmill");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for bad in [
            "",
            "12",
            "+9aa06d3014798d86001c324468d497f",
            "99AA06D3014798D86001C324468D497F",
        ] {
            assert!(bad.parse::<Hash128>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_is_hashed_like_its_bytes() {
        let hashes: Vec<_> = (0..3).map(|len| Hash128::of(&some_bytes(len))).collect();
        for len in 0..=3 {
            let bytes: Vec<_> = hashes[..len]
                .iter()
                .flat_map(|hash| hash.0.to_be_bytes())
                .collect();
            assert_eq!(Hash128::of_hashes(&hashes[..len]), Hash128::of(&bytes));
        }
    }

    #[test]
    fn json_is_hashed_like_its_text() {
        let value: Vec<_> = (0..50_000).map(|len| Hash128(len << 90 | len)).collect();
        let text = serde_json::to_vec(&value).unwrap();
        assert_eq!(Hash128::of_json(&value), Hash128::of(&text));
        assert!(text.starts_with(b"[\"00000000000000000000000000000000\",\"0000"));
        assert_eq!(
            serde_json::from_slice::<Vec<Hash128>>(&text).unwrap(),
            value
        );
    }
}
