//! Which arguments are URLs, and which of them are refused in any build.

use std::ffi::OsStr;

use shardmill_core::show;

use crate::error::{Error, Result};

/// What serves the objects of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    S3,
    Gcs,
    Azure,
    Http,
    /// Data sets of the Hugging Face Hub.
    Hub,
}

const SCHEMES: [(&str, Scheme); 11] = [
    ("s3", Scheme::S3),
    ("s3a", Scheme::S3),
    ("gs", Scheme::Gcs),
    ("az", Scheme::Azure),
    ("adl", Scheme::Azure),
    ("azure", Scheme::Azure),
    ("abfs", Scheme::Azure),
    ("abfss", Scheme::Azure),
    ("http", Scheme::Http),
    ("https", Scheme::Http),
    ("hf", Scheme::Hub),
];

/// The scheme of `argument`, and what follows `://`; `None` if it is a path.
fn split(argument: &str) -> Option<(Scheme, &str)> {
    let (scheme, rest) = argument.split_once("://")?;
    let mut known = SCHEMES.iter();
    let (_, found) = known.find(|(name, _)| scheme.eq_ignore_ascii_case(name))?;
    Some((*found, rest))
}

/// Whether `argument` is a URL of an object or of several, and not a path.
pub(crate) fn is_url(argument: &OsStr) -> bool {
    // The scheme is ASCII, whatever follows.
    split(&argument.to_string_lossy()).is_some()
}

/// The scheme of the URL `argument`, and what follows `://`.
///
/// # Errors
/// [`Error::Input`] says why there is nothing to read.
pub(super) fn parse(argument: &OsStr) -> Result<(Scheme, &str)> {
    let refuse = |what: &str, hint: &str| {
        let shown = show::url(&argument.to_string_lossy());
        Err(Error::input(shown, (what, hint)))
    };
    let Some((scheme, rest)) = argument.to_str().and_then(split) else {
        return refuse("is not UTF-8, as URLs are", "name it in UTF-8");
    };
    if scheme == Scheme::Hub {
        let hint = format!("run `{}`, then read that directory", download(rest));
        return refuse("is on the Hugging Face Hub, which is not read", &hint);
    }
    Ok((scheme, rest))
}

/// The command that downloads what `hf://` and then `rest` names.
fn download(rest: &str) -> String {
    let (kind, rest) = match rest.split_once('/') {
        Some(("datasets", rest)) => (" --repo-type dataset", rest),
        Some(("spaces", rest)) => (" --repo-type space", rest),
        _ => ("", rest),
    };
    let mut parts = rest.splitn(3, '/');
    let owner = parts.next().unwrap_or_default();
    let (name, revision) = match parts.next() {
        Some(name) => name.split_once('@').unwrap_or((name, "")),
        None => ("", ""),
    };
    let path = parts.next().unwrap_or_default().trim_end_matches('/');
    let mut options = String::new();
    if !revision.is_empty() {
        options = format!(" --revision {revision}");
    }
    if !path.is_empty() {
        // A directory is named by what is in it.
        let last = path.rsplit('/').next().unwrap_or_default();
        let more = if last.contains('.') { "" } else { "/*" };
        options = format!("{options} --include '{path}{more}'");
    }
    format!("hf download{kind} {owner}/{name}{options} --local-dir {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_not_paths() {
        for url in [
            "s3://b/k",
            "S3A://b",
            "gs://b/",
            "az://c/k",
            "https://h/f",
            "hf://x",
        ] {
            assert!(is_url(url.as_ref()), "{url}");
        }
        for path in [
            "s3:/b",
            "a/s3://b",
            "file:///a",
            "c:/d",
            "-",
            "://",
            "x://y",
        ] {
            assert!(!is_url(path.as_ref()), "{path}");
        }
    }

    #[test]
    fn the_hub_is_downloaded_from_first() {
        for (url, command) in [
            (
                "datasets/org/name",
                "hf download --repo-type dataset org/name --local-dir name",
            ),
            (
                "datasets/org/name@main/data/",
                "hf download --repo-type dataset org/name --revision main --include 'data/*' \
                 --local-dir name",
            ),
            (
                "datasets/org/name/data/*.parquet",
                "hf download --repo-type dataset org/name --include 'data/*.parquet' --local-dir \
                 name",
            ),
            ("org/name", "hf download org/name --local-dir name"),
        ] {
            assert_eq!(download(url), command);
        }
    }
}
