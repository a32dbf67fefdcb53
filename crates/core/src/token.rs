//! The token type that all rooms share.

/// The id of a token, as in tiktoken.
pub type TokenId = u32;
