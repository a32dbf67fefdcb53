//! A bucket, a container, or a web server.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::path::Path as Key;
use object_store::{
    Attribute, Attributes, Error as StoreError, GetOptions, ObjectMeta, ObjectStore,
};

use crate::remote::list::Lists;
use crate::remote::requests::{Answer, Requests};

/// The client of a store, and its lists, if it has them.
pub(super) type Client = (Arc<dyn ObjectStore>, Option<Arc<Lists>>);

/// A store of objects.
pub(super) struct Store {
    pub(super) inner: Arc<dyn ObjectStore>,
    /// `None` if its objects cannot be listed.
    pub(super) lists: Option<Arc<Lists>>,
    pub(super) requests: Arc<Requests>,
    /// Its URL in messages.
    shown: String,
}

impl Store {
    pub(super) fn new(client: Client, requests: Arc<Requests>, shown: String) -> Self {
        let (inner, lists) = client;
        Self {
            inner,
            lists,
            requests,
            shown,
        }
    }

    /// The object or prefix `key` as shown in messages.
    pub(super) fn path(&self, key: &str) -> PathBuf {
        // Not joined: a key may begin with a slash.
        PathBuf::from(format!("{}/{key}", self.shown))
    }

    /// What the store says of `key`; `None` if it has no such object.
    pub(super) fn look(&self, key: Key) -> object_store::Result<Option<ObjectMeta>> {
        self.start_look(key).wait()
    }

    /// Begins to ask what the store says of `key`.
    pub(super) fn start_look(&self, key: Key) -> Answer<object_store::Result<Option<ObjectMeta>>> {
        let inner = Arc::clone(&self.inner);
        let has_list = self.lists.is_some();
        let head = async move {
            let options = GetOptions {
                head: true,
                ..GetOptions::default()
            };
            let found = match inner.get_opts(&key, options).await {
                Ok(got) if is_directory(&got.attributes) => Ok(None),
                Ok(got) => Ok(Some(got.meta)),
                // A signed URL is often for one method only, and so are some servers.
                Err(_) if !has_list => {
                    let options = GetOptions {
                        range: Some((0..1).into()),
                        ..GetOptions::default()
                    };
                    let got = inner.get_opts(&key, options).await;
                    got.map(|got| Some(got.meta))
                }
                Err(error) => Err(error),
            };
            match found {
                Err(StoreError::NotFound { .. }) => Ok(None),
                found => found,
            }
        };
        self.requests.start(head)
    }
}

/// Whether an object stands for a directory, as Azure's drivers for Hadoop make them.
fn is_directory(attributes: &Attributes) -> bool {
    let mark = attributes.get(&Attribute::Metadata("hdi_isfolder".into()));
    mark.is_some_and(|mark| mark.eq_ignore_ascii_case("true"))
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.shown).finish()
    }
}
