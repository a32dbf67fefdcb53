//! The hash functions of the tables in this room. The build script fills some of the tables and
//! uses the same functions.

const A: u64 = 0x9e37_79b9_7f4a_7c15;
const B: u64 = 0xd6e8_feb8_6659_fd93;

/// Multiplies to 128 bits and folds the halves: every input bit reaches the low bits.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
pub(crate) const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    (product as u64) ^ (product >> 64) as u64
}

/// The length of the longest pretoken that is its own key.
pub(crate) const KEY_BYTES: usize = 16;

/// `MASKS[n]` keeps the low n bytes.
const MASKS: [u128; KEY_BYTES + 1] = {
    let mut masks = [u128::MAX; KEY_BYTES + 1];
    let mut n = 0;
    while n < KEY_BYTES {
        masks[n] = (1 << (8 * n)) - 1;
        n += 1;
    }
    masks
};

/// The first `len` of `bytes` as a key, in two halves: the bytes complemented, the rest zero. UTF-8
/// has no byte 0xFF, so no byte of a text becomes zero, and the key determines the length.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
pub(crate) const fn key(bytes: [u8; KEY_BYTES], len: usize) -> [u64; 2] {
    let key = !u128::from_le_bytes(bytes) & MASKS[len];
    [key as u64, (key >> 64) as u64]
}

/// The bytes of a [`key`], and 0xFF after them.
#[inline(always)]
pub(crate) const fn bytes_of_key([low, high]: [u64; 2]) -> [u8; KEY_BYTES] {
    (!(low as u128 | (high as u128) << u64::BITS)).to_le_bytes()
}

/// The [`key`] of up to [`KEY_BYTES`] bytes.
pub(crate) fn padded_key(bytes: &[u8]) -> [u64; 2] {
    let mut padded = [0; KEY_BYTES];
    padded[..bytes.len()].copy_from_slice(bytes);
    key(padded, bytes.len())
}

/// The hash of a [`key`].
#[inline(always)]
pub(crate) const fn of_key([low, high]: [u64; 2]) -> u64 {
    fold(low ^ A, high ^ B)
}

/// The hash of a pretoken that is too long to be a key; its highest bit is set.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
pub(crate) fn of_long(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, chunk: [u8; KEY_BYTES]| {
        let chunk = u128::from_le_bytes(chunk);
        fold(chunk as u64 ^ A ^ hash, (chunk >> 64) as u64 ^ B)
    };
    let mut hash = bytes.len() as u64;
    for &chunk in bytes.as_chunks().0 {
        hash = mix(hash, chunk);
    }
    // Some bytes are hashed twice, so that no padding is needed.
    if let Some(&last) = bytes.last_chunk() {
        hash = mix(hash, last);
    }
    hash | 1 << 63
}

/// The hash of a pretoken.
pub(crate) fn pretoken(bytes: &[u8]) -> u64 {
    if bytes.len() > KEY_BYTES {
        return of_long(bytes);
    }
    of_key(padded_key(bytes))
}

/// How many bits of an entry in the token index hold the id + 1.
pub(crate) const ID_BITS: u32 = 19;

/// The upper bits of a hash, above those of an id. They usually rule out tokens with other bytes
/// without reading those bytes.
#[inline(always)]
pub(crate) const fn tag(hash: u64) -> u32 {
    #[allow(clippy::cast_possible_truncation, reason = "the upper half")]
    let upper = (hash >> 32) as u32;
    upper >> ID_BITS << ID_BITS
}

/// Two adjacent ids, each below 2^20, as one number.
#[inline(always)]
pub(crate) const fn pair_key(left: u32, right: u32) -> u64 {
    (left as u64) << 20 | right as u64
}

/// A multiplier for [`pair_by`]; each seed has its own.
pub(crate) const fn multiplier(seed: u32) -> u64 {
    A.wrapping_add((seed as u64 * 2).wrapping_mul(B))
}

/// The hash of a [`pair_key`].
#[inline(always)]
pub(crate) const fn pair(key: u64) -> u64 {
    pair_by(key, A)
}

/// The hash of a [`pair_key`] by a [`multiplier`].
#[inline(always)]
pub(crate) const fn pair_by(key: u64, multiplier: u64) -> u64 {
    fold(key ^ B, multiplier)
}
