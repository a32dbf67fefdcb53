//! Computes every value in `fixtures/golden` that the crate can compute: the results of PyTorch,
//! NumPy and tiktoken, bit for bit.
//!
//! One executable, so that it can rerun itself on an emulated CPU (`qemu.rs`).
#![allow(
    clippy::unwrap_used,
    reason = "a value that is not there fails the test"
)]

mod every_cpu;
mod gather;
mod positions;
mod qemu;
mod sums;
pub(crate) mod support;
mod tokens;
mod torch;
