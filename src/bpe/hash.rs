//! Hashes of the tables in this room; the build script fills some of them with the same ones.

const A: u64 = 0x9e37_79b9_7f4a_7c15;
const B: u64 = 0xd6e8_feb8_6659_fd93;

/// Multiplies to 128 bits and folds the halves: every input bit reaches the low bits.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
pub(crate) const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    (product as u64) ^ (product >> 64) as u64
}

/// The hash of a key of 16 bytes.
#[inline(always)]
pub(crate) const fn key(low: u64, high: u64) -> u64 {
    fold(low ^ A, high ^ B)
}

/// The hash of bytes of any number.
pub(crate) fn bytes(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = fold(hash ^ u64::from_le_bytes(word) ^ A, B);
    }
    hash
}

/// Bits of an entry of the index of tokens that are its id + 1.
pub(crate) const ID_BITS: u32 = 18;

/// The upper bits of a hash, above those of an id: tokens of other bytes are mostly told apart
/// without a look at them.
#[inline(always)]
pub(crate) const fn tag(hash: u64) -> u32 {
    #[allow(clippy::cast_possible_truncation, reason = "the upper half")]
    let upper = (hash >> 32) as u32;
    upper >> ID_BITS << ID_BITS
}

/// Two neighbouring ids, each below 2^20, as one number.
#[inline(always)]
pub(crate) const fn pair_key(left: u32, right: u32) -> u64 {
    (left as u64) << 20 | right as u64
}

/// The hash of a [`pair_key`].
#[inline(always)]
pub(crate) const fn pair(key: u64) -> u64 {
    fold(key ^ B, A)
}
