//! How many distinct pretokens the rest of a text will add.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of distinct pretokens is about proportional to the length of the text to this power:
/// 0.55 to 0.75 for English, text in many languages, code and Markdown.
const GROWTH: f64 = 0.65;

/// The bytes of text that all encoders together have read and will have read.
#[derive(Debug, Default)]
pub(super) struct Forecast {
    read: AtomicUsize,
    /// 0 if unknown.
    expected: AtomicUsize,
}

impl Forecast {
    /// Expects `bytes` more than have been read.
    pub(super) fn expect(&self, bytes: usize) {
        let read = self.read.load(Ordering::Relaxed);
        self.expected
            .store(read.saturating_add(bytes), Ordering::Relaxed);
    }

    pub(super) fn count(&self, bytes: usize) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many times as many distinct pretokens are expected in the end, rounded up.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "an estimate, at least 0"
    )]
    pub(super) fn more(&self) -> usize {
        let read = self.read.load(Ordering::Relaxed).max(1);
        let expected = self.expected.load(Ordering::Relaxed).max(read);
        (expected as f64 / read as f64).powf(GROWTH).ceil() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_expected_while_text_is_left() {
        let forecast = Forecast::default();
        assert_eq!(forecast.more(), 1);
        forecast.count(1000);
        assert_eq!(forecast.more(), 1, "nothing is known of the rest");
        forecast.expect(3000);
        assert_eq!(forecast.more(), 3, "four times the text");
        forecast.count(1000);
        assert_eq!(forecast.more(), 2);
        forecast.count(100_000);
        assert_eq!(forecast.more(), 1);
        forecast.expect(usize::MAX);
        assert!(forecast.more() > 1000);
    }
}
