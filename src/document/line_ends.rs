//! Where lines end, for their numbers in messages.

use memchr::memchr_iter;

/// What ends a line of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineEnds {
    /// `\n`, also after `\r`.
    Newline,
    /// `\n`, `\r\n`, or `\r` alone.
    Any,
}

/// Counts the lines that end in bytes that come part by part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineCounter {
    ends: LineEnds,
    /// Whether the last byte was `\r`, which ended a line, so that `\n` does not end another one.
    is_after_return: bool,
}

impl LineEnds {
    /// The number of lines that end in `bytes`, which begin where a line or a record does.
    pub(crate) fn count(self, bytes: &[u8]) -> u64 {
        self.counter(None).count(bytes)
    }

    /// The number of lines that `record` takes up, of which the last may not end.
    pub(crate) fn lines_of(self, record: &[u8]) -> u64 {
        let is_whole = match record.last() {
            Some(b'\n') => true,
            Some(b'\r') => self == Self::Any,
            _ => false,
        };
        self.count(record) + u64::from(!is_whole)
    }

    /// Counts lines after `last`, the byte before.
    pub(crate) fn counter(self, last: Option<u8>) -> LineCounter {
        LineCounter {
            ends: self,
            is_after_return: last == Some(b'\r'),
        }
    }
}

impl LineCounter {
    /// The number of lines that end in `bytes`, the next ones.
    pub(crate) fn count(&mut self, bytes: &[u8]) -> u64 {
        let newlines = memchr_iter(b'\n', bytes).count();
        let returns = match self.ends {
            LineEnds::Newline => return newlines as u64,
            LineEnds::Any => memchr_iter(b'\r', bytes)
                .filter(|at| bytes.get(at + 1) != Some(&b'\n'))
                .count(),
        };
        let is_counted = self.is_after_return && bytes.first() == Some(&b'\n');
        if let Some(last) = bytes.last() {
            self.is_after_return = *last == b'\r';
        }
        (newlines + returns - usize::from(is_counted)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_takes_up_its_last_line_too() {
        for (record, newlines, any) in [("", 1, 1), ("a", 1, 1), ("a\r", 1, 1), ("a\rb", 1, 2)] {
            let found =
                [LineEnds::Newline, LineEnds::Any].map(|ends| ends.lines_of(record.as_bytes()));
            assert_eq!(found, [newlines, any], "{record:?}");
        }
        assert_eq!(LineEnds::Newline.lines_of(b"a\nb\n"), 2);
    }

    #[test]
    fn lines_are_counted_however_the_bytes_are_parted() {
        for (text, newlines, any) in [
            ("", 0, 0),
            ("a", 0, 0),
            ("a\nb\n", 2, 2),
            ("a\r\nb\r\n", 2, 2),
            ("a\rb\r", 0, 2),
            ("a\r\r\n\n\r\n\r", 3, 5),
        ] {
            for (ends, lines) in [(LineEnds::Newline, newlines), (LineEnds::Any, any)] {
                assert_eq!(ends.count(text.as_bytes()), lines, "{text:?}");
                for first in 0..=text.len() {
                    for second in first..=text.len() {
                        let mut counter = ends.counter(None);
                        let parts = [&text[..first], &text[first..second], &text[second..]];
                        let counts = parts.map(|part| counter.count(part.as_bytes()));
                        assert_eq!(counts.iter().sum::<u64>(), lines, "{parts:?}");
                    }
                }
            }
        }
    }
}
