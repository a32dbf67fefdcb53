//! Which documents are left out for their size.

use serde::{Deserialize, Serialize};

use crate::dataset::bad::is_zero;

/// A limit that leaves documents out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    MaxDocumentBytes,
    MinTokens,
    MaxTokens,
}

/// The sizes of documents that a dataset may have; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// How many bytes of text a document has at most.
    pub max_document_bytes: Option<u64>,
    /// How many tokens its text has at least.
    pub min_tokens: Option<u64>,
    /// How many tokens its text has at most.
    pub max_tokens: Option<u64>,
}

impl Limits {
    /// Whether any document may be left out. If so, a document is never cut: all of it decides.
    pub(crate) fn are_set(self) -> bool {
        self != Self::default()
    }

    /// What leaves out a document of so many bytes of text, whatever its tokens.
    pub(crate) fn of_text(self, bytes: u64) -> Option<Limit> {
        let is_longer = self.max_document_bytes.is_some_and(|max| bytes > max);
        is_longer.then_some(Limit::MaxDocumentBytes)
    }

    /// Whether the number of tokens decides about a document.
    pub(crate) fn are_of_tokens(self) -> bool {
        self.min_tokens.is_some() || self.max_tokens.is_some()
    }

    /// What leaves out a document whose text has so many tokens.
    pub(crate) fn of_tokens(self, tokens: u64) -> Option<Limit> {
        if self.min_tokens.is_some_and(|min| tokens < min) {
            return Some(Limit::MinTokens);
        }
        let has_more = self.max_tokens.is_some_and(|max| tokens > max);
        has_more.then_some(Limit::MaxTokens)
    }
}

/// How many documents were left out for their size, by the limit that left them out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutsideLimits {
    /// Those of more bytes than [`Limits::max_document_bytes`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_document_bytes: u64,
    /// Those of fewer tokens than [`Limits::min_tokens`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub min_tokens: u64,
    /// Those of more tokens than [`Limits::max_tokens`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_tokens: u64,
}

impl OutsideLimits {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.max_document_bytes
            .saturating_add(self.min_tokens)
            .saturating_add(self.max_tokens)
    }

    /// For each of `limits` that is set: what a document must have to be left out, than what, and how
    /// many were.
    ///
    /// ```
    /// use shardmill::dataset::{Limits, OutsideLimits};
    ///
    /// let limits = Limits { min_tokens: Some(16), ..Limits::default() };
    /// let counts = OutsideLimits { min_tokens: 3, ..OutsideLimits::default() };
    /// assert!(counts.by_limit(limits).eq([("fewer tokens", 16, 3)]));
    /// ```
    pub fn by_limit(
        &self,
        limits: Limits,
    ) -> impl Iterator<Item = (&'static str, u64, u64)> + use<> {
        let rows = [
            (
                "more bytes",
                limits.max_document_bytes,
                self.max_document_bytes,
            ),
            ("fewer tokens", limits.min_tokens, self.min_tokens),
            ("more tokens", limits.max_tokens, self.max_tokens),
        ];
        rows.into_iter()
            .filter_map(|(what, limit, count)| Some((what, limit?, count)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts a document.
    pub(crate) fn add(&mut self, limit: Limit) {
        *match limit {
            Limit::MaxDocumentBytes => &mut self.max_document_bytes,
            Limit::MinTokens => &mut self.min_tokens,
            Limit::MaxTokens => &mut self.max_tokens,
        } += 1;
    }

    /// The sum of both, saturating, because numbers from files are untrusted.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self {
            max_document_bytes: self
                .max_document_bytes
                .saturating_add(other.max_document_bytes),
            min_tokens: self.min_tokens.saturating_add(other.min_tokens),
            max_tokens: self.max_tokens.saturating_add(other.max_tokens),
        }
    }
}
