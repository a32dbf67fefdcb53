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
use object_store::list::PaginatedListStore;
use object_store::{ClientConfigKey, ObjectStore};
use shardmill_core::show;

use crate::error::{Error, Result};
use crate::remote::environment::{Endpoint, is_true, limits, retries, variable, variables};
use crate::remote::failure::reason;
use crate::remote::list::Lists;
use crate::remote::place::Place;
use crate::remote::requests::Requests;
use crate::remote::store::{Client, Store};
use crate::remote::url::{Scheme, parse};
use crate::remote::web::{self, Web};

/// The machine's own address of a cloud's credentials.
const METADATA_SERVICE: ([u8; 4], u16) = ([169, 254, 169, 254], 80);

/// The stores that the arguments named so far.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    requests: Option<Arc<Requests>>,
    by_name: HashMap<String, Arc<Store>>,
    web: Web,
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
            web::parts(argument).map_err(refuse)?
        } else {
            let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
            check_bucket(scheme, bucket).map_err(refuse)?;
            let start = argument.len() - rest.len();
            let scheme = argument[..start].to_ascii_lowercase();
            (format!("{scheme}{bucket}"), key.to_owned())
        };
        if let Some(store) = self.by_name.get(&name) {
            return Ok(Place::new(Arc::clone(store), key));
        }
        let client = connect(scheme, &name, &self.web, Path::new(&shown))?;
        let requests = match &self.requests {
            Some(requests) => Arc::clone(requests),
            None => Arc::clone(self.requests.insert(Arc::new(Requests::new(&shown)?))),
        };
        let shown = show::url(name.split('?').next().unwrap_or_default());
        let store = Arc::new(Store::new(client, requests, shown));
        self.by_name.insert(name, Arc::clone(&store));
        Ok(Place::new(store, key))
    }
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
fn connect(scheme: Scheme, name: &str, web: &Web, shown: &Path) -> Result<Client> {
    // If the process has one already, that one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let retry = retries();
    let built: object_store::Result<Client> = match scheme {
        Scheme::S3 => {
            // Those in one zone only, whose names end with two hyphens and `x-s3`, list in no order.
            let rest = name.strip_suffix("-x-s3");
            let has_order = !rest.is_some_and(|rest| rest.ends_with('-'));
            let store = s3(name, shown)?.with_retry(retry).build();
            store.map(|store| listed(store, has_order))
        }
        Scheme::Gcs => gcs(name, shown)?
            .with_retry(retry)
            .build()
            .map(|store| listed(store, false)),
        Scheme::Azure => azure(name, shown)?
            .with_retry(retry)
            .build()
            .map(|store| listed(store, false)),
        Scheme::Http | Scheme::Hub => web.store(name, retry).map(|store| (store, None)),
    };
    built.map_err(|error| Error::input(shown, format!("cannot be used: {}", reason(&error))))
}

fn listed<T: ObjectStore + PaginatedListStore>(store: T, begins_after: bool) -> Client {
    let store = Arc::new(store);
    let lists = Lists::new(Arc::clone(&store) as _, begins_after);
    (store, Some(Arc::new(lists)))
}

fn s3(name: &str, shown: &Path) -> Result<AmazonS3Builder> {
    let settings = limits(S3Key::Client).chain(variables("AWS_", shown)?);
    let builder = AmazonS3Builder::new().with_url(name);
    let builder = settings.fold(builder, |builder, (key, value)| {
        builder.with_config(key, value)
    });
    let get = |key| builder.get_config_value(&key);
    let sources = [
        S3Key::AccessKeyId,
        S3Key::WebIdentityTokenFile,
        S3Key::ContainerCredentialsRelativeUri,
        S3Key::ContainerCredentialsFullUri,
        S3Key::MetadataEndpoint,
    ];
    let has_credentials =
        is_true(get(S3Key::SkipSignature)) || sources.into_iter().any(|key| get(key).is_some());
    let allows_http = is_true(get(S3Key::Client(ClientConfigKey::AllowHttp)));
    let endpoint = get(S3Key::S3Endpoint).or_else(|| get(S3Key::Endpoint));
    let endpoint = check_endpoint(endpoint, allows_http, "AWS_ALLOW_HTTP", shown)?;
    let mut hint =
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a \
                    public bucket"
            .to_owned();
    let has_profiles = || {
        let home = std::env::home_dir();
        home.is_some_and(|home| home.join(".aws").is_dir())
    };
    if std::env::var_os("AWS_PROFILE").is_some() || has_profiles() {
        hint += "; profiles are not read: 'aws configure export-credentials', of version 2 of the \
                 AWS CLI, prints the values of one";
    }
    need_credentials(has_credentials, "AWS_EC2_METADATA_DISABLED", shown, &hint)?;
    Ok(match endpoint {
        Some(endpoint) => builder
            .with_config(S3Key::S3Endpoint, &endpoint.url)
            .with_allow_http(endpoint.is_http),
        None => builder.with_allow_http(false),
    })
}

fn gcs(name: &str, shown: &Path) -> Result<GoogleCloudStorageBuilder> {
    let settings = limits(GcsKey::Client).chain(variables("GOOGLE_", shown)?);
    let mut builder = GoogleCloudStorageBuilder::new().with_url(name);
    if let Some(file) = variable("SERVICE_ACCOUNT", shown)? {
        builder = builder.with_service_account_path(file);
    }
    // Unlike those of the other stores, it begins with plain http allowed.
    let builder = builder.with_config(GcsKey::Client(ClientConfigKey::AllowHttp), "false");
    let builder = settings.fold(builder, |builder, (key, value)| {
        builder.with_config(key, value)
    });
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
    let allows_http = is_true(get(GcsKey::Client(ClientConfigKey::AllowHttp)));
    let endpoint = check_endpoint(
        get(GcsKey::BaseUrl),
        allows_http,
        "GOOGLE_ALLOW_HTTP",
        shown,
    )?;
    need_credentials(
        has_credentials,
        "NO_GCE_CHECK",
        shown,
        "set GOOGLE_APPLICATION_CREDENTIALS, or GOOGLE_SKIP_SIGNATURE=true for a public bucket",
    )?;
    Ok(match endpoint {
        Some(endpoint) => builder.with_base_url(&endpoint.url).with_config(
            GcsKey::Client(ClientConfigKey::AllowHttp),
            endpoint.is_http.to_string(),
        ),
        None => builder,
    })
}

fn azure(name: &str, shown: &Path) -> Result<MicrosoftAzureBuilder> {
    let settings = limits(AzureKey::Client).chain(variables("AZURE_", shown)?);
    let mut builder = MicrosoftAzureBuilder::new().with_url(name);
    if let Some(endpoint) = variable("IDENTITY_ENDPOINT", shown)? {
        builder = builder.with_msi_endpoint(endpoint);
    }
    let builder = settings.fold(builder, |builder, (key, value)| {
        builder.with_config(key, value)
    });
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
    let allows_http = is_true(get(AzureKey::Client(ClientConfigKey::AllowHttp)));
    let endpoint = get(AzureKey::Endpoint);
    let endpoint = check_endpoint(endpoint, allows_http, "AZURE_ALLOW_HTTP", shown)?;
    need_credentials(
        has_credentials,
        "",
        shown,
        "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, \
         or AZURE_SKIP_SIGNATURE=true for a public container; connection strings are not read",
    )?;
    Ok(match endpoint {
        Some(endpoint) => builder
            .with_endpoint(endpoint.url)
            .with_allow_http(endpoint.is_http),
        None => builder,
    })
}

fn check_endpoint(
    value: Option<String>,
    allows_http: bool,
    switch: &str,
    shown: &Path,
) -> Result<Option<Endpoint>> {
    let endpoint = value.map(|value| Endpoint::new(&value, allows_http, switch));
    endpoint
        .transpose()
        .map_err(|what| Error::input(shown, what))
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
