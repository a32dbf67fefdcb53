//! Finds lines by their numbers.

use memchr::memchr_iter;

/// The start of every so many lines is known, so that a line takes an eighth of a byte of memory.
const STEP: usize = 64;

/// Where lines begin.
#[derive(Debug)]
pub(super) struct LineStarts(Vec<u64>);

impl LineStarts {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let ends = memchr_iter(b'\n', bytes).map(|end| end as u64 + 1);
        Self(std::iter::once(0).chain(ends).step_by(STEP).collect())
    }

    /// Line `number` of the same bytes, with its line end; `None` if there are not so many.
    pub(super) fn line<'a>(&self, bytes: &'a [u8], number: usize) -> Option<&'a [u8]> {
        let start = usize::try_from(*self.0.get(number / STEP)?).ok()?;
        let rest = bytes.get(start..)?;
        rest.split_inclusive(|&byte| byte == b'\n')
            .nth(number % STEP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_found() {
        for count in [0, 1, 63, 64, 65, 200] {
            let lines: Vec<_> = (0..count)
                .map(|n| format!("{}{n}\n", "x".repeat(n % 7)))
                .collect();
            let bytes = lines.concat().into_bytes();
            let starts = LineStarts::of(&bytes);
            for (number, line) in lines.iter().enumerate() {
                assert_eq!(starts.line(&bytes, number), Some(line.as_bytes()));
            }
            assert_eq!(starts.line(&bytes, count), None);
        }
    }
}
