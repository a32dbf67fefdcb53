//! Web servers. Each URL with a query is a store of its own, and all share their connections.

use std::sync::{Arc, Mutex, PoisonError};

use object_store::client::{HttpClient, HttpConnector, ReqwestConnector};
use object_store::http::HttpBuilder;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use url::{Position, Url};

use crate::remote::environment::limits;

/// The connections to web servers: encrypted ones, and plain ones.
#[derive(Debug, Default)]
pub(super) struct Web {
    tls: Connections,
    plain: Connections,
}

impl Web {
    /// The objects below the URL `name`.
    pub(super) fn store(
        &self,
        name: &str,
        retry: RetryConfig,
    ) -> object_store::Result<Arc<dyn ObjectStore>> {
        // A URL that begins with http: asks for it. A redirect does not leave https.
        let is_plain = name
            .split_once(':')
            .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("http"));
        let connections = if is_plain { &self.plain } else { &self.tls };
        let options = limits(|key| key).fold(ClientOptions::new(), |options, (key, value)| {
            options.with_config(key, value)
        });
        let builder = HttpBuilder::new()
            .with_url(name)
            .with_client_options(options.with_allow_http(is_plain))
            .with_http_connector(connections.clone())
            .with_retry(retry);
        Ok(Arc::new(builder.build()?))
    }
}

/// One client, made when it is first needed. Each has connections of its own, and reads the
/// certificates of the system.
#[derive(Clone, Debug, Default)]
struct Connections(Arc<Mutex<Option<HttpClient>>>);

impl HttpConnector for Connections {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let mut client = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let new = ReqwestConnector::default().connect(options)?;
        Ok(client.insert(new).clone())
    }
}

/// A place, by the name of its store and its key.
pub(super) type Parts = std::result::Result<(String, String), (&'static str, &'static str)>;

/// The URL without its path, and the path, decoded.
pub(super) fn parts(argument: &str) -> Parts {
    let url = Url::parse(argument).map_err(|_| ("is not a URL", "check how it is spelled"))?;
    if url.path().ends_with('/') {
        return Err((
            "names no object, and the objects below a URL of a web server cannot be listed",
            "name each object",
        ));
    }
    let path = object_store::path::Path::from_url_path(url.path()).map_err(|_| {
        (
            "has a path with an empty name, '.', '..', or bytes that are not UTF-8",
            "rename the object",
        )
    })?;
    // A query belongs to every request.
    let query = url
        .query()
        .map_or_else(String::new, |query| format!("/?{query}"));
    Ok((
        format!("{}{query}", &url[..Position::BeforePath]),
        path.into(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_stays_with_the_server_and_a_path_is_decoded() {
        let (name, key) = parts("https://h:8/a%20b/c%2B+.txt?sig=x").unwrap();
        assert_eq!((&name[..], &key[..]), ("https://h:8/?sig=x", "a b/c++.txt"));
        assert!(parts("https://h/a/").is_err());
        assert!(parts("https://h").is_err());
    }
}
