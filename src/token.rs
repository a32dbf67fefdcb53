//! What all rooms call a token.

/// The id of a token, as in tiktoken.
pub type TokenId = u32;
