//! Every value in `fixtures/golden` that the crate can compute, computed: what PyTorch, NumPy and
//! tiktoken gave, bit for bit.
//!
//! One executable, so that it can run itself again on an emulated CPU (`qemu.rs`).
#![allow(
    clippy::unwrap_used,
    reason = "a value that is not there fails the test"
)]

mod gather;
mod positions;
mod qemu;
mod sums;
pub(crate) mod support;
mod tokens;
mod torch;
