//! The levels of x86-64.
//!
//! ```text
//! avx2    AVX2, and what every CPU with it has
//! avx512  AVX-512 for blocks of bytes, and else AVX2
//! ```

pub(super) mod avx2;
pub(super) mod avx512;
