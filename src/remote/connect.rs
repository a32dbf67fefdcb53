//! A URL -> its store. Credentials, endpoints and regions come from the environment.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as S3Key};
use object_store::azure::{AzureConfigKey as AzureKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey as GcsKey};
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};
use url::{Host, Position, Url};

use crate::error::{Error, Result};
use crate::remote::failure::reason;
use crate::remote::place::Place;
use crate::remote::requests::Requests;
use crate::remote::store::Store;
use crate::remote::url::{Scheme, parse};
use crate::show;

/// A body that does not move for so long is given up, and requested again from there.
const SILENCE: &str = "30s";

/// No answer takes longer.
const ANSWER: &str = "10m";

/// The machine's own address of a cloud's credentials.
const METADATA_SERVICE: ([u8; 4], u16) = ([169, 254, 169, 254], 80);

/// The stores that the arguments named so far.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    requests: Option<Arc<Requests>>,
    stores: HashMap<String, Arc<Store>>,
}

impl Stores {
    /// The place that the URL `argument` names.
    ///
    /// # Errors
    /// [`Error::Input`] if it names no place, or there are no credentials.
    pub(crate) fn open(&mut self, argument: &OsStr) -> Result<Place> {
        let (scheme, rest) = parse(argument)?;
        let argument = argument.to_str().unwrap_or_default();
        let shown = show::url(argument);
        let refuse = |(what, hint): (&str, &str)| Error::input(&shown, (what, hint));
        let (name, key) = if scheme == Scheme::Http {
            http_parts(argument).map_err(refuse)?
        } else {
            let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
            check_bucket(scheme, bucket).map_err(refuse)?;
            let start = argument.len() - rest.len();
            (format!("{}{bucket}", &argument[..start]), key.to_owned())
        };
        if let Some(store) = self.stores.get(&name) {
            return Ok(Place::new(Arc::clone(store), key));
        }
        let inner = connect(scheme, &name, Path::new(&shown))?;
        let requests = match &self.requests {
            Some(requests) => Arc::clone(requests),
            None => Arc::clone(self.requests.insert(Arc::new(Requests::new(&shown)?))),
        };
        let shown = show::url(name.split('?').next().unwrap_or_default());
        let store = Store::new(inner, requests, shown, scheme != Scheme::Http);
        let store = Arc::new(store);
        self.stores.insert(name, Arc::clone(&store));
        Ok(Place::new(store, key))
    }
}

/// A place, by the name of its store and its key.
type Parts = std::result::Result<(String, String), (&'static str, &'static str)>;

/// The URL without its path, and the path, decoded.
fn http_parts(argument: &str) -> Parts {
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

fn check_bucket(
    scheme: Scheme,
    bucket: &str,
) -> std::result::Result<(), (&'static str, &'static str)> {
    if bucket.is_empty() {
        return Err(("names no bucket", "put its name after '://'"));
    }
    let has_user = bucket.contains('@') && (scheme != Scheme::Azure || bucket.contains(':'));
    if has_user {
        let hint = "remove them, and set the environment variables of the store";
        return Err(("has credentials in it, which are not read from a URL", hint));
    }
    Ok(())
}

/// The store of this name. `shown` is for messages.
fn connect(scheme: Scheme, name: &str, shown: &Path) -> Result<Arc<dyn ObjectStore>> {
    // If the process has one already, that one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 8,
        retry_timeout: Duration::from_mins(1),
    };
    let built: object_store::Result<Arc<dyn ObjectStore>> = match scheme {
        Scheme::S3 => s3(name, shown)?
            .with_retry(retry)
            .build()
            .map(|store| Arc::new(store) as _),
        Scheme::Gcs => gcs(name, shown)?
            .with_retry(retry)
            .build()
            .map(|store| Arc::new(store) as _),
        Scheme::Azure => azure(name, shown)?
            .with_retry(retry)
            .build()
            .map(|store| Arc::new(store) as _),
        Scheme::Http | Scheme::Hub => {
            let options = ClientOptions::new()
                .with_config(ClientConfigKey::ReadTimeout, SILENCE)
                .with_config(ClientConfigKey::Timeout, ANSWER)
                // Whoever types http:// wants it.
                .with_allow_http(true);
            let builder = HttpBuilder::new()
                .with_url(name)
                .with_client_options(options);
            builder
                .with_retry(retry)
                .build()
                .map(|store| Arc::new(store) as _)
        }
    };
    built.map_err(|error| Error::input(shown, format!("cannot be used: {}", reason(&error))))
}

fn s3(name: &str, shown: &Path) -> Result<AmazonS3Builder> {
    let mut builder = AmazonS3Builder::from_env().with_url(name);
    for (key, value) in [
        (ClientConfigKey::ReadTimeout, SILENCE),
        (ClientConfigKey::Timeout, ANSWER),
    ] {
        builder = builder.with_config(S3Key::Client(key), value);
    }
    let get = |key| builder.get_config_value(&key);
    let allows_http = get(S3Key::Client(ClientConfigKey::AllowHttp)).as_deref() == Some("true");
    let endpoint = get(S3Key::S3Endpoint).or_else(|| get(S3Key::Endpoint));
    let is_http = endpoint
        .as_ref()
        .is_some_and(|endpoint| endpoint.starts_with("http://"));
    let sources = [
        S3Key::AccessKeyId,
        S3Key::WebIdentityTokenFile,
        S3Key::ContainerCredentialsRelativeUri,
        S3Key::ContainerCredentialsFullUri,
        S3Key::MetadataEndpoint,
    ];
    let has_credentials =
        is_true(get(S3Key::SkipSignature)) || sources.into_iter().any(|key| get(key).is_some());
    if is_http && !allows_http {
        if !endpoint.as_deref().is_some_and(is_loopback) {
            let what = "the endpoint in the environment is http, so that others could read along";
            let hint = "use an https endpoint, or set AWS_ALLOW_HTTP=true";
            return Err(Error::input(shown, (what, hint)));
        }
        builder = builder.with_allow_http(true);
    }
    need_credentials(
        has_credentials,
        "AWS_EC2_METADATA_DISABLED",
        shown,
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public \
         bucket",
    )?;
    Ok(builder)
}

fn gcs(name: &str, shown: &Path) -> Result<GoogleCloudStorageBuilder> {
    let mut builder = GoogleCloudStorageBuilder::from_env().with_url(name);
    for (key, value) in [
        (ClientConfigKey::ReadTimeout, SILENCE),
        (ClientConfigKey::Timeout, ANSWER),
    ] {
        builder = builder.with_config(GcsKey::Client(key), value);
    }
    let get = |key| builder.get_config_value(&key);
    let sources = [
        GcsKey::ServiceAccount,
        GcsKey::ServiceAccountKey,
        GcsKey::ApplicationCredentials,
        GcsKey::BearerToken,
    ];
    let of_gcloud = std::env::home_dir().is_some_and(|home| {
        home.join(".config/gcloud/application_default_credentials.json")
            .is_file()
    });
    let has_credentials = of_gcloud
        || is_true(get(GcsKey::SkipSignature))
        || sources.into_iter().any(|key| get(key).is_some());
    need_credentials(
        has_credentials,
        "NO_GCE_CHECK",
        shown,
        "set GOOGLE_APPLICATION_CREDENTIALS, or GOOGLE_SKIP_SIGNATURE=true for a public bucket",
    )?;
    Ok(builder)
}

fn azure(name: &str, shown: &Path) -> Result<MicrosoftAzureBuilder> {
    let mut builder = MicrosoftAzureBuilder::from_env().with_url(name);
    for (key, value) in [
        (ClientConfigKey::ReadTimeout, SILENCE),
        (ClientConfigKey::Timeout, ANSWER),
    ] {
        builder = builder.with_config(AzureKey::Client(key), value);
    }
    let get = |key| builder.get_config_value(&key);
    let sources = [
        AzureKey::AccessKey,
        AzureKey::ClientId,
        AzureKey::SasKey,
        AzureKey::Token,
        AzureKey::MsiEndpoint,
        AzureKey::FederatedTokenFile,
    ];
    let switches = [
        AzureKey::SkipSignature,
        AzureKey::UseAzureCli,
        AzureKey::UseEmulator,
    ];
    let has_credentials = switches.into_iter().any(|key| is_true(get(key)))
        || sources.into_iter().any(|key| get(key).is_some());
    need_credentials(
        has_credentials,
        "",
        shown,
        "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, \
         or AZURE_SKIP_SIGNATURE=true for a public container",
    )?;
    Ok(builder)
}

fn is_true(value: Option<String>) -> bool {
    value.is_some_and(|value| value == "true" || value == "1")
}

fn is_loopback(endpoint: &str) -> bool {
    let url = Url::parse(endpoint).ok();
    match url.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Without credentials in the environment, the machine may have some, unless `switch` is set there.
/// Elsewhere, to ask for them takes minutes, so that it is first tried whether anything answers.
fn need_credentials(has_credentials: bool, switch: &str, shown: &Path, hint: &str) -> Result<()> {
    let has_service = || {
        let wait = Duration::from_secs(1);
        !is_true(std::env::var(switch).ok())
            && TcpStream::connect_timeout(&SocketAddr::from(METADATA_SERVICE), wait).is_ok()
    };
    if has_credentials || has_service() {
        return Ok(());
    }
    let what = "there are no credentials in the environment, and this machine has none of its own";
    Err(Error::input(shown, (what, hint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_stays_with_the_server_and_a_path_is_decoded() {
        let (name, key) = http_parts("https://h:8/a%20b/c%2B+.txt?sig=x").unwrap();
        assert_eq!((&name[..], &key[..]), ("https://h:8/?sig=x", "a b/c++.txt"));
        assert!(http_parts("https://h/a/").is_err());
        assert!(http_parts("https://h").is_err());
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (endpoint, is) in [
            ("http://127.0.0.1:5000", true),
            ("http://localhost:1/x", true),
            ("http://[::1]", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example.com", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_loopback(endpoint), is, "{endpoint}");
        }
    }
}
