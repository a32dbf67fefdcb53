//! A bucket, a container, or a web server.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::path::Path as Key;
use object_store::{Error as StoreError, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::remote::requests::Requests;

/// A store of objects.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) inner: Arc<dyn ObjectStore>,
    pub(super) requests: Arc<Requests>,
    /// Its URL in messages.
    shown: String,
    /// Whether its objects can be listed.
    pub(super) has_list: bool,
}

impl Store {
    pub(super) fn new(
        inner: Arc<dyn ObjectStore>,
        requests: Arc<Requests>,
        shown: String,
        has_list: bool,
    ) -> Self {
        Self {
            inner,
            requests,
            shown,
            has_list,
        }
    }

    /// The object or prefix `key` as shown in messages.
    pub(super) fn path(&self, key: &str) -> PathBuf {
        PathBuf::from(&self.shown).join(key)
    }

    /// What the store says of `key`; `None` if it has no such object.
    pub(super) fn look(&self, key: Key) -> object_store::Result<Option<ObjectMeta>> {
        let inner = Arc::clone(&self.inner);
        let has_list = self.has_list;
        let head = async move {
            let head = inner.head(&key).await;
            match head {
                Ok(meta) => Ok(Some(meta)),
                Err(StoreError::NotFound { .. }) => Ok(None),
                // A signed URL is often for one method only.
                Err(_) if !has_list => {
                    let options = GetOptions {
                        range: Some((0..1).into()),
                        ..GetOptions::default()
                    };
                    inner
                        .get_opts(&key, options)
                        .await
                        .map(|got| Some(got.meta))
                }
                Err(error) => Err(error),
            }
        };
        self.requests.start(head).wait()
    }
}
