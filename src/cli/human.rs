//! Numbers for people: sizes, counts, times; and sizes as people type them.

use std::time::Duration;

pub(crate) use shardmill::show::{count, counted};

/// `20.5 kB`: decimal units, three digits.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if n < 1000 {
        return format!("{n} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = n as f64;
    let mut unit = "";
    for next in UNITS {
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// `3.1 ms`, `1.23 s`, `12.3 s`, `1h02m`.
pub(crate) fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match time.as_secs() {
        0 => format!("{:.1} ms", seconds * 1000.0),
        1..10 => format!("{seconds:.2} s"),
        10..120 => format!("{seconds:.1} s"),
        whole @ 120..3600 => format!("{}m{:02}s", whole / 60, whole % 60),
        whole => format!("{}h{:02}m", whole / 3600, whole % 3600 / 60),
    }
}

/// The rate per second of `n` in `time`.
pub(crate) fn per_second(n: u64, time: Duration) -> u64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate of which three digits are shown"
    )]
    let rate = (n as f64 / time.as_secs_f64().max(1e-9)) as u64;
    rate
}

/// Parses a size as people type it: `4096`, `256MiB`, `1.5 GB`; case does not matter.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 10] = [
        ("", 1),
        ("B", 1),
        ("kB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    let refused = || "a size is a number with a unit such as kB, MiB or GB, or bytes".to_owned();
    let is_of_number = |c: char| c.is_ascii_digit() || c == '.';
    let end = text.find(|c| !is_of_number(c)).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, factor) = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))
        .ok_or_else(refused)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if [whole, fraction]
        .iter()
        .any(|digits| digits.is_empty() || digits.contains('.'))
    {
        return Err(refused());
    }
    // Compute in units of the last digit, so that nothing is rounded.
    let fraction = fraction.trim_end_matches('0');
    let scale = u32::try_from(fraction.len()).ok();
    let scale = scale.and_then(|digits| 10_u128.checked_pow(digits));
    let bytes = format!("{whole}{fraction}").parse::<u128>().ok();
    let scaled = bytes.and_then(|number| number.checked_mul((*factor).into()));
    let (scale, scaled) = scale.zip(scaled).ok_or("has too many digits")?;
    if !scaled.is_multiple_of(scale) {
        return Err("is not a whole number of bytes".to_owned());
    }
    u64::try_from(scaled / scale).map_err(|_| "is beyond 2^64 bytes".to_owned())
}

/// Parses a number of things.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_count(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| "it must be a whole number from 0 to 2^64 - 1".to_owned())
}

/// Parses a separator, in which a backslash and a letter stand for a character.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_separator(text: &str) -> Result<String, String> {
    let mut separator = String::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        let character = match next {
            '\\' => match rest.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('0') => '\0',
                Some('\\') => '\\',
                _ => {
                    let known = r"only \n, \r, \t, \0 and \\ are known after a backslash";
                    return Err(known.to_owned());
                }
            },
            plain => plain,
        };
        separator.push(character);
    }
    if separator.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(separator)
}

/// Parses a share, `0.5%` or `0.005`, into millionths.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_share(text: &str) -> Result<u32, String> {
    const WHOLE: u32 = 1_000_000;
    let (number, scale) = match text.strip_suffix('%') {
        Some(percent) => (percent.trim_end(), WHOLE / 100),
        None => (text, WHOLE),
    };
    let refused = || "a share is a number such as 0.5% or 0.005".to_owned();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return Err(refused());
    }
    let mut millionths = whole
        .parse::<u32>()
        .ok()
        .and_then(|whole| whole.checked_mul(scale));
    let mut unit = scale;
    for digit in fraction.trim_end_matches('0').bytes() {
        if !unit.is_multiple_of(10) {
            return Err(
                "a share has at most six digits after the point, in percent four".to_owned(),
            );
        }
        unit /= 10;
        millionths = millionths.and_then(|sum| sum.checked_add(u32::from(digit - b'0') * unit));
    }
    millionths
        .filter(|millionths| (1..WHOLE).contains(millionths))
        .ok_or_else(|| "a share is more than 0 and less than 1".to_owned())
}

/// Parses a seed as `torch.manual_seed` accepts it: from -2^63 to 2^64 - 1. A negative seed means
/// the unsigned number with the same 64 bits.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_seed(text: &str) -> Result<u64, String> {
    let negative = || text.parse::<i64>().map(i64::cast_unsigned);
    text.parse::<u64>().or_else(|_| negative()).map_err(|_| {
        "a seed is a whole number from -2^63 to 2^64 - 1, as PyTorch takes it".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(20_480), "20.5 kB");
        assert_eq!(bytes(999_960), "1.0 MB");
        assert_eq!(bytes(u64::MAX), "18.4 EB");
        assert_eq!(seconds(Duration::from_micros(3140)), "3.1 ms");
        assert_eq!(seconds(Duration::from_millis(1234)), "1.23 s");
        assert_eq!(seconds(Duration::from_secs(3725)), "1h02m");
    }

    #[test]
    fn sizes_are_read_as_typed() {
        for (typed, bytes) in [
            ("4096", 4096),
            ("0", 0),
            ("256MiB", 256 << 20),
            ("256mib", 256 << 20),
            ("1 gb", 1_000_000_000),
            ("1.5MB", 1_500_000),
            ("1.5 MiB", 3 << 19),
            ("0.5KB", 500),
            ("1.0", 1),
            ("2.50 kib", 2560),
            ("0.000000000001TB", 1),
            ("16777215.5TiB", u64::MAX - (1 << 39) + 1),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(typed), Ok(bytes), "{typed}");
        }
        for bad in [
            "",
            "MiB",
            "-1",
            "+1",
            "1XB",
            "1.MB",
            ".5MB",
            "1.2.3MB",
            "1,5MB",
            "1e3",
            "0.3B",
            "1.0001kB",
            "0.1KiB",
            "99999999999TiB",
            "18446744073709551616",
            "1 M B",
            "1.5",
            "0.00000000000000000000000000000000000000000001TB",
        ] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_with_a_fraction_are_exact_or_refused() {
        for n in 0..5000_u64 {
            let (whole, thousandths) = (n / 1000, n % 1000);
            let size = parse_size(&format!("{whole}.{thousandths:03}kB"));
            assert_eq!(size, Ok(n));
            let size = parse_size(&format!("{whole}.{thousandths:03}KiB"));
            assert_eq!(
                size.ok(),
                (n * 1024 % 1000 == 0).then_some(n * 1024 / 1000),
                "{n}"
            );
        }
    }

    #[test]
    fn seeds_are_those_that_pytorch_takes() {
        for (typed, seed) in [
            ("0", 0),
            ("123", 123),
            ("-1", u64::MAX),
            ("-9223372036854775808", 1 << 63),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_seed(typed), Ok(seed), "{typed}");
        }
        for bad in [
            "",
            "-",
            "1.0",
            "0x1",
            "-9223372036854775809",
            "18446744073709551616",
        ] {
            assert!(parse_seed(bad).is_err(), "{bad}");
        }
    }
}
