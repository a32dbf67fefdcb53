//! Reports, for people, what the windows leave out of a dataset and what they repeat.

use std::fmt;

use shardmill::embed::EmbedOutcome;

use crate::cli::human::counted;

/// How windows cover the documents and tokens of a dataset.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Coverage {
    /// The number of documents without a window, if windows stay within documents.
    pub(crate) left_out_documents: Option<u64>,
    /// The number of tokens that are neither an input nor a target.
    pub(crate) left_out_tokens: u64,
    /// The number of tokens that are an input of more than one window.
    pub(crate) repeated_tokens: u64,
    /// The number of windows of an incomplete last batch.
    pub(crate) dropped_windows: u64,
}

impl Coverage {
    pub(crate) fn of(done: &EmbedOutcome) -> Self {
        Self {
            left_out_documents: done.record.left_out().map(|left_out| left_out.documents),
            left_out_tokens: done.record.n_left_out_tokens(),
            repeated_tokens: done.repeated_tokens,
            dropped_windows: done.record.n_dropped_windows(),
        }
    }
}

/// ` within documents (1 document and 3 tokens in none, 8 tokens in several)`, or nothing if each
/// token is in exactly one window.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let tokens = counted(self.left_out_tokens, "token");
        if let Some(documents) = self.left_out_documents {
            f.write_str(" within documents")?;
            parts.push(format!(
                "{} and {tokens} in none",
                counted(documents, "document")
            ));
        } else if self.left_out_tokens > 0 {
            parts.push(format!("{tokens} in none"));
        }
        if self.repeated_tokens > 0 {
            parts.push(format!(
                "{} in several",
                counted(self.repeated_tokens, "token")
            ));
        }
        if self.dropped_windows > 0 {
            parts.push(format!(
                "{} dropped",
                counted(self.dropped_windows, "window")
            ));
        }
        if parts.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", parts.join(", "))
    }
}
