//! What the environment says of a store. The client of the store takes each value as it is, and panics
//! at some that are no part of a request; those are refused here.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use object_store::{BackoffConfig, ClientConfigKey, RetryConfig};
use url::{Host, Url};

use crate::error::{Error, Result};

/// A body that does not move for so long is given up, and requested again from there.
const SILENCE: &str = "30s";

/// No answer takes longer.
const ANSWER: &str = "10m";

/// Limits of time, unless the environment has others.
const LIMITS: [(ClientConfigKey, &str); 2] = [
    (ClientConfigKey::ReadTimeout, SILENCE),
    (ClientConfigKey::Timeout, ANSWER),
];

/// The settings of a client, by their keys.
pub(super) fn limits<K>(key: fn(ClientConfigKey) -> K) -> impl Iterator<Item = (K, String)> {
    let limits = LIMITS.into_iter();
    limits.map(move |(limit, value)| (key(limit), value.to_owned()))
}

/// How often a request is tried again that fails.
pub(super) fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 8,
        retry_timeout: Duration::from_mins(1),
    }
}

/// The variable `name` of the environment. An empty one counts as not set.
///
/// # Errors
/// [`Error::Input`] for `shown` if it cannot be part of a request.
pub(super) fn variable(name: &str, shown: &Path) -> Result<Option<String>> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    let checked = value.as_ref().map_or(Ok(()), |value| check(name, value));
    checked.map_err(|what| Error::input(shown, what))?;
    Ok(value)
}

/// The variables of the environment that begin with `start` and have a key. Empty ones count as not set.
///
/// # Errors
/// [`Error::Input`] for `shown` if one cannot be part of a request.
pub(super) fn variables<K: FromStr>(start: &str, shown: &Path) -> Result<Vec<(K, String)>> {
    let mut found = Vec::new();
    for (name, value) in std::env::vars_os() {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
            continue;
        };
        let is_set = name.starts_with(start) && !value.is_empty();
        let Some(key) = is_set.then(|| name.to_ascii_lowercase().parse().ok()) else {
            continue;
        };
        if let Some(key) = key {
            check(name, value).map_err(|what| Error::input(shown, what))?;
            found.push((key, value.to_owned()));
        }
    }
    Ok(found)
}

fn check(name: &str, value: &str) -> std::result::Result<(), (String, &'static str)> {
    // JSON has line ends.
    if value.contains(char::is_control) && !name.ends_with("SERVICE_ACCOUNT_KEY") {
        let what = format!("{name} has a line end or another control character in it");
        return Err((what, "remove it from the value"));
    }
    if name.ends_with("REGION")
        && !value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    {
        return Err((
            format!("{name} is not the name of a region"),
            "set it to one such as us-east-1",
        ));
    }
    Ok(())
}

/// Where a store is, if not at its usual address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) url: String,
    pub(super) is_http: bool,
}

impl Endpoint {
    /// The endpoint `value`. Anyone on the way can read what is sent over plain http, so an endpoint
    /// of that kind must be on this machine, or allowed.
    ///
    /// # Errors
    /// What is wrong and what to do; `switch` is the variable that allows it.
    pub(super) fn new(
        value: &str,
        allows_http: bool,
        switch: &str,
    ) -> std::result::Result<Self, (&'static str, String)> {
        let url = Url::parse(value).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none()
        });
        let Some(url) = url else {
            return Err((
                "the endpoint in the environment is not a URL of http or https",
                "set it to one such as https://host:9000".to_owned(),
            ));
        };
        let is_http = url.scheme() == "http";
        if is_http && !allows_http && !is_loopback(&url) {
            return Err((
                "the endpoint in the environment is http, so that others could read along",
                format!("use an https endpoint, or set {switch}=true"),
            ));
        }
        let url = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url, is_http })
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether a switch is on, as the client of a store reads it.
pub(super) fn is_true(value: Option<String>) -> bool {
    const ON: [&str; 5] = ["1", "true", "on", "yes", "y"];
    value.is_some_and(|value| ON.iter().any(|on| value.eq_ignore_ascii_case(on)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine() {
        for (value, is_allowed) in [
            ("http://127.0.0.1:5000", true),
            ("http://localhost:1/x", true),
            ("HTTP://[::1]", true),
            ("https://host", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example.com", false),
            ("HTTP://host", false),
        ] {
            let made = Endpoint::new(value, false, "AWS_ALLOW_HTTP");
            assert_eq!(made.is_ok(), is_allowed, "{value}");
            assert!(Endpoint::new(value, true, "AWS_ALLOW_HTTP").is_ok());
        }
    }

    #[test]
    fn an_endpoint_is_a_url() {
        for value in [
            "localhost:9000",
            "host",
            "https://",
            "https://a b",
            "ftp://host",
            "https://host/?a=b",
            "",
        ] {
            let refused = Endpoint::new(value, true, "").unwrap_err();
            assert!(refused.0.ends_with("is not a URL of http or https"));
        }
        let url = |value| Endpoint::new(value, true, "").unwrap().url;
        assert_eq!(url("HTTPS://Host:9000/"), "https://host:9000");
        assert_eq!(url("http://host/account/"), "http://host/account");
    }

    #[test]
    fn what_is_no_part_of_a_request_is_refused() {
        assert!(check("AWS_SESSION_TOKEN", "token\n").is_err());
        assert!(check("AWS_REGION", "us east").is_err());
        assert!(check("GOOGLE_SERVICE_ACCOUNT_KEY", "{\n}").is_ok());
        assert!(check("AWS_REGION", "us-east-1").is_ok());
    }
}
